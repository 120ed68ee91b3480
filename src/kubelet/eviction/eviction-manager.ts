/**
 * Keeps the node alive when it runs out of memory, disk or process IDs: says so in its conditions, frees what nobody needs, then
 * evicts Pods, one at a time, until there is enough again.
 *
 * ```
 *   observe ──▶ thresholds met? ──no──▶ conditions clear after the transition period
 *                    │ yes
 *                    ▼
 *   condition set ─▶ disk: remove dead containers and unused images ─▶ enough? ──no──▶ evict the first in rank
 * ```
 * Upstream's counterpart: the eviction manager. Source: concepts/scheduling-eviction/node-pressure-eviction.
 */
import type { Pod, Taint } from '#api/gen/core-v1.ts';
import { uidOf } from '#api/object.ts';
import { sleep, type Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { referenceTo, type EventRecorder } from '#client/events.ts';
import { toleratesTaint } from '#machinery/tolerations.ts';
import type { PodEnd } from '../interfaces.ts';
import type { PodRejection } from '../pods/pod-workers.ts';
import { qosOf } from '../pods/qos.ts';
import { evicted, nodeConditionMessage, pressureMessage } from './messages.ts';
import { hasLocalLimits, localLimitExceeded, type LocalUse } from './local-storage.ts';
import { CONDITION_OF, RESOURCE_OF, thresholdsMet, type EvictionResource, type NodePressure, type Observations, type Pressure, type Threshold } from './pressure.ts';
import { isCriticalPod, rankForEviction, type PodUse } from './ranking.ts';

const log = logger('kubelet');
const HARD_GRACE_SECONDS = 1;
const CLEAN_UP_LIMIT_MS = 30_000;
const MEMORY_PRESSURE: Taint = { key: 'node.kubernetes.io/memory-pressure', effect: 'NoSchedule' };

export interface EvictionOptions {
  readonly clock: Clock;
  readonly recorder: EventRecorder;
  readonly nodeName: string;
  readonly thresholds: readonly Threshold[];
  readonly intervalMs: number;
  /** A condition stays for this long after it was last met, so that it does not flap. */
  readonly transitionMs: number;
  /** Longest grace for Pods evicted by a soft threshold, in seconds. */
  readonly maxPodGraceSeconds: number;
  observe(): Promise<Observations>;
  activePods(): readonly Pod[];
  /** What each of them uses of the resource, by uid. */
  usage(pods: readonly Pod[], resource: EvictionResource, signal: AbortSignal): Promise<ReadonlyMap<string, PodUse>>;
  localUse(pod: Pod, signal: AbortSignal): Promise<LocalUse>;
  endPod(uid: string, end: PodEnd, graceSeconds: number): void;
  /** Frees disk that nobody needs: dead containers, unused images. */
  reclaimDisk(signal: AbortSignal): Promise<void>;
  /** Resolves when the Pod has stopped and what it held on the disk is gone. */
  ended?(uid: string): Promise<void>;
  onEviction?(signal: string): void;
  /** The node's conditions changed. */
  onPressure(): void;
}

export class EvictionManager {
  readonly #o: EvictionOptions;
  readonly #abort = new AbortController();
  /** When each condition was last met. */
  readonly #lastMet = new Map<NodePressure, number>();
  /** Since when each threshold has been met. */
  readonly #metSince = new Map<Threshold, number>();
  /** Those that called for an eviction at the last look. */
  #due: ReadonlySet<Threshold> = new Set();
  #loop: Promise<void> = Promise.resolve();

  constructor(options: EvictionOptions) {
    this.#o = options;
  }
  start(): void {
    this.#loop = this.#run();
  }
  async stop(): Promise<void> {
    this.#abort.abort(new Error('the kubelet is stopping'));
    await this.#loop;
  }
  pressure(): Pressure {
    const now = this.#o.clock.monotonic();
    const on = (c: NodePressure): boolean => now - (this.#lastMet.get(c) ?? -Infinity) < this.#o.transitionMs;
    return { memory: on('MemoryPressure'), disk: on('DiskPressure'), pid: on('PIDPressure') };
  }
  /** Refuses Pods that would make it worse. */
  admit(pod: Pod): PodRejection | undefined {
    const { memory, disk, pid } = this.pressure();
    const conditions = [...(memory ? ['MemoryPressure'] : []), ...(disk ? ['DiskPressure'] : []), ...(pid ? ['PIDPressure'] : [])];
    if (conditions.length === 0 || isCriticalPod(pod)) return undefined;
    if (memory && conditions.length === 1 && (qosOf(pod) !== 'BestEffort' || toleratesTaint(pod.spec.tolerations, MEMORY_PRESSURE))) return undefined;
    return { reason: 'Evicted', message: nodeConditionMessage(conditions) };
  }

  /** One round: public for tests and for a first look before Pods are admitted. Resolves with the Pods that it ended. */
  async synchronize(): Promise<readonly string[]> {
    const { clock } = this.#o;
    const { signal } = this.#abort;
    let observations = await this.#o.observe();
    const met = this.#note(observations, clock.monotonic());
    // Memory first: the kernel would kill blindly.
    const [threshold] = met.toSorted((a, b) => order(a) - order(b));
    const isDisk = threshold !== undefined && CONDITION_OF[threshold.signal] === 'DiskPressure';
    // Who is over a limit of its own only the runtime knows, and it is slow where memory or processes run out.
    const over = !threshold || isDisk ? await this.#evictOverLimits(signal) : [];
    if (over.length || !threshold) return over;
    const resource = RESOURCE_OF[threshold.signal];
    this.#o.recorder.eventFor({ kind: 'Node', name: this.#o.nodeName, uid: this.#o.nodeName }, 'Warning', 'EvictionThresholdMet', `Attempting to reclaim ${resource}`);
    if (isDisk) {
      await this.#o.reclaimDisk(signal);
      observations = await this.#o.observe();
      if (thresholdsMet([threshold], observations, this.#due).length === 0) return [];
    }
    const uid = await this.#evictOne(threshold, observations, signal);
    return uid === undefined ? [] : [uid];
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      const evictedNow = await this.synchronize().catch((err: unknown) => void (signal.aborted || log.warn({ err }, 'eviction round failed')));
      // What an evicted Pod leaves behind may be enough: the next look waits for it, and then comes at once.
      if (evictedNow?.length && this.#o.ended) await this.#cleanedUp(evictedNow, signal);
      else await sleep(this.#o.clock, this.#o.intervalMs, signal).catch(() => {});
    }
  }
  async #cleanedUp(uids: readonly string[], signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    await Promise.race([Promise.all(uids.map((uid) => this.#o.ended!(uid))), sleep(this.#o.clock, CLEAN_UP_LIMIT_MS, AbortSignal.any([signal, over.signal])).catch(() => {})]);
    over.abort();
  }
  /** Notes what is met now; gives the thresholds that call for an eviction. */
  #note(observations: Observations, now: number): Threshold[] {
    const before = JSON.stringify(this.pressure());
    const met = thresholdsMet(this.#o.thresholds, observations, this.#due);
    for (const t of met) this.#metSince.set(t, this.#metSince.get(t) ?? now);
    for (const t of this.#metSince.keys()) if (!met.includes(t)) this.#metSince.delete(t);
    const due = met.filter((t) => now - this.#metSince.get(t)! >= t.gracePeriodMs);
    this.#due = new Set(due);
    // The node says that it runs short while a soft threshold still waits.
    for (const t of met) this.#lastMet.set(CONDITION_OF[t.signal], now);
    if (JSON.stringify(this.pressure()) !== before) this.#o.onPressure();
    return due;
  }
  async #evictOverLimits(signal: AbortSignal): Promise<string[]> {
    const out: string[] = [];
    for (const pod of this.#o.activePods()) {
      if (!hasLocalLimits(pod)) continue;
      const why = localLimitExceeded(pod, await this.#o.localUse(pod, signal));
      if (why === undefined) continue;
      this.#evict(pod, why, HARD_GRACE_SECONDS);
      out.push(uidOf(pod));
    }
    return out;
  }
  async #evictOne(threshold: Threshold, observations: Observations, signal: AbortSignal): Promise<string | undefined> {
    const pods = this.#o.activePods().filter((p) => !isCriticalPod(p) && !p.metadata.deletionTimestamp);
    const use = await this.#o.usage(pods, RESOURCE_OF[threshold.signal], signal);
    const [first] = rankForEviction(pods, threshold.signal, (p) => use.get(uidOf(p)));
    if (!first) {
      log.error({ resource: RESOURCE_OF[threshold.signal] }, 'unable to evict any pods from the node');
      return undefined;
    }
    const own = first.spec.terminationGracePeriodSeconds ?? 30;
    const grace = threshold.gracePeriodMs === 0 ? HARD_GRACE_SECONDS : Math.min(this.#o.maxPodGraceSeconds, own);
    this.#o.onEviction?.(threshold.signal);
    this.#evict(first, pressureMessage(first, threshold, observations.get(threshold.signal), use.get(uidOf(first))), grace);
    return uidOf(first);
  }
  #evict(pod: Pod, message: string, graceSeconds: number): void {
    log.warn({ pod: `${pod.metadata.namespace}/${pod.metadata.name}`, message }, 'evicting a pod');
    this.#o.recorder.eventFor(referenceTo(pod), 'Warning', 'Evicted', message);
    this.#o.endPod(uidOf(pod), evicted(message), graceSeconds);
  }
}

function order(t: Threshold): number {
  return CONDITION_OF[t.signal] === 'MemoryPressure' ? 0 : 1;
}
