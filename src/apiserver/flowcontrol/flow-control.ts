/**
 * API Priority and Fairness: which request runs now, which waits, which is refused. It follows the FlowSchema and
 * PriorityLevelConfiguration objects. Upstream's counterpart: `apiserver/pkg/util/flowcontrol`. Source: the Kubernetes page
 * "API Priority and Fairness", KEP-1040.
 */
import type { FlowSchema, PriorityLevelConfiguration } from '#api/gen/flowcontrol-v1.ts';
import type { Clock, Timer } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { tooManyRequests } from '#machinery/status-error.ts';
import type { ObjectReader, RequestInfo, UserInfo } from '../interfaces.ts';
import type { Query } from '../query.ts';
import { seatLimits, shareSeats } from './concurrency-limits.ts';
import { BUILT_IN_SCHEMAS, FLOW_SCHEMAS, MANDATORY_LEVELS, PRIORITY_LEVELS } from './mandatory-objects.ts';
import { byPrecedence, flowDistinguisher, flowMatcher, type FlowMatcher } from './match.ts';
import { flowControlMetricsText, FlowSeries } from './metrics.ts';
import { PriorityLevel } from './priority-level.ts';
import { RejectedError, type FlowRequest } from './queue-set.ts';
import { flowHash } from './shuffle-sharding.ts';
import { estimateWork, type ObjectCounts } from './work-estimate.ts';

const log = logger('api-priority-and-fairness');
/** Upstream's period of borrowing. */
const PERIOD_MS = 10_000;
/** Label sets of metrics outlive their objects, but not without end. */
const MAX_SERIES = 1_000;

/** A flow schema whose level exists. */
export interface Flow {
  readonly name: string;
  readonly uid: string;
  readonly level: PriorityLevel;
  readonly method: FlowSchema['spec']['distinguisherMethod'];
  readonly matches: FlowMatcher;
  readonly series: FlowSeries;
}

export interface FlowControlOptions {
  readonly reader: ObjectReader;
  readonly clock: Clock;
  readonly counts: ObjectCounts;
  /** Seats of the whole server: upstream's sum of `--max-requests-inflight` and `--max-mutating-requests-inflight`. */
  readonly totalSeats: number;
  /** The longest that a request waits in a queue. */
  readonly waitLimitMs: number;
}

export class FlowControl {
  readonly #o: FlowControlOptions;
  readonly #levels = new Map<string, PriorityLevel>();
  readonly #series = new Map<string, FlowSeries>();
  #flows: readonly Flow[] = [];
  #catchAll: Flow | undefined;
  #stops: readonly (() => void)[] = [];
  #stale = false;
  #timer: Timer | undefined;
  #periodEnd = 0;
  #arrivals = 0;
  #fraction = 0;

  constructor(options: FlowControlOptions) {
    this.#o = options;
    this.#configure([], []);
  }
  get levels(): Iterable<PriorityLevel> {
    return this.#levels.values();
  }

