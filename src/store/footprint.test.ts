/** What objects that nobody reads cost the process: bounds that are wide enough for another Node, and too narrow for a copy of the value. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { KubeObject } from '#api/object.ts';
import { openEmbeddedStore } from './embedded.ts';
import { WatchCache } from './watch-cache.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Bytes that are alive: of JavaScript, and of buffers. */
function alive(): { heap: number; buffers: number } {
  collectGarbage();
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return { heap: heapUsed, buffers: arrayBuffers };
}

const PREFIX = '/registry/configmaps/';
const keyOf = (n: number): string => `${PREFIX}default/map-${String(n).padStart(8, '0')}`;
/** As large as its text, but one string for all: what is decoded anew costs that much again. */
const objectOf = (n: number): KubeObject => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `map-${n}`, namespace: 'default' }, data: { text: `${n}`.padEnd(2_000, 'x') } }) as KubeObject;

test('objects that nobody reads cost a few hundred bytes each, those that were read no more than may be kept, and the file is mapped once', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'podyard-footprint-'));
  const store = await openEmbeddedStore({ directory });
  const cache = new WatchCache<KubeObject>({ store, prefix: PREFIX });
  try {
    await cache.start(new AbortController().signal);
    const create = async (from: number, to: number): Promise<void> => {
      for (let at = from; at < to; at += 500) await Promise.all(Array.from({ length: 500 }, (_, i) => cache.create(keyOf(at + i), objectOf(at + i))));
    };
    // More than the ring holds.
    await create(0, 5_000);
    const before = alive();
    await create(5_000, 20_000);
    const held = alive();
    const each = (held.heap - before.heap + held.buffers - before.buffers) / 15_000;
    assert.ok(each < 450, `${each.toFixed(0)} bytes for each object of 2 KB`);

    for (const { line } of cache.list().entries) assert.ok(line.length > 2_000);
    for (const { object } of cache.list().entries) assert.ok(object.metadata.name);
    const read = alive();
    assert.ok(read.buffers - held.buffers < 12 * 2 ** 20, `${read.buffers - held.buffers} bytes of 40 MB of JSON are kept`);
    assert.ok(read.heap - held.heap < 40 * 2 ** 20, `${read.heap - held.heap} bytes of 40 MB of objects are kept`);

    const maps = (await readFile('/proc/self/maps', 'utf8')).split('\n').filter((line) => line.endsWith('store.mdb'));
    assert.equal(maps.length, 1);
  } finally {
    await cache.stop();
    await store.close();
    await rm(directory, { recursive: true });
  }
});
