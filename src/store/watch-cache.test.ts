import assert from 'node:assert/strict';
import { describe } from 'node:test';
import type { KubeObject } from '#api/object.ts';
import { deepFreeze } from '#base/draft.ts';
import { FakeClock, flushMicrotasks } from '#base/fake-clock.ts';
import { preparedTest } from '#base/testing/prepared-test.ts';
import { ExpiredError, type CacheEvent, type CacheWatch } from './cache-watch.ts';
import { CompactedError, RevisionConflictError, type ListResult, type Store, type StoreEntry, type StoreEvent, type StoreWatch } from './contract.ts';
import type { Entry } from './entry.ts';
import { openMemoryStore } from './memory.ts';
import { WatchCache, type WatchCacheOptions, type WatchOptions } from './watch-cache.ts';

interface Thing extends KubeObject {
  readonly spec?: { readonly n: number };
}
const P = '/registry/things/';
const bytes = (text: string): Buffer => Buffer.from(text);
const keyOf = (name: string, namespace = 'default'): string => `${P}${namespace}/${name}`;
function thing(name: string, n: number, options: { namespace?: string; labels?: Record<string, string> } = {}): Thing {
  const { namespace = 'default', labels } = options;
  return deepFreeze({ apiVersion: 'v1', kind: 'Thing', metadata: { name, namespace, uid: `u-${name}`, ...(labels ? { labels } : {}) }, spec: { n } });
}
const shown = (events: readonly CacheEvent<Thing>[]): string[] =>
  events.map((e) => (e.type === 'BOOKMARK' ? `BOOKMARK@${e.revision}${e.initialEventsEnd ? ' end' : ''}` : `${e.type} ${e.entry.object.metadata.name}=${e.entry.object.spec?.n}@${e.entry.object.metadata.resourceVersion}`));
const labelled = (entry: Entry<Thing>): boolean => entry.object.metadata.labels?.['on'] === 'yes';

let store: Store;
let clock: FakeClock;
let abort: AbortController;
let cache: WatchCache<Thing>;

async function opened(options: Partial<WatchCacheOptions> = {}): Promise<WatchCache<Thing>> {
  const made = new WatchCache<Thing>({ store, prefix: P, clock, ...options });
  await made.start(abort.signal);
  return made;
}
const watch = (options: Omit<WatchOptions<Thing>, 'signal'> = {}): CacheWatch<Thing> => cache.watch({ signal: abort.signal, ...options });
/** The next `count` events, over as many batches as it takes. */
async function take(watcher: CacheWatch<Thing>, count: number): Promise<string[]> {
  const all: string[] = [];
  while (all.length < count) {
    const { done, value } = await watcher.next();
    assert.ok(!done, `the watch ended after ${JSON.stringify(all)}`);
    all.push(...shown(value));
  }
  return all;
}

