/**
 * A watcher of a {@link WatchCache}: a cursor into its ring of changes, in three phases.
 *
 * ```
 *   backfill ──── the state at the start, as ADDED, in batches (only when asked)
 *      │
 *   cutover ───── one bookmark that says so (only with sendInitialEvents)
 *      │
 *   stream ────── changes as they come, bookmarks now and then; overtaken by the ring → ExpiredError
 * ```
 * It buffers nothing: a consumer that does not read costs the references of its backfill.
 */
import type { KubeObject } from '#api/object.ts';
import type { Entry } from './entry.ts';
import type { Change, EventRing } from './event-ring.ts';

export type CacheEvent<T extends KubeObject = KubeObject> =
  /** `previous`: what a MODIFIED object was before. */
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly entry: Entry<T>; readonly previous?: Entry<T> }
  /** `initialEventsEnd`: the bookmark with the annotation `k8s.io/initial-events-end`. */
  | { readonly type: 'BOOKMARK'; readonly revision: number; readonly initialEventsEnd: boolean };

/** Whether an entry belongs to a selection. Must always give the same answer for an entry. */
export type Select<T extends KubeObject> = (entry: Entry<T>) => boolean;

/** The resourceVersion asked for is older than what is kept: 410 on the wire. */
export class ExpiredError extends Error {
  /** The oldest revision from which a watch, or at which a list, is still possible. */
  readonly oldest: number;
  /** The newest revision: where to go on from. */
  readonly latest: number;
  constructor(oldest: number, latest: number) {
    super(`the requested revision is older than the oldest kept one, ${oldest}`);
    this.name = 'ExpiredError';
    this.oldest = oldest;
    this.latest = latest;
  }
}

/** What a {@link CacheWatch} needs of its cache. */
export interface CacheWatchHost<T extends KubeObject> {
  readonly ring: EventRing<T>;
  /** The revision up to which the cache has applied everything. */
  readonly revision: number;
  /** Set when the cache has ended: watchers end with it. */
  readonly failure: Error | undefined;
  /** Watchers that have seen everything and wait. */
  readonly parked: Set<CacheWatch<T>>;
  /** Every watcher that wants bookmarks. */
  readonly bookmarked: Set<CacheWatch<T>>;
  /** The changes `from … end` as events of a selection; the same array for watchers that ask alike. */
  eventsOf(from: number, to: number, prefix: string, select: Select<T> | undefined): readonly CacheEvent<T>[];
}
export interface CacheWatchOptions<T extends KubeObject> {
  readonly prefix: string;
  readonly select: Select<T> | undefined;
  readonly signal: AbortSignal;
  /** Changes after this revision. */
  readonly after: number;
  /** The state at {@link after} to begin with, if asked for. */
  readonly backfill: readonly Entry<T>[];
  readonly initialEventsEnd: boolean;
  readonly bookmarks: boolean;
}

/** Events in a batch of the backfill. */
const BACKFILL_BATCH = 500;
/** Changes looked at for one batch: bounds the work and the memory of a watcher that lags. */
const STREAM_BATCH = 1_000;

type Batch<T extends KubeObject> = IteratorResult<readonly CacheEvent<T>[]>;

export class CacheWatch<T extends KubeObject = KubeObject> implements AsyncIterableIterator<readonly CacheEvent<T>[]> {
  readonly #host: CacheWatchHost<T>;
  readonly #options: CacheWatchOptions<T>;
  #backfill: readonly Entry<T>[];
  #filled = 0;
  #initialEventsEnd: boolean;
  /** Sequence number of the next change to look at. */
  #cursor: number;
  #bookmarkDue = false;
  #ended = false;
  #waiting: PromiseWithResolvers<Batch<T>> | undefined;
  readonly #onAbort = () => this.#end();

