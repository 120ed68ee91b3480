/** A map that forgets what was not touched for longest, so that it never grows beyond its size. */
export class RecentMap<V> {
  readonly #map = new Map<string, V>();
  readonly #maxSize: number;

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }
  get size(): number {
    return this.#map.size;
  }
  get(key: string): V | undefined {
    const value = this.#map.get(key);
    if (value !== undefined) this.set(key, value);
    return value;
  }
  set(key: string, value: V): void {
    this.#map.delete(key);
    this.#map.set(key, value);
    if (this.#map.size > this.#maxSize) this.#map.delete(this.#map.keys().next().value!);
  }
  delete(key: string): void {
    this.#map.delete(key);
  }
  /** From the longest untouched on. Looking at them does not count as touching. */
  entries(): IterableIterator<[string, V]> {
    return this.#map.entries();
  }
}
