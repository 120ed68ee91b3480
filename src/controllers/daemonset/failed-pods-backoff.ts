const INITIAL_MS = 1000;
const MAX_MS = 900_000;

/** A daemon Pod that fails at once must not be replaced in a tight loop: each replacement on a node waits twice as long as the one before. */
export class FailedPodsBackoff {
  readonly #entries = new Map<string, { delayMs: number; at: number }>();

  /** Milliseconds that the key still has to wait; 0 when it may act. */
  remaining(key: string, now: number): number {
    const entry = this.#entries.get(key);
    return entry ? Math.max(0, entry.at + entry.delayMs - now) : 0;
  }
  /** Notes that the key acts now. */
  next(key: string, now: number): void {
    this.#forgetOld(now);
    const entry = this.#entries.get(key);
    this.#entries.delete(key);
    this.#entries.set(key, { delayMs: entry ? Math.min(entry.delayMs * 2, MAX_MS) : INITIAL_MS, at: now });
  }
  /** Entries are in the order of their last use. */
  #forgetOld(now: number): void {
    for (const [key, { at }] of this.#entries) {
      if (now - at < 2 * MAX_MS) return;
      this.#entries.delete(key);
    }
  }
}
