/**
 * The seats of one priority level and who waits for them: fair queuing over shuffle-sharded queues.
 *
 * ```
 *   enter ─┬─ seats free, nobody waits ──────────────▶ executing ──leave──▶ (final seats linger) ──▶ gone
 *          ├─ queue of the flow's hand ─▶ waiting ─▶ executing
 *          │                                 └─ time-out, cancelled ─▶ refused
 *          └─ queue full, or no queues ─────────────▶ refused
 * ```
 * Each queue has a virtual time at which its next request would start if all queues were served at once, each with its equal part of
 * the seats. The queue whose next request would finish first is served next. A flow that has used much is ahead in virtual time, and
 * waits. Source: KEP-1040, "Fair Queuing for Server Requests".
 */
import { Bag, type BagMember } from '#base/bag.ts';
import type { Clock, Timer } from '#base/clock.ts';
import type { RequestInfo, UserInfo } from '../interfaces.ts';
import type { FlowSeries } from './metrics.ts';
import { SeatDemand } from './seat-demand.ts';
import { dealHand, firstCard } from './shuffle-sharding.ts';
import type { WorkEstimate } from './work-estimate.ts';

export type RejectReason = 'queue-full' | 'concurrency-limit' | 'time-out' | 'cancelled';
/** The request was not let in. */
export class RejectedError extends Error {
  readonly reason: RejectReason;
  constructor(reason: RejectReason) {
    super(`request rejected: ${reason}`);
    this.name = 'RejectedError';
    this.reason = reason;
  }
}

/** `queues` 0: who finds no seat is refused at once. */
export interface Queuing {
  readonly queues: number;
  readonly handSize: number;
  readonly queueLengthLimit: number;
}
export const NO_QUEUES: Queuing = { queues: 0, handSize: 0, queueLengthLimit: 0 };

/** One request in the level. */
export interface FlowRequest extends BagMember {
  readonly schemaName: string;
  readonly distinguisher: string;
  readonly hash: number;
  readonly work: WorkEstimate;
  readonly info: RequestInfo;
  readonly user: UserInfo;
  readonly series: FlowSeries;
  readonly arrivedAt: number;
  /** Seats held: the wider of the two phases. */
  readonly seats: number;
  startedAt: number;
  queue: Queue | undefined;
}
interface Waiting {
  readonly request: FlowRequest;
  readonly settle: (reason: RejectReason | undefined) => void;
  /** The virtual time at which it came. */
  readonly arrivedVirtually: number;
}
export class Queue {
  readonly index: number;
  readonly waiting: Waiting[] = [];
  executing = 0;
  seatsInUse = 0;
  seatsWaiting = 0;
  /** Virtual start of the next request, in seat-seconds. */
  nextDispatch = 0;
  constructor(index: number) {
    this.index = index;
  }
  get active(): boolean {
    return this.executing > 0 || this.waiting.length > 0;
  }
}

/** A queue that could not use its share earns no credit by that: its next request does not start before it came, in virtual time. */
function bound(queue: Queue): void {
  const oldest = queue.waiting[0];
  if (oldest && queue.nextDispatch < oldest.arrivedVirtually) queue.nextDispatch = oldest.arrivedVirtually;
}
/** Upstream's guess of what a request takes; put right when it has finished. */
const ASSUMED_SECONDS = 0.003;

export class QueueSet {
  readonly #clock: Clock;
  readonly #waitLimitMs: number;
  readonly demand: SeatDemand;
  /** Requests executing, for dumps. */
  readonly executing = new Bag<FlowRequest>();
  readonly counts = { dispatched: 0, rejected: 0, timedOut: 0, cancelled: 0 };
  #queuing: Queuing = NO_QUEUES;
  #limit: number;
  #queues: Queue[] = [];
  /** Queues with waiting requests; the one served last stands last. */
  readonly #crowded = new Set<Queue>();
  /** All waiting requests by arrival. */
  readonly #waiting = new Set<Waiting>();
  #waitTimer: Timer | undefined;
  readonly #lingering = new Set<{ readonly request: FlowRequest; readonly until: number }>();
  #lingerArmed = false;
  #seatsInUse = 0;
  #seatsWaiting = 0;
  #activeQueues = 0;
  /** The virtual time, and when it was brought up to date. */
  #virtual = 0;
  #virtualAt: number;

