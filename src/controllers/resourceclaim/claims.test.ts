import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '#api/gen/core-v1.ts';
import { generateNameFor, isPodDone } from './claims.ts';

const pod: Pod = { metadata: { name: 'p', namespace: 'default', uid: 'u' }, spec: { containers: [] } };

test('generateNameFor cuts both parts alike', () => {
  assert.equal(generateNameFor('web', 'gpu'), 'web-gpu-');
  const long = generateNameFor('p'.repeat(60), 'c'.repeat(20));
  assert.deepEqual([long.length <= 57, /^p{41}-c{13}$/.test(long)], [true, true]);
});
test('isPodDone is true for what has ended, and for what is deleted before it had a node', () => {
  assert.deepEqual([pod, { ...pod, status: { phase: 'Succeeded' as const } }, { ...pod, metadata: { ...pod.metadata, deletionTimestamp: 'now' } }, { ...pod, metadata: { ...pod.metadata, deletionTimestamp: 'now' }, spec: { ...pod.spec, nodeName: 'n' } }].map(isPodDone), [false, true, true, false]);
});
