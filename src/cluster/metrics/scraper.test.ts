import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node } from '#api/gen/core-v1.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { MetricsScraper } from './scraper.ts';

const node: Node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'a' }, spec: {} };

test('a measurement tells its time of day, its window, and the rate between two looks', async () => {
  const clock = new FakeClock();
  let coreNanos = 0;
  const scraper = new MetricsScraper({
    clock, nodes: () => [node],
    summary: () => Promise.resolve({ node: {}, pods: [{ podRef: { name: 'p', namespace: 'n', uid: 'u' }, containers: [{ name: 'c', cpu: { usageCoreNanoSeconds: (coreNanos += 250_000_000) }, memory: { workingSetBytes: 4096 } }] }] }),
  });
  clock.jump(3_600_000);
  const measuring = scraper.measure();
  await clock.advance(1000);
  const { at, windowMs, containers } = await measuring;
  assert.deepEqual({ at, windowMs, c: containers.get('u/c') }, { at: clock.now(), windowMs: 1000, c: { nanoCores: 250_000_000, bytes: 4096 } });
});

test('a measurement is answered again while it is fresh, whatever the time of day is set to', async () => {
  const clock = new FakeClock();
  let looks = 0;
  const scraper = new MetricsScraper({
    clock, nodes: () => [node],
    summary: () => {
      looks++;
      return Promise.resolve({ node: {} });
    },
  });
  const measuring = scraper.measure();
  await clock.advance(1000);
  const first = await measuring;
  clock.jump(86_400_000);
  assert.equal(await scraper.measure(), first);
  assert.equal(looks, 2);
  await clock.advance(10_000);
  assert.notEqual(await scraper.measure(), first);
  assert.equal(looks, 3);
});
