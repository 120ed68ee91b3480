/**
 * The promises of `contract.ts`, as tests. Every backend's test file runs this suite on itself.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CompactedError, RevisionConflictError, StoreClosedError, type Store, type StoreEvent, type StoreWatch } from './contract.ts';

export interface StoreFixture {
  readonly store: Store;
  /** Removes what the store leaves behind; closes the store where the test has not. */
  cleanup(): Promise<void>;
}

const text = (value: Buffer | undefined): string | undefined => value?.toString();
const bytes = (value: string): Buffer => Buffer.from(value);

/** Events until `enough` says so; fails when the watch ends before. */
async function collect(watch: StoreWatch, enough: (events: readonly StoreEvent[]) => boolean): Promise<StoreEvent[]> {
  const all: StoreEvent[] = [];
  if (enough(all)) return all;
  for await (const batch of watch) {
    assert.ok(batch.length > 0, 'a batch holds at least one event');
    all.push(...batch);
    if (enough(all)) return all;
  }
  throw new assert.AssertionError({ message: `the watch ended after ${all.length} events` });
}
const shown = (events: readonly StoreEvent[]): string[] =>
  events.map((e) =>
    e.type === 'put' ? `put ${e.entry.key}@${e.entry.modRevision}=${text(e.entry.value)}${e.previous ? ` was @${e.previous.modRevision}=${text(e.previous.value)}` : ''}`
    : e.type === 'delete' ? `delete ${e.key}@${e.revision} was @${e.previous.modRevision}=${text(e.previous.value)}`
    : 'progress',
  );
const revisionOf = (e: StoreEvent): number => (e.type === 'put' ? e.entry.modRevision : e.revision);

function isConflict(key: string, current: string | undefined): (err: unknown) => boolean {
  return (err) => {
    assert.ok(err instanceof RevisionConflictError, `a RevisionConflictError, not ${String(err)}`);
    assert.equal(err.key, key);
    assert.equal(text(err.current?.value), current);
    return true;
  };
}

/** `open` gives an empty store each time. */
export function storeContractSuite(backend: string, open: () => Promise<StoreFixture>): void {
  const withStore = (name: string, body: (store: Store, signal: AbortSignal) => Promise<void>): void => {
    test(name, async () => {
      const { store, cleanup } = await open();
      const abort = new AbortController();
      try {
        await body(store, abort.signal);
      } finally {
        abort.abort();
        await cleanup();
      }
    });
  };
  describe(`the store contract: ${backend}`, () => {
    writes(withStore);
    lists(withStore);
    watches(withStore);
    races(withStore);
    ends(withStore);
  });
}
type WithStore = (name: string, body: (store: Store, signal: AbortSignal) => Promise<void>) => void;

function writes(withStore: WithStore): void {
  withStore('create, update and delete take the next revisions, and get sees them', async (store) => {
    const r0 = store.revision;
    const made = await store.create('/registry/a/x', bytes('1'));
    assert.deepEqual({ ...made, value: text(made.value) }, { key: '/registry/a/x', value: '1', modRevision: r0 + 1 });
    assert.equal(text((await store.get('/registry/a/x'))?.value), '1');
    const changed = await store.update('/registry/a/x', bytes('2'), made.modRevision);
    assert.equal(changed.modRevision, r0 + 2);
    assert.deepEqual((await store.get('/registry/a/x'))?.modRevision, r0 + 2);
    assert.equal(await store.delete('/registry/a/x', r0 + 2), r0 + 3);
    assert.equal(await store.get('/registry/a/x'), undefined);
    assert.equal(store.revision, r0 + 3);
    assert.equal(await store.latestRevision(), r0 + 3);
    const again = await store.create('/registry/a/x', bytes('3'));
    assert.equal(again.modRevision, r0 + 4);
  });

  withStore('create refuses a key that exists, and tells what is there', async (store) => {
    await store.create('/registry/a/x', bytes('1'));
    await assert.rejects(store.create('/registry/a/x', bytes('2')), isConflict('/registry/a/x', '1'));
    assert.equal(text((await store.get('/registry/a/x'))?.value), '1');
  });

  withStore('update and delete refuse another revision than the one expected, and a key that does not exist', async (store) => {
    const { modRevision } = await store.create('/registry/a/x', bytes('1'));
    const newer = await store.update('/registry/a/x', bytes('2'), modRevision);
    await assert.rejects(store.update('/registry/a/x', bytes('3'), modRevision), isConflict('/registry/a/x', '2'));
    await assert.rejects(store.delete('/registry/a/x', modRevision), isConflict('/registry/a/x', '2'));
    await assert.rejects(store.update('/registry/a/y', bytes('3'), modRevision), isConflict('/registry/a/y', undefined));
    await assert.rejects(store.delete('/registry/a/y', modRevision), isConflict('/registry/a/y', undefined));
    await assert.rejects(store.update('/registry/a/y', bytes('3'), 0), isConflict('/registry/a/y', undefined));
    await assert.rejects(store.delete('/registry/a/y', 0), isConflict('/registry/a/y', undefined));
    assert.equal(store.revision, newer.modRevision, 'a refused write takes no revision');
  });

  withStore('a value may be empty, large, and hold any bytes', async (store) => {
    const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    const large = Buffer.alloc(1_200_000, 'x');
    await Promise.all([store.create('/registry/v/all', all), store.create('/registry/v/empty', Buffer.alloc(0)), store.create('/registry/v/large', large)]);
    assert.deepEqual((await store.get('/registry/v/all'))?.value, all);
    assert.equal((await store.get('/registry/v/empty'))?.value.length, 0);
    assert.ok((await store.get('/registry/v/large'))?.value.equals(large));
  });

  withStore('a key may be longer than any file name or page', async (store) => {
    const key = `/registry/clusterroles/${'n'.repeat(5_000)}`;
    await store.create(key, bytes('1'));
    await store.create(`${key}x`, bytes('2'));
    assert.equal(text((await store.get(key))?.value), '1');
    assert.deepEqual((await store.list('/registry/clusterroles/')).entries.map((e) => text(e.value)), ['1', '2']);
  });

  withStore('a key that is not printable ASCII is refused', async (store) => {
    for (const key of ['', '/registry/a/ü', '/registry/a/\0']) await assert.rejects(store.create(key, bytes('1')), TypeError);
  });
}

