import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '#api/gen/core-v1.ts';
import { onceMade } from './node-components.ts';

const POD: Pod = { metadata: { name: 'web' }, spec: { containers: [] } };

test('onceMade waits for the network, and not for one that never comes: a kubelet that stops would never end', async () => {
  const made = Promise.withResolvers<Parameters<typeof onceMade>[0] extends Promise<infer N> ? N : never>();
  const network = onceMade(made.promise);
  const stopping = new AbortController();
  const givenUp = network.openHostPorts(POD, '10.244.1.2', stopping.signal);
  const reason = new Error('the kubelet is stopping');
  stopping.abort(reason);
  await assert.rejects(givenUp, reason);
  const asked: string[] = [];
  const opened = network.openHostPorts(POD, '10.244.1.3', new AbortController().signal);
  made.resolve({ openHostPorts: (_, podIP) => Promise.resolve(void asked.push(podIP)) });
  await opened;
  assert.deepEqual(asked, ['10.244.1.3']);
});
