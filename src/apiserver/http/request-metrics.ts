/**
 * Counts and times of requests. These are updated on every request, where prom-client's hashing of labels costs more than a small
 * GET: a label set is found once by its id, and the text is made when somebody scrapes.
 */

const SECONDS = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60];
/** The buckets of what service levels are promised for: no finer than those. */
const OWN_SECONDS = SECONDS.filter((bound) => bound >= 0.05);
const BYTES = [1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

export class Buckets {
  readonly #bounds: readonly number[];
  readonly #counts: Float64Array;
  #sum = 0;
  #total = 0;
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length);
  }
  get count(): number {
    return this.#total;
  }
  observe(value: number): void {
    this.#sum += value;
    this.#total += 1;
    for (let i = 0; i < this.#bounds.length; i++) {
      if (value > this.#bounds[i]!) continue;
      this.#counts[i]! += 1;
      return;
    }
  }
  lines(name: string, labels: string): string[] {
    let below = 0;
    const [before, own] = labels === '' ? ['', ''] : [`${labels},`, `{${labels}}`];
    const out = this.#bounds.map((bound, i) => `${name}_bucket{${before}le="${bound}"} ${(below += this.#counts[i]!)}`);
    return [...out, `${name}_bucket{${before}le="+Inf"} ${this.#total}`, `${name}_sum${own} ${this.#sum}`, `${name}_count${own} ${this.#total}`];
  }
}

/** One set of labels. */
export class RequestSeries {
  readonly labels: string;
  readonly #dryRun: string;
  /** Requests by the system client that made them ('': anyone else), then by code. */
  readonly #counts = new Map<string, Map<number, number>>();
  readonly seconds = new Buckets(SECONDS);
  /** Without the time that was spent on waiting for a seat and for webhooks. */
  readonly ownSeconds = new Buckets(OWN_SECONDS);
  readonly bytes = new Buckets(BYTES);
  /** `dryRun`: what the request asks to try only, `All`; '' for requests that are meant. */
  constructor(labels: Readonly<Record<string, string>>, dryRun = '') {
    this.labels = labelText(labels);
    this.#dryRun = labelText({ dry_run: dryRun });
  }
  /** The labels of what is counted for trials apart. */
  get trialLabels(): string {
    return `${this.labels},${this.#dryRun}`;
  }
  counts(): string[] {
    return [...this.#counts].flatMap(([client, codes]) => [...codes].map(([code, count]) => `apiserver_request_total{${this.trialLabels},${labelText({ code: String(code), system_client: client })}} ${count}`));
  }
  observe(code: number, seconds: number, bytes: number | undefined, systemClient = ''): void {
    let codes = this.#counts.get(systemClient);
    if (!codes) this.#counts.set(systemClient, (codes = new Map()));
    codes.set(code, (codes.get(code) ?? 0) + 1);
    this.seconds.observe(seconds);
    if (bytes !== undefined) this.bytes.observe(bytes);
  }
}
/** `name="value",…` */
export function labelText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`).join(',');
}
function escapeLabel(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

/** The lines of one metric under its head; '' when there are none. */
export function metricBlock(name: string, help: string, type: 'counter' | 'gauge' | 'histogram', lines: readonly string[]): string {
  return lines.length ? `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('\n')}\n` : '';
}
/** The Prometheus text of all series. */
export function requestMetricsText(series: readonly RequestSeries[]): string {
  return [
    metricBlock('apiserver_request_total', 'Counter of apiserver requests broken out for each verb, group, version, resource, scope, component and HTTP response code.', 'counter',
      series.flatMap((s) => s.counts())),
    metricBlock('apiserver_request_duration_seconds', 'Response latency distribution in seconds.', 'histogram', series.flatMap((s) => s.seconds.lines('apiserver_request_duration_seconds', s.trialLabels))),
    metricBlock('apiserver_request_sli_duration_seconds', 'Response latency distribution (not counting webhook duration and priority & fairness queue wait times) in seconds for each verb, group, version, resource, subresource, scope and component.', 'histogram',
      series.flatMap((s) => (s.ownSeconds.count === 0 ? [] : s.ownSeconds.lines('apiserver_request_sli_duration_seconds', s.labels)))),
    metricBlock('apiserver_response_sizes', 'Response size distribution in bytes.', 'histogram', series.flatMap((s) => s.bytes.lines('apiserver_response_sizes', s.labels))),
  ].join('\n');
}