function lists(withStore: WithStore): void {
  withStore('list gives the entries under a prefix in byte order, at one revision', async (store) => {
    const keys = ['/registry/a/b', '/registry/a/b-c', '/registry/a/b.c', '/registry/a/b/c', '/registry/a/b0', '/registry/a/bB', '/registry/a/ba', '/registry/aa/x', '/registry/b/x'];
    await Promise.all(keys.toReversed().map((k) => store.create(k, bytes(k))));
    const list = await store.list('/registry/a/');
    assert.deepEqual(list.entries.map((e) => e.key), ['/registry/a/b', '/registry/a/b-c', '/registry/a/b.c', '/registry/a/b/c', '/registry/a/b0', '/registry/a/bB', '/registry/a/ba']);
    assert.ok(list.entries.every((e) => text(e.value) === e.key));
    assert.deepEqual([list.more, list.revision], [false, store.revision]);
    assert.deepEqual((await store.list('/registry/a/b/')).entries.map((e) => e.key), ['/registry/a/b/c']);
    assert.deepEqual((await store.list('/registry/')).entries.map((e) => e.key), keys.toSorted());
    assert.deepEqual((await store.list('/registry/none/')).entries, []);
  });

  withStore('list gives pages that follow one another and end', async (store) => {
    const keys = Array.from({ length: 25 }, (_, i) => `/registry/p/n${String(i).padStart(2, '0')}`);
    await Promise.all(keys.map((k) => store.create(k, bytes('1'))));
    await store.create('/registry/q/after', bytes('1'));
    const seen: string[] = [];
    let startKey: string | undefined;
    for (let page = 0; page < 10; page++) {
      const list = await store.list('/registry/p/', { limit: 10, ...(startKey ? { startKey } : {}) });
      seen.push(...list.entries.map((e) => e.key));
      if (!list.more) break;
      assert.equal(list.entries.length, 10);
      startKey = `${list.entries.at(-1)!.key}\0`;
    }
    assert.deepEqual(seen, keys);
    const exact = await store.list('/registry/p/', { limit: 25 });
    assert.deepEqual([exact.entries.length, exact.more], [25, false]);
    assert.deepEqual((await store.list('/registry/p/', { startKey: '/registry/p/n24' })).entries.map((e) => e.key), ['/registry/p/n24'], 'startKey is inclusive');
    assert.equal((await store.list('/registry/p/', { startKey: '/registry/a' })).entries.length, 25, 'a startKey before the prefix changes nothing');
    assert.equal((await store.list('/registry/p/', { limit: 0 })).entries.length, 25, 'limit 0 is no limit');
  });
}

