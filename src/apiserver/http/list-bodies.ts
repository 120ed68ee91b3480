import type { ListIdentity } from '../registry/list-memo.ts';

interface Known {
  readonly resourceVersion: string;
  readonly body: Buffer;
}
/** Lists of this size are worth it; smaller ones are put together as quickly as found. */
const FROM_ENTRIES = 100;
const MAX_BYTES = 16 * 1024 * 1024;

/** The newest body of each large list: many clients list the same thing at the same time, and until its revision moves on they are answered the same. */
export class ListBodies {
  readonly #bodies = new Map<ListIdentity, Known>();
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes = MAX_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** The body of the list at this revision, where it is known. */
  find(list: ListIdentity, resourceVersion: string): Buffer | undefined {
    const known = this.#bodies.get(list);
    return known?.resourceVersion === resourceVersion ? known.body : undefined;
  }
  put(list: ListIdentity, resourceVersion: string, body: Buffer, entries: number): void {
    const known = this.#bodies.get(list);
    if (known) this.#drop(list, known);
    if (entries < FROM_ENTRIES || body.length > this.#maxBytes / 2) return;
    this.#bodies.set(list, { resourceVersion, body });
    this.#bytes += body.length;
    for (const [oldest, dropped] of this.#bodies) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#drop(oldest, dropped);
    }
  }
  #drop(list: ListIdentity, known: Known): void {
    this.#bodies.delete(list);
    this.#bytes -= known.body.length;
  }
}
