/**
 * Graceful node shutdown (KEP-2000): the node stops taking Pods, ordinary Pods are stopped first, critical ones in the time that is
 * kept for them. Called by whoever learns that the machine goes down.
 */
import type { Pod } from '#api/gen/core-v1.ts';
import { uidOf } from '#api/object.ts';
import { sleep, type Clock } from '#base/clock.ts';
import { isCriticalPod } from './eviction/ranking.ts';
import type { PodEnd } from './interfaces.ts';
import type { PodRejection } from './pods/pod-workers.ts';

export interface ShutdownOptions {
  readonly clock: Clock;
  activePods(): readonly Pod[];
  endPod(uid: string, end: PodEnd, graceSeconds: number): void;
  /** Resolves when the Pod has stopped. */
  ended(uid: string): Promise<void>;
  reportShutdown(): Promise<void>;
}
const MESSAGE = 'Pod was terminated in response to imminent node shutdown.';

export class NodeShutdown {
  readonly #o: ShutdownOptions;
  #under = false;
  constructor(options: ShutdownOptions) {
    this.#o = options;
  }
  admit(): PodRejection | undefined {
    return this.#under ? { reason: 'NodeShutdown', message: 'Pod was rejected as the node is shutting down.' } : undefined;
  }
  /** Resolves when every Pod has stopped, or its time is over. `criticalMs` of `totalMs` is kept for critical Pods. */
  async run(totalMs: number, criticalMs: number, signal: AbortSignal): Promise<void> {
    this.#under = true;
    await this.#o.reportShutdown();
    const [critical, ordinary] = [this.#o.activePods().filter(isCriticalPod), this.#o.activePods().filter((p) => !isCriticalPod(p))];
    await this.#stop(ordinary, totalMs - criticalMs, signal);
    await this.#stop(critical, criticalMs, signal);
  }
  async #stop(pods: readonly Pod[], limitMs: number, signal: AbortSignal): Promise<void> {
    if (pods.length === 0) return;
    const end: PodEnd = { reason: 'Terminated', message: MESSAGE, condition: { type: 'DisruptionTarget', status: 'True', reason: 'TerminationByKubelet', message: MESSAGE } };
    for (const pod of pods) this.#o.endPod(uidOf(pod), end, Math.min(pod.spec.terminationGracePeriodSeconds ?? 30, Math.floor(limitMs / 1000)));
    const over = new AbortController();
    await Promise.race([Promise.all(pods.map((p) => this.#o.ended(uidOf(p)))), sleep(this.#o.clock, limitMs, AbortSignal.any([signal, over.signal]))]).finally(() => over.abort());
  }
}
