/**
 * One state machine per Pod of the node.
 *
 * ```
 *            admitted                 deletionTimestamp, ended, gone from the API
 *   (new) ────────────▶ syncing ──────────────────────────────────────────▶ terminating ──▶ terminated ──▶ (removed)
 *      └── rejected ───────────────────────────────────────────────────────────▲        nothing runs     left the API
 * ```
 * Syncs of one Pod never overlap. A Pod that must end aborts the sync under way, and a shorter grace period the stop under way.
 * Upstream's counterpart: pod_workers.
 */
import type { Pod } from '#api/gen/core-v1.ts';
import { uidOf } from '#api/object.ts';
import type { Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { referenceTo, type EventRecorder } from '#client/events.ts';
import { Reconciler, type ReconcileResult } from '#client/reconciler.ts';
import { semanticEqual } from '#machinery/equality.ts';
import type { RuntimeCache } from '../runtime/runtime-cache.ts';
import type { PodEnd } from '../interfaces.ts';
import type { PodRecord, PodSync } from './pod-sync.ts';

const log = logger('kubelet');
/** What failed is tried again at the latest after this long, as upstream: what was in the way may be gone for a while. */
const LONGEST_RETRY_MS = 15_000;

interface Entry extends PodRecord {
  state: 'syncing' | 'terminating' | 'terminated';
  /** The API has the Pod no more. */
  gone: boolean;
  /** Counts among the Pods that use the node. */
  admitted: boolean;
  /** Has what it needs of the node for itself. */
  allocated: boolean;
  /** Effective grace of the stop, in seconds; only ever shortened. */
  grace: number | undefined;
  /** A start was aborted: it may have left something that its answer would have told us of. */
  interrupted: boolean;
  /** Ends the step under way when what it works towards is no longer wanted. */
  abort: AbortController;
  /** Resolves when nothing of it runs any more. */
  readonly over: PromiseWithResolvers<void>;
}
export interface PodRejection {
  readonly reason: string;
  readonly message: string;
}
export interface PodWorkersOptions {
  readonly clock: Clock;
  readonly cache: RuntimeCache;
  readonly sync: PodSync;
  readonly recorder: EventRecorder;
  /** May the Pod run here beside those that do? Asked once per Pod. */
  admit(pod: Pod, others: readonly Pod[]): PodRejection | undefined;
  /** Reserves what an admitted Pod needs of the node for itself; resolves with why it cannot have it. */
  allocate?(pod: Pod, signal: AbortSignal): Promise<PodRejection | undefined>;
  /** A Pod uses the node no more. */
  onRemoved?(): void;
}

export class PodWorkers {
  readonly #o: PodWorkersOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #reconciler: Reconciler;

  constructor(options: PodWorkersOptions) {
    this.#o = options;
    this.#reconciler = new Reconciler({
      name: 'kubelet-pod', clock: options.clock, logger: log, workers: 128, baseDelayMs: 500, maxDelayMs: LONGEST_RETRY_MS,
      reconcile: (uid, signal) => this.#step(uid, signal),
    });
  }
  start(): void {
    this.#reconciler.start();
  }
  async stop(): Promise<void> {
    for (const e of this.#entries.values()) e.abort.abort(new Error('the kubelet is stopping'));
    await this.#reconciler.stop();
  }

  /** The API has a new or changed Pod for this node. */
  update(pod: Pod): void {
    const uid = uidOf(pod);
    const known = this.#entries.get(uid);
    const entry = known ?? this.#add(pod);
    const before = entry.pod;
    entry.pod = pod;
    if (pod.metadata.deletionTimestamp) this.#end(entry, pod.metadata.deletionGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds);
    if (!known || asksForSync(before, pod)) this.#reconciler.queue.add(uid);
  }
  /** The API has it no more: what still runs is stopped, then every trace is removed. */
  remove(pod: Pod): void {
    const entry = this.#entries.get(uidOf(pod));
    if (!entry) return;
    entry.gone = true;
    this.#end(entry, pod.metadata.deletionGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds);
    this.#reconciler.queue.add(entry.uid);
  }
  /** Something about the Pod changed on the node: its runtime state, a volume. */
  wake(uid: string): void {
    if (this.#entries.has(uid)) this.#reconciler.queue.add(uid);
  }
  /** A probe of the Pod says something new. While the Pod is being stopped its worker is busy for as long as the grace lasts, and Services must know meanwhile. */
  probed(uid: string): void {
    const entry = this.#entries.get(uid);
    if (entry?.state === 'terminating') this.#o.sync.publishReadiness(entry);
    this.wake(uid);
  }
  /** Ends a Pod with a reason of the kubelet's own: `Evicted`, `DeadlineExceeded`. */
  endPod(uid: string, end: PodEnd, graceSeconds?: number): void {
    const entry = this.#entries.get(uid);
    if (!entry || entry.state !== 'syncing') return;
    entry.ended = end;
    this.#end(entry, graceSeconds);
    this.#reconciler.queue.add(uid);
  }
  /** True for a Pod that the worker knows. */
  has(uid: string): boolean {
    return this.#entries.has(uid);
  }
  podOf(uid: string): Pod | undefined {
    const entry = this.#entries.get(uid);
    return entry?.gone ? undefined : entry?.pod;
  }
  /** The Pod holds nothing of the node's any more, or never did. */
  isOver(uid: string): boolean {
    const entry = this.#entries.get(uid);
    return !entry || this.#hasEnded(entry);
  }
  /** Resolves when nothing of the Pod runs any more; at once for a Pod that is not known. */
  ended(uid: string): Promise<void> {
    return this.#entries.get(uid)?.over.promise ?? Promise.resolve();
  }
  /**
   * Pods that use the node's resources: admitted, not ended and still in the API. One that was forced out has given up its claim, as
   * upstream; so has one whose containers have ended for good: its last phase is told then, and the scheduler sends the next Pod.
   */
  activePods(): Pod[] {
    return [...this.#entries.values()].filter((e) => e.admitted && !e.gone && !this.#hasEnded(e)).map((e) => e.pod);
  }
  #hasEnded(entry: Entry): boolean {
    if (entry.state !== 'terminating') return entry.state === 'terminated';
    return !this.#o.cache.get(entry.uid)?.containers.some((c) => c.state === 'CONTAINER_RUNNING');
  }

  #add(pod: Pod): Entry {
    const phase = pod.status?.phase;
    const over = phase === 'Failed' || phase === 'Succeeded';
    const entry: Entry = {
      uid: uidOf(pod), pod, firstSeen: this.#o.clock.now(), waiting: new Map(), messages: new Map(), terminating: over,
      state: over ? 'terminating' : 'syncing', gone: false, admitted: false, allocated: false, grace: undefined, interrupted: false, abort: new AbortController(), over: Promise.withResolvers(),
    };
    this.#entries.set(entry.uid, entry);
    return entry;
  }
  #end(entry: Entry, graceSeconds: number | undefined): void {
    if (entry.state === 'terminated') return;
    const grace = graceSeconds === undefined ? undefined : Math.max(1, graceSeconds);
    const shorter = grace !== undefined && (entry.grace === undefined || grace < entry.grace);
    if (entry.state === 'terminating' && !shorter) return;
    if (shorter) entry.grace = grace;
    entry.state = 'terminating';
    entry.terminating = true;
    entry.abort.abort(new Error('the pod is to end'));
    entry.abort = new AbortController();
  }

  async #step(uid: string, signal: AbortSignal): Promise<ReconcileResult> {
    const entry = this.#entries.get(uid);
    if (!entry) return undefined;
    const { abort } = entry;
    const both = AbortSignal.any([signal, abort.signal]);
    try {
      if (entry.state === 'syncing') return await this.#syncing(entry, both);
      if (entry.state === 'terminating') await this.#terminating(entry, both);
      else if (entry.gone) await this.#remove(entry, signal);
      // Asked to go after it had ended by itself: the node has nothing left to do.
      else if (entry.pod.metadata.deletionTimestamp) this.#o.sync.finish(entry);
      return undefined;
    } catch (err) {
      // Overtaken: the queue brings the Pod back for what is wanted now.
      if (!abort.signal.aborted || signal.aborted) throw err;
      entry.interrupted = true;
      return { afterMs: 0 };
    }
  }
  async #syncing(entry: Entry, signal: AbortSignal): Promise<ReconcileResult> {
    const { sync } = this.#o;
    if (!entry.allocated && !(await this.#admit(entry, signal))) return await this.#terminating(entry, signal);
    const left = this.#deadlineLeft(entry);
    if (left !== undefined && left <= 0) {
      entry.ended = { reason: 'DeadlineExceeded', message: 'Pod was active on the node longer than the specified deadline' };
      this.#o.recorder.eventFor(referenceTo(entry.pod), 'Normal', 'DeadlineExceeded', entry.ended.message);
      this.#end(entry, undefined);
      return { afterMs: 0 };
    }
    const status = await sync.publishStatus(entry);
    if (status.phase === 'Succeeded' || status.phase === 'Failed') {
      this.#end(entry, undefined);
      return { afterMs: 0 };
    }
    let again: { afterMs: number } | undefined;
    try {
      again = await sync.sync(entry, signal);
    } finally {
      if (!signal.aborted) await sync.publishStatus(entry);
    }
    const waits = [again?.afterMs, left].filter((ms) => ms !== undefined);
    return waits.length ? { afterMs: Math.min(...waits) } : undefined;
  }
  async #terminating(entry: Entry, signal: AbortSignal): Promise<undefined> {
    const { sync, cache } = this.#o;
    if (entry.interrupted) await cache.relist(signal);
    await sync.publishStatus(entry);
    await sync.terminate(entry, entry.grace, signal);
    if (cache.get(entry.uid)?.containers.some((c) => c.state === 'CONTAINER_RUNNING')) throw new Error(`containers of pod ${entry.uid} still run after they were stopped`);
    await sync.cleanUp(entry);
    entry.state = 'terminated';
    entry.over.resolve();
    this.#o.onRemoved?.();
    return entry.gone ? await this.#remove(entry, signal) : undefined;
  }
  async #remove(entry: Entry, signal: AbortSignal): Promise<undefined> {
    await this.#o.sync.remove(entry.pod, signal);
    this.#entries.delete(entry.uid);
    return undefined;
  }
  async #admit(entry: Entry, signal: AbortSignal): Promise<boolean> {
    const alreadyRuns = (this.#o.cache.get(entry.uid)?.containers.length ?? 0) > 0;
    const others = this.activePods().filter((p) => p !== entry.pod);
    let rejection = alreadyRuns ? undefined : this.#o.admit(entry.pod, others);
    // Counted from here on: allocating may take time, and others are admitted meanwhile.
    entry.admitted = !rejection;
    if (!rejection && !alreadyRuns) rejection = await this.#o.allocate?.(entry.pod, signal);
    entry.allocated = entry.admitted = !rejection;
    if (!rejection) return true;
    this.#o.recorder.eventFor(referenceTo(entry.pod), 'Warning', rejection.reason, rejection.message);
    entry.ended = { reason: rejection.reason, message: `Pod was rejected: ${rejection.message}`, rejected: true };
    entry.state = 'terminating';
    entry.terminating = true;
    return false;
  }
  #deadlineLeft(entry: Entry): number | undefined {
    const seconds = entry.pod.spec.activeDeadlineSeconds;
    if (seconds === undefined) return undefined;
    const start = entry.pod.status?.startTime ? Date.parse(entry.pod.status.startTime) : entry.firstSeen;
    return start + seconds * 1000 - this.#o.clock.now();
  }
}

/** Whether a change of the Pod is one for the node to act on. Most changes are the answers to the node's own status writes. */
function asksForSync(before: Pod, after: Pod): boolean {
  const a = before.metadata;
  const b = after.metadata;
  const same = a.generation === b.generation && a.deletionTimestamp === b.deletionTimestamp && a.deletionGracePeriodSeconds === b.deletionGracePeriodSeconds;
  if (!same || !sameMap(a.labels, b.labels) || !sameMap(a.annotations, b.annotations)) return true;
  // Which claims it has is written by others, and its containers wait for them.
  if (!semanticEqual(before.status?.resourceClaimStatuses, after.status?.resourceClaimStatuses)) return true;
  // Conditions of readiness gates are written by others, and make the Pod ready.
  return (after.spec.readinessGates ?? []).length > 0;
}
function sameMap(a: Readonly<Record<string, string>> = {}, b: Readonly<Record<string, string>> = {}): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((k) => a[k] === b[k]);
}
