/** Repeatable randomness: the same seed makes the same requests. */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = (seed >>> 0) || 1;
  }
  /** In [0, 1): xorshift. */
  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state / 2 ** 32;
  }
  below(n: number): number {
    return Math.floor(this.next() * n);
  }
  chance(p: number): boolean {
    return this.next() < p;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}
