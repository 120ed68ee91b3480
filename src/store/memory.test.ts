import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storeContractSuite } from './contract-suite.ts';
import { CompactedError } from './contract.ts';
import { openMemoryStore } from './memory.ts';

const one = Buffer.alloc(1, 1);

storeContractSuite('memory', async () => {
  const store = openMemoryStore();
  return { store, cleanup: () => store.close() };
});

test('openMemoryStore keeps a bounded history: a watch from before it is told so', async () => {
  const store = openMemoryStore({ history: 100 });
  for (let i = 0; i < 1_000; i++) await store.create(`/registry/h/${i}`, one);
  const { signal } = new AbortController();
  const next = (after: number) => store.watch('/registry/h/', after, signal)[Symbol.asyncIterator]().next();
  await assert.rejects(next(0), (err) => err instanceof CompactedError && err.oldest >= 880 && err.oldest <= 900);
  const { value } = await next(900);
  assert.equal((value as readonly unknown[]).length, 100);
  await store.close();
});

test('a watch that does not read is overtaken by the history, and costs nothing meanwhile', async () => {
  const store = openMemoryStore({ history: 100 });
  const slow = store.watch('/registry/h/', 0, new AbortController().signal)[Symbol.asyncIterator]();
  const idle = store.watch('/registry/idle/', 0, new AbortController().signal)[Symbol.asyncIterator]();
  await store.create('/registry/h/first', one);
  assert.equal(((await slow.next()).value as readonly unknown[]).length, 1);
  const waiting = idle.next();
  for (let i = 0; i < 1_000; i++) await store.create(`/registry/h/${i}`, one);
  await assert.rejects(slow.next(), CompactedError);
  await store.create('/registry/idle/x', one);
  assert.equal(((await waiting).value as readonly unknown[]).length, 1, 'a watch that waits is never overtaken');
  await store.close();
});
