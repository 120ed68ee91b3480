import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Event } from '#api/gen/events-v1.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { notFound } from '#machinery/status-error.ts';
import { Client } from './client.ts';
import { EventSender } from './event-sender.ts';
import { SeriesRecorder } from './series-events.ts';
import type { ApiCall, Transport } from './transport.ts';

class EventStore implements Transport {
  readonly created: Event[] = [];
  readonly series: { readonly count: number }[] = [];
  expired = false;
  call(call: ApiCall): Promise<unknown> {
    if (call.verb === 'create') this.created.push(call.body as Event);
    else if (this.expired) return Promise.reject(notFound({ group: 'events.k8s.io', resource: 'events' }, call.name ?? ''));
    else this.series.push((call.body as { series: { count: number } }).series);
    return Promise.resolve(call.body);
  }
  watch(): AsyncIterable<never> {
    throw new Error('not used');
  }
}
const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web', namespace: 'default', uid: 'u1', resourceVersion: '7' } };
const failed = { type: 'Warning', reason: 'FailedScheduling', action: 'Scheduling', note: '0/1 nodes are available' } as const;
function recorder(): { store: EventStore; clock: FakeClock; sender: EventSender; events: SeriesRecorder } {
  const store = new EventStore();
  const clock = new FakeClock();
  const sender = new EventSender({ clock });
  return { store, clock, sender, events: new SeriesRecorder(new Client(store), { component: 'default-scheduler', hostname: 'h', clock, sender }) };
}

test('SeriesRecorder makes an event of the new form', async () => {
  const { store, sender, events } = recorder();
  events.event(pod, failed);
  await sender.flush();
  const [{ metadata, eventTime, ...event }] = store.created as [Event];
  assert.match(metadata.name ?? '', /^web\.[0-9a-f]+$/);
  assert.match(eventTime, /\.\d{6}Z$/);
  assert.deepEqual([event.reportingController, event.reportingInstance, event.action, event.reason, event.type, event.note], ['default-scheduler', 'default-scheduler-h', 'Scheduling', 'FailedScheduling', 'Warning', '0/1 nodes are available']);
  assert.deepEqual([event.regarding?.resourceVersion, event.series, event.deprecatedCount], ['7', undefined, undefined]);
});

test('SeriesRecorder writes a series when it begins and when it has ended', async () => {
  const { store, clock, sender, events } = recorder();
  for (let i = 0; i < 5; i++) events.event(pod, { ...failed, note: `reason ${i}` });
  await sender.flush();
  assert.deepEqual([store.created.map((e) => e.note), store.series.map((s) => s.count)], [['reason 0'], [2]]);
  await clock.advance(360_000);
  await sender.flush();
  assert.deepEqual(store.series.map((s) => s.count), [2, 5]);
  events.event(pod, failed);
  await sender.flush();
  assert.equal(store.created.length, 2, 'a new series begins');
});

test('SeriesRecorder makes a series anew whose event has expired, and tells changed objects apart', async () => {
  const { store, sender, events } = recorder();
  store.expired = true;
  events.event(pod, failed);
  events.event(pod, failed);
  events.event({ ...pod, metadata: { ...pod.metadata, resourceVersion: '8' } }, failed);
  await sender.flush();
  assert.deepEqual(store.created.map((e) => e.series?.count), [undefined, 2, undefined]);
});