  /** Follows the objects from now on. */
  start(): void {
    const { reader } = this.#o;
    // Changes come in batches: the last of a batch configures for all.
    const changed = (): void => {
      if (this.#stale) return;
      this.#stale = true;
      queueMicrotask(() => this.#read());
    };
    this.#stops = [reader.subscribe(FLOW_SCHEMAS, changed), reader.subscribe(PRIORITY_LEVELS, changed)];
    this.#read();
  }
  stop(): void {
    for (const stop of this.#stops) stop();
    this.#stops = [];
    this.#timer?.cancel();
    for (const level of this.#levels.values()) level.queues.close();
  }

  /** The flow schema of a request. */
  classify(info: RequestInfo, user: UserInfo): Flow {
    for (const flow of this.#flows) if (flow.matches(info, user)) return flow;
    return this.#catchAll!;
  }
  /**
   * Lets the request in, now (returns it) or when its turn comes. Throws, or rejects with, a TooManyRequests when it cannot be. Whoever was
   * let in calls {@link leave} once. `signalOf` is asked only when the request must wait; its abort ends the wait.
   */
  enter(flow: Flow, info: RequestInfo, query: Query, user: UserInfo, signalOf: () => AbortSignal): FlowRequest | Promise<FlowRequest> {
    const { clock, counts } = this.#o;
    const { level } = flow;
    const arrivedAt = clock.monotonic();
    this.#tick(arrivedAt);
    const distinguisher = flowDistinguisher(flow.method, info, user);
    const work = estimateWork(info, query, level.limits.nominal, counts);
    const request: FlowRequest = {
      schemaName: flow.name, distinguisher, hash: level.exempt ? 0 : flowHash(flow.name, distinguisher), work, info, user, series: flow.series,
      arrivedAt, seats: Math.max(work.initialSeats, work.finalSeats), startedAt: 0, queue: undefined, bagIndex: -1,
    };
    try {
      const turn = level.queues.enter(request, arrivedAt, signalOf);
      return turn ? turn.then(() => request, (err: unknown) => { throw this.#refusal(level, err); }) : request;
    } catch (err) {
      throw this.#refusal(level, err);
    }
  }
  leave(flow: Flow, request: FlowRequest): void {
    flow.level.queues.leave(request);
    if (flow.level.quiescing) this.#drop(flow.level);
  }
  metricsText(): string {
    return flowControlMetricsText([...this.#series.values()], [...this.#levels.values()].map((l) => l.gauges()), this.#fraction);
  }

  #refusal(level: PriorityLevel, err: unknown): unknown {
    if (level.quiescing) this.#drop(level);
    return err instanceof RejectedError ? tooManyRequests('Too many requests, please try again later.', level.dropped.refused(this.#o.clock.monotonic())) : err;
  }
  #drop(level: PriorityLevel): void {
    if (level.queues.idle && this.#levels.get(level.name) === level) this.#levels.delete(level.name);
  }

  /* ------------------------------------------------------------ configuration */

  #read(): void {
    this.#stale = false;
    const { reader } = this.#o;
    this.#configure(reader.list<FlowSchema>(FLOW_SCHEMAS), reader.list<PriorityLevelConfiguration>(PRIORITY_LEVELS));
  }
  #configure(schemas: readonly FlowSchema[], levels: readonly PriorityLevelConfiguration[]): void {
    const wanted = withMandatory(levels, MANDATORY_LEVELS);
    const limits = seatLimits(wanted.map((l) => l.spec), this.#o.totalSeats);
    const names = new Set(wanted.map((l) => l.metadata.name!));
    for (const level of this.#levels.values()) {
      if (names.has(level.name)) continue;
      level.quiescing = true;
      this.#drop(level);
    }
    wanted.forEach((object, i) => {
      const name = object.metadata.name!;
      this.#levels.getOrInsertComputed(name, () => new PriorityLevel(name, this.#o.clock, this.#o.waitLimitMs)).configure(object, limits[i]!);
    });
    this.#flows = withMandatory(schemas, BUILT_IN_SCHEMAS).toSorted(byPrecedence).flatMap((schema) => this.#flow(schema));
    this.#catchAll = this.#flows.find((f) => f.name === 'catch-all');
    log.debug({ flowSchemas: this.#flows.length, priorityLevels: names.size }, 'Flow control is configured');
  }
  /** Nothing for a schema whose level is not there. */
  #flow({ metadata, spec }: FlowSchema): Flow[] {
    const levelName = spec.priorityLevelConfiguration.name;
    const level = this.#levels.get(levelName);
    if (!level || level.quiescing) return [];
    const name = metadata.name ?? '';
    return [{ name, uid: metadata.uid ?? '', level, method: spec.distinguisherMethod, matches: flowMatcher(spec.rules), series: this.#seriesOf(name, levelName) }];
  }
  #seriesOf(schema: string, level: string): FlowSeries {
    const id = `${schema} ${level}`;
    const known = this.#series.get(id);
    if (known) return known;
    if (this.#series.size >= MAX_SERIES) for (const [old, s] of this.#series) if (s.executing + s.waiting === 0 && !this.#flows.some((f) => f.series === s)) this.#series.delete(old);
    const made = new FlowSeries(schema, level);
    this.#series.set(id, made);
    return made;
  }

  /* ------------------------------------------------------------ borrowing */

  /** Arms the period while requests come; without any nothing needs to be lent and no timer runs. */
  #tick(now: number): void {
    this.#arrivals += 1;
    if (this.#timer) return;
    const missed = Math.max(0, Math.floor((now - this.#periodEnd) / PERIOD_MS));
    if (this.#periodEnd > 0 && missed > 0) this.#lend(now, missed);
    this.#arm();
  }
  #arm(): void {
    this.#timer = this.#o.clock.after(PERIOD_MS, () => {
      this.#timer = undefined;
      this.#lend(this.#o.clock.monotonic(), 0);
      const busy = this.#arrivals > 0 || [...this.#levels.values()].some((l) => !l.queues.idle);
      this.#arrivals = 0;
      if (busy) this.#arm();
    });
  }
  #lend(now: number, missed: number): void {
    this.#periodEnd = now;
    const levels = [...this.#levels.values()].filter((l) => !l.quiescing);
    const claims = levels.map((level) => level.claim(now, missed));
    const total = levels.reduce((sum, l) => sum + l.limits.nominal, 0);
    const { fraction, seats } = shareSeats(claims, total);
    this.#fraction = fraction;
    levels.forEach((level, i) => level.setCurrent(Math.round(seats[i]!)));
  }
}

function withMandatory<T extends { readonly metadata: { readonly name?: string | undefined } }>(objects: readonly T[], mandatory: readonly T[]): readonly T[] {
  const names = new Set(objects.map((o) => o.metadata.name));
  return [...objects, ...mandatory.filter((m) => !names.has(m.metadata.name))];
}
