/** A member of a {@link Bag}; of one at a time. */
export interface BagMember {
  /** The bag's to set. */
  bagIndex: number;
}

/**
 * Members that stay for a moment and come by the thousand each second, such as requests under way. A Set or a Map makes itself a new table every few dozen of
 * them, and the old table leads to the new one: once one table has lived long enough to be in the old generation, everything that was in any table after it
 * stays alive until the next full collection. This keeps one array.
 */
export class Bag<T extends BagMember> implements Iterable<T> {
  readonly #members: (T | undefined)[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }
  /** `member` must not be in a bag. */
  add(member: T): void {
    member.bagIndex = this.#size;
    this.#members[this.#size++] = member;
  }
  /** False: it was not here. */
  delete(member: T): boolean {
    const at = member.bagIndex;
    if (this.#members[at] !== member) return false;
    const last = this.#members[--this.#size]!;
    last.bagIndex = at;
    this.#members[at] = last;
    this.#members[this.#size] = undefined;
    return true;
  }
  /** In no order. The member that is given last may be deleted meanwhile. */
  *[Symbol.iterator](): Generator<T> {
    for (let at = this.#size - 1; at >= 0; at--) {
      const member = this.#members[at];
      if (member) yield member;
    }
  }
}
