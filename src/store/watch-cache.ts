/**
 * The one copy of every object of a resource: current state by key, in key order, and a ring of the newest changes.
 * Upstream's counterpart: apiserver/pkg/storage/cacher, with the informers' caches on top.
 *
 * The cache is fed by one watch of the store. A write through it resolves when its own event has been applied, so
 * whoever was told of a write finds it here. Entries are shared by all readers and never change.
 */
import type { KubeObject } from '#api/object.ts';
import { systemClock, type Clock } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { logger } from '#base/logger.ts';
import { withSpan } from '#base/tracing.ts';
import { CacheWatch, ExpiredError, eventOf, type CacheEvent, type CacheWatchHost, type Select } from './cache-watch.ts';
import { CompactedError, RevisionConflictError, type Store, type StoredHead, type StoreEntry, type StoreEvent, type StoreWatch } from './contract.ts';
import { encodeObject, type Encoded } from './encoded.ts';
import { decodeObject, Entry, withRevision } from './entry.ts';
import { Change, EventRing } from './event-ring.ts';
import { listEntries, type CacheList, type CacheListOptions } from './list-entries.ts';
import { SortedMap } from './sorted-map.ts';

/** What lies in the store instead of an object's JSON: encryption at rest. The key is authenticated with the value. */
export interface ValueTransformer {
  toStore(value: Buffer, key: string): Buffer;
  fromStore(value: Buffer, key: string): Buffer;
  /** Values that are not encrypted are read as they are. */
  readonly readsPlain?: boolean;
  /** Whether the value is what {@link toStore} would write today: the same key. Absent: always. */
  isCurrent?(value: Buffer, key: string): boolean;
  /** Fetches what {@link fromStore} needs for these values. Undefined when nothing is missing. Never rejects: fromStore throws then. */
  prepare?(values: readonly Buffer[]): Promise<void> | undefined;
}

export interface WatchCacheOptions {
  readonly store: Store;
  /** Prefix of every key of the resource, as `resourcePrefix` gives it. */
  readonly prefix: string;
  /** How many of the newest changes are kept for watchers and lists in pages. Default {@link DEFAULT_CAPACITY}. */
  readonly capacity?: number;
  readonly clock?: Clock;
  readonly transformer?: ValueTransformer;
}

export interface WatchOptions<T extends KubeObject> {
  /** The resource's prefix or one namespace's; default the resource's. Must end with `/`. */
  readonly prefix?: string;
  /** An object that leaves the selection becomes DELETED, one that enters it ADDED. */
  readonly select?: Select<T> | undefined;
  /** Changes after this revision; absent: the newest state first, as ADDED, then changes. */
  readonly after?: number | undefined;
  /** Ends the newest state with a bookmark that says so (`sendInitialEvents`). Only without {@link after}. */
  readonly initialEventsEnd?: boolean;
  /** A bookmark about every minute, and on `requestBookmark`. */
  readonly bookmarks?: boolean;
  readonly signal: AbortSignal;
}

/** 4,096 changes hold a burst of 1,000 Pods through their start; upstream's rings grow from 100 to 102,400. */
export const DEFAULT_CAPACITY = 4_096;
/** As upstream's cacher. */
const BOOKMARK_MS = 60_000;
/** How far back in the store's history the ring is filled at the start, in revisions. */
const START_HISTORY = 10_000;

interface OwnWrite<T extends KubeObject> {
  readonly object: T;
  readonly encoded: Encoded;
  entry?: Entry<T>;
}
interface Waiter {
  readonly revision: number;
  readonly resolve: () => void;
  readonly reject: (reason: Error) => void;
}

const log = logger('watch-cache');

