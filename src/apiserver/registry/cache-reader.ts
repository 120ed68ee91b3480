/** Reads the watch caches for the parts of the server that look things up: authorizers, admission plugins, token checks. */
import type { KubeObject } from '#api/object.ts';
import type { ResourceInfo } from '#api/resources.ts';
import { logger } from '#base/logger.ts';
import { ExpiredError } from '#store/cache-watch.ts';
import { listPrefix, objectKey, resourcePrefix } from '#store/keys.ts';
import type { ObjectChange, ObjectReader } from '../interfaces.ts';
import type { ObjectStorage } from './object-cache.ts';

const log = logger('apiserver-reader');
type Listener = (change: ObjectChange) => void;

export class CacheReader implements ObjectReader {
  readonly #storageOf: (prefix: string) => ObjectStorage;
  readonly #stop = new AbortController();

  constructor(storageOf: (prefix: string) => ObjectStorage) {
    this.#storageOf = storageOf;
  }
  get<T extends KubeObject>(resource: ResourceInfo, namespace: string, name: string): T | undefined {
    return name === '' || (resource.namespaced && namespace === '') ? undefined : (this.#storageOf(resourcePrefix(resource)).get(objectKey(resource, namespace, name))?.object as T | undefined);
  }
  list<T extends KubeObject>(resource: ResourceInfo, namespace = ''): readonly T[] {
    const { entries } = this.#storageOf(resourcePrefix(resource)).list({ prefix: listPrefix(resource, namespace) });
    return entries.map((entry) => entry.object as T);
  }
  subscribe<T extends KubeObject>(resource: ResourceInfo, listener: (change: ObjectChange<T>) => void): () => void {
    const own = new AbortController();
    const signal = AbortSignal.any([own.signal, this.#stop.signal]);
    void follow(this.#storageOf(resourcePrefix(resource)), signal, listener as Listener);
    return () => own.abort();
  }
  /** Ends all subscriptions. */
  stop(): void {
    this.#stop.abort();
  }
}

/**
 * Tells the listener of every change after now. What it was told last is remembered, so that each change comes with the state
 * before, and so that a follower that was overtaken by the cache's ring can say what it missed.
 */
async function follow(storage: ObjectStorage, signal: AbortSignal, listener: Listener): Promise<void> {
  let list = storage.list();
  const last = new Map(list.entries.map((e) => [e.key, e.object]));
  while (!signal.aborted) {
    try {
      for await (const batch of storage.watch({ after: list.revision, signal })) {
        for (const event of batch) if (event.type !== 'BOOKMARK') tell(last, event.entry.key, event.type === 'DELETED' ? undefined : event.entry.object, listener, event.entry.object);
      }
      return;
    } catch (err) {
      if (!(err instanceof ExpiredError)) return void (signal.aborted || log.error({ err, cache: storage.name }, 'A follower of the watch cache has ended'));
      list = storage.list();
      const now = new Map(list.entries.map((e) => [e.key, e.object]));
      for (const [key, object] of last) if (!now.has(key)) tell(last, key, undefined, listener, object);
      for (const [key, object] of now) if (last.get(key) !== object) tell(last, key, object, listener, object);
    }
  }
}
function tell(last: Map<string, KubeObject>, key: string, next: KubeObject | undefined, listener: Listener, shown: KubeObject): void {
  const previous = last.get(key);
  if (next) last.set(key, next);
  else last.delete(key);
  listener({ type: next ? (previous ? 'MODIFIED' : 'ADDED') : 'DELETED', object: shown, previous });
}
