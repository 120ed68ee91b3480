import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Namespace } from '#api/gen/core-v1.ts';
import { CycleState } from '../framework/cycle-state.ts';
import { PodInfo } from '../framework/pod-info.ts';
import { makeNode } from '../testing/make-node.ts';
import { makePod, type PodBuilder } from '../testing/make-pod.ts';
import { PluginHarness } from '../testing/plugin-harness.ts';
import { newInterPodAffinity } from './inter-pod-affinity.ts';

const AFFINITY = "node(s) didn't match pod affinity rules";
const ANTI = "node(s) didn't match pod anti-affinity rules";
const EXISTING = "node(s) didn't satisfy existing pods anti-affinity rules";
const ZONE = 'topology.kubernetes.io/zone';
const HOST = 'kubernetes.io/hostname';
const nodes = [makeNode('a').zone('z1').obj(), makeNode('b').zone('z1').obj(), makeNode('c').zone('z2').obj()];
const db = { app: 'db' };
const there = (name: string, node = 'a') => makePod(name).label('app', name).node(node);
const namespaces: Namespace[] = [{ metadata: { name: 'other', labels: { team: 'x' } }, spec: {} }, { metadata: { name: 'default', labels: {} }, spec: {} }];

const table: readonly [name: string, pod: PodBuilder, pods: PodBuilder[], want: [a: string, b: string, c: string]][] = [
  ['affinity by zone', makePod('p').podAffinity(ZONE, db), [there('db')], ['', '', AFFINITY]],
  ['affinity by host', makePod('p').podAffinity(HOST, db), [there('db')], ['', AFFINITY, AFFINITY]],
  ['affinity to nobody', makePod('p').podAffinity(ZONE, db), [there('web')], [AFFINITY, AFFINITY, AFFINITY]],
  ['the first of a group', makePod('p').label('app', 'db').podAffinity(ZONE, db), [], ['', '', '']],
  ['affinity to another namespace is none', makePod('p').podAffinity(ZONE, db), [there('db').namespace('other')], [AFFINITY, AFFINITY, AFFINITY]],
  ['a namespace that is named', makePod('p').podAffinity(ZONE, db, { namespaces: ['other'] }), [there('db').namespace('other')], ['', '', AFFINITY]],
  ['a namespace that is selected', makePod('p').podAffinity(ZONE, db, { namespaceSelector: { matchLabels: { team: 'x' } } }), [there('db').namespace('other')], ['', '', AFFINITY]],
  ['all namespaces', makePod('p').podAffinity(ZONE, db, { namespaceSelector: {} }), [there('db').namespace('other')], ['', '', AFFINITY]],
  ['anti-affinity by zone', makePod('p').podAntiAffinity(ZONE, db), [there('db')], [ANTI, ANTI, '']],
  ['anti-affinity by host', makePod('p').podAntiAffinity(HOST, db), [there('db')], [ANTI, '', '']],
  ['anti-affinity of those that are there', makePod('p').label('app', 'web'), [there('db').podAntiAffinity(ZONE, { app: 'web' })], [EXISTING, EXISTING, '']],
  ['affinity and anti-affinity', makePod('p').podAffinity(ZONE, db).podAntiAffinity(HOST, { app: 'web' }), [there('db'), there('web')], [ANTI, '', AFFINITY]],
];
for (const [name, pod, pods, [a, b, c]] of table) {
  test(`InterPodAffinity filters: ${name}`, () => {
    const h = new PluginHarness(newInterPodAffinity, { nodes, pods: pods.map((p) => p.obj()), objects: { namespaces } });
    const want = { a, b, c };
    assert.deepEqual(h.filter(pod.obj()), want);
  });
}

test('InterPodAffinity scores by the preferences of the Pod and of those that are there', () => {
  const prefer = (weight: number, topologyKey: string, app: string) => ({ weight, podAffinityTerm: { topologyKey, labelSelector: { matchLabels: { app } } } });
  const own = makePod('p').affinity({
    podAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [prefer(10, HOST, 'db')] }, podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [prefer(10, ZONE, 'noisy')] },
  });
  const h = new PluginHarness(newInterPodAffinity, { nodes, pods: [there('db', 'b').obj(), there('noisy', 'c').obj()], objects: { namespaces } });
  assert.deepEqual(h.scores(own.obj()), { a: 50, b: 100, c: 0 });
  const wanted = there('db', 'c').affinity({ podAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [prefer(5, ZONE, 'web')] } });
  const symmetric = new PluginHarness(newInterPodAffinity, { nodes, pods: [wanted.obj()], objects: { namespaces } });
  assert.deepEqual(symmetric.scores(makePod('p').label('app', 'web').obj()), { a: 0, b: 0, c: 100 });
  assert.equal(symmetric.scores(makePod('p').label('app', 'other').obj()), undefined);
});

test('InterPodAffinity keeps its counts right when a dry run takes a Pod away and puts it back', () => {
  const victim = there('db').podAntiAffinity(ZONE, { app: 'web' }).obj();
  const h = new PluginHarness(newInterPodAffinity, { nodes, pods: [victim], objects: { namespaces } });
  const info = new PodInfo(makePod('p').label('app', 'web').podAntiAffinity(ZONE, db).obj());
  const state = new CycleState();
  h.framework.preFilter(state, info, nodes.map((n) => h.cache.node(n.metadata.name!)!));
  const node = h.cache.node('a')!.clone();
  h.handle.removePod(state, info, new PodInfo(victim), node);
  assert.equal(h.handle.filter(state, info, node), undefined);
  h.handle.addPod(state, info, new PodInfo(victim), node);
  assert.deepEqual(h.handle.filter(state, info, node)?.reasons, [ANTI]);
});

test('InterPodAffinity wakes a Pod for Pods that its terms, or theirs, speak of', () => {
  const h = new PluginHarness(newInterPodAffinity, { nodes, objects: { namespaces } });
  const hint = h.plugin.events!().find((e) => e.resource === 'AssignedPod')!.hint!;
  const pod = makePod('p').label('app', 'web').podAffinity(ZONE, db).obj();
  assert.equal(hint(pod, undefined, there('db').obj()), 'Queue');
  assert.equal(hint(pod, undefined, there('cache').obj()), 'Skip');
  assert.equal(hint(pod, there('x').podAntiAffinity(ZONE, { app: 'web' }).obj(), undefined), 'Queue');
});