function watches(withStore: WithStore): void {
  withStore('watch yields what happened after a revision and what happens next, with what was there before', async (store, signal) => {
    const r = store.revision;
    await store.create('/registry/w/x', bytes('1'));
    await store.create('/registry/other/x', bytes('1'));
    await store.update('/registry/w/x', bytes('2'), r + 1);
    const watch = store.watch('/registry/w/', r, signal);
    const first = await collect(watch, (e) => e.length >= 2);
    await store.delete('/registry/w/x', r + 3);
    await store.create('/registry/w/x', bytes('3'));
    const then = await collect(watch, (e) => e.length >= 2).catch((err: unknown) => err);
    assert.deepEqual(shown(first), [`put /registry/w/x@${r + 1}=1`, `put /registry/w/x@${r + 3}=2 was @${r + 1}=1`]);
    // Leaving the first loop ended the watch.
    assert.ok(then instanceof assert.AssertionError);
    const rest = await collect(store.watch('/registry/w/', r + 1, signal), (e) => e.length >= 3);
    assert.deepEqual(shown(rest), [`put /registry/w/x@${r + 3}=2 was @${r + 1}=1`, `delete /registry/w/x@${r + 4} was @${r + 3}=2`, `put /registry/w/x@${r + 5}=3`]);
  });

  withStore('watch wakes a waiting consumer for its prefix only', async (store, signal) => {
    const watch = store.watch('/registry/w/', store.revision, signal);
    const next = watch[Symbol.asyncIterator]().next();
    await store.create('/registry/other/x', bytes('1'));
    await store.create('/registry/ww/x', bytes('1'));
    const made = await store.create('/registry/w/x', bytes('1'));
    const { value } = await next;
    assert.deepEqual(shown(value as readonly StoreEvent[]), [`put /registry/w/x@${made.modRevision}=1`]);
  });

  withStore('watch passes from the past into the present without a gap or a repeat', async (store, signal) => {
    const [r, past] = [store.revision, 1_234];
    await Promise.all(Array.from({ length: past }, (_, i) => store.create(`/registry/w/${i}`, bytes('1'))));
    const batches = store.watch('/registry/w/', r, signal)[Symbol.asyncIterator]();
    const seen: number[] = [];
    while (seen.length < past + 20) {
      const { done, value } = await batches.next();
      assert.ok(!done);
      seen.push(...value.map(revisionOf));
      if (seen.length >= past) await store.create(`/registry/w/new${seen.length}`, bytes('1'));
    }
    assert.deepEqual(seen, Array.from({ length: past + 20 }, (_, i) => r + 1 + i));
  });

  withStore('watch from a revision to come leaves out what is before it', async (store, signal) => {
    const r = store.revision;
    const seen = collect(store.watch('/registry/w/', r + 2, signal), (e) => e.length >= 1);
    for (const n of ['1', '2', '3']) await store.create(`/registry/w/${n}`, bytes(n));
    assert.deepEqual(shown(await seen), [`put /registry/w/3@${r + 3}=3`]);
  });

  withStore('watch ends quietly when its signal aborts, waiting or not', async (store) => {
    const abort = new AbortController();
    const waiting = Array.fromAsync(store.watch('/registry/w/', store.revision, abort.signal));
    await store.create('/registry/other/x', bytes('1'));
    abort.abort();
    assert.deepEqual(await waiting, []);
    assert.deepEqual(await Array.fromAsync(store.watch('/registry/', 0, abort.signal)), [], 'aborted before it began');
    await store.create('/registry/w/x', bytes('1'));
  });

  withStore('watch with requestProgress tells when everything up to a revision was yielded', async (store, signal) => {
    const r = store.revision;
    await store.create('/registry/w/x', bytes('1'));
    const watch = store.watch('/registry/w/', r, signal);
    assert.equal(watch.requestProgress(r + 1), undefined, 'not before the consumer has taken the event');
    const events = await collect(watch, (e) => e.some((x) => x.type === 'progress'));
    assert.deepEqual(events.map((e) => [e.type, revisionOf(e) >= r + 1]), [['put', true], ['progress', true]]);

    const later = store.watch('/registry/w/', r + 1, signal);
    const progress = collect(later, (e) => e.some((x) => x.type === 'progress'));
    later.requestProgress(r + 2);
    await store.create('/registry/other/x', bytes('1'));
    const [only] = await progress;
    assert.equal(only?.type, 'progress');
    assert.ok(revisionOf(only!) >= r + 2);
  });

  withStore('watch from a compacted revision throws CompactedError, which tells where it may start', async (store, signal) => {
    const r = store.revision;
    let last = await store.create('/registry/w/x', bytes('0'));
    for (let i = 1; i <= 5; i++) last = await store.update('/registry/w/x', bytes(String(i)), last.modRevision);
    await store.compact(r + 3);
    await assert.rejects(collect(store.watch('/registry/w/', r + 2, signal), () => false), (err) => err instanceof CompactedError && err.oldest === r + 3);
    const rest = await collect(store.watch('/registry/w/', r + 3, signal), (e) => e.length >= 3);
    assert.deepEqual(shown(rest), [4, 5, 6].map((i) => `put /registry/w/x@${r + i}=${i - 1} was @${r + i - 1}=${i - 2}`));
    assert.equal(text((await store.get('/registry/w/x'))?.value), '5', 'the current state stays');
    await store.compact(store.revision + 1_000);
    assert.equal(text((await store.get('/registry/w/x'))?.value), '5');
    await store.delete('/registry/w/x', last.modRevision);
    await store.compact(store.revision);
    assert.equal(await store.get('/registry/w/x'), undefined);
    const made = await store.create('/registry/w/x', bytes('6'));
    assert.equal(made.modRevision, r + 8, 'compaction takes no revision and gives none back');
  });
}

