import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PodDisruptionBudget } from '#api/gen/policy-v1.ts';
import { PODS } from '#client/kinds.ts';
import { notFound } from '#machinery/status-error.ts';
import { CycleState } from '../framework/cycle-state.ts';
import { PodInfo } from '../framework/pod-info.ts';
import { messageOf } from '../framework/status.ts';
import { makeNode, type NodeBuilder } from '../testing/make-node.ts';
import { makePod, type PodBuilder } from '../testing/make-pod.ts';
import { PluginHarness } from '../testing/plugin-harness.ts';
import { startScheduler } from '../testing/running-scheduler.ts';
import { newDefaultPreemption } from './default-preemption.ts';
import { newNodeResourcesFit } from './node-resources-fit.ts';
import { pickCandidate, selectVictims } from './preemption-victims.ts';

const node = (name: string, cpu = '4'): NodeBuilder => makeNode(name).capacity({ cpu });
const victim = (name: string, cpu: string, priority: number, on = 'a', started = '2026-01-01T00:00:00Z'): PodBuilder => makePod(name).req({ cpu }).priority(priority).node(on).startTime(started);
function harness(pods: readonly PodBuilder[], nodes: readonly NodeBuilder[] = [node('a')], budgets: readonly PodDisruptionBudget[] = []): PluginHarness {
  return new PluginHarness(newDefaultPreemption, { nodes: nodes.map((n) => n.obj()), pods: pods.map((p) => p.obj()), objects: { podDisruptionBudgets: budgets } }, [new PluginHarness(newNodeResourcesFit).plugin]);
}
const budget = (app: string, disruptionsAllowed: number, disruptedPods: Record<string, string> = {}): PodDisruptionBudget =>
  ({ metadata: { name: app, namespace: 'default' }, spec: { selector: { matchLabels: { app } } }, status: { disruptionsAllowed, disruptedPods } });

const table: readonly [name: string, preemptor: PodBuilder, pods: PodBuilder[], budgets: PodDisruptionBudget[], want: { victims: string[]; violations: number } | string][] = [
  ['nobody of lower priority', makePod('p').req({ cpu: '2' }).priority(10), [victim('x', '4', 10)], [], 'No preemption victims found for incoming pod'],
  ['all of them are not enough', makePod('p').req({ cpu: '3' }).priority(10), [victim('x', '2', 0), victim('y', '2', 10)], [], 'Insufficient cpu'],
  ['the least important goes', makePod('p').req({ cpu: '2' }).priority(10), [victim('x', '2', 5), victim('y', '2', 1)], [], { victims: ['y'], violations: 0 }],
  ['of equals the youngest goes', makePod('p').req({ cpu: '2' }).priority(10), [victim('x', '2', 1, 'a', '2026-01-02T00:00:00Z'), victim('y', '2', 1)], [], { victims: ['x'], violations: 0 }],
  ['small ones stay where they can', makePod('p').req({ cpu: '3' }).priority(10), [victim('x', '3', 5), victim('y', '1', 1)], [], { victims: ['x'], violations: 0 }],
  ['a budget protects', makePod('p').req({ cpu: '2' }).priority(10), [victim('x', '2', 5).label('app', 'x'), victim('y', '2', 1).label('app', 'y')], [budget('y', 0)], { victims: ['x'], violations: 0 }],
  ['a budget gives way when it must', makePod('p').req({ cpu: '4' }).priority(10), [victim('x', '2', 5).label('app', 'x'), victim('y', '2', 1).label('app', 'y')], [budget('y', 0)], { victims: ['x', 'y'], violations: 1 }],
  ['a budget that allows one', makePod('p').req({ cpu: '4' }).priority(10), [victim('x', '2', 5).label('app', 'y'), victim('y', '2', 1).label('app', 'y')], [budget('y', 1)], { victims: ['x', 'y'], violations: 1 }],
  ['a Pod that its budget has let go', makePod('p').req({ cpu: '4' }).priority(10), [victim('y', '4', 1).label('app', 'y')], [budget('y', 0, { y: '2026-01-01T00:00:00Z' })], { victims: ['y'], violations: 0 }],
];
for (const [name, preemptor, pods, budgets, want] of table) {
  test(`selectVictims: ${name}`, () => {
    const h = harness(pods);
    const info = new PodInfo(preemptor.obj());
    const found = selectVictims(h.handle, new CycleState(), info, h.cache.node('a')!, budgets);
    if ('victims' in found) assert.deepEqual({ victims: found.victims.map((v) => v.pod.metadata.name), violations: found.violations }, want);
    else assert.equal(messageOf(found), want);
    assert.equal(h.cache.node('a')!.pods.size, pods.length);
  });
}