export class WatchCache<T extends KubeObject = KubeObject> implements Component, CacheWatchHost<T> {
  readonly name: string;
  readonly prefix: string;
  readonly ring: EventRing<T>;
  readonly parked = new Set<CacheWatch<T>>();
  readonly bookmarked = new Set<CacheWatch<T>>();
  readonly failed: Promise<Error>;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #transformer: ValueTransformer | undefined;
  readonly #abort = new AbortController();
  readonly #fail: (reason: Error) => void;
  #state = new SortedMap<Entry<T>>();
  #bytes = 0;
  #received = 0;
  #revision = 0;
  #feed: StoreWatch | undefined;
  #running: Promise<void> | undefined;
  #failure: Error | undefined;
  /** Our writes under way by the very buffer the store was given: their objects need no parsing. Weak, so that a table that has grown old keeps none alive. */
  readonly #own = new WeakMap<Buffer, OwnWrite<T>>();
  readonly #waiters = new Set<Waiter>();
  #bookmarksArmed = false;
  #lastEvents: { from: number; to: number; prefix: string; select: Select<T> | undefined; events: readonly CacheEvent<T>[] } | undefined;

  constructor(options: WatchCacheOptions) {
    this.name = `watch-cache ${options.prefix}`;
    this.prefix = options.prefix;
    this.#store = options.store;
    this.#clock = options.clock ?? systemClock;
    this.#transformer = options.transformer;
    this.ring = new EventRing(options.capacity ?? DEFAULT_CAPACITY, 0);
    const { promise, resolve } = Promise.withResolvers<Error>();
    this.failed = promise;
    this.#fail = resolve;
  }

  /** Everything up to this revision of the store is in the cache. */
  get revision(): number {
    return this.#revision;
  }
  get failure(): Error | undefined {
    return this.#failure;
  }
  /** Number of objects. */
  get size(): number {
    return this.#state.size;
  }
  /** Number of changes that the store has told of. */
  get received(): number {
    return this.#received;
  }
  /** What the objects take in the store, before encryption. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Resolves when the state is complete and the ring reaches back as far as the store's history and its capacity allow. */
  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const ready = Promise.withResolvers<void>();
    const onAbort = (): void => {
      this.#abort.abort();
      ready.reject(signal.reason);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    this.#running = this.#run(ready);
    try {
      await ready.promise;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }
  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
    this.#end(new Error(`the watch cache of "${this.prefix}" is stopped`));
  }

  /** Holds every write that this process was told of. With other writers, `await freshen()` first. */
  get(key: string): Entry<T> | undefined {
    return this.#state.get(key);
  }

