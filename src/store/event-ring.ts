import type { KubeObject } from '#api/object.ts';
import { Entry, withRevision } from './entry.ts';

/** A write as the ring keeps it. Without `entry` it is a deletion; without `previous`, a creation. */
export class Change<T extends KubeObject = KubeObject> {
  readonly revision: number;
  readonly entry: Entry<T> | undefined;
  readonly previous: Entry<T> | undefined;
  #gone: Entry<T> | undefined;

  constructor(revision: number, entry: Entry<T> | undefined, previous: Entry<T> | undefined) {
    this.revision = revision;
    this.entry = entry;
    this.previous = previous;
  }
  get key(): string {
    return (this.entry ?? this.previous)!.key;
  }
  /** The change has left the ring. */
  release(): void {
    this.#gone?.release();
  }
  /** The last state before this write at this write's revision: what a DELETED event carries. */
  get gone(): Entry<T> {
    const last = this.previous!;
    return (this.#gone ??= new Entry(last.key, withRevision(last.object, this.revision), this.revision));
  }
}

/** The newest changes, at most `capacity` of them. Each has a sequence number; numbers never repeat. */
export class EventRing<T extends KubeObject = KubeObject> {
  readonly #slots: (Change<T> | undefined)[];
  /** Sequence number of the oldest kept change. */
  #first = 0;
  /** Sequence number of the next change. */
  #end = 0;
  /** Every change after this revision is in the ring. */
  #floor: number;

  constructor(capacity: number, floor: number) {
    this.#slots = Array.from({ length: capacity });
    this.#floor = floor;
  }

  get capacity(): number {
    return this.#slots.length;
  }
  get first(): number {
    return this.#first;
  }
  get end(): number {
    return this.#end;
  }
  get floor(): number {
    return this.#floor;
  }

  push(change: Change<T>): void {
    if (this.#end - this.#first === this.#slots.length) {
      const oldest = this.at(this.#first++);
      this.#floor = oldest.revision;
      oldest.release();
    }
    this.#slots[this.#end++ % this.#slots.length] = change;
  }

  /** The change of a sequence number in `first … end - 1`. */
  at(seq: number): Change<T> {
    return this.#slots[seq % this.#slots.length]!;
  }

  /** Forgets everything: changes after `floor` will follow. Cursors from before find themselves overtaken. */
  reset(floor: number): void {
    this.#slots.fill(undefined);
    // One number is skipped, so that a cursor that stood at the end is overtaken too.
    this.#first = ++this.#end;
    this.#floor = floor;
  }

  /** Sequence number of the first change after a revision. */
  seek(revision: number): number {
    let low = this.#first;
    let high = this.#end;
    while (low < high) {
      const mid = (low + high) >>> 1;
      if (this.at(mid).revision <= revision) low = mid + 1;
      else high = mid;
    }
    return low;
  }
}
