/**
 * A local view of a resource: lists, then watches, and tells its handlers what changed. Over the in-process transport the
 * objects are the API server's own: an informer costs one map entry per object. Upstream's counterpart: client-go's shared informers.
 */
import { setImmediate } from 'node:timers/promises';
import { keyOf, namespaceOf, type KubeObject } from '#api/object.ts';
import { sleep, type Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { isReason } from '#machinery/status-error.ts';
import type { Client, ResourceClient } from './client.ts';
import type { KindRef } from './kinds.ts';
import type { ResourceRef, WatchEvent } from './transport.ts';

/** Called in order, one at a time, never with an object that may be changed. An update is also told after a relist, with equal objects left out. */
export interface InformerHandler<T extends KubeObject> {
  onAdd?(obj: T): void;
  onUpdate?(old: T, obj: T): void;
  /** `obj` is the last state known. */
  onDelete?(obj: T): void;
}
export interface InformerOptions {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

const log = logger('informer');
/** As client-go's reflectors: a list of everything at once would hold up all else in the process. */
const PAGE = 500;
const MIN_RETRY_MS = 50;
const MAX_RETRY_MS = 10_000;

export class Informer<T extends KubeObject> {
  readonly #client: ResourceClient<T>;
  readonly #name: string;
  readonly #options: InformerOptions;
  readonly #clock: Clock;
  readonly #transform: (obj: T) => T;
  readonly #objects = new Map<string, T>();
  readonly #handlers = new Set<InformerHandler<T>>();
  readonly #indexes = new Map<string, Index<T>>();
  readonly #synced = Promise.withResolvers<void>();
  #abort: AbortController | undefined;
  #loop: Promise<void> = Promise.resolve();
  #hasSynced = false;

  /** `transform` makes what is kept and told of what was read, for those who need little of much; it leaves names and the resourceVersion as they are. */
  constructor(client: Client, kind: KindRef<T>, clock: Clock, options: InformerOptions = {}, transform: (obj: T) => T = (obj) => obj) {
    this.#client = client.of(kind);
    this.#name = `${kind.plural}.${kind.group}`;
    this.#clock = clock;
    this.#options = options;
    this.#transform = transform;
  }
  /** Starts listing and watching; idempotent. */
  start(): void {
    if (this.#abort) return;
    this.#abort = new AbortController();
    this.#loop = this.#run(this.#abort.signal);
  }
  async stop(): Promise<void> {
    this.#abort?.abort(new Error('informer is stopping'));
    await this.#loop;
  }
  /** Resolves once the first list has been told to the handlers. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }
  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  get(namespace: string, name: string): T | undefined {
    return this.#objects.get(namespace === '' ? name : `${namespace}/${name}`);
  }
  getByKey(key: string): T | undefined {
    return this.#objects.get(key);
  }
  /** All objects, or those of one namespace. */
  list(namespace?: string): T[] {
    const all = [...this.#objects.values()];
    return namespace === undefined ? all : all.filter((o) => namespaceOf(o) === namespace);
  }
  get size(): number {
    return this.#objects.size;
  }
  /** Keeps an index; `keys` gives the index keys of an object. May be called at any time, once per name. */
  addIndex(name: string, keys: (obj: T) => readonly string[]): void {
    const index = new Index(keys);
    for (const [key, obj] of this.#objects) index.replace(key, undefined, obj);
    this.#indexes.set(name, index);
  }
  /** Objects under an index key. The index must have been added. */
  byIndex(name: string, indexKey: string): T[] {
    const keys = this.#indexes.get(name)?.keysOf(indexKey) ?? [];
    return Array.from(keys, (k) => this.#objects.get(k)!);
  }
  /** Adds a handler; it is told at once of what is already known. Returns the function that removes it. */
  addHandler(handler: InformerHandler<T>): () => void {
    this.#handlers.add(handler);
    for (const obj of this.#objects.values()) handler.onAdd?.(obj);
    return () => this.#handlers.delete(handler);
  }

  async #run(signal: AbortSignal): Promise<void> {
    let retryMs = MIN_RETRY_MS;
    let resourceVersion: string | undefined;
    while (!signal.aborted) {
      try {
        resourceVersion ??= await this.#relist(signal);
        for await (const batch of this.#client.watch({ ...this.#options, resourceVersion, allowWatchBookmarks: true }, signal)) {
          for (const event of batch) resourceVersion = this.#apply(event) ?? resourceVersion;
          retryMs = MIN_RETRY_MS;
        }
      } catch (err) {
        if (signal.aborted) return;
        if (isReason(err, 'Expired') || isReason(err, 'Gone')) {
          resourceVersion = undefined;
          continue;
        }
        log.warn({ resource: this.#name, err }, 'list or watch failed, retrying');
      }
      await sleep(this.#clock, retryMs, signal).catch(() => {});
      retryMs = Math.min(retryMs * 2, MAX_RETRY_MS);
    }
  }
  async #relist(signal: AbortSignal): Promise<string> {
    const seen = new Set<string>();
    const take = (items: readonly T[]): void => {
      for (const obj of items) {
        seen.add(keyOf(obj));
        this.#set(obj);
      }
    };
    const resourceVersion = await this.#listAll(take, signal);
    for (const [key, obj] of this.#objects) if (!seen.has(key)) this.#remove(key, obj);
    this.#hasSynced = true;
    this.#synced.resolve();
    return resourceVersion;
  }
  /** Gives the list in pages, and whole where so much is written meanwhile that its revision is forgotten. Resolves with its resourceVersion. */
  async #listAll(take: (items: readonly T[]) => void, signal: AbortSignal): Promise<string> {
    const options = { ...this.#options, signal };
    let list = await this.#client.list({ ...options, limit: PAGE });
    for (take(list.items); list.metadata.continue; take(list.items)) {
      await setImmediate();
      try {
        list = await this.#client.list({ ...options, limit: PAGE, continue: list.metadata.continue });
      } catch (err) {
        if (!isReason(err, 'Expired')) throw err;
        list = await this.#client.list(options);
      }
    }
    return list.metadata.resourceVersion ?? '0';
  }
  /** Takes one event in; returns the resourceVersion to resume from. */
  #apply(event: WatchEvent<T>): string | undefined {
    if (event.type === 'DELETED') this.#remove(keyOf(event.object), event.object);
    else if (event.type !== 'BOOKMARK') this.#set(event.object);
    return event.object.metadata.resourceVersion;
  }
  #set(read: T): void {
    const key = keyOf(read);
    const old = this.#objects.get(key);
    if (old && old.metadata.resourceVersion === read.metadata.resourceVersion) return;
    const obj = this.#transform(read);
    this.#objects.set(key, obj);
    for (const index of this.#indexes.values()) index.replace(key, old, obj);
    for (const h of this.#handlers) this.#tell(() => (old ? h.onUpdate?.(old, obj) : h.onAdd?.(obj)));
  }
  #remove(key: string, last: T): void {
    const old = this.#objects.get(key);
    if (!old) return;
    this.#objects.delete(key);
    for (const index of this.#indexes.values()) index.replace(key, old, undefined);
    for (const h of this.#handlers) this.#tell(() => h.onDelete?.(last));
  }
  #tell(call: () => void): void {
    try {
      call();
    } catch (err) {
      log.error({ resource: this.#name, err }, 'informer handler threw');
    }
  }
}

class Index<T> {
  readonly #keysOfObject: (obj: T) => readonly string[];
  readonly #members = new Map<string, Set<string>>();

  constructor(keysOfObject: (obj: T) => readonly string[]) {
    this.#keysOfObject = keysOfObject;
  }
  keysOf(indexKey: string): Iterable<string> {
    return this.#members.get(indexKey) ?? [];
  }
  replace(key: string, old: T | undefined, obj: T | undefined): void {
    for (const k of old === undefined ? [] : this.#keysOfObject(old)) {
      const set = this.#members.get(k);
      set?.delete(key);
      if (set?.size === 0) this.#members.delete(k);
    }
    for (const k of obj === undefined ? [] : this.#keysOfObject(obj)) {
      const set = this.#members.get(k) ?? new Set();
      this.#members.set(k, set.add(key));
    }
  }
}

/** Informers by resource and options, shared by all components of the process. */
export class InformerFactory {
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #informers = new Map<string, Informer<KubeObject>>();

  constructor(client: Client, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }
  /** The shared informer, started. Await its `synced` before trusting what it holds. */
  informer<T extends KubeObject>(kind: KindRef<T>, options: InformerOptions = {}): Informer<T> {
    const id = informerId(kind, options);
    let found = this.#informers.get(id) as Informer<T> | undefined;
    if (!found) {
      found = new Informer<T>(this.#client, kind, this.#clock, options);
      this.#informers.set(id, found as unknown as Informer<KubeObject>);
      found.start();
    }
    return found;
  }
  /** Stops and forgets the informer of a resource that is no longer served. */
  release(kind: ResourceRef, options: InformerOptions = {}): void {
    const id = informerId(kind, options);
    void this.#informers.get(id)?.stop();
    this.#informers.delete(id);
  }
  async stop(): Promise<void> {
    await Promise.all(Array.from(this.#informers.values(), (i) => i.stop()));
  }
}

function informerId(kind: ResourceRef, options: InformerOptions): string {
  return JSON.stringify([kind.group, kind.version, kind.plural, options.namespace, options.labelSelector, options.fieldSelector]);
}