  /** `limit` is `Infinity` for a level without one. */
  constructor(clock: Clock, limit: number, waitLimitMs: number) {
    this.#clock = clock;
    this.#limit = limit;
    this.#waitLimitMs = waitLimitMs;
    this.#virtualAt = clock.monotonic();
    this.demand = new SeatDemand(this.#virtualAt);
  }
  get seatsInUse(): number {
    return this.#seatsInUse;
  }
  get waitingCount(): number {
    return this.#waiting.size;
  }
  get activeQueues(): number {
    return this.#activeQueues;
  }
  get queues(): readonly Readonly<Queue>[] {
    return this.#queues;
  }
  get idle(): boolean {
    return this.executing.size === 0 && this.#waiting.size === 0 && this.#lingering.size === 0;
  }

  setLimit(limit: number): void {
    this.#advance(this.#clock.monotonic());
    this.#limit = limit;
    this.#dispatch();
  }
  /** Fewer queues: those beyond take no more, and empty themselves. */
  setQueuing(queuing: Queuing): void {
    this.#queuing = queuing;
    while (this.#queues.length < queuing.queues) this.#queues.push(new Queue(this.#queues.length));
    while (this.#queues.length > queuing.queues && !this.#queues.at(-1)!.active) this.#queues.pop();
  }

  /**
   * Undefined: the request is in. A promise: it waits for its turn, and rejects with a {@link RejectedError}. Throws that where it
   * cannot even wait. `signalOf` is asked only when it waits.
   */
  enter(request: FlowRequest, now: number, signalOf: () => AbortSignal): Promise<void> | undefined {
    this.#advance(now);
    this.demand.add(request.seats, now);
    if (this.#limit === Infinity) {
      this.#start(request, now);
      return undefined;
    }
    const { queues } = this.#queuing;
    if (this.#waiting.size === 0 && this.#fits(request.seats)) {
      if (queues > 0) this.#join(request, this.#queues[firstCard(request.hash, queues)]!);
      this.#start(request, now);
      return undefined;
    }
    const queue = queues === 0 ? undefined : this.#choose(request.hash);
    if (!queue || queue.waiting.length >= this.#queuing.queueLengthLimit) throw this.#refuse(request, queue ? 'queue-full' : 'concurrency-limit');
    request.series.queueLengths.observe(queue.waiting.length + 1);
    return this.#wait(request, queue, signalOf());
  }

  /** The request is answered. */
  leave(request: FlowRequest): void {
    const now = this.#clock.monotonic();
    this.#advance(now);
    const { finalSeats, additionalMs } = request.work;
    request.series.finished((now - request.startedAt) / 1000);
    this.executing.delete(request);
    if (finalSeats === 0 || additionalMs <= 0) return this.#release(request, now);
    this.#lingering.add({ request, until: now + additionalMs });
    this.#armLinger(additionalMs);
  }

  /** Refuses everyone who waits: the server stops. */
  close(): void {
    this.#waitTimer?.cancel();
    this.#limit = 0;
    for (const waiting of this.#waiting) waiting.settle('cancelled');
  }

  /* ------------------------------------------------------------ in and out */

  #fits(seats: number): boolean {
    // A request wider than the whole level runs by itself.
    return this.#seatsInUse + seats <= this.#limit || (this.#seatsInUse === 0 && this.#limit > 0);
  }
  #join(request: FlowRequest, queue: Queue): void {
    if (!queue.active) {
      this.#activeQueues += 1;
      queue.nextDispatch = this.#virtual;
    }
    request.queue = queue;
  }
  #start(request: FlowRequest, now: number): void {
    const { queue, seats } = request;
    request.startedAt = now;
    this.executing.add(request);
    this.#seatsInUse += seats;
    this.counts.dispatched += 1;
    request.series.dispatched((now - request.arrivedAt) / 1000, seats);
    if (!queue) return;
    queue.executing += 1;
    queue.seatsInUse += seats;
    queue.nextDispatch += seats * ASSUMED_SECONDS;
    bound(queue);
  }
  #release(request: FlowRequest, now: number): void {
    const { queue, seats } = request;
    this.#seatsInUse -= seats;
    this.demand.add(-seats, now);
    request.series.executingSeats -= seats;
    if (queue) {
      queue.executing -= 1;
      queue.seatsInUse -= seats;
      queue.nextDispatch += seats * ((now - request.startedAt) / 1000 - ASSUMED_SECONDS);
      bound(queue);
      this.#settleQueue(queue);
    }
    if (this.#waiting.size > 0) this.#dispatch();
  }
  #settleQueue(queue: Queue): void {
    if (queue.active) return;
    this.#activeQueues -= 1;
    while (this.#queues.length > this.#queuing.queues && !this.#queues.at(-1)!.active) this.#queues.pop();
  }
  #refuse(request: FlowRequest, reason: RejectReason): RejectedError {
    this.demand.add(-request.seats, this.#clock.monotonic());
    this.counts[reason === 'time-out' ? 'timedOut' : reason === 'cancelled' ? 'cancelled' : 'rejected'] += 1;
    request.series.rejected(reason, (this.#clock.monotonic() - request.arrivedAt) / 1000);
    return new RejectedError(reason);
  }
  #armLinger(ms: number): void {
    if (this.#lingerArmed) return;
    this.#lingerArmed = true;
    this.#clock.after(ms, () => {
      this.#lingerArmed = false;
      const now = this.#clock.monotonic();
      this.#advance(now);
      let next = Infinity;
      for (const entry of this.#lingering) {
        if (entry.until > now) next = Math.min(next, entry.until - now);
        else if (this.#lingering.delete(entry)) this.#release(entry.request, now);
      }
      if (this.#lingering.size > 0) this.#armLinger(Math.max(1, next));
    });
  }

  /* ------------------------------------------------------------ waiting */

  /** The queue of the hand with the least waiting work. */
  #choose(hash: number): Queue {
    const hand = dealHand(hash, this.#queuing.queues, this.#queuing.handSize).map((i) => this.#queues[i]!);
    return hand.reduce((best, q) => (q.seatsWaiting < best.seatsWaiting || (q.seatsWaiting === best.seatsWaiting && q.seatsInUse < best.seatsInUse) ? q : best));
  }
  #wait(request: FlowRequest, queue: Queue, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => settle('cancelled');
      const settle = (reason: RejectReason | undefined): void => {
        signal.removeEventListener('abort', onAbort);
        this.#remove(waiting, queue);
        if (reason === undefined) {
          this.#start(request, this.#clock.monotonic());
          return resolve();
        }
        this.#settleQueue(queue);
        reject(this.#refuse(request, reason));
        this.#dispatch();
      };
      const waiting: Waiting = { request, settle, arrivedVirtually: this.#virtual };
      this.#join(request, queue);
      queue.waiting.push(waiting);
      queue.seatsWaiting += request.seats;
      this.#seatsWaiting += request.seats;
      request.series.waitingSeats += request.seats;
      request.series.waiting += 1;
      this.#waiting.add(waiting);
      this.#crowded.add(queue);
      if (signal.aborted) return settle('cancelled');
      signal.addEventListener('abort', onAbort, { once: true });
      this.#armWait();
      this.#dispatch();
    });
  }
  #remove(waiting: Waiting, queue: Queue): void {
    const { seats, series } = waiting.request;
    queue.waiting.splice(queue.waiting.indexOf(waiting), 1);
    queue.seatsWaiting -= seats;
    this.#seatsWaiting -= seats;
    series.waitingSeats -= seats;
    series.waiting -= 1;
    this.#waiting.delete(waiting);
    if (queue.waiting.length === 0) this.#crowded.delete(queue);
  }
  /** Nobody waits longer than the limit: one timer, for whoever has waited longest. */
  #armWait(): void {
    const [first] = this.#waiting;
    if (this.#waitTimer || !first) return;
    const left = first.request.arrivedAt + this.#waitLimitMs - this.#clock.monotonic();
    this.#waitTimer = this.#clock.after(Math.max(0, left), () => {
      this.#waitTimer = undefined;
      const oldest = this.#clock.monotonic() - this.#waitLimitMs;
      for (const waiting of this.#waiting) {
        if (waiting.request.arrivedAt > oldest) break;
        waiting.settle('time-out');
      }
      this.#armWait();
    });
  }

  /* ------------------------------------------------------------ fairness */

  #advance(now: number): void {
    const seconds = (now - this.#virtualAt) / 1000;
    this.#virtualAt = now;
    if (this.#activeQueues === 0 || seconds <= 0) return;
    this.#virtual += (seconds * Math.min(this.#seatsInUse + this.#seatsWaiting, this.#limit)) / this.#activeQueues;
  }
  /** The queue whose oldest request would finish first. */
  #next(): Queue | undefined {
    let best: Queue | undefined;
    let finish = Infinity;
    for (const queue of this.#crowded) {
      const at = queue.nextDispatch + queue.waiting[0]!.request.seats * ASSUMED_SECONDS;
      if (at < finish) [best, finish] = [queue, at];
    }
    return best;
  }
  /** Starts whoever's turn it is while there are seats. A wide request whose turn it is holds back the others until it fits. */
  #dispatch(): void {
    for (;;) {
      const queue = this.#next();
      const first = queue?.waiting[0];
      if (!queue || !first) return;
      if (!this.#fits(first.request.seats)) {
        first.request.series.noAccommodation += 1;
        return;
      }
      first.settle(undefined);
      if (this.#crowded.delete(queue)) this.#crowded.add(queue);
    }
  }
}
