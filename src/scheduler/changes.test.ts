import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node } from '#api/gen/core-v1.ts';
import { isOnlyBookkeeping, nodeChange, podChange } from './changes.ts';
import { makeNode, type NodeBuilder } from './testing/make-node.ts';
import { makePod, type PodBuilder } from './testing/make-pod.ts';

const nodes: readonly [name: string, to: NodeBuilder, want: string[] | undefined][] = [
  ['nothing', makeNode('n'), undefined],
  ['images', makeNode('n').image('a:1', 1), undefined],
  ['allocatable', makeNode('n').capacity({ cpu: '9' }), ['UpdateAllocatable']],
  ['labels', makeNode('n').label('a', 'b'), ['UpdateLabel']],
  ['taints', makeNode('n').taint('a', 'b', 'NoSchedule'), ['UpdateTaint']],
  ['declared features', makeNode('n').declares('A'), ['UpdateDeclaredFeature']],
  ['a cordon', makeNode('n').unschedulable(), ['UpdateTaint']],
  ['labels and taints', makeNode('n').label('a', 'b').taint('a', 'b', 'NoSchedule'), ['UpdateLabel', 'UpdateTaint']],
];
for (const [name, to, want] of nodes) {
  test(`nodeChange tells of ${name}`, () => assert.deepEqual(nodeChange(makeNode('n').obj(), to.obj())?.actions, want));
}

test('nodeChange tells of a condition whose status has changed, not of its heartbeat', () => {
  const ready = (status: string, lastHeartbeatTime: string): Node => ({ ...makeNode('n').obj(), status: { conditions: [{ type: 'Ready', status, lastHeartbeatTime }] } });
  assert.equal(nodeChange(ready('True', '1'), ready('True', '2')), undefined);
  assert.deepEqual(nodeChange(ready('True', '1'), ready('False', '2'))?.actions, ['UpdateCondition']);
});

const pods: readonly [name: string, from: PodBuilder, to: PodBuilder, want: string[] | undefined][] = [
  ['nothing', makePod('p'), makePod('p').startTime('2026-01-01T00:00:00Z'), undefined],
  ['labels', makePod('p'), makePod('p').label('a', 'b'), ['UpdateLabel']],
  ['fewer resources', makePod('p').req({ cpu: '2' }), makePod('p').req({ cpu: '1' }), ['UpdateScaleDown']],
  ['more resources', makePod('p').req({ cpu: '1' }), makePod('p').req({ cpu: '2' }), undefined],
  ['tolerations', makePod('p'), makePod('p').toleration({ operator: 'Exists' }), ['UpdateToleration']],
  ['gates that are gone', makePod('p').gate('a/b'), makePod('p'), ['UpdateGatesEliminated']],
  ['one of two gates', makePod('p').gate('a/b', 'a/c'), makePod('p').gate('a/b'), undefined],
];
for (const [name, from, to, want] of pods) {
  test(`podChange tells of ${name}`, () => assert.deepEqual(podChange('TargetPod', from.obj(), to.obj())?.actions, want));
}

test('isOnlyBookkeeping holds for conditions and managed fields, not for labels or the nominated node', () => {
  const at = (resourceVersion: string, pod: PodBuilder) => ({ ...pod.obj(), metadata: { ...pod.obj().metadata, resourceVersion } });
  const old = at('1', makePod('p'));
  assert.equal(isOnlyBookkeeping(old, at('2', makePod('p').status({ conditions: [{ type: 'PodScheduled', status: 'False' }] }))), true);
  assert.equal(isOnlyBookkeeping(old, { ...old, metadata: { ...old.metadata, resourceVersion: '2', managedFields: [{ manager: 'x' }] } }), true);
  assert.equal(isOnlyBookkeeping(old, at('2', makePod('p').label('a', 'b'))), false);
  assert.equal(isOnlyBookkeeping(old, at('2', makePod('p').nominated('n'))), false);
});
