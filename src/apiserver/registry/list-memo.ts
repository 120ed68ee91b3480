/**
 * Lists that are asked for again and again: a kubelet's Pods, a controller's selection. What was found is remembered, and the next time only
 * the changes since then are looked at: a selection that selects little of much costs what it selects.
 */
import type { CacheEntry, ObjectStorage } from './object-cache.ts';
import type { Select } from './list.ts';
import type { ServedResource } from './resource-registry.ts';

/** Stands for a list as long as it is remembered, whatever is in it. Holds nothing of it. */
export type ListIdentity = object;

interface Kept {
  readonly identity: ListIdentity;
  readonly served: ServedResource;
  readonly id: string;
  readonly prefix: string;
  readonly select: Select | undefined;
  /** In the order of keys. Never changed: answers under way hold it. */
  entries: readonly CacheEntry[];
  /** Changes of the cache from this number on are not in {@link entries} yet. */
  seq: number;
}
export interface Remembered {
  readonly identity: ListIdentity;
  readonly entries: readonly CacheEntry[];
  readonly revision: number;
}

/** Entries of all lists together: what a list holds may be old, and would be freed without it. */
const MAX_ENTRIES = 10_000;
const MAX_LISTS = 1_000;

export class ListMemo {
  readonly #lists = new Map<ServedResource, Map<string, Kept>>();
  /** The one used longest ago first. */
  readonly #used = new Set<Kept>();
  #entries = 0;
  readonly #maxEntries: number;

  constructor(maxEntries = MAX_ENTRIES) {
    this.#maxEntries = maxEntries;
  }

  /** The newest state of a selection; undefined when nothing is remembered of it. `id` tells selections of a prefix apart. */
  get(served: ServedResource, prefix: string, id: string): Remembered | undefined {
    const kept = this.#lists.get(served)?.get(`${prefix}\n${id}`);
    if (!kept) return undefined;
    const storage = served.storage!;
    if (!this.#catchUp(kept, storage)) {
      this.#forget(kept);
      return undefined;
    }
    this.#used.delete(kept);
    this.#used.add(kept);
    return { identity: kept.identity, entries: kept.entries, revision: storage.revision };
  }

  /** Remembers a list of the newest state, made just now; undefined when it is too long for that. */
  put(served: ServedResource, prefix: string, id: string, select: Select | undefined, entries: readonly CacheEntry[]): ListIdentity | undefined {
    if (entries.length > this.#maxEntries / 2) return undefined;
    const key = `${prefix}\n${id}`;
    const lists = this.#lists.get(served) ?? new Map<string, Kept>();
    this.#lists.set(served, lists);
    const before = lists.get(key);
    if (before) this.#forget(before);
    const kept: Kept = { identity: {}, served, id: key, prefix, select, entries, seq: served.storage!.ring.end };
    lists.set(key, kept);
    this.#lists.set(served, lists);
    this.#used.add(kept);
    this.#entries += entries.length;
    this.#shrink();
    return kept.identity;
  }

  /** Looks at what has changed since; false when a scan would be quicker, or when the changes are gone. */
  #catchUp(kept: Kept, storage: ObjectStorage): boolean {
    const { ring } = storage;
    const missed = ring.end - kept.seq;
    if (missed === 0) return true;
    if (kept.seq < ring.first || missed > 16 + storage.size / 4) return false;
    let next: CacheEntry[] | undefined;
    for (let seq = kept.seq; seq < ring.end; seq++) {
      const change = ring.at(seq);
      const { key, entry } = change;
      if (!key.startsWith(kept.prefix)) continue;
      const list = next ?? kept.entries;
      const at = lowerBound(list, key);
      const listed = list[at]?.key === key;
      const selected = entry !== undefined && (!kept.select || kept.select(entry));
      if (!listed && !selected) continue;
      next ??= [...kept.entries];
      if (selected) next.splice(at, listed ? 1 : 0, entry);
      else next.splice(at, 1);
    }
    kept.seq = ring.end;
    if (next) {
      this.#entries += next.length - kept.entries.length;
      kept.entries = next;
      this.#shrink();
    }
    return true;
  }
  #shrink(): void {
    for (const oldest of this.#used) {
      if (this.#entries <= this.#maxEntries && this.#used.size <= MAX_LISTS) return;
      this.#forget(oldest);
    }
  }
  #forget(kept: Kept): void {
    this.#used.delete(kept);
    this.#entries -= kept.entries.length;
    const lists = this.#lists.get(kept.served);
    lists?.delete(kept.id);
    if (lists?.size === 0) this.#lists.delete(kept.served);
  }
}

function lowerBound(entries: readonly CacheEntry[], key: string): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (entries[middle]!.key < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
