/** Metrics of flow control, under upstream's names. Counted on plain numbers, printed when somebody scrapes. */
import { Buckets, labelText, metricBlock } from '../http/request-metrics.ts';
import type { RejectReason } from './queue-set.ts';

const WAIT_SECONDS = [0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30];
const EXECUTION_SECONDS = [0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30];
const QUEUE_LENGTHS = [0, 10, 25, 50, 100, 250, 500, 1000];
const SEATS = [1, 2, 4, 10];

/** What is counted for one flow schema and its priority level. */
export class FlowSeries {
  readonly labels: string;
  readonly schemaName: string;
  readonly levelName: string;
  readonly queueLengths = new Buckets(QUEUE_LENGTHS);
  readonly waitExecuted = new Buckets(WAIT_SECONDS);
  readonly waitRefused = new Buckets(WAIT_SECONDS);
  readonly execution = new Buckets(EXECUTION_SECONDS);
  readonly seats = new Buckets(SEATS);
  readonly rejections = new Map<RejectReason, number>();
  dispatches = 0;
  waiting = 0;
  waitingSeats = 0;
  executing = 0;
  executingSeats = 0;
  noAccommodation = 0;

  constructor(schemaName: string, levelName: string) {
    this.schemaName = schemaName;
    this.levelName = levelName;
    this.labels = labelText({ flow_schema: schemaName, priority_level: levelName });
  }
  dispatched(waitedSeconds: number, seats: number): void {
    this.dispatches += 1;
    this.executing += 1;
    this.executingSeats += seats;
    this.waitExecuted.observe(waitedSeconds);
    this.seats.observe(seats);
  }
  finished(seconds: number): void {
    this.executing -= 1;
    this.execution.observe(seconds);
  }
  rejected(reason: RejectReason, waitedSeconds: number): void {
    this.rejections.set(reason, (this.rejections.get(reason) ?? 0) + 1);
    this.waitRefused.observe(waitedSeconds);
  }
}

/** The seats of one level, as gauges. */
export interface LevelGauges {
  readonly name: string;
  readonly nominal: number;
  readonly lower: number;
  readonly upper: number;
  readonly current: number;
  readonly target: number;
  readonly highWatermark: number;
  readonly average: number;
  readonly standardDeviation: number;
  readonly smoothed: number;
}

const PREFIX = 'apiserver_flowcontrol_';
type Counted = readonly [name: string, help: string, type: 'counter' | 'gauge', value: (series: FlowSeries) => number];
const COUNTED: readonly Counted[] = [
  ['dispatched_requests_total', 'Number of requests executed by API Priority and Fairness subsystem', 'counter', (s) => s.dispatches],
  ['current_inqueue_requests', 'Number of requests currently pending in queues of the API Priority and Fairness subsystem', 'gauge', (s) => s.waiting],
  ['current_inqueue_seats', 'Number of seats currently pending in queues of the API Priority and Fairness subsystem', 'gauge', (s) => s.waitingSeats],
  ['current_executing_requests', 'Number of requests in initial (for a WATCH) or any (for a non-WATCH) execution stage in the API Priority and Fairness subsystem', 'gauge', (s) => s.executing],
  ['current_executing_seats', 'Concurrency (number of seats) occupied by the currently executing (initial stage for a WATCH, any stage otherwise) requests in the API Priority and Fairness subsystem', 'gauge', (s) => s.executingSeats],
  ['request_dispatch_no_accommodation_total', 'Number of times a dispatch attempt resulted in a non accommodation due to lack of available seats', 'counter', (s) => s.noAccommodation],
];
type Measured = readonly [name: string, help: string, value: (level: LevelGauges) => number];
const MEASURED: readonly Measured[] = [
  ['nominal_limit_seats', 'Nominal number of execution seats configured for each priority level', (l) => l.nominal],
  ['lower_limit_seats', 'Configured lower bound on number of execution seats available to each priority level', (l) => l.lower],
  ['upper_limit_seats', 'Configured upper bound on number of execution seats available to each priority level', (l) => l.upper],
  ['current_limit_seats', 'current derived number of execution seats available to each priority level', (l) => l.current],
  ['target_seats', 'Seat allocation targets', (l) => l.target],
  ['demand_seats_high_watermark', 'High watermark, over last adjustment period, of demand_seats', (l) => l.highWatermark],
  ['demand_seats_average', 'Time-weighted average, over last adjustment period, of demand_seats', (l) => l.average],
  ['demand_seats_stdev', 'Time-weighted standard deviation, over last adjustment period, of demand_seats', (l) => l.standardDeviation],
  ['demand_seats_smoothed', 'Smoothed seat demands', (l) => l.smoothed],
];

export function flowControlMetricsText(series: readonly FlowSeries[], levels: readonly LevelGauges[], seatFairFraction: number): string {
  const lines = (name: string, of: (s: FlowSeries) => string[]): string[] => series.flatMap(of).map((line) => `${PREFIX}${name}${line}`);
  const histogram = (name: string, help: string, of: (s: FlowSeries) => string[]): string => metricBlock(`${PREFIX}${name}`, help, 'histogram', series.flatMap(of));
  return [
    metricBlock(`${PREFIX}rejected_requests_total`, 'Number of requests rejected by API Priority and Fairness subsystem', 'counter', lines('rejected_requests_total', (s) => [...s.rejections].map(([reason, n]) => `{${s.labels},reason="${reason}"} ${n}`))),
    ...COUNTED.map(([name, help, type, value]) => metricBlock(PREFIX + name, help, type, lines(name, (s) => [`{${s.labels}} ${value(s)}`]))),
    histogram('request_wait_duration_seconds', 'Length of time a request spent waiting in its queue', (s) => [
      ...s.waitExecuted.lines(`${PREFIX}request_wait_duration_seconds`, `execute="true",${s.labels}`), ...s.waitRefused.lines(`${PREFIX}request_wait_duration_seconds`, `execute="false",${s.labels}`),
    ]),
    histogram('request_execution_seconds', 'Duration of initial stage (for a WATCH) or any (for a non-WATCH) stage of request execution in the API Priority and Fairness subsystem', (s) => s.execution.lines(`${PREFIX}request_execution_seconds`, s.labels)),
    histogram('request_queue_length_after_enqueue', 'Length of queue in the API Priority and Fairness subsystem, as seen by each request after it is enqueued', (s) => s.queueLengths.lines(`${PREFIX}request_queue_length_after_enqueue`, s.labels)),
    histogram('work_estimated_seats', 'Number of estimated seats (maximum of initial and final seats) associated with requests in API Priority and Fairness', (s) => s.seats.lines(`${PREFIX}work_estimated_seats`, s.labels)),
    ...MEASURED.map(([name, help, value]) => metricBlock(PREFIX + name, help, 'gauge', levels.map((l) => `${PREFIX}${name}{${labelText({ priority_level: l.name })}} ${value(l)}`))),
    metricBlock(`${PREFIX}seat_fair_frac`, "Fair fraction of server's concurrency to allocate to each priority level that can use it", 'gauge', [`${PREFIX}seat_fair_frac ${seatFairFraction}`]),
  ].join('');
}
