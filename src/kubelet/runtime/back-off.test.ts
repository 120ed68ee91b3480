import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '#base/fake-clock.ts';
import { BackOff } from './back-off.ts';

test('BackOff doubles up to its limit', async () => {
  const clock = new FakeClock();
  const backOff = new BackOff(clock);
  const delays: number[] = [];
  for (let i = 0; i < 7; i++) {
    backOff.next('a', clock.now());
    delays.push(backOff.get('a') / 1000);
    await clock.advance(backOff.get('a'));
  }
  assert.deepEqual(delays, [10, 20, 40, 80, 160, 300, 300]);
});
test('BackOff counts from the end of the run, and starts anew after a long good one', async () => {
  const clock = new FakeClock();
  const backOff = new BackOff(clock);
  assert.equal(backOff.remaining('a', clock.now()), 0);
  backOff.next('a', clock.now());
  await clock.advance(4000);
  const ended = clock.now();
  await clock.advance(1000);
  assert.equal(backOff.remaining('a', ended), 9000);
  assert.equal(backOff.remaining('b', ended), 0);
  await clock.advance(601_000);
  assert.equal(backOff.remaining('a', clock.now()), 0);
  backOff.next('a', clock.now());
  assert.equal(backOff.get('a'), 10_000);
});
test('BackOff.forget drops the keys of a Pod', () => {
  const backOff = new BackOff(new FakeClock());
  backOff.next('uid_a', 0);
  backOff.next('other_a', 0);
  backOff.forget('uid_');
  assert.deepEqual([backOff.get('uid_a'), backOff.get('other_a')], [0, 10_000]);
});
test('BackOff lasts as long as it says when the clock is set forward or back', async () => {
  for (const jump of [-86_400_000, -3_600_000, 3_600_000]) {
    const clock = new FakeClock();
    const backOff = new BackOff(clock);
    backOff.next('a', clock.now());
    const ended = clock.now();
    assert.equal(backOff.remaining('a', ended), 10_000);
    clock.jump(jump);
    await clock.advance(4000);
    assert.deepEqual([backOff.remaining('a', ended), backOff.remainingSinceUpdate('a')], [6000, 6000]);
    await clock.advance(6000);
    assert.deepEqual([backOff.remaining('a', ended), backOff.remainingSinceUpdate('a')], [0, 0]);
    backOff.next('a', ended);
    assert.equal(backOff.get('a'), 20_000);
  }
});
test('BackOff of a run whose end lies in the future, as the clock was set back before it was seen, counts from now', async () => {
  const clock = new FakeClock();
  const backOff = new BackOff(clock);
  backOff.next('a', clock.now());
  const ended = clock.now() + 3_600_000;
  assert.equal(backOff.remaining('a', ended), 10_000);
  await clock.advance(9000);
  assert.equal(backOff.remaining('a', ended), 1000);
});
