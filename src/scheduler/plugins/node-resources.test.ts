import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeNode } from '../testing/make-node.ts';
import { CycleState } from '../framework/cycle-state.ts';
import { PodInfo } from '../framework/pod-info.ts';
import { makePod, type PodBuilder } from '../testing/make-pod.ts';
import { PluginHarness } from '../testing/plugin-harness.ts';
import { newNodeResourcesBalancedAllocation } from './node-resources-balanced-allocation.ts';
import { newNodeResourcesFit } from './node-resources-fit.ts';

const node = () => makeNode('n').capacity({ cpu: '10', memory: '20Gi', pods: '3', 'ephemeral-storage': '10Gi', 'example.com/gpu': '2' });
const fit: readonly [name: string, pod: PodBuilder, there: PodBuilder[], want: string][] = [
  ['nothing asked', makePod('p'), [makePod('a').req({ cpu: '10', memory: '20Gi' })], ''],
  ['just enough', makePod('p').req({ cpu: '5', memory: '15Gi' }), [makePod('a').req({ cpu: '5', memory: '5Gi' })], ''],
  ['too much of two', makePod('p').req({ cpu: '6', memory: '16Gi' }), [makePod('a').req({ cpu: '5', memory: '5Gi' })], 'Insufficient cpu, Insufficient memory'],
  ['containers add up', makePod('p').req({ cpu: '6' }).req({ cpu: '6' }), [], 'Insufficient cpu'],
  ['the largest init container counts', makePod('p').req({ cpu: '1' }).initReq({ cpu: '11' }), [], 'Insufficient cpu'],
  ['init containers do not add up', makePod('p').req({ cpu: '1' }).initReq({ cpu: '6' }).initReq({ cpu: '7' }), [], ''],
  ['sidecars add to what follows', makePod('p').req({ cpu: '1' }).initReq({ cpu: '4' }, 'Always').initReq({ cpu: '7' }), [], 'Insufficient cpu'],
  ['overhead counts', makePod('p').req({ cpu: '6' }).overhead({ cpu: '5' }), [], 'Insufficient cpu'],
  ['too many pods', makePod('p'), [makePod('a'), makePod('b'), makePod('c')], 'Too many pods'],
  ['ephemeral storage', makePod('p').req({ 'ephemeral-storage': '6Gi' }), [makePod('a').req({ 'ephemeral-storage': '5Gi' })], 'Insufficient ephemeral-storage'],
  ['an extended resource', makePod('p').req({ 'example.com/gpu': '2' }), [makePod('a').req({ 'example.com/gpu': '1' })], 'Insufficient example.com/gpu'],
  ['a resource that the node does not have', makePod('p').req({ 'example.com/tpu': '1' }), [], 'Insufficient example.com/tpu'],
];
for (const [name, pod, there, want] of fit) {
  test(`NodeResourcesFit filters: ${name}`, () => {
    const h = new PluginHarness(newNodeResourcesFit, { nodes: [node().obj()], pods: there.map((p) => p.node('n').obj()) });
    assert.deepEqual(h.filter(pod.obj()), { n: want });
  });
}

test('NodeResourcesFit holds a request beyond the whole node for unresolvable, others for preemptable', () => {
  const h = new PluginHarness(newNodeResourcesFit, { nodes: [node().obj()], pods: [makePod('a').req({ cpu: '5' }).node('n').obj()] });
  const code = (cpu: string) => h.handle.filter(...cycle(makePod('p').req({ cpu })))?.code;
  const cycle = (pod: PodBuilder) => [new CycleState(), new PodInfo(pod.obj()), h.cache.node('n')!] as const;
  assert.deepEqual([code('11'), code('6'), code('5')], ['UnschedulableAndUnresolvable', 'Unschedulable', undefined]);
});

test('NodeResourcesFit prefers the node with the larger share free, counting a little for Pods without requests', () => {
  const nodes = [makeNode('a').capacity({ cpu: '4', memory: '10000Mi' }).obj(), makeNode('b').capacity({ cpu: '6', memory: '10000Mi' }).obj()];
  const h = new PluginHarness(newNodeResourcesFit, { nodes });
  assert.deepEqual(h.scores(makePod('p').req({ cpu: '3', memory: '5000Mi' }).obj()), { a: 37, b: 50 });
  assert.deepEqual(h.scores(makePod('p').obj()), { a: 97, b: 98 });
});

test('NodeResourcesFit wakes a Pod when there is more of what it asks for', () => {
  const hint = new PluginHarness(newNodeResourcesFit).plugin.events!().find((e) => e.resource === 'Node')!.hint!;
  const pod = makePod('p').req({ cpu: '2' }).obj();
  const with_ = (cpu: string, memory = '8Gi') => makeNode('n').capacity({ cpu, memory }).obj();
  assert.deepEqual([hint(pod, undefined, with_('2')), hint(pod, undefined, with_('1')), hint(pod, with_('1'), with_('3')), hint(pod, with_('2'), with_('2', '16Gi'))], ['Queue', 'Skip', 'Queue', 'Skip']);
});

test('NodeResourcesBalancedAllocation prefers nodes whose shares of cpu and memory would be alike', () => {
  const nodes = [makeNode('a').capacity({ cpu: '4', memory: '10000Mi' }).obj(), makeNode('b').capacity({ cpu: '6', memory: '10000Mi' }).obj()];
  const h = new PluginHarness(newNodeResourcesBalancedAllocation, { nodes });
  assert.deepEqual(h.scores(makePod('p').req({ cpu: '3', memory: '5000Mi' }).obj()), { a: 87, b: 100 });
  assert.equal(h.scores(makePod('p').obj()), undefined);
});
