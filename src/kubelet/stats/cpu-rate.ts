/** From a counter of CPU time to a rate. */
import type { Clock } from '#base/clock.ts';

interface Reading {
  /** Milliseconds of the monotonic clock. */
  readonly at: number;
  readonly cpuNanoSeconds: number;
}
/** Rates over less than this are those of single ticks. */
const MIN_SPAN_MS = 1000;

export class CpuRate {
  readonly #clock: Clock;
  /** The newest that is far enough from the next. */
  #older: Reading | undefined;
  #newer: Reading | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }
  /** Billionths of a core, since an earlier reading; undefined where there was none. */
  read(cpuNanoSeconds: number): number | undefined {
    const at = this.#clock.monotonic();
    if (!this.#newer || at - this.#newer.at >= MIN_SPAN_MS) {
      this.#older = this.#newer;
      this.#newer = { at, cpuNanoSeconds };
    }
    const from = this.#older;
    return from && Math.max(0, Math.round((cpuNanoSeconds - from.cpuNanoSeconds) / ((at - from.at) / 1000)));
  }
}
