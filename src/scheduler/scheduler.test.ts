import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PODS } from '#client/kinds.ts';
import { internalError } from '#machinery/status-error.ts';
import { makeNode } from './testing/make-node.ts';
import { makePod } from './testing/make-pod.ts';
import { startScheduler } from './testing/running-scheduler.ts';

test('Scheduler binds a Pod that fits and tells so in an event', async () => {
  await using s = await startScheduler([makeNode('node-1').obj()]);
  s.put(makePod('web').req({ cpu: '1' }).obj());
  await s.settle();
  assert.equal(s.nodeOf('web'), 'node-1');
  assert.deepEqual(s.events('web'), ['Scheduled: Successfully assigned default/web to node-1']);
});

test('Scheduler tells why a Pod fits nowhere, in an event and in its condition', async () => {
  await using s = await startScheduler([makeNode('node-1').capacity({ cpu: '1' }).obj()]);
  s.put(makePod('web').req({ cpu: '2' }).obj());
  await s.settle();
  const message = '0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.';
  const { lastTransitionTime, ...condition } = s.scheduledCondition('web')!;
  assert.deepEqual(condition, { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message });
  assert.ok(lastTransitionTime);
  assert.deepEqual(s.events('web'), [`FailedScheduling: ${message}`]);
});

test('Scheduler says so where there is no node, and places the Pod when one comes', async () => {
  await using s = await startScheduler();
  s.put(makePod('web').obj());
  await s.settle();
  assert.deepEqual(s.events('web'), ['FailedScheduling: no nodes available to schedule pods']);
  s.put(makeNode('node-1').obj());
  await s.settle();
  assert.equal(s.nodeOf('web'), 'node-1');
});

test('Scheduler forgets a Pod whose binding failed, and tries again after a back-off', async () => {
  await using s = await startScheduler([makeNode('node-1').capacity({ cpu: '1' }).obj()]);
  let failures = 1;
  s.api.intercept = (call) => {
    if (call.subresource === 'binding' && failures-- > 0) throw internalError('no luck');
  };
  s.put(makePod('web').req({ cpu: '1' }).obj());
  await s.settle();
  assert.equal(s.nodeOf('web'), undefined);
  assert.equal(s.scheduledCondition('web')?.reason, 'SchedulerError');
  await s.clock.advance(1000);
  await s.settle();
  assert.equal(s.nodeOf('web'), 'node-1');
});

test('Scheduler leaves Pods of other schedulers and Pods that have a node alone', async () => {
  await using s = await startScheduler([makeNode('node-1').obj()]);
  s.put(makePod('other').scheduler('mine').obj(), makePod('bound').node('node-1').obj());
  await s.settle();
  assert.equal(s.nodeOf('other'), undefined);
  assert.deepEqual(s.api.calls.filter((c) => c.subresource === 'binding'), []);
});

test('Scheduler keeps a gated Pod until its gates are gone', async () => {
  await using s = await startScheduler([makeNode('node-1').obj()]);
  s.put(makePod('web').gate('example.com/a').obj());
  await s.settle();
  assert.deepEqual([s.nodeOf('web'), s.events('web'), s.scheduler.queue.lengths.gated], [undefined, [], 1]);
  s.put(makePod('web').obj());
  await s.settle();
  assert.equal(s.nodeOf('web'), 'node-1');
});

test('Scheduler takes Pods that come together in order of priority', async () => {
  await using s = await startScheduler([makeNode('node-1').capacity({ cpu: '1' }).obj()]);
  s.put(makePod('low').req({ cpu: '1' }).priority(1).obj(), makePod('high').req({ cpu: '1' }).priority(10).obj());
  await s.settle();
  assert.deepEqual([s.nodeOf('low'), s.nodeOf('high')], [undefined, 'node-1']);
});

test('Scheduler gives the room of a Pod that has ended to one that waits', async () => {
  await using s = await startScheduler([makeNode('node-1').capacity({ cpu: '1' }).obj(), makePod('a').req({ cpu: '1' }).node('node-1').obj()]);
  s.put(makePod('b').req({ cpu: '1' }).obj());
  await s.settle();
  assert.equal(s.nodeOf('b'), undefined);
  s.put(makePod('a').req({ cpu: '1' }).node('node-1').status({ phase: 'Succeeded' }).obj());
  await s.settle();
  assert.equal(s.nodeOf('b'), 'node-1');
  s.api.remove(PODS, 'default/a');
  await s.settle();
});
