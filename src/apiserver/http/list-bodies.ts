import type { CacheEntry } from '../registry/object-cache.ts';

interface Known {
  readonly resourceVersion: string;
  readonly body: Buffer;
}
/** Lists of this size are worth it; smaller ones are put together as quickly as found. */
const FROM_ENTRIES = 100;
const MAX_BYTES = 16 * 1024 * 1024;

/**
 * The newest large bodies by the very list of entries that they show: many clients list the same thing at the same time, and until
 * something in it changes the registry answers with the same entries.
 */
export class ListBodies {
  readonly #bodies = new Map<readonly CacheEntry[], Known>();
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes = MAX_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** The body made of these very entries, where it is known. */
  find(entries: readonly CacheEntry[], resourceVersion: string): Buffer | undefined {
    const known = this.#bodies.get(entries);
    return known?.resourceVersion === resourceVersion ? known.body : undefined;
  }
  put(entries: readonly CacheEntry[], resourceVersion: string, body: Buffer): void {
    const known = this.#bodies.get(entries);
    if (known) this.#drop(entries, known);
    if (entries.length < FROM_ENTRIES || body.length > this.#maxBytes / 2) return;
    this.#bodies.set(entries, { resourceVersion, body });
    this.#bytes += body.length;
    for (const [oldest, dropped] of this.#bodies) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#drop(oldest, dropped);
    }
  }
  #drop(entries: readonly CacheEntry[], known: Known): void {
    this.#bodies.delete(entries);
    this.#bytes -= known.body.length;
  }
}
