/**
 * Values ordered by their key, in chunks: finding costs two binary searches, inserting moves one chunk's tail.
 * Keys are ASCII, so JavaScript's order of strings is the order of bytes.
 */

const MAX_CHUNK = 512;

export class SortedMap<V extends { readonly key: string }> {
  /** None is empty. */
  #chunks: V[][] = [];
  #size = 0;

  /** A map of values that are already in order of their keys, without repeats. */
  static fromSorted<V extends { readonly key: string }>(values: readonly V[]): SortedMap<V> {
    const map = new SortedMap<V>();
    for (let i = 0; i < values.length; i += MAX_CHUNK) map.#chunks.push(values.slice(i, i + MAX_CHUNK));
    map.#size = values.length;
    return map;
  }

  get size(): number {
    return this.#size;
  }

  get(key: string): V | undefined {
    const chunk = this.#chunks[this.#chunkOf(key)];
    const value = chunk?.[lowerBound(chunk, key)];
    return value?.key === key ? value : undefined;
  }

  /** Puts the value in the place of the one with its key, which is returned. */
  set(value: V): V | undefined {
    const at = this.#chunkOf(value.key);
    const chunk = this.#chunks[at];
    if (!chunk) {
      this.#chunks.push([value]);
      this.#size++;
      return undefined;
    }
    const i = lowerBound(chunk, value.key);
    const old = chunk[i];
    if (old?.key === value.key) {
      chunk[i] = value;
      return old;
    }
    this.#size++;
    if (chunk.length < MAX_CHUNK) chunk.splice(i, 0, value);
    // Keys that arrive in order fill whole chunks.
    else if (i === MAX_CHUNK && at === this.#chunks.length - 1) this.#chunks.push([value]);
    else {
      const right = chunk.splice(MAX_CHUNK / 2);
      this.#chunks.splice(at + 1, 0, right);
      if (i <= MAX_CHUNK / 2) chunk.splice(i, 0, value);
      else right.splice(i - MAX_CHUNK / 2, 0, value);
    }
    return undefined;
  }

  delete(key: string): V | undefined {
    const at = this.#chunkOf(key);
    const chunk = this.#chunks[at];
    if (!chunk) return undefined;
    const i = lowerBound(chunk, key);
    const old = chunk[i];
    if (old?.key !== key) return undefined;
    chunk.splice(i, 1);
    this.#size--;
    if (chunk.length === 0) this.#chunks.splice(at, 1);
    return old;
  }

  /** Visits values in order, from the first whose key is not less than `from`, while `visit` returns true. The map must not change meanwhile. */
  scan(from: string, visit: (value: V) => boolean): void {
    let at = this.#chunkOf(from);
    const first = this.#chunks[at];
    if (!first) return;
    let i = lowerBound(first, from);
    for (let chunk: V[] | undefined = first; chunk; chunk = this.#chunks[++at], i = 0) {
      for (; i < chunk.length; i++) if (!visit(chunk[i]!)) return;
    }
  }

  /** Number of keys that are less than `key`. */
  rank(key: string): number {
    const at = this.#chunkOf(key);
    let n = 0;
    for (let i = 0; i < at; i++) n += this.#chunks[i]!.length;
    const chunk = this.#chunks[at];
    return chunk ? n + lowerBound(chunk, key) : n;
  }

  /** Index of the last chunk that starts at or before `key`, else 0. */
  #chunkOf(key: string): number {
    let low = 0;
    let high = this.#chunks.length;
    while (high - low > 1) {
      const mid = (low + high) >>> 1;
      if (this.#chunks[mid]![0]!.key <= key) low = mid;
      else high = mid;
    }
    return low;
  }
}

function lowerBound(chunk: readonly { readonly key: string }[], key: string): number {
  let low = 0;
  let high = chunk.length;
  while (low < high) {
    const mid = (low + high) >>> 1;
    if (chunk[mid]!.key < key) low = mid + 1;
    else high = mid;
  }
  return low;
}

/** A string greater than every key that starts with `prefix`, and less than every other key after those. */
export function prefixEnd(prefix: string): string {
  return `${prefix}\uffff`;
}
