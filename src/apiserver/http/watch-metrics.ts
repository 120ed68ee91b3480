/** What watchers are sent, under upstream's names. Counted on plain numbers, printed when somebody scrapes. */
import { Buckets, labelText, metricBlock } from './request-metrics.ts';

const EVENT_BYTES = [1_024, 2_048, 4_096, 8_192, 16_384, 32_768, 65_536, 131_072];
const LIST_SECONDS = [0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8, 10, 15, 20, 30, 45, 60];

/** The watches of one resource. */
export class WatchSeries {
  readonly #labels: Readonly<Record<string, string>>;
  readonly #sizes = new Buckets(EVENT_BYTES);
  /** Streamed lists by their scope. */
  readonly #lists = new Map<string, Buckets>();
  constructor(labels: Readonly<Record<string, string>>) {
    this.#labels = labels;
  }
  sent(frames: readonly { readonly length: number }[]): void {
    for (const frame of frames) this.#sizes.observe(frame.length);
  }
  /** A streamed list is whole (KEP-3157), so long after it was asked for. */
  listed(scope: string, seconds: number): void {
    this.#lists.getOrInsertComputed(scope, () => new Buckets(LIST_SECONDS)).observe(seconds);
  }
  events(name: string): string[] {
    return this.#sizes.count === 0 ? [] : [`${name}{${labelText(this.#labels)}} ${this.#sizes.count}`];
  }
  sizes(name: string): string[] {
    return this.#sizes.count === 0 ? [] : this.#sizes.lines(name, labelText(this.#labels));
  }
  lists(name: string): string[] {
    return [...this.#lists].flatMap(([scope, buckets]) => buckets.lines(name, labelText({ ...this.#labels, scope })));
  }
}

type Family = readonly [name: string, help: string, type: 'counter' | 'histogram', lines: (series: WatchSeries, name: string) => string[]];
const FAMILIES: readonly Family[] = [
  ['apiserver_watch_events_total', 'Number of events sent in watch clients.', 'counter', (s, name) => s.events(name)],
  ['apiserver_watch_events_sizes', 'Watch event size distribution in bytes.', 'histogram', (s, name) => s.sizes(name)],
  ['apiserver_watch_list_duration_seconds', 'Response latency distribution in seconds for watch list requests broken by group, version, resource and scope.', 'histogram', (s, name) => s.lists(name)],
];
export function watchMetricsText(series: readonly WatchSeries[]): string {
  return FAMILIES.map(([name, help, type, lines]) => metricBlock(name, help, type, series.flatMap((s) => lines(s, name)))).join('');
}
