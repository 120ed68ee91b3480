/** Bytes that are worth keeping for a while, so many of them: the oldest go first. */

/** What is kept; {@link value} is undefined once it had to go. */
export interface Kept<T> {
  readonly value: T | undefined;
  /** Nobody needs it any more. Idempotent. */
  drop(): void;
}

class Link<T> implements Kept<T> {
  value: T | undefined;
  next: Link<unknown> | undefined;
  readonly bytes: number;
  readonly #owner: KeptBytes;

  constructor(value: T, bytes: number, owner: KeptBytes) {
    this.value = value;
    this.bytes = bytes;
    this.#owner = owner;
  }
  drop(): void {
    if (this.value === undefined) return;
    this.value = undefined;
    this.#owner.dropped(this.bytes);
  }
}

/**
 * A chain from the oldest to the newest. It knows what is kept and not who asked for it, so an owner that is forgotten costs its bytes
 * until they are the oldest.
 */
export class KeptBytes {
  readonly #maxBytes: number;
  #bytes = 0;
  #oldest: Link<unknown> | undefined;
  #newest: Link<unknown> | undefined;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }
  get bytes(): number {
    return this.#bytes;
  }
  keep<T extends object>(value: T, bytes: number): Kept<T> {
    const link = new Link(value, bytes, this);
    if (this.#newest) this.#newest.next = link;
    else this.#oldest = link;
    this.#newest = link;
    this.#bytes += bytes;
    // Links at the old end that were dropped go too: the chain is never longer than what it keeps and what lies between.
    while (this.#oldest && this.#oldest !== link && (this.#bytes > this.#maxBytes || this.#oldest.value === undefined)) {
      this.#oldest.drop();
      this.#oldest = this.#oldest.next;
    }
    return link;
  }
  /** A link: its value is gone. */
  dropped(bytes: number): void {
    this.#bytes -= bytes;
  }
}
