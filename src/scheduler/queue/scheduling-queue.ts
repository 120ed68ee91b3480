/**
 * Pods that wait for a node.
 *
 * ```
 *   add ──▶ active (by priority, then time) ──pop──▶ cycle ──refused──▶ unschedulable
 *             ▲            ▲                            │                  │ an event that a refusing plugin
 *             │ gates gone │ back-off over, or idle     │ broken           │ says may help; or five minutes
 *           gated          └──────── back-off ◀─────────┴──────────────────┘
 * ```
 * A cycle runs without interruption, so no event can be missed between `pop` and the Pod's return. Upstream's counterpart:
 * backend/queue; KEP-4247 (queueing hints), KEP-5142 (an idle scheduler takes Pods out of back-off).
 */
import type { Pod } from '#api/gen/core-v1.ts';
import { uidOf, type KubeObject } from '#api/object.ts';
import type { Clock, Timer } from '#base/clock.ts';
import type { ClusterEvent, EventInterest } from '../framework/events.ts';
import { PodInfo } from '../framework/pod-info.ts';
import type { Status } from '../framework/status.ts';
import { Heap } from './heap.ts';

export const INITIAL_BACKOFF_MS = 1000;
export const MAX_BACKOFF_MS = 10_000;
export const MAX_UNSCHEDULABLE_MS = 300_000;
const FLUSH_MS = 30_000;

export interface QueuedPod {
  info: PodInfo;
  /** When it entered the queue it is in; with `sequence`, the order among equal priorities. */
  timestamp: number;
  sequence: number;
  attempts: number;
  /** Since the last attempt that did not end so. */
  unschedulableCount: number;
  consecutiveErrors: number;
  backoffUntil: number;
  /** Names of the plugins that refused it; empty after something broke. */
  refusedBy: ReadonlySet<string>;
  /** The plugin whose `preEnqueue` keeps it out. */
  gatedBy: string | undefined;
}
export interface QueueOptions {
  readonly clock: Clock;
  preEnqueue(pod: Pod): Status | undefined;
  /** What each plugin, by name, wants to hear of; a plugin that is not there wants everything. */
  readonly interests: ReadonlyMap<string, readonly EventInterest[]>;
  /** Called when there may be something to pop. */
  onReady(): void;
}

export class SchedulingQueue {
  readonly #o: QueueOptions;
  readonly #active: Heap<QueuedPod>;
  readonly #backoff: Heap<QueuedPod>;
  /** Pods whose last attempt broke: an idle scheduler does not shorten their back-off. */
  readonly #errorBackoff: Heap<QueuedPod>;
  readonly #unschedulable = new Map<string, QueuedPod>();
  #sequence = 0;
  #timer: { at: number; timer: Timer } | undefined;
  #flushTimer: Timer | undefined;
  #closed = false;

