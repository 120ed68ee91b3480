/**
 * The Store contract: what the API server needs of a place that keeps objects. Backends: `memory` (tests and in-process
 * clusters), `embedded` (lmdb, the default) and etcd v3. One suite (`contract-suite.ts`) runs on every backend.
 * Upstream's counterpart: apiserver/pkg/storage over etcd3.
 *
 * One revision counts for the whole store. Each acknowledged write gets the next one; a watcher sees every write after
 * its start revision, in order, once. A write is acknowledged only when it is durable.
 */

export interface StoreEntry {
  /** `/registry/pods/default/web`: see `keys.ts`. Printable ASCII, so that the order of strings is the order of bytes. */
  readonly key: string;
  /** The object as UTF-8 JSON, without `metadata.resourceVersion` (which is {@link modRevision}). */
  readonly value: Buffer;
  /** Revision of the write that made this value. */
  readonly modRevision: number;
}

export type StoreEvent =
  | { readonly type: 'put'; readonly entry: StoreEntry; /** The value replaced, unless this write created the key. */ readonly previous?: StoreEntry }
  | { readonly type: 'delete'; readonly key: string; readonly revision: number; readonly previous: StoreEntry }
  /** Every event up to `revision` has been yielded. Only after {@link StoreWatch.requestProgress}. */
  | { readonly type: 'progress'; readonly revision: number };

export interface ListResult {
  readonly entries: readonly StoreEntry[];
  /** Revision at which the list is true. */
  readonly revision: number;
  /** More keys follow the last one. */
  readonly more: boolean;
}
export interface ListOptions {
  /** At most this many entries; 0 or absent: all. */
  readonly limit?: number;
  /** First key to return (inclusive), for the next page. Default: the prefix itself. */
  readonly startKey?: string;
}

/** A guarded write did not happen: the key is at another revision (`current` undefined: it does not exist). */
export class RevisionConflictError extends Error {
  readonly key: string;
  readonly current: StoreEntry | undefined;
  constructor(key: string, current: StoreEntry | undefined) {
    super(`key "${key}" is at revision ${current?.modRevision ?? 0}, not at the one the write expects`);
    this.name = 'RevisionConflictError';
    this.key = key;
    this.current = current;
  }
}
/** The revision asked for was compacted away: watch again from the current state. */
export class CompactedError extends Error {
  /** The smallest `after` that a watch may still ask for. */
  readonly oldest: number;
  constructor(oldest: number) {
    super(`the requested revision is older than the oldest kept one, ${oldest}`);
    this.name = 'CompactedError';
    this.oldest = oldest;
  }
}
/** The store was closed before or during the call. A write rejected with it was not made. */
export class StoreClosedError extends Error {
  constructor() {
    super('the store is closed');
    this.name = 'StoreClosedError';
  }
}

/** A watch under way: one consumer iterates it once. */
export interface StoreWatch extends AsyncIterable<readonly StoreEvent[]> {
  /**
   * The revision up to which the consumer has taken everything, when that is known at once and is at least `revision`
   * (the consumer must then be waiting for the next batch). Otherwise undefined, and the watch yields a `progress`
   * event of at least `revision` as soon as it has yielded every event up to it.
   */
  requestProgress(revision: number): number | undefined;
}

/** What of a stored value can be told without reading it. */
export interface StoredHead {
  readonly key: string;
  /** Revision of the write that made the value. */
  readonly revision: number;
  /** Bytes of the value. */
  readonly size: number;
  /** The value begins as a JSON object does: it is not encrypted. */
  readonly plain: boolean;
}
/** A value where it lies. Good until somebody reads the store again: what is to stay must be copied. */
export interface ValueView {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}
/** Of a store whose values are in this process's memory, or mapped into it: they need not be held a second time. */
export interface ValuesAtHand {
  /** What lies under `prefix`, in byte order of keys, at the newest revision. */
  heads(prefix: string): { readonly heads: readonly StoredHead[]; readonly revision: number };
  /** The value written at `revision`: while it is the newest of its key, and then as long as the write that replaced it is in the history. Throws when it is gone. */
  value(revision: number): Buffer;
  /** The same without a copy. */
  view(revision: number): ValueView;
}

export interface Store {
  /** Absent: values come from elsewhere, by {@link list} and {@link watch} alone. */
  readonly atHand?: ValuesAtHand | undefined;
  /** The revision of the newest acknowledged write that this process knows of. */
  readonly revision: number;
  /** The revision of the newest acknowledged write of anyone. A backend with one writing process answers at once. */
  latestRevision(): number | Promise<number>;
  get(key: string): Promise<StoreEntry | undefined>;
  /** Entries whose key starts with `prefix`, in byte order of keys, at the newest revision. */
  list(prefix: string, options?: ListOptions): Promise<ListResult>;
  /** Writes a key that must not exist. Rejects with {@link RevisionConflictError}. */
  create(key: string, value: Buffer): Promise<StoreEntry>;
  /** Replaces a key that must be at `expected`. Rejects with {@link RevisionConflictError}. */
  update(key: string, value: Buffer, expected: number): Promise<StoreEntry>;
  /** Deletes a key that must be at `expected`; resolves with the revision of the deletion. Rejects with {@link RevisionConflictError}. */
  delete(key: string, expected: number): Promise<number>;
  /**
   * Every event of keys under `prefix` with a revision greater than `after`, in batches, until `signal` aborts (the iteration then ends).
   * The iteration throws {@link CompactedError} when `after` is older than what is kept, or when a slow consumer was overtaken, and
   * {@link StoreClosedError}. Events of a write may be seen before its promise settles, never before it is durable.
   */
  watch(prefix: string, after: number, signal: AbortSignal): StoreWatch;
  /** Forgets the history up to `revision`, at most the newest one (the current state stays). */
  compact(revision: number): Promise<void>;
  /** Bytes that the file of the data takes. Absent, or undefined: there is no file. */
  sizeBytes?(): Promise<number | undefined>;
  /** Waits for the writes under way and releases everything; watches end with {@link StoreClosedError}. Idempotent. */
  close(): Promise<void>;
}
