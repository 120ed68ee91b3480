/** One priority level: its seats, its queues, and what it asked for in the last period. */
import type { PriorityLevelConfiguration } from '#api/gen/flowcontrol-v1.ts';
import type { Clock } from '#base/clock.ts';
import type { SeatClaim, SeatLimits } from './concurrency-limits.ts';
import { DroppedRequests } from './dropped-requests.ts';
import type { LevelGauges } from './metrics.ts';
import { NO_QUEUES, QueueSet, type Queuing } from './queue-set.ts';
import type { SeatDemandStats } from './seat-demand.ts';

/** How much of the last period's demand lives on. Upstream's constant: half of it is gone after five minutes. */
const SMOOTHING = 0.977;
const DEFAULT_QUEUING: Queuing = { queues: 64, handSize: 8, queueLengthLimit: 50 };

function queuingOf({ spec }: PriorityLevelConfiguration): Queuing {
  const response = spec.limited?.limitResponse;
  if (spec.type === 'Exempt' || response?.type !== 'Queue') return NO_QUEUES;
  const { queues = DEFAULT_QUEUING.queues, handSize = DEFAULT_QUEUING.handSize, queueLengthLimit = DEFAULT_QUEUING.queueLengthLimit } = response.queuing ?? {};
  return { queues, handSize, queueLengthLimit };
}

export class PriorityLevel {
  readonly name: string;
  readonly queues: QueueSet;
  readonly dropped = new DroppedRequests();
  uid = '';
  exempt = false;
  /** Its object is gone: it takes nothing more and goes when it is empty. */
  quiescing = false;
  limits: SeatLimits = { nominal: 0, lower: 0, upper: 0 };
  #current: number | undefined;
  #target = 0;
  #smoothed = 0;
  #stats: SeatDemandStats = { average: 0, standardDeviation: 0, highWatermark: 0 };

  constructor(name: string, clock: Clock, waitLimitMs: number) {
    this.name = name;
    this.queues = new QueueSet(clock, Infinity, waitLimitMs);
  }
  /** Seats it has now. */
  get current(): number {
    return this.#current ?? this.limits.nominal;
  }
  configure(object: PriorityLevelConfiguration, limits: SeatLimits): void {
    this.uid = object.metadata.uid ?? '';
    this.exempt = object.spec.type === 'Exempt';
    this.quiescing = false;
    const { nominal, lower, upper } = this.limits;
    const same = nominal === limits.nominal && lower === limits.lower && upper === limits.upper;
    this.limits = limits;
    this.queues.setQueuing(queuingOf(object));
    // What was borrowed under other limits is given back.
    this.setCurrent(same ? this.current : limits.nominal);
  }
  setCurrent(seats: number): void {
    this.#current = seats;
    this.queues.setLimit(this.exempt ? Infinity : seats);
  }
  /** Ends a period and says what it claims of the next. `missed` periods before it passed without a request anywhere. */
  claim(now: number, missed: number): SeatClaim {
    this.#stats = this.queues.demand.take(now);
    const { average, standardDeviation, highWatermark } = this.#stats;
    const envelope = average + standardDeviation;
    this.#smoothed *= SMOOTHING ** missed;
    this.#smoothed = Math.max(envelope, SMOOTHING * this.#smoothed + (1 - SMOOTHING) * envelope);
    const lower = Math.max(this.limits.lower, Math.min(this.limits.nominal, highWatermark));
    this.#target = Math.max(lower, this.#smoothed);
    return { lower, upper: this.exempt ? lower : this.limits.upper, target: this.#target };
  }
  gauges(): LevelGauges {
    return { name: this.name, ...this.limits, current: this.current, target: this.#target, smoothed: this.#smoothed, ...this.#stats };
  }
}
