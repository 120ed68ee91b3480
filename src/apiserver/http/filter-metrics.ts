/** Outcomes of a step that every request over the wire takes, with their times. Counted on plain numbers, printed when somebody scrapes. */
import { Buckets, labelText, metricBlock } from './request-metrics.ts';

const SECONDS = Array.from({ length: 15 }, (_, i) => 2 ** i / 1000);

interface Named {
  readonly name: string;
  readonly help: string;
}
export class FilterMetrics {
  readonly #attempts: Named;
  readonly #seconds: Named;
  readonly #outcomes = new Map<string, Buckets>();
  constructor(attempts: Named, seconds: Named) {
    this.#attempts = attempts;
    this.#seconds = seconds;
  }
  ended(result: string, seconds: number): void {
    this.#outcomes.getOrInsertComputed(result, () => new Buckets(SECONDS)).observe(seconds);
  }
  text(): string {
    const series = Array.from(this.#outcomes, ([result, buckets]) => ({ labels: labelText({ result }), buckets }));
    const { name } = this.#attempts;
    return metricBlock(name, this.#attempts.help, 'counter', series.map(({ labels, buckets }) => `${name}{${labels}} ${buckets.count}`))
      + metricBlock(this.#seconds.name, this.#seconds.help, 'histogram', series.flatMap(({ labels, buckets }) => buckets.lines(this.#seconds.name, labels)));
  }
}
