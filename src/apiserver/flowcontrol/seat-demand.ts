/** How many seats were wanted over a period: mean, deviation and peak of a number that changes now and then, weighted by time. */

export interface SeatDemandStats {
  readonly average: number;
  readonly standardDeviation: number;
  readonly highWatermark: number;
}

export class SeatDemand {
  #value = 0;
  #since: number;
  #start: number;
  #sum = 0;
  #squares = 0;
  #high = 0;
  constructor(now: number) {
    this.#since = this.#start = now;
  }
  get value(): number {
    return this.#value;
  }
  add(delta: number, now: number): void {
    this.#account(now);
    this.#value += delta;
    if (this.#value > this.#high) this.#high = this.#value;
  }
  /** The statistics since the last call. */
  take(now: number): SeatDemandStats {
    this.#account(now);
    const span = now - this.#start;
    const average = span > 0 ? this.#sum / span : this.#value;
    const variance = span > 0 ? Math.max(0, this.#squares / span - average * average) : 0;
    const stats = { average, standardDeviation: Math.sqrt(variance), highWatermark: this.#high };
    this.#start = now;
    this.#sum = this.#squares = 0;
    this.#high = this.#value;
    return stats;
  }
  #account(now: number): void {
    const span = now - this.#since;
    this.#sum += this.#value * span;
    this.#squares += this.#value * this.#value * span;
    this.#since = now;
  }
}
