import type { KubeObject } from '#api/object.ts';
import { ExpiredError, type Select } from './cache-watch.ts';
import type { Entry } from './entry.ts';
import type { EventRing } from './event-ring.ts';
import { prefixEnd, type SortedMap } from './sorted-map.ts';

export interface CacheListOptions<T extends KubeObject> {
  /** The resource's prefix or one namespace's; default the resource's. Must end with `/`. */
  readonly prefix?: string;
  readonly select?: Select<T> | undefined;
  /** At most this many entries; 0, less or absent: all. */
  readonly limit?: number | undefined;
  /** `next` of the page before. */
  readonly startKey?: string | undefined;
  /** The state at exactly this revision, at most the cache's; absent: the newest state. */
  readonly revision?: number | undefined;
}
export interface CacheList<T extends KubeObject> {
  readonly entries: readonly Entry<T>[];
  /** Revision at which the list is true. */
  readonly revision: number;
  /** Where the next page starts; undefined when this is the last one. */
  readonly next: string | undefined;
  /** How many entries follow this page; undefined when a selection makes that unknown, and on the last page. */
  readonly remaining: number | undefined;
}

/** One page of the state at a revision: today's state, with the changes since then undone on the way. */
export function listEntries<T extends KubeObject>(
  state: SortedMap<Entry<T>>, ring: EventRing<T>, latest: number, everything: string, options: CacheListOptions<T>,
): CacheList<T> {
  const { prefix = everything, select, revision = latest } = options;
  if (revision > latest) throw new RangeError(`revision ${revision} is not reached yet: the cache is at ${latest}`);
  if (revision < ring.floor) throw new ExpiredError(ring.floor, latest);
  const start = options.startKey !== undefined && options.startKey > prefix ? options.startKey : prefix;
  const limit = options.limit !== undefined && options.limit > 0 ? options.limit : Infinity;
  const entries: Entry<T>[] = [];
  let more = false;
  const take = (entry: Entry<T>): boolean => {
    if (select && !select(entry)) return true;
    if (entries.length >= limit) return !(more = true);
    entries.push(entry);
    return true;
  };
  const undo = revision < latest ? changedSince(ring, revision, prefix, start) : undefined;
  if (undo && undo.size > 0) scanUndone(state, undo, prefix, start, take);
  else state.scan(start, (entry) => entry.key.startsWith(prefix) && take(entry));
  if (!more) return { entries, revision, next: undefined, remaining: undefined };
  // The least key after the last one.
  const next = `${entries.at(-1)!.key}\0`;
  return { entries, revision, next, remaining: select ? undefined : countFrom(state, undo, prefix, next) };
}

/** By key from `start` on: the entry at `revision` of what has changed since (undefined: it did not exist). */
function changedSince<T extends KubeObject>(ring: EventRing<T>, revision: number, prefix: string, start: string): Map<string, Entry<T> | undefined> {
  const then = new Map<string, Entry<T> | undefined>();
  for (let seq = ring.seek(revision); seq < ring.end; seq++) {
    const change = ring.at(seq);
    const { key } = change;
    if (key >= start && key.startsWith(prefix) && !then.has(key)) then.set(key, change.previous);
  }
  return then;
}

function scanUndone<T extends KubeObject>(
  state: SortedMap<Entry<T>>, undo: ReadonlyMap<string, Entry<T> | undefined>, prefix: string, start: string, take: (entry: Entry<T>) => boolean,
): void {
  const old = [...undo.values()].filter((e) => e !== undefined).sort((a, b) => (a.key < b.key ? -1 : 1));
  let i = 0;
  let open = true;
  state.scan(start, (entry) => {
    if (!entry.key.startsWith(prefix)) return false;
    while (open && i < old.length && old[i]!.key <= entry.key) open = take(old[i++]!);
    if (open && !undo.has(entry.key)) open = take(entry);
    return open;
  });
  while (open && i < old.length) open = take(old[i++]!);
}

function countFrom<T extends KubeObject>(state: SortedMap<Entry<T>>, undo: ReadonlyMap<string, Entry<T> | undefined> | undefined, prefix: string, from: string): number {
  let n = state.rank(prefixEnd(prefix)) - state.rank(from);
  for (const [key, then] of undo ?? []) {
    if (key < from) continue;
    if (then) n++;
    if (state.get(key)) n--;
  }
  return n;
}
