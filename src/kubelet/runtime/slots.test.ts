import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Slots } from './slots.ts';

test('Slots bound what runs at once; urgent tasks pass those that wait', async () => {
  const slots = new Slots(1);
  const order: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = slots.run(() => gate.promise);
  const rest = [slots.run(async () => void order.push('a')), slots.run(async () => void order.push('b')), slots.run(async () => void order.push('urgent'), { urgent: true })];
  assert.deepEqual(order, []);
  gate.resolve();
  await Promise.all([first, ...rest]);
  assert.deepEqual(order, ['urgent', 'a', 'b']);
});
test('Slots let go of a task whose signal aborts while it waits, and stay usable', async () => {
  const slots = new Slots(1);
  const gate = Promise.withResolvers<void>();
  const first = slots.run(() => gate.promise);
  const abort = new AbortController();
  const second = slots.run(() => Promise.resolve('never'), { signal: abort.signal });
  abort.abort(new Error('no longer wanted'));
  await assert.rejects(second, /no longer wanted/);
  gate.resolve();
  await first;
  assert.equal(await slots.run(() => Promise.resolve(1)), 1);
});
test('Slots are given back by tasks that fail', async () => {
  const slots = new Slots(1);
  await assert.rejects(slots.run(() => Promise.reject(new Error('x'))));
  assert.equal(await slots.run(() => Promise.resolve(2)), 2);
});