const choices: readonly [name: string, a: [priority: number, started?: string][], b: [priority: number, started?: string][], violations: [number, number], want: string][] = [
  ['fewer violations', [[1]], [[9], [9]], [1, 0], 'b'],
  ['the lower most important victim', [[5]], [[4], [4]], [0, 0], 'b'],
  ['the lower sum', [[5], [4]], [[5], [3]], [0, 0], 'b'],
  ['fewer victims of negative priority', [[-5], [-5]], [[-5]], [0, 0], 'b'],
  ['the one that started later', [[5, '2026-01-01T00:00:00Z']], [[5, '2026-01-03T00:00:00Z']], [0, 0], 'b'],
  ['the first of equals', [[5]], [[5]], [0, 0], 'a'],
];
for (const [name, a, b, [va, vb], want] of choices) {
  test(`pickCandidate prefers ${name}`, () => {
    const h = harness([], [node('a'), node('b')]);
    const of = (on: string, victims: [number, string?][], violations: number) =>
      ({ node: h.cache.node(on)!, victims: victims.map(([priority, started], i) => new PodInfo(victim(`${on}${i}`, '1', priority, on, started).obj())), violations });
    assert.equal(pickCandidate([of('a', a, va), of('b', b, vb)])?.node.name, want);
  });
}

test('DefaultPreemption tells why it does not help, node by node', async () => {
  await using s = await startScheduler([node('a', '1').obj(), node('b').obj(), node('c').obj(), victim('x', '4', 5, 'b').obj(), victim('y', '4', 5, 'c').obj(), victim('z', '1', 0, 'a').obj()]);
  s.put(makePod('p').req({ cpu: '2' }).priority(5).obj());
  await s.settle();
  assert.deepEqual(s.events('p'), ['FailedScheduling: 0/3 nodes are available: 3 Insufficient cpu. no new claims to deallocate, preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod.']);
});

test('DefaultPreemption deletes the victim, nominates the node and gives it to the Pod', async () => {
  await using s = await startScheduler([node('a').obj(), victim('low', '4', 0).obj()]);
  let stop = true;
  s.api.intercept = (call) => {
    // A Pod that ends in its own time: its deletion is only marked.
    if (call.verb !== 'delete' || !stop) return;
    stop = false;
    const pod = s.pod('low')!;
    s.api.put(PODS, { ...pod, metadata: { ...pod.metadata, deletionTimestamp: '2026-01-02T03:04:05Z' } });
    throw notFound({ group: '', resource: 'pods' }, 'low');
  };
  s.put(makePod('high').uid('u-high').req({ cpu: '4' }).priority(100).obj());
  await s.settle();
  assert.equal(s.pod('high')?.status?.nominatedNodeName, 'a');
  assert.deepEqual(s.pod('low')?.status?.conditions?.map((c) => [c.type, c.status, c.reason, c.message]), [
    ['DisruptionTarget', 'True', 'PreemptionByScheduler', 'default-scheduler: preempting to accommodate a higher priority pod'],
  ]);
  // Nobody else takes the room meanwhile.
  s.put(makePod('middle').req({ cpu: '2' }).priority(50).obj());
  await s.settle();
  s.api.remove(PODS, 'default/low');
  await s.settle();
  assert.deepEqual([s.nodeOf('high'), s.nodeOf('middle')], ['a', undefined]);
});

test('DefaultPreemption tells the victim who took its place', async () => {
  await using s = await startScheduler([node('a').obj(), victim('low', '4', 0).obj()]);
  s.put(makePod('high').uid('u-high').req({ cpu: '4' }).priority(100).obj());
  await s.settle();
  assert.deepEqual(s.events('low'), ['Preempted: Preempted by pod u-high on node a']);
  assert.deepEqual([s.pod('low'), s.nodeOf('high')], [undefined, 'a']);
});

test('DefaultPreemption leaves Pods alone for one that does not preempt', async () => {
  await using s = await startScheduler([node('a').obj(), victim('low', '4', 0).obj()]);
  s.put(makePod('high').req({ cpu: '4' }).priority(100).preemptionPolicy('Never').obj());
  await s.settle();
  assert.deepEqual(s.events('high'), ['FailedScheduling: 0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: not eligible due to preemptionPolicy=Never.']);
  assert.equal(s.nodeOf('low'), 'a');
});
