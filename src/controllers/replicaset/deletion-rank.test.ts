import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '#api/gen/core-v1.ts';
import { deletionCost, podsToDelete } from './deletion-rank.ts';

const NOW = Date.parse('2026-01-02T00:00:00Z');
const hoursAgo = (hours: number): string => new Date(NOW - hours * 3_600_000).toISOString();

interface Options {
  readonly node?: string;
  readonly phase?: NonNullable<Pod['status']>['phase'];
  readonly readySince?: string;
  readonly created?: string;
  readonly cost?: string;
  readonly restarts?: number;
}
function pod(name: string, { node = 'n1', phase = 'Running', readySince = hoursAgo(1), created = hoursAgo(1), cost, restarts = 0 }: Options = {}): Pod {
  return {
    metadata: { name, uid: name, creationTimestamp: created, ...(cost === undefined ? {} : { annotations: { 'controller.kubernetes.io/pod-deletion-cost': cost } }) },
    spec: { containers: [], ...(node ? { nodeName: node } : {}) },
    status: { ...(phase ? { phase } : {}), ...(readySince ? { conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: readySince }] } : {}), containerStatuses: [{ name: 'c', restartCount: restarts } as never] },
  };
}
const CASES: readonly [string, Pod, Pod][] = [
  ['unassigned before assigned', pod('b', { node: '', phase: 'Pending', readySince: '' }), pod('a', { phase: 'Pending', readySince: '' })],
  ['pending before running', pod('b', { phase: 'Pending', readySince: '' }), pod('a', { readySince: '' })],
  ['unknown before running', pod('b', { phase: 'Unknown', readySince: '' }), pod('a', { readySince: '' })],
  ['not ready before ready', pod('b', { readySince: '' }), pod('a')],
  ['cheaper before dearer', pod('b', { cost: '-1' }), pod('a')],
  ['ready for a shorter time first', pod('b', { readySince: hoursAgo(0.1) }), pod('a', { readySince: hoursAgo(20) })],
  ['more restarts first', pod('b', { restarts: 3 }), pod('a', { restarts: 1 })],
  ['younger first', pod('b', { readySince: '', created: hoursAgo(0.1) }), pod('a', { readySince: '', created: hoursAgo(20) })],
];
for (const [what, first, second] of CASES) {
  test(`podsToDelete takes ${what}`, () => {
    assert.deepEqual(podsToDelete([second, first], [first, second], 1, NOW).map((p) => p.metadata.name), [first.metadata.name]);
  });
}
test('podsToDelete counts Pods of about the same age as equal: their UIDs decide', () => {
  const pods = [pod('b', { readySince: hoursAgo(5) }), pod('a', { readySince: hoursAgo(5.1) })];
  assert.deepEqual(podsToDelete(pods, pods, 1, NOW).map((p) => p.metadata.name), ['a']);
});
test('podsToDelete takes from the node with the most related Pods', () => {
  const pods = [pod('a', { node: 'n1' }), pod('b', { node: 'n2' })];
  const related = [...pods, pod('of-an-old-set', { node: 'n2' })];
  assert.deepEqual(podsToDelete(pods, related, 1, NOW).map((p) => p.metadata.name), ['b']);
});
test('podsToDelete gives all when all are to go', () => {
  const pods = [pod('a'), pod('b')];
  assert.deepEqual(podsToDelete(pods, pods, 2, NOW), pods);
});
test('deletionCost is 0 for texts that are no plain int32', () => {
  for (const [cost, want] of [['10', 10], ['-3', -3], ['0', 0], ['+1', 0], ['01', 0], ['x', 0], ['', 0], ['3000000000', 0]] as const) assert.equal(deletionCost(pod('a', { cost })), want, cost);
});