function races(withStore: WithStore): void {
  withStore('of many guarded writes to a key at one revision exactly one wins', async (store) => {
    let at = (await store.create('/registry/r/x', bytes('0'))).modRevision;
    for (let round = 0; round < 20; round++) {
      const expected = at;
      const results = await Promise.allSettled(Array.from({ length: 16 }, (_, i) => store.update('/registry/r/x', bytes(`${round}.${i}`), expected)));
      const won = results.filter((r) => r.status === 'fulfilled');
      assert.equal(won.length, 1);
      for (const r of results) if (r.status === 'rejected') isConflict('/registry/r/x', text(won[0]!.value.value))(r.reason);
      at = won[0]!.value.modRevision;
    }
    const creates = await Promise.allSettled(Array.from({ length: 16 }, (_, i) => store.create('/registry/r/new', bytes(String(i)))));
    assert.equal(creates.filter((r) => r.status === 'fulfilled').length, 1);
  });

  withStore('watchers see every write of racing writers in order, none lost, none twice', async (store, signal) => {
    const [writers, rounds, total] = [24, 12, 24 * 12];
    const start = store.revision;
    const mine = (events: readonly StoreEvent[]): boolean => events.length >= total;
    const watchers = [start, start, start].map((after) => collect(store.watch('/registry/race/', after, signal), mine));
    const acknowledged = new Map<number, string>();
    let late: Promise<StoreEvent[]> | undefined;
    await Promise.all(
      Array.from({ length: writers }, async (_, w) => {
        const key = `/registry/race/w${w % 8}-${w}`;
        for (let i = 0; i < rounds; i += 3) {
          const made = await store.create(key, bytes(`${i}`));
          const changed = await store.update(key, bytes(`${i + 1}`), made.modRevision);
          acknowledged.set(made.modRevision, `put ${key}`).set(changed.modRevision, `put ${key}`);
          acknowledged.set(await store.delete(key, changed.modRevision), `delete ${key}`);
          await store.create(`/registry/noise/${w}-${i}`, bytes('1'));
          // A watcher that begins in the midst of it, from the past.
          late ??= collect(store.watch('/registry/race/', start, signal), mine);
        }
      }),
    );
    for (const events of await Promise.all([...watchers, late!])) {
      const revisions = events.map(revisionOf);
      assert.deepEqual(revisions, [...acknowledged.keys()].sort((a, b) => a - b));
      for (const e of events) {
        const key = e.type === 'put' ? e.entry.key : e.type === 'delete' ? e.key : '';
        assert.equal(`${e.type} ${key}`, acknowledged.get(revisionOf(e)));
      }
    }
  });
}

function ends(withStore: WithStore): void {
  withStore('close lets the writes under way finish, refuses later calls, and ends watches', async (store, signal) => {
    const watch = collect(store.watch('/registry/c/', store.revision, signal), () => false);
    const under = Array.from({ length: 50 }, (_, i) => store.create(`/registry/c/${i}`, bytes('1')));
    const closing = store.close();
    const results = await Promise.allSettled(under);
    await closing;
    await store.close();
    for (const r of results) assert.ok(r.status === 'fulfilled' || r.reason instanceof StoreClosedError, 'done, or refused as a whole');
    await assert.rejects(watch, StoreClosedError);
    const closed = { name: 'StoreClosedError' };
    await assert.rejects(store.get('/registry/c/1'), closed);
    await assert.rejects(store.list('/registry/c/'), closed);
    await assert.rejects(store.create('/registry/c/new', bytes('1')), closed);
    await assert.rejects(store.update('/registry/c/1', bytes('1'), 1), closed);
    await assert.rejects(store.delete('/registry/c/1', 1), closed);
    await assert.rejects(store.compact(1), closed);
    await assert.rejects(collect(store.watch('/registry/c/', 1, signal), () => false), closed);
  });
}
