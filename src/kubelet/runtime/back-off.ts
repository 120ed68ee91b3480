import type { Clock } from '#base/clock.ts';

/**
 * Exponential back-off by key, as upstream's flowcontrol.Backoff: the delay doubles with each `next` up to `maxMs`; a key left
 * alone for twice the longest delay starts anew.
 */
export class BackOff {
  readonly #clock: Clock;
  readonly #initialMs: number;
  readonly #maxMs: number;
  readonly #entries = new Map<string, { delayMs: number; updated: number }>();

  constructor(clock: Clock, initialMs = 10_000, maxMs = 300_000) {
    this.#clock = clock;
    this.#initialMs = initialMs;
    this.#maxMs = maxMs;
  }
  /** The delay that holds for the key; 0 when it has none. */
  get(key: string): number {
    return this.#entries.get(key)?.delayMs ?? 0;
  }
  /** Milliseconds left of the back-off that began at `since`; 0 when it is over. */
  remaining(key: string, since: number): number {
    const entry = this.#entries.get(key);
    if (!entry || this.#expired(entry.updated, since)) return 0;
    return this.#left(since, entry.delayMs);
  }
  /** The same, counted from the last {@link next}. */
  remainingSinceUpdate(key: string): number {
    const entry = this.#entries.get(key);
    if (!entry || this.#expired(entry.updated, this.#clock.now())) return 0;
    return this.#left(entry.updated, entry.delayMs);
  }
  /** Lengthens the key's delay. `since` is when the attempt that failed ended: a long good run starts anew. */
  next(key: string, since: number): void {
    const entry = this.#entries.get(key);
    const delayMs = !entry || this.#expired(entry.updated, since) ? this.#initialMs : Math.min(entry.delayMs * 2, this.#maxMs);
    this.#entries.set(key, { delayMs, updated: this.#clock.now() });
  }
  /** Forgets keys with this prefix: the Pod is gone. */
  forget(prefix: string): void {
    for (const key of this.#entries.keys()) if (key.startsWith(prefix)) this.#entries.delete(key);
  }
  /** At most the whole delay, even when the clock was set back since. */
  #left(since: number, delayMs: number): number {
    return Math.max(0, delayMs - Math.max(0, this.#clock.now() - since));
  }
  #expired(updated: number, since: number): boolean {
    return since - updated > 2 * this.#maxMs;
  }
}