  constructor(host: CacheWatchHost<T>, options: CacheWatchOptions<T>) {
    this.#host = host;
    this.#options = options;
    this.#backfill = options.backfill;
    this.#initialEventsEnd = options.initialEventsEnd;
    this.#cursor = host.ring.seek(options.after);
    if (options.signal.aborted) this.#ended = true;
    else {
      options.signal.addEventListener('abort', this.#onAbort, { once: true });
      if (options.bookmarks) host.bookmarked.add(this);
    }
  }
  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Batch<T>> {
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    if (this.#waiting) return Promise.reject(new Error('a watch has one consumer, who waits for one batch at a time'));
    try {
      const events = this.#filled < this.#backfill.length ? this.#nextBackfill() : this.#nextChanges();
      if (events.length > 0) return Promise.resolve({ done: false, value: events });
    } catch (err) {
      this.#end();
      return Promise.reject(err);
    }
    this.#waiting = Promise.withResolvers();
    this.#host.parked.add(this);
    return this.#waiting.promise;
  }
  return(): Promise<Batch<T>> {
    this.#end();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Yields a bookmark after what is there to yield; at once when the watcher waits. */
  requestBookmark(): void {
    this.#bookmarkDue = true;
    this.wake();
  }

  /** The cache: there are new changes. */
  wake(): void {
    if (!this.#waiting) return;
    try {
      const events = this.#nextChanges();
      if (events.length > 0) this.#unpark()?.resolve({ done: false, value: events });
    } catch (err) {
      const waiting = this.#unpark();
      this.#end();
      waiting?.reject(err);
    }
  }

  #nextBackfill(): readonly CacheEvent<T>[] {
    const batch = this.#backfill.slice(this.#filled, this.#filled + BACKFILL_BATCH);
    this.#filled += batch.length;
    if (this.#filled === this.#backfill.length) {
      this.#backfill = [];
      this.#filled = 0;
    }
    return batch.map((entry) => ({ type: 'ADDED', entry }));
  }

  #nextChanges(): readonly CacheEvent<T>[] {
    const { ring, revision, failure } = this.#host;
    if (failure) throw failure;
    if (this.#cursor < ring.first) throw new ExpiredError(ring.floor, revision);
    if (this.#initialEventsEnd) {
      this.#initialEventsEnd = false;
      return [{ type: 'BOOKMARK', revision: this.#options.after, initialEventsEnd: true }];
    }
    let events: readonly CacheEvent<T>[] = [];
    while (events.length === 0 && this.#cursor < ring.end) {
      const to = Math.min(this.#cursor + STREAM_BATCH, ring.end);
      // The watch may start at a revision that is yet to come.
      while (this.#cursor < to && ring.at(this.#cursor).revision <= this.#options.after) this.#cursor++;
      events = this.#host.eventsOf(this.#cursor, to, this.#options.prefix, this.#options.select);
      this.#cursor = to;
    }
    if (!this.#bookmarkDue || this.#cursor < ring.end || revision < this.#options.after) return events;
    this.#bookmarkDue = false;
    return [...events, { type: 'BOOKMARK', revision, initialEventsEnd: false }];
  }

  #unpark(): PromiseWithResolvers<Batch<T>> | undefined {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    this.#host.parked.delete(this);
    return waiting;
  }
  #end(): void {
    this.#ended = true;
    this.#backfill = [];
    this.#host.bookmarked.delete(this);
    this.#options.signal.removeEventListener('abort', this.#onAbort);
    this.#unpark()?.resolve({ done: true, value: undefined });
  }
}

/** A change as a watcher with a selection sees it; undefined when it does not concern the selection. */
export function eventOf<T extends KubeObject>(change: Change<T>, select: Select<T> | undefined): CacheEvent<T> | undefined {
  const { entry, previous } = change;
  const is = entry !== undefined && (!select || select(entry));
  const was = previous !== undefined && (!select || select(previous));
  if (is) return was ? { type: 'MODIFIED', entry, previous } : { type: 'ADDED', entry };
  return was ? { type: 'DELETED', entry: change.gone } : undefined;
}