  constructor(options: QueueOptions) {
    this.#o = options;
    const key = (q: QueuedPod) => q.info.uid;
    this.#active = new Heap(key, moreUrgent);
    const earlier = (a: QueuedPod, b: QueuedPod) => (a.backoffUntil === b.backoffUntil ? moreUrgent(a, b) : a.backoffUntil < b.backoffUntil);
    this.#backoff = new Heap(key, earlier);
    this.#errorBackoff = new Heap(key, earlier);
  }
  get lengths(): { active: number; backoff: number; unschedulable: number; gated: number } {
    let gated = 0;
    for (const q of this.#unschedulable.values()) if (q.gatedBy !== undefined) gated++;
    return { active: this.#active.size, backoff: this.#backoff.size + this.#errorBackoff.size, unschedulable: this.#unschedulable.size - gated, gated };
  }
  /** True where the Pod waits in any of the queues. */
  has(uid: string): boolean {
    return this.#find(uid) !== undefined;
  }

  /** A Pod without a node has appeared. */
  add(pod: Pod): void {
    this.#activate({
      info: new PodInfo(pod), timestamp: this.#o.clock.monotonic(), sequence: this.#sequence++, attempts: 0, unschedulableCount: 0, consecutiveErrors: 0,
      backoffUntil: 0, refusedBy: new Set(), gatedBy: undefined,
    });
  }
  /** The waiting Pod itself has changed; `events` says how. Unknown Pods are added. */
  update(old: Pod, pod: Pod, events: readonly ClusterEvent[]): void {
    const info = new PodInfo(pod);
    const queued = this.#find(info.uid);
    if (!queued) return this.add(pod);
    queued.info = info;
    for (const heap of [this.#active, this.#backoff, this.#errorBackoff]) if (heap.has(info.uid)) return heap.set(queued);
    if (queued.gatedBy !== undefined) {
      // Whatever keeps it out may look at any field of it.
      return this.#requeue(queued);
    }
    if (events.some((event) => this.#mayHelp(queued, event, old, pod))) this.#requeue(queued);
  }
  /** Takes in a state of the Pod that differs in nothing that scheduling looks at. */
  refresh(pod: Pod): void {
    const queued = this.#find(uidOf(pod));
    if (queued) queued.info = queued.info.withPod(pod);
  }
  delete(uid: string): void {
    this.#active.delete(uid);
    this.#backoff.delete(uid);
    this.#errorBackoff.delete(uid);
    this.#unschedulable.delete(uid);
  }
  /** The most urgent Pod: of the active ones or, while there are none, of those in back-off that nothing broke for. */
  pop(): QueuedPod | undefined {
    const queued = this.#active.pop() ?? this.#backoff.pop();
    if (!queued) return undefined;
    queued.attempts++;
    return queued;
  }
  /** Takes back a Pod that was popped and refused (`refusedBy` says by whom), or for which something broke (`refusedBy` is empty). */
  putBack(queued: QueuedPod, pod: Pod, refusedBy: ReadonlySet<string>): void {
    if (this.#closed || this.has(queued.info.uid)) return;
    queued.info = new PodInfo(pod);
    queued.refusedBy = refusedBy;
    const now = this.#o.clock.monotonic();
    queued.timestamp = now;
    queued.sequence = this.#sequence++;
    const broken = refusedBy.size === 0;
    if (broken) queued.consecutiveErrors++;
    else {
      queued.unschedulableCount++;
      queued.consecutiveErrors = 0;
    }
    queued.backoffUntil = now + backoffMs(broken ? queued.consecutiveErrors : queued.unschedulableCount);
    if (!broken) {
      this.#unschedulable.set(queued.info.uid, queued);
      this.#watchForOld();
      return;
    }
    this.#errorBackoff.set(queued);
    this.#arm();
  }
  /** Something happened: moves the Pods that it may help to the active queue or, within their back-off, to that one. */
  move(event: ClusterEvent, old?: KubeObject, obj?: KubeObject, except?: string): void {
    for (const [uid, queued] of this.#unschedulable) {
      if (uid === except) continue;
      if (queued.gatedBy !== undefined) {
        if (!this.#pluginMayHelp(queued.gatedBy, queued.info.pod, event, old, obj)) continue;
        this.#requeue(queued);
      } else if (this.#mayHelp(queued, event, old, obj)) this.#requeue(queued);
    }
  }
  /** Lets a Pod that is kept out by a plugin try again; with `force`, one that waits for an event too. */
  reconsider(uid: string, force = false): void {
    const queued = this.#unschedulable.get(uid);
    if (!queued || (queued.gatedBy === undefined && !force)) return;
    this.#requeue(queued);
  }
  close(): void {
    this.#closed = true;
    this.#timer?.timer.cancel();
    this.#timer = undefined;
    this.#flushTimer?.cancel();
    this.#flushTimer = undefined;
  }

  #find(uid: string): QueuedPod | undefined {
    return this.#active.get(uid) ?? this.#backoff.get(uid) ?? this.#errorBackoff.get(uid) ?? this.#unschedulable.get(uid);
  }
  #activate(queued: QueuedPod): void {
    if (this.#isGated(queued)) return;
    this.#unschedulable.delete(queued.info.uid);
    this.#active.set(queued);
    this.#o.onReady();
  }
  #requeue(queued: QueuedPod): void {
    if (queued.backoffUntil <= this.#o.clock.monotonic()) return this.#activate(queued);
    if (this.#isGated(queued)) return;
    this.#unschedulable.delete(queued.info.uid);
    this.#backoff.set(queued);
    this.#arm();
    this.#o.onReady();
  }
  /** Asks the plugins whether the Pod may be scheduled at all; one that may not waits among the unschedulable. */
  #isGated(queued: QueuedPod): boolean {
    queued.gatedBy = this.#o.preEnqueue(queued.info.pod)?.plugin;
    if (queued.gatedBy === undefined) return false;
    this.#unschedulable.set(queued.info.uid, queued);
    return true;
  }
  #mayHelp(queued: QueuedPod, event: ClusterEvent, old: KubeObject | undefined, obj: KubeObject | undefined): boolean {
    for (const plugin of queued.refusedBy) if (this.#pluginMayHelp(plugin, queued.info.pod, event, old, obj)) return true;
    return false;
  }
  #pluginMayHelp(plugin: string, pod: Pod, event: ClusterEvent, old: KubeObject | undefined, obj: KubeObject | undefined): boolean {
    const interests = this.#o.interests.get(plugin);
    if (!interests) return true;
    for (const interest of interests) {
      if (interest.resource !== event.resource || !interest.actions.some((a) => event.actions.includes(a))) continue;
      if (!interest.hint || interest.hint(pod, old, obj) === 'Queue') return true;
    }
    return false;
  }
  /** One timer for the Pod whose back-off ends first. */
  #arm(): void {
    const a = this.#backoff.peek()?.backoffUntil ?? Infinity;
    const b = this.#errorBackoff.peek()?.backoffUntil ?? Infinity;
    const at = Math.min(a, b);
    if (this.#closed || at === Infinity || (this.#timer && this.#timer.at <= at)) return;
    this.#timer?.timer.cancel();
    const timer = this.#o.clock.after(Math.max(0, at - this.#o.clock.monotonic()), () => {
      this.#timer = undefined;
      this.#endBackoffs();
      this.#arm();
    });
    this.#timer = { at, timer };
  }
  #endBackoffs(): void {
    const now = this.#o.clock.monotonic();
    for (const heap of [this.#backoff, this.#errorBackoff]) {
      while ((heap.peek()?.backoffUntil ?? Infinity) <= now) this.#activate(heap.pop()!);
    }
  }
  /** Gives Pods that no event has helped for long another try. */
  #watchForOld(): void {
    if (this.#flushTimer || this.#closed) return;
    this.#flushTimer = this.#o.clock.after(FLUSH_MS, () => {
      this.#flushTimer = undefined;
      const before = this.#o.clock.monotonic() - MAX_UNSCHEDULABLE_MS;
      let left = false;
      for (const queued of this.#unschedulable.values()) {
        if (queued.gatedBy !== undefined) continue;
        if (queued.timestamp <= before) this.#requeue(queued);
        else left = true;
      }
      if (left) this.#watchForOld();
    });
  }
}

function moreUrgent(a: QueuedPod, b: QueuedPod): boolean {
  if (a.info.priority !== b.info.priority) return a.info.priority > b.info.priority;
  return a.timestamp === b.timestamp ? a.sequence < b.sequence : a.timestamp < b.timestamp;
}
function backoffMs(attempts: number): number {
  return Math.min(MAX_BACKOFF_MS, INITIAL_BACKOFF_MS * 2 ** Math.min(attempts - 1, 10));
}