  /** Entries in key order at one revision. Throws {@link ExpiredError} when the revision asked for has left the ring. */
  list(options: CacheListOptions<T> = {}): CacheList<T> {
    return listEntries(this.#state, this.ring, this.#revision, this.prefix, options);
  }

  /** Throws {@link ExpiredError} when `after` has left the ring; the iteration does when the consumer was overtaken by it. */
  watch(options: WatchOptions<T>): CacheWatch<T> {
    if (this.#failure) throw this.#failure;
    const { prefix = this.prefix, select, signal, bookmarks = false } = options;
    if (options.after !== undefined && options.after < this.ring.floor) throw new ExpiredError(this.ring.floor, this.#revision);
    const backfill = options.after === undefined ? this.list({ prefix, select }).entries : [];
    const initialEventsEnd = options.after === undefined && (options.initialEventsEnd ?? false);
    if (bookmarks) this.#armBookmarks();
    return new CacheWatch(this, { prefix, select, signal, bookmarks, backfill, initialEventsEnd, after: options.after ?? this.#revision });
  }

  /**
   * Resolves when the cache is at least at `revision`; without one, at the newest revision of the store, other
   * writers included: a read after it is consistent. Costs nothing when it is so already. Rejects when `signal` aborts.
   */
  async freshen(revision?: number, signal?: AbortSignal): Promise<void> {
    const latest = revision ?? this.#store.latestRevision();
    await this.#applied(typeof latest === 'number' ? latest : await latest, signal);
  }

  /** Rejects with `RevisionConflictError` when the key exists; the cache then holds what is in the way. */
  create(key: string, object: T): Promise<Entry<T>> {
    return withSpan('Create etcd3', { key }, () => this.#put(key, object, encodeObject(object), (value) => this.#store.create(key, value)));
  }
  /** What lies in the store was written with another key than is used now: even an update that changes nothing then writes. */
  async isStale(key: string): Promise<boolean> {
    const isCurrent = this.#transformer?.isCurrent;
    const stored = isCurrent && (await this.#store.get(key));
    return stored !== undefined && !isCurrent!(stored.value, key);
  }
  /** Replaces the object that must be at `expected`, unless nothing would change: then resolves with it. Rejects with `RevisionConflictError`. */
  async update(key: string, object: T, expected: number): Promise<Entry<T>> {
    const encoded = encodeObject(object);
    const now = this.#state.get(key);
    if (now?.revision === expected && now.holds(encoded) && !(await this.isStale(key))) return now;
    return withSpan('GuaranteedUpdate etcd3', { key }, () => this.#put(key, object, encoded, (value) => this.#store.update(key, value, expected)));
  }
  /** Deletes the object that must be at `expected`; resolves with its last state at the deletion's revision. Rejects with `RevisionConflictError`. */
  async delete(key: string, expected: number): Promise<Entry<T>> {
    const last = this.#state.get(key);
    const revision = await withSpan('Delete etcd3', { key }, () => this.#guarded(this.#store.delete(key, expected)));
    await this.#applied(revision);
    const seq = this.ring.seek(revision - 1);
    const change = seq < this.ring.end ? this.ring.at(seq) : undefined;
    if (change?.revision === revision) return change.gone;
    if (!last) throw new Error(`"${key}" was deleted at revision ${revision}, but its last state is not known any more`);
    return new Entry(key, withRevision(last.object, revision), revision);
  }

  eventsOf(from: number, to: number, prefix: string, select: Select<T> | undefined): readonly CacheEvent<T>[] {
    const last = this.#lastEvents;
    if (last && last.from === from && last.to === to && last.prefix === prefix && last.select === select) return last.events;
    const events: CacheEvent<T>[] = [];
    for (let seq = from; seq < to; seq++) {
      const change = this.ring.at(seq);
      const event = change.key.startsWith(prefix) ? eventOf(change, select) : undefined;
      if (event) events.push(event);
    }
    this.#lastEvents = { from, to, prefix, select, events };
    return events;
  }

  async #put(key: string, object: T, encoded: Encoded, write: (value: Buffer) => Promise<StoreEntry>): Promise<Entry<T>> {
    const own: OwnWrite<T> = { object, encoded };
    const value = this.#transformer ? this.#transformer.toStore(encoded.bytes, key) : encoded.bytes;
    this.#own.set(value, own);
    try {
      const { modRevision } = await this.#guarded(write(value));
      await this.#applied(modRevision);
      return own.entry ?? new Entry(key, withRevision(object, modRevision), modRevision, encoded);
    } finally {
      this.#own.delete(value);
    }
  }
  /** After a conflict the cache must know what the store knows, or a retry would find the same state again. */
  async #guarded<R>(write: Promise<R>): Promise<R> {
    try {
      return await write;
    } catch (err) {
      if (err instanceof RevisionConflictError) await this.freshen();
      throw err;
    }
  }

  #applied(revision: number, signal?: AbortSignal): Promise<void> | undefined {
    if (this.#revision >= revision) return undefined;
    this.#revision = Math.max(this.#revision, this.#feed?.requestProgress(revision) ?? 0);
    if (this.#revision >= revision) return undefined;
    return new Promise((resolve, reject) => {
      if (this.#failure) return reject(this.#failure);
      if (signal?.aborted) return reject(signal.reason);
      const settle = (done: () => void): void => {
        this.#waiters.delete(waiter);
        signal?.removeEventListener('abort', onAbort);
        done();
      };
      const onAbort = (): void => settle(() => reject(signal!.reason));
      const waiter: Waiter = { revision, resolve: () => settle(resolve), reject: (reason) => settle(() => reject(reason)) };
      this.#waiters.add(waiter);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  async #run(ready: PromiseWithResolvers<void>): Promise<void> {
    const { signal } = this.#abort;
    let from: number | undefined;
    while (!signal.aborted) {
      try {
        from = await this.#follow(from, ready.resolve);
      } catch (err) {
        if (signal.aborted) return;
        const reason = err instanceof Error ? err : new Error(String(err));
        ready.reject(reason);
        this.#end(reason);
        this.#fail(reason);
        return;
      }
    }
  }

  /**
   * Lists, then follows the store from `from` (the start: as far back as the ring may want). Resolves when the store
   * has compacted what was to come next, with the revision to watch from at the next try.
   */
  async #follow(from: number | undefined, ready: () => void): Promise<number | undefined> {
    let { entries, revision: listed } = await this.#list();
    const start = Math.min(from ?? Math.max(0, listed - START_HISTORY), listed);
    await this.#prepare(entries.map((e) => ('value' in e ? e : undefined)));
    const feed = this.#store.watch(this.prefix, start, this.#abort.signal);
    const history = new Map<string, Entry<T>>();
    let filled = false;
    try {
      feed.requestProgress(listed);
      for await (const batch of feed) {
        if (!filled) {
          this.#replace(entries, listed, start);
          entries = []; // this frame lives as long as the cache: it must not hold the values
          filled = true;
          this.#feed = feed;
          for (const waiter of this.#waiters) feed.requestProgress(waiter.revision);
        }
        const prepared = this.#transformer?.prepare && this.#prepare(batch.flatMap((e) => (e.type === 'progress' ? [] : [e.type === 'put' ? e.entry : undefined, e.previous])));
        if (prepared) await prepared;
        this.#apply(batch, listed, history);
        if (this.#revision >= listed && batch.some((e) => e.type === 'progress')) {
          history.clear();
          ready();
        }
      }
      return from;
    } catch (err) {
      if (!(err instanceof CompactedError)) throw err;
      if (!filled) return err.oldest;
      // Watchers end by ExpiredError: what happened in between is not known.
      log.warn({ prefix: this.prefix, oldest: err.oldest }, 'The store forgot what the watch cache was to read next; listing again');
      return Number.MAX_SAFE_INTEGER;
    } finally {
      this.#feed = undefined;
    }
  }

  /** What the store has now: heads of what can be read when it is wanted, and values of the rest. */
  async #list(): Promise<{ entries: readonly (StoredHead | StoreEntry)[]; revision: number }> {
    const { atHand } = this.#store;
    if (!atHand) return await this.#store.list(this.prefix);
    const { heads, revision } = atHand.heads(this.prefix);
    const plain = this.#readsPlain;
    return { entries: heads.map((head) => (plain && head.plain ? head : { key: head.key, modRevision: head.revision, value: atHand.value(head.revision) })), revision };
  }
  get #readsPlain(): boolean {
    return this.#transformer ? (this.#transformer.readsPlain ?? false) : true;
  }
  /** What this process wrote needs no reading. */
  #prepare(entries: readonly (StoreEntry | undefined)[]): Promise<void> | undefined {
    return this.#transformer?.prepare?.(entries.flatMap((e) => (e && !this.#own.has(e.value) ? [e.value] : [])));
  }
  #replace(entries: readonly (StoredHead | StoreEntry)[], revision: number, floor: number): void {
    const old = this.#state;
    this.#state = SortedMap.fromSorted(
      entries.map((e) => {
        const known = old.get(e.key);
        if (known?.revision === ('value' in e ? e.modRevision : e.revision)) return known;
        return 'value' in e ? this.#decode(e) : new Entry<T>(e.key, undefined, e.revision, undefined, this.#store.atHand, e.size);
      }),
    );
    this.#bytes = 0;
    this.#state.scan('', (entry) => {
      this.#bytes += entry.size;
      return true;
    });
    this.ring.reset(floor);
    this.#lastEvents = undefined;
    this.#advance(revision);
  }

  /** `listed`: the state is that of this revision; events up to it only fill the ring. */
  #apply(batch: readonly StoreEvent[], listed: number, history: Map<string, Entry<T>>): void {
    let revision = this.#revision;
    for (const event of batch) {
      const at = event.type === 'put' ? event.entry.modRevision : event.revision;
      if (event.type !== 'progress') this.#record(event, at, at > listed ? undefined : history);
      revision = Math.max(revision, at);
    }
    this.#advance(revision);
  }
  #record(event: Exclude<StoreEvent, { type: 'progress' }>, at: number, history: Map<string, Entry<T>> | undefined): void {
    this.#received += 1;
    if (!history) return this.ring.push(this.#change(event, at));
    let change: Change<T>;
    try {
      change = this.#pastChange(event, at, history);
    } catch (err) {
      if (!this.#transformer) throw err;
      // History written with a key that is gone since: watchers can begin behind it.
      return this.ring.reset(at);
    }
    this.ring.push(change);
  }
  #change(event: Exclude<StoreEvent, { type: 'progress' }>, revision: number): Change<T> {
    if (event.type === 'delete') return new Change(revision, undefined, this.#replaced(this.#state.delete(event.key)) ?? this.#decode(event.previous));
    const entry = this.#decode(event.entry);
    this.#bytes += entry.size;
    return new Change(revision, entry, this.#replaced(this.#state.set(entry)));
  }
  /** An entry that is in the state no more. */
  #replaced(entry: Entry<T> | undefined): Entry<T> | undefined {
    this.#bytes -= entry?.size ?? 0;
    entry?.release();
    return entry;
  }
  /** A change from before the list: it shares entries with the state and with its neighbours where they are the same. */
  #pastChange(event: Exclude<StoreEvent, { type: 'progress' }>, revision: number, history: Map<string, Entry<T>>): Change<T> {
    const shared = (e: StoreEntry): Entry<T> => {
      const known = [history.get(e.key), this.#state.get(e.key)].find((k) => k?.revision === e.modRevision) ?? this.#decode(e);
      history.set(e.key, known);
      return known;
    };
    const previous = event.previous && shared(event.previous);
    return new Change(revision, event.type === 'put' ? shared(event.entry) : undefined, previous);
  }
  #decode(stored: StoreEntry): Entry<T> {
    const own = this.#own.get(stored.value);
    if (own) return (own.entry = new Entry(stored.key, withRevision(own.object, stored.modRevision), stored.modRevision, own.encoded, stored.value === own.encoded.bytes ? this.#store.atHand : undefined));
    const value = this.#transformer ? this.#transformer.fromStore(stored.value, stored.key) : stored.value;
    return new Entry(stored.key, decodeObject<T>(stored.key, value, stored.modRevision), stored.modRevision, undefined, undefined, value.length);
  }

  #advance(revision: number): void {
    this.#revision = Math.max(this.#revision, revision);
    for (const waiter of this.#waiters) if (waiter.revision <= this.#revision) waiter.resolve();
    for (const watcher of this.parked) watcher.wake();
  }

  #armBookmarks(): void {
    if (this.#bookmarksArmed) return;
    this.#bookmarksArmed = true;
    this.#clock.after(BOOKMARK_MS, () => {
      this.#bookmarksArmed = false;
      if (this.#failure || this.bookmarked.size === 0) return;
      this.#revision = Math.max(this.#revision, this.#feed?.requestProgress(this.#store.revision) ?? 0);
      for (const watcher of this.bookmarked) watcher.requestBookmark();
      this.#armBookmarks();
    });
  }

  #end(reason: Error): void {
    if (this.#failure) return;
    this.#failure = reason;
    for (const waiter of this.#waiters) waiter.reject(reason);
    for (const watcher of this.parked) watcher.wake();
  }
}
