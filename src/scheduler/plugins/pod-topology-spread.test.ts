import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Service } from '#api/gen/core-v1.ts';
import type { ReplicaSet } from '#api/gen/apps-v1.ts';
import { CycleState } from '../framework/cycle-state.ts';
import { PodInfo } from '../framework/pod-info.ts';
import { makeNode } from '../testing/make-node.ts';
import { makePod, type PodBuilder } from '../testing/make-pod.ts';
import { PluginHarness } from '../testing/plugin-harness.ts';
import { newPodTopologySpread } from './pod-topology-spread.ts';

const SKEWED = "node(s) didn't match pod topology spread constraints";
const NO_LABEL = `${SKEWED} (missing required label)`;
const ZONE = 'topology.kubernetes.io/zone';
const HOST = 'kubernetes.io/hostname';
const web = { matchLabels: { app: 'web' } };
const nodes = [makeNode('a').zone('z1').obj(), makeNode('b').zone('z1').obj(), makeNode('c').zone('z2').obj(), makeNode('d').obj()];
const on = (node: string, count: number, label = 'web') => Array.from({ length: count }, (_, i) => makePod(`${label}-${node}-${i}`).label('app', label).node(node).obj());
const pod = () => makePod('p').label('app', 'web');

const table: readonly [name: string, pod: PodBuilder, pods: Record<string, number>, want: Record<string, string>][] = [
  ['an even start', pod().spread(ZONE, 1, 'DoNotSchedule', web), {}, { a: '', b: '', c: '', d: NO_LABEL }],
  ['the fuller zone is refused', pod().spread(ZONE, 1, 'DoNotSchedule', web), { a: 1 }, { a: SKEWED, b: SKEWED, c: '', d: NO_LABEL }],
  ['a larger skew is let pass', pod().spread(ZONE, 2, 'DoNotSchedule', web), { a: 1 }, { a: '', b: '', c: '', d: NO_LABEL }],
  ['by host', pod().spread(HOST, 1, 'DoNotSchedule', web), { a: 1, b: 1, d: 1 }, { a: SKEWED, b: SKEWED, c: '', d: SKEWED }],
  ['a Pod that does not count itself', makePod('p').spread(ZONE, 1, 'DoNotSchedule', web), { a: 1 }, { a: '', b: '', c: '', d: NO_LABEL }],
  ['two constraints', pod().spread(ZONE, 1, 'DoNotSchedule', web).spread(HOST, 1, 'DoNotSchedule', web), { a: 1, c: 1 }, { a: SKEWED, b: '', c: SKEWED, d: NO_LABEL }],
  ['too few domains count as an empty one', pod().spread(ZONE, 1, 'DoNotSchedule', web, { minDomains: 3 }), { a: 1, c: 1 }, { a: SKEWED, b: SKEWED, c: SKEWED, d: NO_LABEL }],
  ['nodes that the Pod cannot use do not count', pod().nodeSelector({ [ZONE]: 'z1' }).spread(ZONE, 1, 'DoNotSchedule', web), { a: 1 }, { a: '', b: '', c: '', d: NO_LABEL }],
  ['unless they are to', pod().nodeSelector({ [ZONE]: 'z1' }).spread(ZONE, 1, 'DoNotSchedule', web, { nodeAffinityPolicy: 'Ignore' }), { a: 1 }, { a: SKEWED, b: SKEWED, c: '', d: NO_LABEL }],
];
for (const [name, p, counts, want] of table) {
  test(`PodTopologySpread filters: ${name}`, () => {
    const pods = Object.entries(counts).flatMap(([node, count]) => on(node, count));
    assert.deepEqual(new PluginHarness(newPodTopologySpread, { nodes, pods }).filter(p.obj()), want);
  });
}

test('PodTopologySpread does not count terminating Pods, other namespaces and other values of matchLabelKeys', () => {
  const there = (name: string) => makePod(name).label('app', 'web').node('a');
  const pods = [there('x').terminating().obj(), there('y').namespace('other').obj(), there('z').label('hash', 'old').obj()];
  const h = new PluginHarness(newPodTopologySpread, { nodes: nodes.slice(0, 3), pods });
  assert.deepEqual(h.filter(pod().label('hash', 'new').spread(ZONE, 1, 'DoNotSchedule', web, { matchLabelKeys: ['hash'] }).obj()), { a: '', b: '', c: '' });
});

test('PodTopologySpread leaves nodes with untolerated taints out where the constraint honours them', () => {
  const tainted = [makeNode('a').zone('z1').obj(), makeNode('b').zone('z2').taint('x', '', 'NoSchedule').obj()];
  const h = new PluginHarness(newPodTopologySpread, { nodes: tainted, pods: on('a', 1) });
  assert.deepEqual(h.filter(pod().spread(ZONE, 1, 'DoNotSchedule', web, { nodeTaintsPolicy: 'Honor' }).obj()), { a: '', b: '' });
  assert.deepEqual(h.filter(pod().spread(ZONE, 1, 'DoNotSchedule', web).obj()), { a: SKEWED, b: '' });
});

test('PodTopologySpread scores nodes of emptier domains higher, and nodes without the label zero', () => {
  const h = new PluginHarness(newPodTopologySpread, { nodes, pods: [...on('a', 3), ...on('c', 1)] });
  const scores = h.scores(pod().spread(ZONE, 1, 'ScheduleAnyway', web).obj())!;
  assert.deepEqual([scores['a'], scores['b'], scores['d']], [25, 25, 0]);
  assert.equal(scores['c'], 100);
});

test('PodTopologySpread spreads the Pods of a Service and of a workload over nodes by default', () => {
  const service: Service = { metadata: { name: 'web', namespace: 'default' }, spec: { selector: { app: 'web' } } };
  const replicaSet: ReplicaSet = { metadata: { name: 'rs', namespace: 'default' }, spec: { selector: web } };
  const options = { nodes: nodes.slice(0, 2), pods: on('a', 2) };
  const byService = new PluginHarness(newPodTopologySpread, { ...options, objects: { services: [service] } }).scores(pod().obj())!;
  assert.ok(byService['b']! > byService['a']!);
  const byOwner = new PluginHarness(newPodTopologySpread, { ...options, objects: { replicaSets: [replicaSet] } });
  assert.ok(byOwner.scores(pod().owner('ReplicaSet', 'rs').obj())!['b']! > byOwner.scores(pod().owner('ReplicaSet', 'rs').obj())!['a']!);
  assert.equal(byOwner.scores(pod().obj()), undefined);
});

test('PodTopologySpread keeps its count right when a dry run takes a Pod away and puts it back', () => {
  const [victim] = on('a', 1);
  const h = new PluginHarness(newPodTopologySpread, { nodes: nodes.slice(0, 3), pods: [victim!] });
  const info = new PodInfo(pod().spread(ZONE, 1, 'DoNotSchedule', web).obj());
  const state = new CycleState();
  h.framework.preFilter(state, info, h.cache.snapshot().nodes);
  const dry = state.clone();
  const node = h.cache.node('a')!.clone();
  h.handle.removePod(dry, info, new PodInfo(victim!), node);
  assert.equal(h.handle.filter(dry, info, node), undefined);
  h.handle.addPod(dry, info, new PodInfo(victim!), node);
  assert.deepEqual(h.handle.filter(dry, info, node)?.reasons, [SKEWED]);
  assert.deepEqual(h.handle.filter(state, info, h.cache.node('a')!)?.reasons, [SKEWED]);
});
