/** How long the rules of custom resources take, under upstream's names (`cel/metrics`). */
import type { Clock } from '#base/clock.ts';
import { Buckets, metricBlock } from '../http/request-metrics.ts';

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export class CelMetrics {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #compilation = new Buckets(SECONDS);
  readonly #evaluation = new Buckets(SECONDS);
  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }
  /** Times the compilation of the rules of a schema. */
  compiled<T>(compile: () => T): T {
    return this.#timed(this.#compilation, compile);
  }
  /** Times the evaluation of all rules for an object. */
  evaluated<T>(evaluate: () => T): T {
    return this.#timed(this.#evaluation, evaluate);
  }
  text(): string {
    return [
      metricBlock('apiserver_cel_compilation_duration_seconds', 'CEL compilation time in seconds.', 'histogram', this.#compilation.lines('apiserver_cel_compilation_duration_seconds', '')),
      metricBlock('apiserver_cel_evaluation_duration_seconds', 'CEL evaluation time in seconds.', 'histogram', this.#evaluation.lines('apiserver_cel_evaluation_duration_seconds', '')),
    ].join('\n');
  }
  #timed<T>(series: Buckets, run: () => T): T {
    const started = this.#clock.monotonic();
    try {
      return run();
    } finally {
      series.observe((this.#clock.monotonic() - started) / 1000);
    }
  }
}
