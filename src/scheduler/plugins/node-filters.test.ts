import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node, NodeSelectorRequirement } from '#api/gen/core-v1.ts';
import type { Plugin } from '../framework/plugin.ts';
import { makeNode, type NodeBuilder } from '../testing/make-node.ts';
import { makePod, type PodBuilder } from '../testing/make-pod.ts';
import { PluginHarness } from '../testing/plugin-harness.ts';
import { newImageLocality } from './image-locality.ts';
import { newNodeAffinity } from './node-affinity.ts';
import { newNodeDeclaredFeatures } from './node-declared-features.ts';
import { newNodeName } from './node-name.ts';
import { newNodePorts } from './node-ports.ts';
import { newNodeUnschedulable } from './node-unschedulable.ts';
import { newTaintToleration } from './taint-toleration.ts';

const AFFINITY = "node(s) didn't match Pod's node affinity/selector";
const TAINT = 'node(s) had untolerated taint(s)';
const PORTS = "node(s) didn't have free ports for the requested pod ports";
const required = (...terms: NodeSelectorRequirement[][]): PodBuilder =>
  makePod('p').affinity({ nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms.map((matchExpressions) => ({ matchExpressions })) } } });
const gpu = () => makeNode('n').label('gpu', 'a100').label('cores', '16');
const tainted = () => makeNode('n').taint('dedicated', 'db', 'NoSchedule');

const table: readonly [create: () => Plugin, name: string, pod: PodBuilder, node: NodeBuilder, want: string][] = [
  [newNodeUnschedulable, 'a cordoned node', makePod('p'), makeNode('n').unschedulable(), 'node(s) were unschedulable'],
  [newNodeUnschedulable, 'a cordoned node that is tolerated', makePod('p').toleration({ key: 'node.kubernetes.io/unschedulable', operator: 'Exists' }), makeNode('n').unschedulable(), ''],
  [newNodeName, 'the node that is asked for', makePod('p').node('n'), makeNode('n'), ''],
  [newNodeName, 'another node', makePod('p').node('m'), makeNode('n'), "node(s) didn't match the requested node name"],
  [newTaintToleration, 'an untolerated taint', makePod('p'), tainted(), TAINT],
  [newTaintToleration, 'a tolerated taint', makePod('p').toleration({ key: 'dedicated', operator: 'Equal', value: 'db', effect: 'NoSchedule' }), tainted(), ''],
  [newTaintToleration, 'another value', makePod('p').toleration({ key: 'dedicated', value: 'web' }), tainted(), TAINT],
  [newTaintToleration, 'another effect', makePod('p').toleration({ key: 'dedicated', operator: 'Exists', effect: 'NoExecute' }), tainted(), TAINT],
  [newTaintToleration, 'everything tolerated', makePod('p').toleration({ operator: 'Exists' }), tainted(), ''],
  [newTaintToleration, 'a taint that is only a preference', makePod('p'), makeNode('n').taint('a', 'b', 'PreferNoSchedule'), ''],
  [newTaintToleration, 'a numeric toleration', makePod('p').toleration({ key: 'sla', operator: 'Gt', value: '90' }), makeNode('n').taint('sla', '95', 'NoSchedule'), ''],
  [newTaintToleration, 'a numeric toleration that does not hold', makePod('p').toleration({ key: 'sla', operator: 'Gt', value: '95' }), makeNode('n').taint('sla', '95', 'NoSchedule'), TAINT],
  [newNodeAffinity, 'a node selector', makePod('p').nodeSelector({ gpu: 'a100' }), gpu(), ''],
  [newNodeAffinity, 'a node selector of another value', makePod('p').nodeSelector({ gpu: 'h100' }), gpu(), AFFINITY],
  [newNodeAffinity, 'In', required([{ key: 'gpu', operator: 'In', values: ['h100', 'a100'] }]), gpu(), ''],
  [newNodeAffinity, 'NotIn', required([{ key: 'gpu', operator: 'NotIn', values: ['a100'] }]), gpu(), AFFINITY],
  [newNodeAffinity, 'Exists', required([{ key: 'gpu', operator: 'Exists' }]), gpu(), ''],
  [newNodeAffinity, 'DoesNotExist', required([{ key: 'gpu', operator: 'DoesNotExist' }]), gpu(), AFFINITY],
  [newNodeAffinity, 'Gt', required([{ key: 'cores', operator: 'Gt', values: ['15'] }]), gpu(), ''],
  [newNodeAffinity, 'Lt', required([{ key: 'cores', operator: 'Lt', values: ['16'] }]), gpu(), AFFINITY],
  [newNodeAffinity, 'one of several terms', required([{ key: 'no', operator: 'Exists' }], [{ key: 'gpu', operator: 'Exists' }]), gpu(), ''],
  [newNodeAffinity, 'not all requirements of a term', required([{ key: 'gpu', operator: 'Exists' }, { key: 'no', operator: 'Exists' }]), gpu(), AFFINITY],
  [newNodeAffinity, 'an empty term', required([]), gpu(), AFFINITY],
  [newNodeAffinity, 'selector and affinity, of which one fails', required([{ key: 'gpu', operator: 'Exists' }]).nodeSelector({ disk: 'ssd' }), gpu(), AFFINITY],
];
for (const [create, name, pod, node, want] of table) {
  test(`${create().name} filters: ${name}`, () => {
    assert.deepEqual(new PluginHarness(create, { nodes: [node.obj()] }).filter(pod.obj()), { n: want });
  });
}

