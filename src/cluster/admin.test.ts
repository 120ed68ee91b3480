import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Event, Pod } from '#api/gen/core-v1.ts';
import { pullsUnderWay } from './admin.ts';

const pod = (name: string, phase: 'Pending' | 'Running'): Pod => ({ metadata: { name, namespace: 'default', uid: name }, spec: { nodeName: 'n', containers: [] }, status: { phase } });
const event = (of: string, container: string, reason: string, second: number, message = ''): Event => ({ metadata: {}, involvedObject: { kind: 'Pod', uid: of, fieldPath: `spec.containers{${container}}` }, reason, message, lastTimestamp: `2026-01-02T03:04:0${second}Z` });

test('pullsUnderWay: the newest word of each container that still waits', () => {
  const pulls = pullsUnderWay([pod('slow', 'Pending'), pod('up', 'Running')], [
    event('slow', 'a', 'Pulling', 3, '50%'), event('slow', 'a', 'Pulling', 1, '10%'), event('slow', 'b', 'Pulling', 1, '90%'), event('slow', 'b', 'Pulled', 2), event('slow', 'c', 'Pulling', 1, 'x'), event('slow', 'c', 'Failed', 2), event('up', 'a', 'Pulling', 1),
  ]);
  assert.deepEqual(pulls, [{ pod: 'default/slow', message: '50%' }]);
});
