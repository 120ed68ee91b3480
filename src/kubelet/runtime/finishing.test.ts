import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '#base/fake-clock.ts';
import { finishing } from './finishing.ts';

test('finishing waits for the call although its outcome is no longer wanted', async () => {
  const clock = new FakeClock();
  const abort = new AbortController();
  const call = Promise.withResolvers<string>();
  const work = finishing(clock, call.promise, abort.signal);
  abort.abort(new Error('the pod is to end'));
  await clock.advance(5000);
  call.resolve('done');
  assert.equal(await work, 'done');
  await clock.advance(0);
  assert.equal(clock.timers, 0);
});
test('finishing gives up a call that does not end', async () => {
  const clock = new FakeClock();
  const abort = new AbortController();
  const work = finishing(clock, new Promise(() => {}), abort.signal);
  abort.abort(new Error('the pod is to end'));
  const rejected = assert.rejects(work, /the pod is to end/);
  await clock.advance(10_000);
  await rejected;
});
test('finishing passes on failures, and leaves no timer', async () => {
  const clock = new FakeClock();
  await assert.rejects(finishing(clock, Promise.reject(new Error('no')), new AbortController().signal), /no/);
  assert.equal(await finishing(clock, Promise.resolve(1), new AbortController().signal), 1);
  await clock.advance(0);
  assert.equal(clock.timers, 0);
});
