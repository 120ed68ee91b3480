/** Where one resource's objects live: the watch cache reads, and writes through to the store. */
import type { KubeObject } from '#api/object.ts';
import type { Entry } from '#store/entry.ts';
import type { WatchCache } from '#store/watch-cache.ts';

/** One revision of one object with its JSON. Never changed. */
export type CacheEntry = Entry<KubeObject>;
export type ObjectStorage = WatchCache<KubeObject>;
