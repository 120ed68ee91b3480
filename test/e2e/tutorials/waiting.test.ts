/** What waits for later parts is listed, and each row is true: what begins to work must leave the list. */
import assert from 'node:assert/strict';
import { waitForReady } from '../harness/conditions.ts';
import { onCluster } from '../harness/suite.ts';
import { WAITING } from './waiting.ts';

const { test } = onCluster({ images: ['docker.io/library/busybox:1.37'] });

const BUSYBOX = { name: 'c', image: 'busybox:1.37', command: ['sleep', '3600'] };
const OBJECTS = [
  { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Mi' } } } },
];

test('what the tutorials show and this release does not do yet', async (c, t) => {
  for (const object of OBJECTS) await c.apply(object);
  await c.apply({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'probe' }, spec: { terminationGracePeriodSeconds: 0, containers: [BUSYBOX] } });
  await waitForReady(c, 'probe');
  const works = await Promise.all(WAITING.map((row) => row.works(c)));
  for (const [i, { where, what, waitsFor }] of WAITING.entries()) t.diagnostic(`waiting: ${what} (${where}): needs ${waitsFor}${works[i] ? ' -- WORKS NOW' : ''}`);
  assert.deepEqual(WAITING.filter((_, i) => works[i]).map((row) => row.what), [], 'works now: take it off the list in waiting.ts and walk through it');
});