/** A store whose watches can be made to lose events and then to end as if those had been compacted away. */
class ForgetfulStore implements Store {
  deaf = false;
  readonly #inner: Store;
  #lost = Promise.withResolvers<never>();
  constructor(inner: Store) {
    this.#inner = inner;
    this.#lost.promise.catch(() => undefined);
  }
  forget(): void {
    const lost = this.#lost;
    this.#lost = Promise.withResolvers();
    this.deaf = false;
    lost.reject(new CompactedError(this.#inner.revision));
  }
  get revision(): number {
    return this.#inner.revision;
  }
  latestRevision = (): number | Promise<number> => this.#inner.latestRevision();
  get = (key: string): Promise<StoreEntry | undefined> => this.#inner.get(key);
  list = (prefix: string): Promise<ListResult> => this.#inner.list(prefix);
  create = (key: string, value: Buffer): Promise<StoreEntry> => this.#inner.create(key, value);
  update = (key: string, value: Buffer, expected: number): Promise<StoreEntry> => this.#inner.update(key, value, expected);
  delete = (key: string, expected: number): Promise<number> => this.#inner.delete(key, expected);
  compact = (revision: number): Promise<void> => this.#inner.compact(revision);
  close = (): Promise<void> => this.#inner.close();
  watch(prefix: string, from: number, signal: AbortSignal): StoreWatch {
    const watch = this.#inner.watch(prefix, from, signal);
    const inner = watch[Symbol.asyncIterator]();
    const lost = this.#lost.promise;
    const next = async (): Promise<IteratorResult<readonly StoreEvent[]>> => {
      const result = await Promise.race([inner.next(), lost]);
      return this.deaf ? lost : result;
    };
    return {
      requestProgress: (revision) => (this.deaf ? undefined : watch.requestProgress(revision)),
      [Symbol.asyncIterator]: () => ({ next, return: async () => ({ done: true, value: (await inner.return?.()) && undefined }) }),
    };
  }
}

const test = preparedTest(async (t) => {
  store = openMemoryStore();
  clock = new FakeClock();
  abort = new AbortController();
  cache = await opened();
  t.after(async () => {
    abort.abort();
    await cache.stop();
    await store.close();
  });
});

describe('WatchCache: writes and reads', () => {
  test('a write is in the cache when its promise resolves, with its resourceVersion in object and bytes', async () => {
    const made = await cache.create(keyOf('a'), thing('a', 1));
    assert.equal(cache.get(keyOf('a')), made, 'the very entry');
    assert.equal(made.object.metadata.resourceVersion, String(made.revision));
    assert.equal(made.json.toString(), `{"apiVersion":"v1","kind":"Thing","metadata":{"name":"a","namespace":"default","resourceVersion":"${made.revision}","uid":"u-a"},"spec":{"n":1}}`);
    assert.equal(made.line, made.line, 'made once');
    const changed = await cache.update(keyOf('a'), { ...made.object, spec: { n: 2 } }, made.revision);
    assert.deepEqual(JSON.parse(changed.json.toString()), changed.object);
    assert.equal(changed.revision, made.revision + 1);
    const gone = await cache.delete(keyOf('a'), changed.revision);
    assert.equal(cache.get(keyOf('a')), undefined);
    assert.deepEqual([gone.object.spec?.n, gone.object.metadata.resourceVersion], [2, String(changed.revision + 1)]);
    assert.equal(changed.object.metadata.resourceVersion, String(changed.revision), 'the last state itself is not touched');
  });

  test('what lies in the store has no resourceVersion', async () => {
    await cache.create(keyOf('a'), { ...thing('a', 1), metadata: { ...thing('a', 1).metadata, resourceVersion: '7' } });
    const stored = (await store.get(keyOf('a'))) as StoreEntry;
    assert.equal(stored.value.toString(), '{"apiVersion":"v1","kind":"Thing","metadata":{"name":"a","namespace":"default","uid":"u-a"},"spec":{"n":1}}');
  });

  test('an update that changes nothing writes nothing, also after a restart', async () => {
    const made = await cache.create(keyOf('a'), thing('a', 1));
    assert.equal(await cache.update(keyOf('a'), thing('a', 1), made.revision), made);
    const other = await opened();
    const same = await other.update(keyOf('a'), other.get(keyOf('a'))!.object, made.revision);
    assert.deepEqual([same.revision, store.revision], [made.revision, made.revision]);
    assert.deepEqual(same.json, made.json);
    await other.stop();
  });

  test('after a conflict the cache holds what was in the way', async () => {
    const made = await cache.create(keyOf('a'), thing('a', 1));
    await store.update(keyOf('a'), Buffer.from(JSON.stringify(thing('a', 5))), made.revision);
    await assert.rejects(cache.update(keyOf('a'), thing('a', 2), made.revision), RevisionConflictError);
    assert.equal(cache.get(keyOf('a'))?.object.spec?.n, 5);
    await assert.rejects(cache.create(keyOf('a'), thing('a', 2)), RevisionConflictError);
    await assert.rejects(cache.delete(keyOf('a'), made.revision), RevisionConflictError);
  });

  test('freshen waits for a revision, whoever wrote it and wherever', async () => {
    await store.create(keyOf('a'), Buffer.from(JSON.stringify(thing('a', 1))));
    await cache.freshen();
    assert.equal(cache.get(keyOf('a'))?.object.spec?.n, 1);
    await store.create('/registry/others/x', bytes('{}'));
    await cache.freshen();
    assert.equal(cache.revision, store.revision, 'writes elsewhere count too');
    const future = cache.freshen(store.revision + 2);
    await cache.create(keyOf('b'), thing('b', 1));
    await store.create('/registry/others/y', bytes('{}'));
    await future;
    const late = new AbortController();
    const never = cache.freshen(store.revision + 1, late.signal);
    late.abort(new Error('enough'));
    await assert.rejects(never, /enough/);
  });

  test('many writers at once: every promise finds its own write applied', async () => {
    await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        const made = await cache.create(keyOf(`n${i}`), thing(`n${i}`, i));
        assert.equal(cache.get(keyOf(`n${i}`)), made);
        assert.ok(cache.revision >= made.revision);
      }),
    );
    assert.equal(cache.size, 200);
  });

