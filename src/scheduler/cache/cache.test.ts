import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PodInfo } from '../framework/pod-info.ts';
import { makeNode } from '../testing/make-node.ts';
import { makePod } from '../testing/make-pod.ts';
import { SchedulerCache } from './cache.ts';

const web = () => makePod('web').req({ cpu: '500m', memory: '1Gi', 'example.com/gpu': '1' }).hostPort(80).pvc('data').label('app', 'web');
function sums(cache: SchedulerCache, name: string): unknown[] {
  const n = cache.node(name)!;
  return [n.pods.size, n.requestedMilliCPU, n.requestedMemory, n.requestedOther.get('example.com/gpu') ?? 0, n.claims.get('default/data') ?? 0, n.groups.size, n.ports.conflicts([{ ip: '0.0.0.0', protocol: 'TCP', port: 80 }])];
}
const EMPTY = [0, 0, 0, 0, 0, 0, false];
const FULL = [1, 500, 2 ** 30, 1, 1, 1, true];

test('SchedulerCache counts an assumed Pod until it is forgotten', () => {
  const cache = new SchedulerCache();
  cache.setNode(makeNode('a').obj());
  cache.assume(new PodInfo(web().obj()), 'a');
  assert.deepEqual([sums(cache, 'a'), cache.isAssumed('web')], [FULL, true]);
  cache.forget('web');
  assert.deepEqual([sums(cache, 'a'), cache.isAssumed('web')], [EMPTY, false]);
});

test('SchedulerCache confirms an assumed Pod, even on another node, and then does not forget it', () => {
  const cache = new SchedulerCache();
  for (const name of ['a', 'b']) cache.setNode(makeNode(name).obj());
  cache.assume(new PodInfo(web().obj()), 'a');
  cache.setPod(web().node('b').obj());
  cache.forget('web');
  assert.deepEqual([sums(cache, 'a'), sums(cache, 'b'), cache.isAssumed('web')], [EMPTY, FULL, false]);
  cache.removePod('web');
  assert.deepEqual(sums(cache, 'b'), EMPTY);
});

test('SchedulerCache keeps Pods of nodes that are not known yet, or not any more', () => {
  const cache = new SchedulerCache();
  cache.setPod(web().node('a').obj());
  assert.deepEqual([cache.nodeCount, cache.node('a'), cache.snapshot().nodes.length], [0, undefined, 0]);
  cache.setNode(makeNode('a').obj());
  assert.deepEqual([cache.snapshot().nodes.length, sums(cache, 'a')], [1, FULL]);
  cache.removeNode('a');
  assert.deepEqual([cache.snapshot().nodes.length, cache.snapshot().get('a')], [0, undefined]);
  cache.setNode(makeNode('a').obj());
  assert.deepEqual(sums(cache, 'a'), FULL);
});

test('SchedulerCache takes nodes of all zones in turn', () => {
  const cache = new SchedulerCache();
  for (const [name, zone] of [['a1', 'a'], ['a2', 'a'], ['a3', 'a'], ['b1', 'b'], ['c1', 'c']] as const) cache.setNode(makeNode(name).zone(zone).obj());
  assert.deepEqual(cache.snapshot().nodes.map((n) => n.name), ['a1', 'b1', 'c1', 'a2', 'a3']);
  cache.setNode(makeNode('a1').zone('d').obj());
  assert.deepEqual(cache.snapshot().nodes.map((n) => n.name), ['a2', 'b1', 'c1', 'a1', 'a3']);
});

test('SchedulerCache gives the same snapshot while no node comes or goes', () => {
  const cache = new SchedulerCache();
  cache.setNode(makeNode('a').obj());
  const { nodes } = cache.snapshot();
  cache.setPod(web().node('a').obj());
  cache.setNode(makeNode('a').capacity({ cpu: '8' }).obj());
  assert.equal(cache.snapshot().nodes, nodes);
  assert.equal(nodes[0]!.allocatableMilliCPU, 8000);
});

test('SchedulerCache knows the nodes that have Pods with affinity', () => {
  const cache = new SchedulerCache();
  cache.setNode(makeNode('a').obj());
  const names = () => [Array.from(cache.snapshot().nodesWithScoringTerms, (n) => n.name), Array.from(cache.snapshot().nodesWithRequiredAntiAffinity, (n) => n.name)];
  cache.setPod(makePod('x').podAffinity('zone', { app: 'db' }).node('a').obj());
  assert.deepEqual(names(), [['a'], []]);
  cache.setPod(makePod('y').podAntiAffinity('zone', { app: 'db' }).node('a').obj());
  cache.removePod('x');
  assert.deepEqual(names(), [[], ['a']]);
});

test('SchedulerCache counts the nodes that have an image', () => {
  const cache = new SchedulerCache();
  for (const name of ['a', 'b']) cache.setNode(makeNode(name).image('web:1', 100).obj());
  assert.equal(cache.node('a')!.images.get('web:1')?.nodes.size, 2);
  cache.removeNode('b');
  assert.equal(cache.node('a')!.images.get('web:1')?.nodes.size, 1);
});
