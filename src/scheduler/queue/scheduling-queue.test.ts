import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '#api/gen/core-v1.ts';
import { FakeClock } from '#base/fake-clock.ts';
import type { ClusterEvent, EventInterest } from '../framework/events.ts';
import { unresolvable } from '../framework/status.ts';
import { makePod } from '../testing/make-pod.ts';
import { SchedulingQueue, type QueuedPod } from './scheduling-queue.ts';

const NODE_ADDED: ClusterEvent = { resource: 'Node', actions: ['Add'] };
const POD_DELETED: ClusterEvent = { resource: 'AssignedPod', actions: ['Delete'] };
const FIT = new Set(['Fit']);

function setup(interests: EventInterest[] = [{ resource: 'Node', actions: ['Add'] }]): { queue: SchedulingQueue; clock: FakeClock; names: () => string[]; gated: Set<string> } {
  const clock = new FakeClock();
  const gated = new Set<string>();
  const queue = new SchedulingQueue({
    clock, interests: new Map([['Fit', interests], ['Gate', []]]), onReady() {},
    preEnqueue: (pod) => (gated.has(pod.metadata.name!) ? unresolvable('Gate', 'waiting') : undefined),
  });
  const names = () => {
    const out: string[] = [];
    for (let q = queue.pop(); q; q = queue.pop()) out.push(q.info.pod.metadata.name!);
    return out;
  };
  return { queue, clock, names, gated };
}
function refuse(queue: SchedulingQueue, plugins: ReadonlySet<string> = FIT): QueuedPod {
  const queued = queue.pop()!;
  queue.putBack(queued, queued.info.pod, plugins);
  return queued;
}
const pod = (name: string, priority = 0): Pod => makePod(name).priority(priority).obj();

test('SchedulingQueue gives the highest priority first, then what came first', () => {
  const { queue, names } = setup();
  for (const p of [pod('a'), pod('b', 5), pod('c'), pod('d', 5)]) queue.add(p);
  assert.deepEqual(names(), ['b', 'd', 'a', 'c']);
});

test('SchedulingQueue keeps a refused Pod until an event that its plugin names', () => {
  const { queue, names } = setup();
  queue.add(pod('a'));
  refuse(queue);
  queue.move(POD_DELETED);
  assert.deepEqual(queue.lengths, { active: 0, backoff: 0, unschedulable: 1, gated: 0 });
  queue.move(NODE_ADDED);
  // Nothing else is there to do: the back-off does not hold it up.
  assert.equal(queue.lengths.backoff, 1);
  assert.deepEqual(names(), ['a']);
});

test('SchedulingQueue asks the hint of the plugin', () => {
  const { queue } = setup([{ resource: 'Node', actions: ['Add'], hint: (_pod, _old, node) => (node?.metadata.name === 'good' ? 'Queue' : 'Skip') }]);
  queue.add(pod('a'));
  refuse(queue);
  queue.move(NODE_ADDED, undefined, { metadata: { name: 'bad' } });
  assert.equal(queue.lengths.unschedulable, 1);
  queue.move(NODE_ADDED, undefined, { metadata: { name: 'good' } });
  assert.equal(queue.lengths.unschedulable, 0);
});

test('SchedulingQueue lets active Pods go before those in back-off, of whatever priority', () => {
  const { queue, names } = setup();
  queue.add(pod('tried', 100));
  refuse(queue);
  queue.move(NODE_ADDED);
  queue.add(pod('fresh'));
  assert.deepEqual(names(), ['fresh', 'tried']);
});

test('SchedulingQueue backs off from 1 s to 10 s after something broke', async () => {
  const { queue, clock } = setup();
  queue.add(pod('a'));
  for (const seconds of [1, 2, 4, 8, 10, 10]) {
    refuse(queue, new Set());
    await clock.advance(seconds * 1000 - 1);
    assert.deepEqual([queue.lengths.active, queue.pop()], [0, undefined], `before ${seconds} s`);
    await clock.advance(1);
    assert.equal(queue.lengths.active, 1, `after ${seconds} s`);
  }
});

test('SchedulingQueue tries an unschedulable Pod again after five minutes', async () => {
  const { queue, clock } = setup();
  queue.add(pod('a'));
  refuse(queue);
  await clock.advance(299_000);
  assert.equal(queue.lengths.active, 0);
  await clock.advance(31_000);
  assert.equal(queue.lengths.active, 1);
  assert.equal(clock.timers, 0);
});

test('SchedulingQueue counts no hours that the clock was set forward or back by', async () => {
  for (const jump of [3_600_000, -3_600_000]) {
    const { queue, clock } = setup();
    queue.add(pod('a'));
    refuse(queue);
    clock.jump(jump);
    await clock.advance(60_000);
    assert.equal(queue.lengths.active, 0);
    await clock.advance(270_000);
    assert.equal(queue.lengths.active, 1);
  }
});

test('SchedulingQueue keeps gated Pods apart, and looks again when they change', () => {
  const { queue, names, gated } = setup();
  gated.add('a');
  queue.add(pod('a'));
  queue.move(NODE_ADDED);
  assert.deepEqual(queue.lengths, { active: 0, backoff: 0, unschedulable: 0, gated: 1 });
  gated.clear();
  queue.update(pod('a'), pod('a'), []);
  assert.deepEqual(names(), ['a']);
});

test('SchedulingQueue gates a Pod on its way back, too', () => {
  const { queue, names, gated } = setup();
  queue.add(pod('a'));
  refuse(queue);
  gated.add('a');
  queue.move(NODE_ADDED);
  assert.deepEqual([names(), queue.lengths.gated], [[], 1]);
  gated.clear();
  queue.reconsider('a');
  assert.deepEqual(names(), ['a']);
});

test('SchedulingQueue takes changes of a waiting Pod in, wherever it waits', () => {
  const { queue } = setup([{ resource: 'TargetPod', actions: ['UpdateToleration'] }]);
  queue.add(pod('a'));
  queue.update(pod('a'), pod('a', 9), []);
  assert.equal(queue.lengths.active, 1);
  const queued = refuse(queue);
  assert.equal(queued.info.priority, 9);
  queue.update(pod('a', 9), pod('a', 9), [{ resource: 'TargetPod', actions: ['UpdateLabel'] }]);
  assert.equal(queue.lengths.unschedulable, 1);
  queue.update(pod('a', 9), pod('a', 9), [{ resource: 'TargetPod', actions: ['UpdateToleration'] }]);
  assert.equal(queue.lengths.unschedulable, 0);
});

test('SchedulingQueue forgets deleted Pods and sets no timer after close', async () => {
  const { queue, clock } = setup();
  for (const name of ['a', 'b']) queue.add(pod(name));
  refuse(queue, new Set());
  refuse(queue);
  queue.delete('a');
  queue.delete('b');
  assert.deepEqual(queue.lengths, { active: 0, backoff: 0, unschedulable: 0, gated: 0 });
  queue.close();
  assert.equal(clock.timers, 0);
});
