import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NODES, PODS } from '#client/kinds.ts';
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

test('Scheduler writes the condition of a Pod before it binds it, however soon a node comes', async () => {
  await using s = await startScheduler();
  const order: string[] = [];
  const writing = Promise.withResolvers<void>();
  s.api.intercept = async (call) => {
    if (call.resource.plural !== 'pods' || !call.subresource) return;
    order.push(call.subresource);
    if (call.subresource === 'status') await writing.promise;
  };
  s.put(makePod('web').obj());
  await s.settle();
  s.put(makeNode('node-1').obj());
  await s.settle();
  assert.deepEqual([order, s.nodeOf('web')], [['status'], undefined]);
  writing.resolve();
  await s.settle();
  assert.deepEqual([order, s.nodeOf('web'), s.scheduledCondition('web')?.status], [['status', 'binding'], 'node-1', 'True']);
});

test('Scheduler tries again without writing a condition that is there already', async () => {
  await using s = await startScheduler([makeNode('node-1').unschedulable().obj()]);
  s.put(makePod('web').obj());
  await s.settle();
  const { status } = s.pod('web')!;
  await s.clock.advance(60_000);
  s.put(makePod('web').toleration({ key: 'x', operator: 'Exists' }).status(status!).obj());
  await s.settle();
  assert.equal(s.api.calls.filter((c) => c.resource.plural === 'events').length, 2);
  assert.equal(s.api.calls.filter((c) => c.subresource === 'status').length, 1);
});

test('Scheduler skips a Pod that is being deleted, and says so', async () => {
  await using s = await startScheduler([makeNode('node-1').obj()]);
  s.put(makePod('web').terminating().obj());
  await s.settle();
  assert.deepEqual([s.events('web'), s.nodeOf('web')], [['FailedScheduling: skip schedule deleting pod: default/web'], undefined]);
});

test('Scheduler takes back the room of an assumed Pod that was deleted before it was bound', async () => {
  await using s = await startScheduler([makeNode('node-1').capacity({ cpu: '1' }).obj()]);
  const binding = Promise.withResolvers<void>();
  s.api.intercept = (call) => (call.subresource === 'binding' && call.name === 'a' ? binding.promise : undefined);
  s.put(makePod('a').req({ cpu: '1' }).obj());
  await s.settle();
  s.put(makePod('b').req({ cpu: '1' }).obj());
  await s.settle();
  assert.equal(s.nodeOf('b'), undefined);
  s.api.remove(PODS, 'default/a');
  await s.settle();
  binding.resolve();
  await s.settle();
  assert.equal(s.nodeOf('b'), 'node-1');
});

test('Scheduler tells a Pod from an earlier one of the same name', async () => {
  await using s = await startScheduler([makeNode('node-1').capacity({ cpu: '1' }).obj(), makePod('a').uid('one').req({ cpu: '1' }).node('node-1').obj()]);
  s.put(makePod('a').uid('two').req({ cpu: '1' }).obj());
  await s.settle();
  assert.equal(s.nodeOf('a'), 'node-1');
  assert.deepEqual([...s.scheduler.cache.node('node-1')!.pods.keys()], ['two']);
});

test('Scheduler brings Pods back for what has changed in the cluster', async (t) => {
  const waiting = makePod('web').req({ cpu: '2' }).nodeSelector({ disk: 'ssd' }).obj();
  const start = () => startScheduler([makeNode('node-1').capacity({ cpu: '1' }).obj(), waiting]);
  await t.test('not for a heartbeat', async () => {
    await using s = await start();
    const before = s.events('web').length;
    s.put(makeNode('node-1').capacity({ cpu: '1' }).image('new:1', 1).obj());
    await s.settle();
    assert.equal(s.events('web').length, before);
  });
  await t.test('for a label, which leads to the next reason', async () => {
    await using s = await start();
    s.put(makeNode('node-1').capacity({ cpu: '1' }).label('disk', 'ssd').obj());
    await s.settle();
    assert.match(s.scheduledCondition('web')?.message ?? '', /1 Insufficient cpu/);
    s.put(makeNode('node-1').capacity({ cpu: '2' }).label('disk', 'ssd').obj());
    await s.settle();
    assert.equal(s.nodeOf('web'), 'node-1');
  });
});

test('Scheduler stops without leaving timers', async () => {
  const s = await startScheduler([makeNode('node-1').capacity({ cpu: '1' }).obj()]);
  s.put(makePod('web').req({ cpu: '2' }).obj());
  await s.settle();
  await s.scheduler.stop();
  await s.scheduler.stop();
  assert.equal(s.clock.timers, 0);
});

test('Scheduler gives a Pod that spreads another chance when a domain goes', async () => {
  const spread = (name: string) => makePod(name).label('app', 'web').spread('topology.kubernetes.io/zone', 1, 'DoNotSchedule', { matchLabels: { app: 'web' } });
  const nodes = [makeNode('node-1').zone('a').obj(), makeNode('node-2').zone('b').capacity({ pods: '0' }).obj()];
  await using s = await startScheduler([...nodes, spread('one').node('node-1').obj()]);
  s.put(spread('two').obj());
  await s.settle();
  assert.equal(s.nodeOf('two'), undefined);
  s.api.remove(NODES, 'node-2');
  await s.settle();
  assert.equal(s.nodeOf('two'), 'node-1');
});
