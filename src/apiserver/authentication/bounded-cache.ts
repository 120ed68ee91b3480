import type { Clock } from '#base/clock.ts';

/** A map that forgets: entries die after `ttlMs`, and the one used longest ago goes when more than `max` are held. */
export class BoundedCache<V> {
  readonly #entries = new Map<string, { readonly value: V; readonly until: number }>();
  readonly #max: number;
  readonly #ttlMs: number;
  readonly #clock: Clock;
  constructor(options: { readonly max: number; readonly ttlMs: number; readonly clock: Clock }) {
    this.#max = options.max;
    this.#ttlMs = options.ttlMs;
    this.#clock = options.clock;
  }
  get size(): number {
    return this.#entries.size;
  }
  get(key: string): V | undefined {
    const hit = this.#entries.get(key);
    if (hit === undefined) return undefined;
    this.#entries.delete(key);
    if (hit.until <= this.#clock.monotonic()) return undefined;
    this.#entries.set(key, hit);
    return hit.value;
  }
  set(key: string, value: V): void {
    this.#entries.delete(key);
    this.#entries.set(key, { value, until: this.#clock.monotonic() + this.#ttlMs });
    if (this.#entries.size > this.#max) for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest);
      break;
    }
  }
  delete(key: string): void {
    this.#entries.delete(key);
  }
}