  test('start loads what is there and shares the entries of state and history', async () => {
    const made = await cache.create(keyOf('a'), thing('a', 1));
    await cache.update(keyOf('a'), thing('a', 2), made.revision);
    const other = await opened();
    assert.equal(other.get(keyOf('a'))?.object.spec?.n, 2);
    const seen = await other.watch({ after: 0, signal: abort.signal }).next();
    const [first, second] = seen.value as readonly CacheEvent<Thing>[];
    assert.deepEqual(shown([first!, second!]), [`ADDED a=1@${made.revision}`, `MODIFIED a=2@${made.revision + 1}`]);
    assert.ok(second?.type === 'MODIFIED' && second.entry === other.get(keyOf('a')), 'one copy');
    await other.stop();
  });

  test('a value that is not JSON is refused with its key: at the start, or by whoever reads it', async () => {
    await store.create(keyOf('bad'), bytes('{'));
    const other = await opened();
    assert.throws(() => other.get(keyOf('bad'))!.object, /"\/registry\/things\/default\/bad" at revision \d+ is not JSON/);
    await other.stop();
    await store.update(keyOf('bad'), bytes('<'), store.revision);
    await assert.rejects(opened(), /"\/registry\/things\/default\/bad" at revision \d+ is not JSON/);
    cache = new WatchCache<Thing>({ store, prefix: P });
  });

  test('bytes is what the objects take in the store, through writes, deletions and a restart', async () => {
    const stored = async (): Promise<number> => (await store.list(P)).entries.reduce((sum, e) => sum + e.value.length, 0);
    for (const name of ['a', 'b', 'c']) await cache.create(keyOf(name), thing(name, 1));
    await cache.update(keyOf('a'), thing('a', 2, { labels: { long: 'x'.repeat(500) } }), cache.get(keyOf('a'))!.revision);
    await cache.delete(keyOf('b'), cache.get(keyOf('b'))!.revision);
    assert.equal(cache.bytes, await stored());
    const again = await opened();
    assert.equal(again.bytes, cache.bytes);
    await again.stop();
  });

  test('a transformer sees the bytes on their way in and out', async () => {
    const flip = (b: Buffer): Buffer => Buffer.from(b.map((x) => x ^ 0xff));
    const secret = await opened({ prefix: '/registry/secrets/', transformer: { toStore: flip, fromStore: flip } });
    const made = await secret.create('/registry/secrets/a', thing('a', 1));
    assert.ok(!(await store.get('/registry/secrets/a'))!.value.includes('Thing'));
    const again = await opened({ prefix: '/registry/secrets/', transformer: { toStore: flip, fromStore: flip } });
    assert.deepEqual(again.get('/registry/secrets/a')?.json, made.json);
    await Promise.all([secret.stop(), again.stop()]);
  });
});

