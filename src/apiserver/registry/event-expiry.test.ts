import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rfc3339 } from '#base/clock.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { openMemoryStore } from '#store/memory.ts';
import { WatchCache } from '#store/watch-cache.ts';
import { EventExpiry, lastWrittenMs } from './event-expiry.ts';

const PREFIX = '/registry/events/';
const event = (name: string, ms: number) => ({ kind: 'Event', apiVersion: 'v1', metadata: { name, creationTimestamp: rfc3339(0) }, lastTimestamp: rfc3339(ms) });

test('EventExpiry deletes events an hour after their last write, and sets no timer without events', async () => {
  const clock = new FakeClock();
  const store = openMemoryStore();
  const cache = new WatchCache({ store, prefix: PREFIX, clock });
  await cache.start(new AbortController().signal);
  const expiry = new EventExpiry(cache, clock);
  expiry.start();
  await clock.advance(0);
  assert.equal(clock.timers, 0);
  await cache.create(`${PREFIX}default/old`, event('old', clock.now()));
  await clock.advance(40 * 60_000);
  await cache.create(`${PREFIX}default/new`, event('new', clock.now()));
  await clock.advance(19 * 60_000);
  assert.equal(cache.size, 2);
  const gone = new AbortController();
  const deleted = (async () => {
    for await (const batch of cache.watch({ after: cache.revision, signal: gone.signal })) if (batch.some((e) => e.type === 'DELETED')) gone.abort();
  })();
  await clock.advance(2 * 60_000);
  await deleted;
  assert.deepEqual(cache.list().entries.map((e) => e.object.metadata.name), ['new']);
  await expiry.stop();
  await cache.stop();
  await store.close();
});
test('lastWrittenMs takes the newest of the times that an event carries', () => {
  const base = event('e', 1_000_000);
  assert.equal(lastWrittenMs(base as never), 1_000_000);
  assert.equal(lastWrittenMs({ ...base, series: { count: 2, lastObservedTime: '2026-01-01T00:00:00.000000Z' } } as never), Date.parse('2026-01-01T00:00:00Z'));
});
