import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SchedulerCache } from './cache/cache.ts';
import { CycleState } from './framework/cycle-state.ts';
import { fitErrorMessage } from './framework/fit-error.ts';
import { Framework } from './framework/framework.ts';
import type { Plugin } from './framework/plugin.ts';
import { PodInfo } from './framework/pod-info.ts';
import { unresolvable, unschedulable } from './framework/status.ts';
import { Nominator } from './queue/nominator.ts';
import { feasibleNodesToFind, NodeChooser } from './schedule.ts';
import { makeNode } from './testing/make-node.ts';
import { makePod } from './testing/make-pod.ts';

function chooser(plugins: readonly Plugin[], nodeNames: readonly string[], random: () => number = () => 0.5): { choose: (pod?: PodInfo) => ReturnType<NodeChooser['choose']> } {
  const cache = new SchedulerCache();
  for (const name of nodeNames) cache.setNode(makeNode(name).obj());
  const made = new NodeChooser(new Framework(plugins.map((plugin) => ({ plugin, weight: 1 })), new Nominator()), random);
  return { choose: (pod = new PodInfo(makePod('p').obj())) => made.choose(new CycleState(), pod, cache.snapshot()) };
}
const names = (count: number) => Array.from({ length: count }, (_, i) => `n${i}`);

test('feasibleNodesToFind is all of a small cluster and a falling share of a big one', () => {
  assert.deepEqual([10, 99, 100, 150, 1000, 5000, 10_000].map(feasibleNodesToFind), [10, 99, 100, 100, 420, 500, 500]);
});

test('NodeChooser looks at no more nodes than it needs, and goes on from there the next time', () => {
  const seen: string[] = [];
  const { choose } = chooser([{ name: 'Fits', filter: (_s, _p, node) => void seen.push(node.name) }], names(300));
  choose();
  assert.deepEqual([seen.length, seen[0], seen.at(-1)], [144, 'n0', 'n143']);
  seen.length = 0;
  choose();
  assert.equal(seen[0], 'n144');
});

test('NodeChooser gives equal nodes equal chances', () => {
  let seed = 7;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  const { choose } = chooser([{ name: 'Same', score: () => 1 }], names(4), random);
  const counts = new Map<string, number>();
  for (let i = 0; i < 4000; i++) {
    const result = choose();
    assert.equal(result.kind, 'node');
    if (result.kind === 'node') counts.set(result.nodeName, (counts.get(result.nodeName) ?? 0) + 1);
  }
  for (const name of names(4)) assert.ok(Math.abs(counts.get(name)! - 1000) < 120, `${name}: ${counts.get(name)}`);
});

test('NodeChooser tries the nominated node first', () => {
  const { choose } = chooser([{ name: 'Score', score: (_s, _p, node) => (node.name === 'n0' ? 9 : 0) }], names(3));
  assert.deepEqual(choose(new PodInfo(makePod('p').nominated('n2').obj())), { kind: 'node', nodeName: 'n2' });
  assert.deepEqual(choose(), { kind: 'node', nodeName: 'n0' });
});

test('fitErrorMessage counts the reasons of all nodes, in order', () => {
  const bad = unschedulable('B', 'b', 'c');
  const { choose } = chooser([{ name: 'B', filter: (_s, _p, node) => (node.name === 'n0' ? unresolvable('B', 'a') : bad) }], names(3));
  const result = choose();
  assert.ok(result.kind === 'unfit');
  assert.equal(fitErrorMessage(3, result.diagnosis), '0/3 nodes are available: 1 a, 2 b, 2 c.');
  assert.deepEqual([...result.diagnosis.plugins], ['B']);
});

test('fitErrorMessage tells of nodes that a plugin has left out before any filter ran', () => {
  const { choose } = chooser([{ name: 'Named', preFilter: () => ({ nodeNames: new Set(['n1']) }), filter: () => unschedulable('Named', 'full') }], names(3));
  const result = choose();
  assert.ok(result.kind === 'unfit');
  assert.equal(fitErrorMessage(3, result.diagnosis), "0/3 nodes are available: 1 full, 2 node(s) didn't satisfy plugin(s) [Named].");
});

test('Framework counts Pods that are nominated for a node as if they were there', () => {
  const cache = new SchedulerCache();
  cache.setNode(makeNode('a').obj());
  const nominator = new Nominator();
  nominator.set(new PodInfo(makePod('n').priority(5).obj()), 'a');
  const framework = new Framework([{ plugin: { name: 'Alone', filter: (_s, _p, node) => (node.pods.size > 0 ? unschedulable('Alone', 'taken') : undefined) }, weight: 0 }], nominator);
  const run = (priority: number) => framework.filters(new CycleState(), new PodInfo(makePod('p').priority(priority).obj()))(cache.node('a')!)?.reasons;
  assert.deepEqual([run(5), run(6)], [['taken'], undefined]);
  assert.equal(cache.node('a')!.pods.size, 0);
});