describe('WatchCache: lists', () => {
  const names = (list: { entries: readonly Entry<Thing>[] }): string => list.entries.map((e) => `${e.object.metadata.name}=${e.object.spec?.n}`).join(' ');

  test('list gives all or one namespace, in key order, filtered', async () => {
    for (const [name, namespace] of [['b', 'x'], ['a', 'x'], ['c', 'x-1'], ['d', 'w']] as const) await cache.create(keyOf(name, namespace), thing(name, 1, { namespace, ...(name === 'c' ? { labels: { on: 'yes' } } : {}) }));
    assert.equal(names(cache.list()), 'd=1 c=1 a=1 b=1');
    assert.equal(names(cache.list({ prefix: `${P}x/` })), 'a=1 b=1');
    assert.equal(names(cache.list({ select: labelled })), 'c=1');
    assert.deepEqual(cache.list({ prefix: `${P}none/` }), { entries: [], revision: cache.revision, next: undefined, remaining: undefined });
  });

  test('pages stay at the revision of the first one while objects come, change and go', async () => {
    const at = new Map<string, number>();
    for (const name of ['a', 'c', 'e', 'g', 'i']) at.set(name, (await cache.create(keyOf(name), thing(name, 1))).revision);
    const first = cache.list({ limit: 2 });
    assert.deepEqual([names(first), first.remaining, first.next], ['a=1 c=1', 3, `${keyOf('c')}\0`]);
    await cache.delete(keyOf('e'), at.get('e')!);
    await cache.update(keyOf('g'), thing('g', 2), at.get('g')!);
    await cache.delete(keyOf('i'), at.get('i')!);
    for (const name of ['b', 'd', 'f', 'z']) await cache.create(keyOf(name), thing(name, 9));
    const { revision } = first;
    const second = cache.list({ limit: 2, startKey: first.next, revision });
    assert.deepEqual([names(second), second.remaining, second.revision], ['e=1 g=1', 1, revision]);
    const third = cache.list({ limit: 2, startKey: second.next, revision });
    assert.deepEqual([names(third), third.remaining, third.next], ['i=1', undefined, undefined]);
    assert.equal(names(cache.list({ revision })), 'a=1 c=1 e=1 g=1 i=1');
    assert.equal(names(cache.list({ startKey: first.next })), 'd=9 f=9 g=2 z=9');
    const selected = cache.list({ revision, limit: 1, select: (e) => (e.object.metadata.name ?? '') >= 'g' });
    assert.deepEqual([names(selected), selected.remaining], ['g=1', undefined]);
    assert.equal(cache.list({ limit: 1, select: (e) => e.object.metadata.name === 'z' }).next, undefined, 'no empty page to follow');
  });

  test('a list at a revision that has left the ring is expired, and says where to go on', async () => {
    const small = await opened({ capacity: 4 });
    const { revision } = await small.create(keyOf('a'), thing('a', 1));
    for (let i = 0; i < 5; i++) await small.create(keyOf(`n${i}`), thing(`n${i}`, 1));
    assert.throws(() => small.list({ revision }), (err) => err instanceof ExpiredError && err.oldest === revision + 1 && err.latest === revision + 5);
    assert.equal(small.list({ revision: revision + 1 }).entries.length, 2);
    assert.throws(() => small.list({ revision: revision + 6 }), RangeError);
    await small.stop();
  });

  test('a list at any revision of the ring equals the state that was there (random histories)', async () => {
    let seed = 7;
    const random = (n: number): number => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) % n;
    const snapshots = new Map<number, string>();
    for (let i = 0; i < 400; i++) {
      const name = `n${random(30)}`;
      const now = cache.get(keyOf(name));
      if (!now) await cache.create(keyOf(name), thing(name, i));
      else if (random(2)) await cache.update(keyOf(name), thing(name, i), now.revision);
      else await cache.delete(keyOf(name), now.revision);
      snapshots.set(cache.revision, names(cache.list()));
    }
    for (const [revision, expected] of snapshots) {
      const pages: string[] = [];
      let startKey: string | undefined;
      do {
        const page = cache.list({ revision, startKey, limit: 7 });
        if (page.next) assert.equal(page.remaining, cache.list({ revision, startKey: page.next }).entries.length);
        pages.push(names(page));
        startKey = page.next;
      } while (startKey);
      assert.equal(pages.filter((p) => p !== '').join(' '), expected);
    }
  });
});

