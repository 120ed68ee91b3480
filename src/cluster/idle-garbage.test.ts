import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '#base/fake-clock.ts';
import { collectWhenIdle } from './idle-garbage.ts';

const MIB = 1024 ** 2;

test('collectWhenIdle collects what is worth it when little is done, and not often', async () => {
  const clock = new FakeClock();
  const abort = new AbortController();
  const node = { heap: 100 * MIB, load: { process: 0.5, machine: 0.1 }, collected: 0 };
  const done = collectWhenIdle({ clock, collect: () => void (node.collected++, (node.heap = 70 * MIB)), heapBytes: () => node.heap, load: () => node.load }, abort.signal);
  const collectedAfter = async (minutes: number): Promise<number> => {
    await clock.advance(minutes * 60_000);
    return node.collected;
  };
  assert.equal(await collectedAfter(1), 0, 'the process is at work');
  node.load = { process: 0.01, machine: 0.9 };
  assert.equal(await collectedAfter(1), 0, 'the machine is');
  node.load = { process: 0.01, machine: 0.1 };
  assert.equal(await collectedAfter(1), 1);
  node.heap = 120 * MIB;
  assert.equal(await collectedAfter(4), 1, 'too soon');
  assert.equal(await collectedAfter(1), 2);
  node.heap = 93 * MIB;
  assert.equal(await collectedAfter(10), 2, 'not worth the wait');
  abort.abort();
  await done;
  assert.equal(clock.timers, 0);
});

test('collectWhenIdle does nothing where the process cannot be asked to collect', async () => {
  const clock = new FakeClock();
  await collectWhenIdle({ clock, collect: undefined, heapBytes: () => 1, load: () => ({ process: 0, machine: 0 }) }, new AbortController().signal);
  assert.equal(clock.timers, 0);
});
