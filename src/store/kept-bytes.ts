/** What is worth keeping for a while because it can be made again, so many bytes of it: the oldest goes first. */

/** Who keeps something. */
export interface Keeper {
  /** What the token stands for must go. */
  evicted(kept: Kept): void;
}

/** Stands for one thing that is kept. */
export class Kept {
  readonly bytes: number;
  readonly #chain: KeptBytes;
  readonly #keeper: Keeper;
  /** Neighbours, which are the chain's to set. */
  older: Kept | undefined;
  newer: Kept | undefined;

  constructor(chain: KeptBytes, keeper: Keeper, bytes: number) {
    this.#chain = chain;
    this.#keeper = keeper;
    this.bytes = bytes;
  }
  /** It is of no use any more. To be called once, and not after it was evicted. */
  drop(): void {
    this.#chain.remove(this);
  }
  evict(): void {
    this.#chain.remove(this);
    this.#keeper.evicted(this);
  }
}

/** A chain from the oldest to the newest. A keeper that is forgotten without a {@link Kept.drop} stays until it is the oldest. */
export class KeptBytes {
  readonly #maxBytes: number;
  #bytes = 0;
  #oldest: Kept | undefined;
  #newest: Kept | undefined;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }
  get bytes(): number {
    return this.#bytes;
  }
  /** The newest is always kept. */
  keep(keeper: Keeper, bytes: number): Kept {
    const kept = new Kept(this, keeper, bytes);
    kept.older = this.#newest;
    if (this.#newest) this.#newest.newer = kept;
    else this.#oldest = kept;
    this.#newest = kept;
    this.#bytes += bytes;
    while (this.#bytes > this.#maxBytes && this.#oldest && this.#oldest !== kept) this.#oldest.evict();
    return kept;
  }
  /** {@link Kept}: takes it out of the chain. */
  remove(kept: Kept): void {
    const { older, newer } = kept;
    if (older) older.newer = newer;
    else this.#oldest = newer;
    if (newer) newer.older = older;
    else this.#newest = older;
    kept.older = kept.newer = undefined;
    this.#bytes -= kept.bytes;
  }
}
