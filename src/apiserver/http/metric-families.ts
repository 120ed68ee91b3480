/** Metrics of one name whose series are found by their labels; the text is made when somebody scrapes. */
import { Buckets, labelText, metricBlock } from './request-metrics.ts';

type Labels = Readonly<Record<string, string>>;

/** One histogram for each set of labels. */
export class Histograms {
  readonly #series = new Map<string, Buckets>();
  readonly #name: string;
  readonly #help: string;
  readonly #bounds: readonly number[];
  constructor(name: string, help: string, bounds: readonly number[]) {
    this.#name = name;
    this.#help = help;
    this.#bounds = bounds;
  }
  of(labels: Labels): Buckets {
    return this.#series.getOrInsertComputed(labelText(labels), () => new Buckets(this.#bounds));
  }
  text(): string {
    // A series that was looked up and never used is not there yet.
    const used = [...this.#series].filter(([, buckets]) => buckets.count > 0);
    return metricBlock(this.#name, this.#help, 'histogram', used.flatMap(([labels, buckets]) => buckets.lines(this.#name, labels)));
  }
}
/** One count for each set of labels. */
export class Counters {
  readonly #series = new Map<string, number>();
  readonly #name: string;
  readonly #help: string;
  constructor(name: string, help: string) {
    this.#name = name;
    this.#help = help;
  }
  inc(labels: Labels): void {
    const id = labelText(labels);
    this.#series.set(id, (this.#series.get(id) ?? 0) + 1);
  }
  text(): string {
    return metricBlock(this.#name, this.#help, 'counter', Array.from(this.#series, ([labels, count]) => `${this.#name}{${labels}} ${count}`));
  }
}