describe('WatchCache: watchers', () => {
  test('a watch after a revision yields what happened since, then what happens', async () => {
    const a = await cache.create(keyOf('a'), thing('a', 1));
    const b = await cache.create(keyOf('b'), thing('b', 1));
    const watcher = watch({ after: a.revision });
    assert.deepEqual(await take(watcher, 1), [`ADDED b=1@${b.revision}`]);
    const next = take(watcher, 2);
    await cache.update(keyOf('a'), thing('a', 2), a.revision);
    await cache.delete(keyOf('b'), b.revision);
    assert.deepEqual(await next, [`MODIFIED a=2@${b.revision + 1}`, `DELETED b=1@${b.revision + 2}`]);
  });

  test('a watch without a revision begins with the state as ADDED; sendInitialEvents ends it with a bookmark', async () => {
    await cache.create(keyOf('b'), thing('b', 1));
    await cache.create(keyOf('a'), thing('a', 1));
    const watcher = watch({ initialEventsEnd: true });
    const c = await cache.create(keyOf('c'), thing('c', 1));
    assert.deepEqual(await take(watcher, 4), ['ADDED a=1@2', 'ADDED b=1@1', 'BOOKMARK@2 end', `ADDED c=1@${c.revision}`]);
    const plain = watch();
    assert.deepEqual(await take(plain, 3), ['ADDED a=1@2', 'ADDED b=1@1', 'ADDED c=1@3']);
    const empty = watch({ prefix: `${P}none/`, initialEventsEnd: true });
    assert.deepEqual(await take(empty, 1), ['BOOKMARK@3 end']);
  });

  test('an object that leaves a selection is DELETED as it was, at the revision of the change; one that enters is ADDED', async () => {
    const watcher = watch({ select: labelled, prefix: `${P}default/` });
    const on = { labels: { on: 'yes' } };
    let at = (await cache.create(keyOf('a'), thing('a', 1))).revision;
    at = (await cache.update(keyOf('a'), thing('a', 2, on), at)).revision;
    at = (await cache.update(keyOf('a'), thing('a', 3, on), at)).revision;
    at = (await cache.update(keyOf('a'), thing('a', 4), at)).revision;
    at = (await cache.update(keyOf('a'), thing('a', 5), at)).revision;
    at = (await cache.update(keyOf('a'), thing('a', 6, on), at)).revision;
    await cache.delete(keyOf('a'), at);
    await cache.create(keyOf('a', 'elsewhere'), thing('a', 9, { namespace: 'elsewhere', ...on }));
    await cache.create(keyOf('end'), thing('end', 0, on));
    assert.deepEqual(await take(watcher, 6), ['ADDED a=2@2', 'MODIFIED a=3@3', 'DELETED a=3@4', 'ADDED a=6@6', 'DELETED a=6@7', 'ADDED end=0@9']);
  });

  test('watchers that ask alike share one array of events', async () => {
    const [one, two] = [watch({ after: 0 }), watch({ after: 0 })];
    const batches = [one.next(), two.next()];
    await cache.create(keyOf('a'), thing('a', 1));
    const [first, second] = await Promise.all(batches);
    assert.equal(first!.value, second!.value);
  });

  test('a watcher that does not read is cut off when the ring has passed it; one that waits is not', async () => {
    const small = await opened({ capacity: 8 });
    const [slow, idle, filling] = [small.watch({ after: 0, signal: abort.signal }), small.watch({ after: 0, signal: abort.signal, prefix: `${P}idle/` }), small.watch({ signal: abort.signal })];
    const waiting = idle.next();
    for (let i = 0; i < 9; i++) await small.create(keyOf(`n${i}`), thing(`n${i}`, i));
    await assert.rejects(slow.next(), (err) => err instanceof ExpiredError && err.oldest === 1 && err.latest === 9);
    assert.deepEqual(await slow.next(), { done: true, value: undefined });
    await assert.rejects(filling.next(), ExpiredError, 'also between backfill and stream');
    await small.create(keyOf('x', 'idle'), thing('x', 1, { namespace: 'idle' }));
    assert.equal(((await waiting).value as readonly unknown[]).length, 1);
    assert.throws(() => small.watch({ after: 1, signal: abort.signal }), ExpiredError);
    await small.stop();
  });

  test('bookmarks come every minute and on request, at a revision up to which everything was yielded', async () => {
    const watcher = watch({ after: 0, bookmarks: true });
    const quiet = watch({ after: 0 });
    const first = take(watcher, 1);
    const nothing = quiet.next();
    await store.create('/registry/others/x', bytes('{}'));
    await clock.advance(60_000);
    assert.deepEqual(await first, ['BOOKMARK@1']);
    const a = await cache.create(keyOf('a'), thing('a', 1));
    watcher.requestBookmark();
    assert.deepEqual(await take(watcher, 2), [`ADDED a=1@${a.revision}`, `BOOKMARK@${a.revision}`]);
    assert.deepEqual(shown((await nothing).value as readonly CacheEvent<Thing>[]), [`ADDED a=1@${a.revision}`]);
    await watcher.return();
    await clock.advance(60_000);
    assert.equal(clock.timers, 0, 'no timer without a watcher that wants bookmarks');
  });

  test('whoever replays a watch has the state, whatever the selection, while writers race and readers dawdle', async () => {
    const selections: (WatchOptions<Thing>['select'] | undefined)[] = [undefined, labelled, (e) => (e.object.spec?.n ?? 0) % 3 === 0];
    const done = new AbortController();
    const replay = async (select: WatchOptions<Thing>['select'], prefix: string, dawdle: number): Promise<Map<string, Entry<Thing>>> => {
      const state = new Map<string, Entry<Thing>>();
      let last = 0;
      for await (const batch of cache.watch({ prefix, select, initialEventsEnd: true, signal: done.signal })) {
        for (const event of batch) {
          if (event.type === 'BOOKMARK') continue;
          const { key, revision } = event.entry;
          assert.equal(event.type === 'ADDED', !state.has(key), `${event.type} of ${key}@${revision}`);
          if (state.size > 0 && last > 0 && event.type !== 'ADDED') assert.ok(revision > last, 'in order');
          if (event.type === 'DELETED') state.delete(key);
          else state.set(key, event.entry);
          last = Math.max(last, revision);
        }
        for (let i = 0; i < dawdle; i++) await Promise.resolve();
      }
      return state;
    };
    const readers: { select: WatchOptions<Thing>['select']; prefix: string; state: Promise<Map<string, Entry<Thing>>> }[] = [];
    const read = (i: number): void => {
      const [select, prefix] = [selections[i % 3], i % 2 ? P : `${P}ns1/`];
      readers.push({ select, prefix, state: replay(select, prefix, i) });
    };
    for (let i = 0; i < 6; i++) read(i);
    let n = 0;
    await Promise.all(
      Array.from({ length: 16 }, async (_, w) => {
        for (let i = 0; i < 40; i++) {
          const [name, namespace] = [`n${w}-${i % 5}`, `ns${w % 2}`];
          const key = keyOf(name, namespace);
          const now = cache.get(key);
          const next = thing(name, n++, { namespace, ...(n % 2 ? { labels: { on: 'yes' } } : {}) });
          if (!now) await cache.create(key, next);
          else if (n % 4 === 0) await cache.delete(key, now.revision);
          else await cache.update(key, next, now.revision);
          if (i === 20 && w < 6) read(w + 6);
        }
      }),
    );
    await flushMicrotasks();
    done.abort();
    for (const { select, prefix, state } of readers) assert.deepEqual([...(await state).values()].toSorted((a, b) => (a.key < b.key ? -1 : 1)), cache.list({ prefix, select }).entries);
  });

  test('a watch ends quietly when its signal aborts, and with an error when the cache stops', async () => {
    const own = new AbortController();
    const waiting = cache.watch({ signal: own.signal }).next();
    own.abort();
    assert.deepEqual(await waiting, { done: true, value: undefined });
    const other = watch().next();
    await cache.stop();
    await assert.rejects(other, /is stopped/);
    assert.throws(() => watch(), /is stopped/);
  });

  test('when the store has forgotten what comes next, the cache lists again and watchers are expired', async () => {
    const forgetful = new ForgetfulStore(store);
    const other = new WatchCache<Thing>({ store: forgetful, prefix: P, clock });
    await other.start(abort.signal);
    const kept = await other.create(keyOf('kept'), thing('kept', 1));
    const watcher = other.watch({ after: kept.revision, signal: abort.signal });
    const waiting = watcher.next();
    forgetful.deaf = true;
    const missed = await store.create(keyOf('missed'), Buffer.from(JSON.stringify(thing('missed', 1))));
    const fresh = other.freshen(missed.modRevision);
    forgetful.forget();
    await assert.rejects(waiting, (err) => err instanceof ExpiredError && err.oldest === missed.modRevision);
    await fresh;
    assert.equal(other.get(keyOf('missed'))?.object.spec?.n, 1);
    assert.equal(other.get(keyOf('kept')), kept, 'known entries stay the same');
    const after = other.watch({ after: other.revision, signal: abort.signal }).next();
    await other.create(keyOf('next'), thing('next', 1));
    assert.equal(((await after).value as readonly unknown[]).length, 1, 'and it follows again');
    await other.stop();
  });

  test('the cache fails, with all who wait on it, when the store is closed under it', async () => {
    const waiting = watch().next();
    const fresh = cache.freshen(99);
    await store.close();
    assert.match((await cache.failed).message, /the store is closed/);
    await assert.rejects(waiting, /the store is closed/);
    await assert.rejects(fresh, /the store is closed/);
  });
});
