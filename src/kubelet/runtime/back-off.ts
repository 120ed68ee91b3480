import type { Clock } from '#base/clock.ts';

interface Entry {
  delayMs: number;
  /** Of the last {@link BackOff.next}. Monotonic, as every time in here: a clock that is set forward or back changes no delay. */
  updated: number;
  /** The end of a run, as its status gives the time of day, and when that was. */
  ended?: { readonly since: number; readonly at: number };
}

/**
 * Exponential back-off by key, as upstream's flowcontrol.Backoff: the delay doubles with each `next` up to `maxMs`; a key left
 * alone for twice the longest delay starts anew.
 */
export class BackOff {
  readonly #clock: Clock;
  readonly #initialMs: number;
  readonly #maxMs: number;
  readonly #entries = new Map<string, Entry>();

  constructor(clock: Clock, initialMs = 10_000, maxMs = 300_000) {
    this.#clock = clock;
    this.#initialMs = initialMs;
    this.#maxMs = maxMs;
  }
  /** The delay that holds for the key; 0 when it has none. */
  get(key: string): number {
    return this.#entries.get(key)?.delayMs ?? 0;
  }
  /** Milliseconds left of the back-off that began at `since`, a time of day; 0 when it is over. */
  remaining(key: string, since: number): number {
    const entry = this.#entries.get(key);
    return entry ? this.#left(entry, this.#endOf(entry, since)) : 0;
  }
  /** The same, counted from the last {@link next}. */
  remainingSinceUpdate(key: string): number {
    const entry = this.#entries.get(key);
    return entry ? this.#left(entry, entry.updated) : 0;
  }
  /** Lengthens the key's delay. `since` is when the attempt that failed ended: a long good run starts anew. */
  next(key: string, since: number): void {
    const entry = this.#entries.get(key);
    const updated = this.#clock.monotonic();
    if (!entry || this.#expired(entry, this.#endOf(entry, since))) return void this.#entries.set(key, { delayMs: this.#initialMs, updated });
    Object.assign(entry, { delayMs: Math.min(entry.delayMs * 2, this.#maxMs), updated });
  }
  /** Forgets keys with this prefix: the Pod is gone. */
  forget(prefix: string): void {
    for (const key of this.#entries.keys()) if (key.startsWith(prefix)) this.#entries.delete(key);
  }
  /** How long ago a run ended is asked of the time of day once, when its end is first seen. */
  #endOf(entry: Entry, since: number): number {
    if (entry.ended?.since !== since) entry.ended = { since, at: this.#clock.monotonic() - Math.max(0, this.#clock.now() - since) };
    return entry.ended.at;
  }
  #left(entry: Entry, from: number): number {
    const now = this.#clock.monotonic();
    return this.#expired(entry, now) ? 0 : Math.max(0, entry.delayMs - (now - from));
  }
  #expired(entry: Entry, at: number): boolean {
    return at - entry.updated > 2 * this.#maxMs;
  }
}
