import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node } from '#api/gen/core-v1.ts';
import { nodeStorage } from './node-storage.ts';

const node: Node = { metadata: { name: 'n' }, spec: {} };
const { signal } = new AbortController();
/** Storage of a node that answers so. */
const answering = (status: number, text: string) => nodeStorage({ send: () => Promise.resolve({ status, headers: {}, body: (async function* () { yield Buffer.from(text); })() }) });

test('nodeStorage gives the path that the node tells', async () => {
  assert.equal(await answering(200, '{"path":"/data/storage/pvc-1"}').create(node, 'pvc-1', signal), '/data/storage/pvc-1');
});
for (const path of ['/', '/etc', 'pvc-1', '/data/../pvc-1', '/data/pvc-1/', '/data/pvc-2', 7, undefined]) {
  test(`nodeStorage does not believe a node that was asked for pvc-1 and gives ${JSON.stringify(path)}`, async () => {
    await assert.rejects(answering(200, JSON.stringify({ path })).create(node, 'pvc-1', signal), { message: `node "n" was asked for directory "pvc-1", and gives ${JSON.stringify(path)}` });
  });
}
test('nodeStorage tells what the node says, or that it says nothing', async () => {
  await assert.rejects(answering(403, 'Forbidden (user=x)\n').remove(node, '/a', signal), { message: 'Forbidden (user=x)' });
  await assert.rejects(answering(502, '').remove(node, '/a', signal), { message: 'request failed, status: "502"' });
});
