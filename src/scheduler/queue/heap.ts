/** A binary heap that finds its members by key. `less` is the order: the least comes first. */
export class Heap<T> {
  readonly #items: T[] = [];
  readonly #index = new Map<string, number>();
  readonly #keyOf: (item: T) => string;
  readonly #less: (a: T, b: T) => boolean;

  constructor(keyOf: (item: T) => string, less: (a: T, b: T) => boolean) {
    this.#keyOf = keyOf;
    this.#less = less;
  }
  get size(): number {
    return this.#items.length;
  }
  has(key: string): boolean {
    return this.#index.has(key);
  }
  get(key: string): T | undefined {
    const i = this.#index.get(key);
    return i === undefined ? undefined : this.#items[i];
  }
  peek(): T | undefined {
    return this.#items[0];
  }
  /** Adds the item in place of one with the same key. */
  set(item: T): void {
    const key = this.#keyOf(item);
    const at = this.#index.get(key);
    if (at === undefined) {
      this.#place(this.#items.length, item);
      this.#up(this.#items.length - 1);
    } else {
      this.#place(at, item);
      this.#down(this.#up(at));
    }
  }
  delete(key: string): T | undefined {
    const at = this.#index.get(key);
    if (at === undefined) return undefined;
    const item = this.#items[at]!;
    const last = this.#items.pop()!;
    this.#index.delete(key);
    if (last !== item) {
      this.#place(at, last);
      this.#down(this.#up(at));
    }
    return item;
  }
  pop(): T | undefined {
    const first = this.#items[0];
    return first === undefined ? undefined : this.delete(this.#keyOf(first));
  }
  /** In no order. */
  values(): readonly T[] {
    return this.#items;
  }

  #place(at: number, item: T): void {
    this.#items[at] = item;
    this.#index.set(this.#keyOf(item), at);
  }
  #up(from: number): number {
    const item = this.#items[from]!;
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#less(item, this.#items[parent]!)) break;
      this.#place(at, this.#items[parent]!);
      at = parent;
    }
    if (at !== from) this.#place(at, item);
    return at;
  }
  #down(from: number): void {
    const item = this.#items[from]!;
    let at = from;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= this.#items.length) break;
      if (child + 1 < this.#items.length && this.#less(this.#items[child + 1]!, this.#items[child]!)) child++;
      if (!this.#less(this.#items[child]!, item)) break;
      this.#place(at, this.#items[child]!);
      at = child;
    }
    if (at !== from) this.#place(at, item);
  }
}
