import assert from 'node:assert/strict';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as after } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { open } from 'lmdb';
import { storeContractSuite } from './contract-suite.ts';
import { CompactedError, type Store, type StoreEvent } from './contract.ts';
import { DataDirectoryLockedError } from './data-lock.ts';
import { openEmbeddedStore } from './embedded.ts';
import { openSealed, writerKey, writerOf, WRITERS } from './testing/crash-writer.ts';

const temporary = (): Promise<string> => mkdtemp(join(tmpdir(), 'podyard-store-'));

storeContractSuite('embedded', async () => {
  const directory = await temporary();
  const store = await openEmbeddedStore({ directory });
  return {
    store,
    async cleanup() {
      await store.close();
      await rm(directory, { recursive: true });
    },
  };
});

async function inDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = await temporary();
  try {
    await body(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}
async function nextEvents(store: Store, prefix: string, from: number): Promise<readonly StoreEvent[]> {
  const { done, value } = await store.watch(prefix, from, new AbortController().signal)[Symbol.asyncIterator]().next();
  assert.ok(!done);
  return value;
}
const bytes = (text: string): Buffer => Buffer.from(text);

describe('openEmbeddedStore', () => {
  test('finds state, revision and history again, so that a watch resumes over a restart', () =>
    inDirectory(async (directory) => {
      let store = await openEmbeddedStore({ directory });
      const a = await store.create('/registry/a/a', bytes('1'));
      await store.update('/registry/a/a', bytes('2'), a.modRevision);
      const b = await store.create('/registry/a/b', bytes('1'));
      await store.delete('/registry/a/b', b.modRevision);
      const before = await nextEvents(store, '/registry/a/', 0);
      await store.close();
      store = await openEmbeddedStore({ directory });
      assert.equal(store.revision, 4);
      assert.deepEqual((await store.list('/registry/')).entries.map((e) => `${e.key}=${e.value}@${e.modRevision}`), ['/registry/a/a=2@2']);
      assert.deepEqual(await nextEvents(store, '/registry/a/', 0), before);
      assert.deepEqual((await nextEvents(store, '/registry/a/', 2)).map((e) => e.type), ['put', 'delete']);
      assert.equal((await store.create('/registry/a/b', bytes('3'))).modRevision, 5);
      await store.close();
    }));

  test('sizeBytes tells what the file takes', () =>
    inDirectory(async (directory) => {
      const store = await openEmbeddedStore({ directory });
      await store.create('/registry/a/a', Buffer.alloc(100_000));
      const size = await store.sizeBytes!();
      assert.ok(size! >= 100_000);
      assert.equal(size, (await stat(join(directory, 'store.mdb'))).size);
      await store.close();
    }));

  test('remembers what was compacted, and never gives a revision twice', () =>
    inDirectory(async (directory) => {
      let store = await openEmbeddedStore({ directory });
      const a = await store.create('/registry/a/a', bytes('1'));
      await store.delete('/registry/a/a', a.modRevision);
      await store.compact(store.revision);
      await store.close();
      store = await openEmbeddedStore({ directory });
      assert.equal(store.revision, 2, 'no row is left, the count goes on');
      await assert.rejects(nextEvents(store, '/registry/', 1), (err) => err instanceof CompactedError && err.oldest === 2);
      assert.equal((await store.create('/registry/a/a', bytes('1'))).modRevision, 3);
      await store.close();
    }));

  test('keeps a bounded history and the file from growing with it', () =>
    inDirectory(async (directory) => {
      const store = await openEmbeddedStore({ directory, history: 200 });
      let at = (await store.create('/registry/a/a', Buffer.alloc(1_000))).modRevision;
      for (let round = 0; round < 60; round++) {
        await Promise.all(Array.from({ length: 50 }, (_, i) => store.create(`/registry/a/n${round}-${i}`, Buffer.alloc(1_000)).then((e) => store.delete(e.key, e.modRevision))));
        at = (await store.update('/registry/a/a', Buffer.alloc(1_000, round), at)).modRevision;
      }
      await assert.rejects(nextEvents(store, '/registry/', store.revision - 300), CompactedError);
      assert.equal((await nextEvents(store, '/registry/', store.revision - 200)).length, 200);
      await store.close();
      const { size } = await stat(join(directory, 'store.mdb'));
      assert.ok(size < 3_000_000, `6 MB were written, ${size} bytes are left`);
    }));

  test('makes the directory 0700 and its files 0600', () =>
    inDirectory(async (parent) => {
      const directory = join(parent, 'made', 'here');
      const store = await openEmbeddedStore({ directory });
      const mode = async (path: string): Promise<string> => ((await stat(path)).mode & 0o777).toString(8);
      assert.equal(await mode(directory), '700');
      for (const file of ['store.mdb', 'store.mdb-lock', 'lock', 'owner.pid']) assert.equal(await mode(join(directory, file)), '600', file);
      await store.close();
    }));

  test('refuses a directory that is open already, and says by which process', () =>
    inDirectory(async (directory) => {
      const store = await openEmbeddedStore({ directory });
      await assert.rejects(openEmbeddedStore({ directory }), new DataDirectoryLockedError(directory, process.pid));
      await store.create('/registry/a/a', bytes('1'));
      await store.close();
      const child = startWriter(directory);
      await once(child.stdout!, 'data');
      await assert.rejects(openEmbeddedStore({ directory }), { message: `data directory "${directory}" is in use by process ${child.pid}` });
      await kill(child);
      const again = await openEmbeddedStore({ directory });
      assert.ok(await again.get('/registry/a/a'), 'the lock died with its owner');
      await again.close();
    }));

  test('leaves no descriptor of its file to the children of the process', () =>
    inDirectory(async (directory) => {
      const store = await openEmbeddedStore({ directory });
      await store.create('/registry/a/a', bytes('1'));
      assert.ok(!execFileSync('ls', ['-l', '/proc/self/fd'], { encoding: 'utf8' }).includes(directory));
      await store.close();
    }));

  test('refuses data of another format', () =>
    inDirectory(async (directory) => {
      const file = open<Buffer, number>({ path: join(directory, 'store.mdb'), noSubdir: true, encoding: 'binary', overlappingSync: false });
      await file.put(0, bytes('{"format":2,"compacted":0}'));
      await file.close();
      await assert.rejects(openEmbeddedStore({ directory }), { message: `the data in "${directory}" has format 2; this program reads format 1` });
      await assert.rejects(openEmbeddedStore({ directory }), /format 2/, 'and lets go of the lock');
    }));

  test('after kill -9 at any moment every acknowledged write is there, and nothing half-written', () =>
    inDirectory(async (directory) => {
      const told: Told = { latest: new Map(), writes: new Map() };
      for (let round = 0; round < 4; round++) {
        await crash(directory, told);
        await inspect(directory, told);
      }
      assert.ok(told.writes.size >= WRITERS * 4, `${told.writes.size} writes were acknowledged: too few to show anything`);
    }));
});

const NODE_FLAGS = ['--disable-warning=ExperimentalWarning'];
function startWriter(directory: string): ChildProcess {
  return spawn(process.execPath, [...NODE_FLAGS, fileURLToPath(new URL('testing/crash-writer.ts', import.meta.url)), directory], { stdio: ['ignore', 'pipe', 'inherit'] });
}
async function kill(child: ChildProcess): Promise<void> {
  const exit = once(child, 'close');
  child.kill('SIGKILL');
  await exit;
}

/** What was told of before a crash. */
interface Told {
  /** To each writer that it is done. */
  readonly latest: Map<number, { n: number; revision: number }>;
  /** To writers or to a watch: `writer n` by revision. */
  readonly writes: Map<number, string>;
}

/** Lets writers run for a random time, kills them, and adds what they were told. */
async function crash(directory: string, told: Told): Promise<void> {
  const child = startWriter(directory);
  let output = '';
  child.stdout!.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  await once(child.stdout!, 'data');
  // The moment of the crash is the point here; nothing is waited for.
  await after(50 + Math.random() * 400);
  await kill(child);
  for (const line of output.slice(0, output.lastIndexOf('\n')).split('\n')) {
    const seen = line.startsWith('seen ');
    const [writer, n, revision] = (seen ? line.slice('seen '.length) : line).split(' ').map(Number) as [number, number, number];
    if (!seen) told.latest.set(writer, { n, revision });
    const write = `${writer} ${n}`;
    assert.equal(told.writes.get(revision) ?? write, write, `revision ${revision} was given twice`);
    told.writes.set(revision, write);
  }
}

async function inspect(directory: string, told: Told): Promise<void> {
  const store = await openEmbeddedStore({ directory, history: 500 });
  for (const [writer, { n, revision }] of told.latest) {
    const entry = await store.get(writerKey(writer));
    const found = openSealed(entry!.value);
    assert.ok(found === n || found === n + 1, `writer ${writer} was told of ${n}, the store has ${found}`);
    if (found === n) assert.equal(entry!.modRevision, revision);
    assert.ok(store.revision >= revision);
  }
  const { entries } = await store.list('/registry/crash/');
  for (const { value, modRevision } of entries) assert.ok(openSealed(value) > 0 && modRevision <= store.revision);
  const events = await nextEvents(store, '/registry/', store.revision - 64);
  assert.deepEqual(events.map((e) => (e.type === 'put' ? e.entry.modRevision : 0)), Array.from({ length: 64 }, (_, i) => store.revision - 63 + i), 'the history has no gap');
  // Whoever resumes a watch after the crash hears of the same writes under the same revisions, and of none less.
  assert.ok(Math.max(...told.writes.keys()) <= store.revision);
  for (const event of events) {
    const write = event.type === 'put' ? told.writes.get(event.entry.modRevision) : undefined;
    if (event.type === 'put' && write !== undefined) assert.equal(`${writerOf(event.entry.key)} ${openSealed(event.entry.value)}`, write);
  }
  await store.close();
}

test('a store that is opened again knows the sizes of its values', () => inDirectory(async (directory) => {
  const sizes = async (store: Store): Promise<Record<string, [size: number, plain: boolean]>> => Object.fromEntries(store.atHand!.heads('/').heads.map((h) => [h.key, [h.size, h.plain]]));
  const store = await openEmbeddedStore({ directory });
  for (const [key, value] of [['/long', `{"a":"${'x'.repeat(100_000)}"}`], ['/sealed', 'k8s:enc:'], ['/short', '{}']] as const) await store.create(key, Buffer.from(value));
  const written = await sizes(store);
  await store.close();
  const again = await openEmbeddedStore({ directory });
  assert.deepEqual(await sizes(again), written);
  assert.deepEqual(written, { '/long': [100_008, true], '/sealed': [8, false], '/short': [2, true] });
  await again.close();
}));
