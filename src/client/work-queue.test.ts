import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '#base/fake-clock.ts';
import { WorkQueue } from './work-queue.ts';

test('WorkQueue hands out a key once however often it was added', async () => {
  const queue = new WorkQueue({ clock: new FakeClock() });
  queue.add('a');
  queue.add('a');
  queue.add('b');
  assert.equal(await queue.next(), 'a');
  assert.equal(await queue.next(), 'b');
  assert.equal(queue.length, 0);
});

test('WorkQueue brings a key back after its work when it was added meanwhile', async () => {
  const queue = new WorkQueue({ clock: new FakeClock() });
  queue.add('a');
  assert.equal(await queue.next(), 'a');
  queue.add('a');
  const next = queue.next();
  queue.done('a');
  assert.equal(await next, 'a');
  queue.done('a');
  assert.equal(queue.idle, true);
});

test('WorkQueue doubles the delay of each retry up to its limit and forgets on success', async () => {
  const clock = new FakeClock();
  const queue = new WorkQueue({ clock, baseDelayMs: 10, maxDelayMs: 30 });
  const delays: number[] = [];
  for (let i = 0; i < 4; i++) {
    const before = clock.now();
    queue.addRateLimited('a');
    const next = queue.next();
    while (queue.length === 0 && clock.timers > 0) await clock.advance(10);
    await next;
    queue.done('a');
    delays.push(clock.now() - before);
  }
  assert.deepEqual(delays, [10, 20, 30, 30]);
  queue.forget('a');
  assert.equal(queue.failures('a'), 0);
});

test('WorkQueue keeps the earlier of two times', async () => {
  const clock = new FakeClock();
  const queue = new WorkQueue({ clock });
  queue.addAfter('a', 100);
  queue.addAfter('a', 500);
  await clock.advance(100);
  assert.equal(queue.length, 1);
  assert.equal(clock.timers, 0);
});

test('WorkQueue brings a time forward however the clock was set meanwhile', async () => {
  const clock = new FakeClock();
  const queue = new WorkQueue({ clock });
  queue.addAfter('a', 300_000);
  clock.jump(3_600_000);
  queue.addAfter('a', 1000);
  await clock.advance(1000);
  assert.equal(queue.length, 1);
});

test('WorkQueue ends its waiters when closed', async () => {
  const queue = new WorkQueue({ clock: new FakeClock() });
  const next = queue.next();
  queue.close();
  assert.equal(await next, undefined);
});
