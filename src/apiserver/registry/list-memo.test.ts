import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '#api/object.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { openMemoryStore } from '#store/memory.ts';
import { WatchCache } from '#store/watch-cache.ts';
import { ListBodies } from '../http/list-bodies.ts';
import { ListMemo } from './list-memo.ts';
import type { CacheEntry } from './object-cache.ts';
import type { ServedResource } from './resource-registry.ts';

const PREFIX = '/registry/things/';
const keyOf = (n: number): string => `${PREFIX}${n % 2 === 0 ? 'a' : 'b'}/t-${String(n).padStart(3, '0')}`;
const thing = (n: number, labels: Record<string, string>): KubeObject => ({ kind: 'Thing', apiVersion: 'v1', metadata: { name: `t-${n}`, labels } });
const isOn = (entry: CacheEntry): boolean => entry.object.metadata.labels?.['on'] === 'yes';

async function opened(capacity?: number): Promise<{ storage: WatchCache; served: ServedResource; close(): Promise<void> }> {
  const store = openMemoryStore();
  const storage = new WatchCache({ store, prefix: PREFIX, clock: new FakeClock(), ...(capacity ? { capacity } : {}) });
  await storage.start(new AbortController().signal);
  return { storage, served: { storage } as unknown as ServedResource, close: () => storage.stop().then(() => store.close()) };
}
/** Numbers that look random and are the same each time. */
function* numbers(): Generator<number, never> {
  let state = 12_345;
  for (;;) yield (state = (state * 1_103_515_245 + 12_345) % 2_147_483_648) >>> 8;
}

test('ListMemo shows what a scan would find, through any changes', async () => {
  const { storage, served, close } = await opened();
  const memo = new ListMemo();
  const lists = [{ prefix: PREFIX, select: isOn }, { prefix: `${PREFIX}a/`, select: isOn }, { prefix: `${PREFIX}b/`, select: undefined }];
  const draw = numbers();
  const next = (below: number): number => draw.next().value % below;
  for (let n = 0; n < 100; n++) await storage.create(keyOf(n), thing(n, { on: n % 3 === 0 ? 'yes' : 'no' }));
  let remembered = 0;
  for (let step = 0; step < 600; step++) {
    const n = next(120);
    const now = storage.get(keyOf(n));
    if (!now) await storage.create(keyOf(n), thing(n, { on: 'yes' }));
    else if (next(4) === 0) await storage.delete(keyOf(n), now.revision);
    else await storage.update(keyOf(n), thing(n, { on: next(2) === 0 ? 'yes' : 'no', step: String(step) }), now.revision);
    const { prefix, select } = lists[next(lists.length)]!;
    const scanned = storage.list({ prefix, select });
    const known = memo.get(served, prefix, 'id');
    if (known) {
      remembered++;
      assert.deepEqual(known.entries.map((e) => [e.key, e.revision]), scanned.entries.map((e) => [e.key, e.revision]), `step ${step}`);
      assert.equal(known.revision, scanned.revision);
    } else memo.put(served, prefix, 'id', select, scanned.entries);
  }
  assert.ok(remembered > 500);
  await close();
});

test('ListMemo answers with the same list until something in it changes, and never changes one that it gave', async () => {
  const { storage, served, close } = await opened();
  const memo = new ListMemo();
  for (let n = 0; n < 40; n++) await storage.create(keyOf(n), thing(n, { on: n < 2 ? 'yes' : 'no' }));
  memo.put(served, PREFIX, 'on', isOn, storage.list({ select: isOn }).entries);
  const first = memo.get(served, PREFIX, 'on')!;
  await storage.update(keyOf(30), thing(30, { on: 'no', x: '1' }), storage.get(keyOf(30))!.revision);
  const second = memo.get(served, PREFIX, 'on')!;
  assert.equal(second.entries, first.entries);
  assert.ok(second.revision > first.revision);
  await storage.update(keyOf(30), thing(30, { on: 'yes' }), storage.get(keyOf(30))!.revision);
  assert.equal(memo.get(served, PREFIX, 'on')!.entries.length, 3);
  assert.equal(first.entries.length, 2);
  await close();
});

test('ListMemo forgets what was overtaken by the ring, what is too much, and what was used longest ago', async () => {
  const { storage, served, close } = await opened(8);
  for (let n = 0; n < 100; n++) await storage.create(keyOf(n), thing(n, {}));
  const memo = new ListMemo(150);
  memo.put(served, PREFIX, 'all', undefined, storage.list().entries);
  assert.equal(memo.get(served, PREFIX, 'all'), undefined, 'more than half of what may be kept');
  const half = `${PREFIX}a/`;
  for (const id of ['1', '2', '3']) memo.put(served, half, id, undefined, storage.list({ prefix: half }).entries);
  assert.ok(memo.get(served, half, '1'));
  memo.put(served, half, '4', undefined, storage.list({ prefix: half }).entries);
  assert.equal(memo.get(served, half, '2'), undefined, 'the one that nobody used');
  assert.ok(memo.get(served, half, '1'));
  for (let i = 0; i < 9; i++) await storage.update(keyOf(1), thing(1, { i: String(i) }), storage.get(keyOf(1))!.revision);
  assert.equal(memo.get(served, half, '1'), undefined, 'its changes have left the ring');
  await close();
});

test('ListBodies keeps one body of each list, the newest, and no more than it may', () => {
  const bodies = new ListBodies(1_000);
  const [a, b, c, small] = [{ entries: 100 }, { entries: 100 }, { entries: 100 }, { entries: 10 }];
  let made = 0;
  const ask = (list: { entries: number }, version: string): Buffer => {
    const known = bodies.find(list, version);
    if (known) return known;
    made++;
    const body = Buffer.alloc(400);
    bodies.put(list, version, body, list.entries);
    return body;
  };
  assert.equal(ask(a, '1'), ask(a, '1'));
  assert.equal(made, 1);
  ask(a, '2');
  assert.equal(bodies.find(a, '1'), undefined);
  ask(b, '2');
  assert.ok(bodies.find(a, '2'), 'what was overtaken takes no room');
  ask(c, '2');
  assert.equal(made, 4);
  ask(c, '2');
  ask(a, '2');
  assert.equal(made, 5, 'the oldest went');
  ask(small, '1');
  ask(small, '1');
  assert.equal(made, 7);
});
