import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '#base/fake-clock.ts';
import { KeptRevisions } from './kept-revisions.ts';

test('KeptRevisions forgets what was old five minutes ago, and nothing while nothing is written', async () => {
  const clock = new FakeClock();
  let newest = 10;
  const kept = new KeptRevisions(clock, () => newest);
  kept.start();
  newest = 20;
  const after = async (ms: number) => {
    await clock.advance(ms);
    return kept.oldest;
  };
  assert.deepEqual([await after(299_999), await after(1), await after(299_999), await after(1), await after(600_000)], [0, 10, 10, 20, 20]);
  kept.stop();
  newest = 30;
  assert.equal(await after(900_000), 20);
});
