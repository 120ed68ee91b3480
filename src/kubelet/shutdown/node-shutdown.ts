/**
 * Graceful node shutdown (KEP-2000, KEP-2712): the node stops taking Pods, those that run are stopped in groups, the lowest priority
 * first, each group in its own time. Started by whoever learns that the machine goes down.
 */
import type { Pod } from '#api/gen/core-v1.ts';
import { uidOf } from '#api/object.ts';
import { sleep, type Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import type { KubeletConfig } from '../config.ts';
import type { PodEnd } from '../interfaces.ts';
import type { PodRejection } from '../pods/pod-workers.ts';

const log = logger('kubelet');
const SYSTEM_CRITICAL = 2_000_000_000;
const MESSAGE = 'Pod was terminated in response to imminent node shutdown.';

/** Pods of this priority or above, up to the next group's, and how long they have together. */
export interface ShutdownGroup {
  readonly priority: number;
  readonly seconds: number;
}
/** What a person who asks for a shutdown gets without having configured one. */
export const DEFAULT_GROUPS: readonly ShutdownGroup[] = [{ priority: 0, seconds: 20 }, { priority: SYSTEM_CRITICAL, seconds: 10 }];

/** The configured groups, lowest first; none when the node does not wait for Pods. */
export function shutdownGroups({ shutdownGraceMs, shutdownGraceCriticalMs, shutdownGraceByPriority }: Pick<KubeletConfig, 'shutdownGraceMs' | 'shutdownGraceCriticalMs' | 'shutdownGraceByPriority'>): readonly ShutdownGroup[] {
  if (shutdownGraceByPriority.length) return shutdownGraceByPriority.toSorted((a, b) => a.priority - b.priority);
  if (shutdownGraceMs === 0) return [];
  return [{ priority: 0, seconds: Math.floor((shutdownGraceMs - shutdownGraceCriticalMs) / 1000) }, { priority: SYSTEM_CRITICAL, seconds: Math.floor(shutdownGraceCriticalMs / 1000) }];
}
/** The Pods of each group. Below the lowest is in the lowest. */
export function groupPods(pods: readonly Pod[], groups: readonly ShutdownGroup[]): Pod[][] {
  const out: Pod[][] = groups.map(() => []);
  for (const pod of pods) out[Math.max(0, groups.findLastIndex((g) => g.priority <= (pod.spec.priority ?? 0)))]?.push(pod);
  return out;
}

export interface ShutdownOptions {
  readonly clock: Clock;
  activePods(): readonly Pod[];
  endPod(uid: string, end: PodEnd, graceSeconds: number): void;
  /** Resolves when the Pod has stopped. */
  ended(uid: string): Promise<void>;
  /** Tells the API whether the node is going down. */
  report(goingDown: boolean): Promise<void>;
}

export class NodeShutdown {
  readonly #o: ShutdownOptions;
  #running: Promise<void> | undefined;
  constructor(options: ShutdownOptions) {
    this.#o = options;
  }
  admit(): PodRejection | undefined {
    return this.#running ? { reason: 'NodeShutdown', message: 'Pod was rejected as the node is shutting down.' } : undefined;
  }
  /** Resolves when every Pod has stopped, or its time is over; once under way, it is the same for everybody. */
  run(groups: readonly ShutdownGroup[], signal: AbortSignal): Promise<void> {
    return (this.#running ??= this.#run(groups, signal));
  }
  /** The machine stays up after all: the node takes Pods again. Those that were stopped stay so. */
  async cancel(): Promise<void> {
    if (!this.#running) return;
    this.#running = undefined;
    await this.#o.report(false);
  }

  async #run(groups: readonly ShutdownGroup[], signal: AbortSignal): Promise<void> {
    // Pods are stopped whether or not the API can be told why.
    await this.#o.report(true).catch((err: unknown) => log.warn({ err }, 'the shutdown could not be reported'));
    for (const [i, pods] of groupPods(this.#o.activePods(), groups).entries()) await this.#stop(pods, groups[i]!.seconds, signal);
  }
  async #stop(pods: readonly Pod[], seconds: number, signal: AbortSignal): Promise<void> {
    if (pods.length === 0) return;
    log.info({ pods: pods.length, seconds }, 'stopping pods for the shutdown of the node');
    const end: PodEnd = { reason: 'Terminated', message: MESSAGE, condition: { type: 'DisruptionTarget', status: 'True', reason: 'TerminationByKubelet', message: MESSAGE } };
    for (const pod of pods) this.#o.endPod(uidOf(pod), end, Math.min(pod.spec.terminationGracePeriodSeconds ?? 30, seconds));
    const over = new AbortController();
    await Promise.race([Promise.all(pods.map((p) => this.#o.ended(uidOf(p)))), sleep(this.#o.clock, seconds * 1000, AbortSignal.any([signal, over.signal]))]).finally(() => over.abort());
  }
}
