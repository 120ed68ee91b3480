/**
 * What a level tells those it refuses about when to come back: longer while it refuses many, shorter again when it does not. Upstream's
 * numbers: from 1 to 32 seconds.
 */
const MAX_SECONDS = 32;
/** So many refusals for each second of waiting, and clients are told to wait twice as long. */
const TOO_MANY = 3;

export class DroppedRequests {
  #retryAfterSeconds = 1;
  #dropped = 0;
  #since = 0;

  /** Seconds for the Retry-After of a request refused now; `now` in milliseconds. */
  refused(now: number): number {
    this.#adjust(now);
    this.#dropped += 1;
    return this.#retryAfterSeconds;
  }
  #adjust(now: number): void {
    const periods = Math.floor((now - this.#since) / (this.#retryAfterSeconds * 1000));
    if (periods < 1) return;
    if (this.#dropped >= TOO_MANY * this.#retryAfterSeconds) this.#retryAfterSeconds = Math.min(MAX_SECONDS, this.#retryAfterSeconds * 2);
    else if (this.#dropped < this.#retryAfterSeconds) this.#retryAfterSeconds = Math.max(1, this.#retryAfterSeconds - periods);
    this.#dropped = 0;
    this.#since = now;
  }
}