test('NodeDeclaredFeatures: Pods that restart as a whole go where nodes say that they can', () => {
  const h = new PluginHarness(newNodeDeclaredFeatures, { nodes: [makeNode('a').obj(), makeNode('b').declares('A', 'RestartAllContainersOnContainerExits').obj()] });
  const pod = makePod('p').obj();
  const restarting = { ...pod, spec: { ...pod.spec, initContainers: [{ name: 'i', restartPolicyRules: [{ action: 'RestartAllContainers' as const, exitCodes: { operator: 'In' as const, values: [1] } }] }] } };
  assert.deepEqual([h.filter(pod), h.filter(restarting)], [{ a: '', b: '' }, { a: "node(s) didn't match Pod's required features", b: '' }]);
  const [interest] = newNodeDeclaredFeatures().events?.() ?? [];
  assert.deepEqual([makeNode('a').obj(), makeNode('a').declares('RestartAllContainersOnContainerExits').obj()].map((node) => interest?.hint?.(restarting, undefined, node)), ['Skip', 'Queue']);
});
test('NodeAffinity looks only at nodes that the terms name, and refuses terms that contradict', () => {
  const h = new PluginHarness(newNodeAffinity, { nodes: [makeNode('a').obj(), makeNode('b').obj()] });
  const named = (...values: string[][]) => makePod('p').affinity({
    nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchFields: values.map((v) => ({ key: 'metadata.name', operator: 'In', values: v })) }] } },
  }).obj();
  assert.deepEqual(h.filter(named(['b'])), { b: '' });
  assert.equal(h.filter(named(['a'], ['b'])), 'pod affinity terms conflict');
});

test('NodeAffinity scores by the weights of the preferences that hold', () => {
  const h = new PluginHarness(newNodeAffinity, { nodes: [makeNode('a').label('disk', 'ssd').obj(), makeNode('b').label('disk', 'ssd').label('zone', 'z').obj(), makeNode('c').obj()] });
  const prefer = (key: string, weight: number) => ({ weight, preference: { matchExpressions: [{ key, operator: 'Exists' as const }] } });
  const pod = makePod('p').affinity({ nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [prefer('disk', 1), prefer('zone', 3)] } }).obj();
  assert.deepEqual(h.scores(pod), { a: 25, b: 100, c: 0 });
  assert.equal(h.scores(makePod('p').obj()), undefined);
});

test('TaintToleration prefers nodes with fewer untolerated preferences', () => {
  const nodes = [makeNode('a').obj(), makeNode('b').taint('x', '', 'PreferNoSchedule').obj(), makeNode('c').taint('x', '', 'PreferNoSchedule').taint('y', '', 'PreferNoSchedule').obj()];
  assert.deepEqual(new PluginHarness(newTaintToleration, { nodes }).scores(makePod('p').obj()), { a: 100, b: 50, c: 0 });
});

const ports: readonly [name: string, pod: PodBuilder, there: PodBuilder, want: string][] = [
  ['the same port', makePod('p').hostPort(80), makePod('a').hostPort(80), PORTS],
  ['another port', makePod('p').hostPort(81), makePod('a').hostPort(80), ''],
  ['another protocol', makePod('p').hostPort(80, 'UDP'), makePod('a').hostPort(80), ''],
  ['another address', makePod('p').hostPort(80, 'TCP', '10.0.0.1'), makePod('a').hostPort(80, 'TCP', '10.0.0.2'), ''],
  ['all addresses against one', makePod('p').hostPort(80), makePod('a').hostPort(80, 'TCP', '10.0.0.2'), PORTS],
  ['one address against all', makePod('p').hostPort(80, 'TCP', '10.0.0.2'), makePod('a').hostPort(80), PORTS],
];
for (const [name, pod, there, want] of ports) {
  test(`NodePorts filters: ${name}`, () => {
    const h = new PluginHarness(newNodePorts, { nodes: [makeNode('n').obj()], pods: [there.node('n').obj()] });
    assert.deepEqual(h.filter(pod.obj()), { n: want });
    h.cache.removePod('a');
    assert.deepEqual(h.filter(pod.obj()), { n: '' });
  });
}

test('ImageLocality prefers nodes that have the images, the larger and the more common the better', () => {
  const MB = 1024 * 1024;
  const nodes: Node[] = [makeNode('a').image('web:1', 500 * MB).obj(), makeNode('b').image('web:1', 500 * MB).image('tiny:latest', 10 * MB).obj(), makeNode('c').obj()];
  const h = new PluginHarness(newImageLocality, { nodes });
  assert.deepEqual(h.scores(makePod('p').req({}, 'web:1').obj()), { a: 31, b: 31, c: 0 });
  assert.deepEqual(h.scores(makePod('p').req({}, 'tiny').obj()), { a: 0, b: 0, c: 0 });
});

test('hints wake Pods for changes that help, and only for those', () => {
  const hintOf = (plugin: Plugin, resource: string) => plugin.events!().find((e) => e.resource === resource)!.hint!;
  const pod = makePod('p').nodeSelector({ disk: 'ssd' }).obj();
  const affinity = hintOf(newNodeAffinity(), 'Node');
  assert.equal(affinity(pod, makeNode('n').obj(), makeNode('n').label('disk', 'ssd').obj()), 'Queue');
  assert.equal(affinity(pod, makeNode('n').label('disk', 'ssd').obj(), makeNode('n').label('disk', 'ssd').label('a', 'b').obj()), 'Skip');
  const taint = hintOf(newTaintToleration(), 'Node');
  assert.deepEqual([taint(pod, tainted().obj(), makeNode('n').obj()), taint(pod, undefined, tainted().obj())], ['Queue', 'Skip']);
  const port = hintOf(newNodePorts(), 'AssignedPod');
  const wants80 = makePod('p').hostPort(80).obj();
  assert.deepEqual([port(wants80, makePod('a').hostPort(80).obj(), undefined), port(wants80, makePod('a').hostPort(81).obj(), undefined)], ['Queue', 'Skip']);
});
