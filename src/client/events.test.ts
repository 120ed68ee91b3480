import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Event } from '#api/gen/core-v1.ts';
import { FakeClock, flushMicrotasks } from '#base/fake-clock.ts';
import { notFound, serviceUnavailable, StatusError } from '#machinery/status-error.ts';
import { Client } from './client.ts';
import { EventRecorder } from './events.ts';
import type { ApiCall, Transport } from './transport.ts';

class EventStore implements Transport {
  readonly created: Event[] = [];
  readonly patched: Record<string, unknown>[] = [];
  forgetNext = false;
  /** So many calls do not get through. */
  unreachable = 0;
  call(call: ApiCall): Promise<unknown> {
    if (this.unreachable-- > 0) return Promise.reject(new StatusError(serviceUnavailable('request failed').status, new Error('connect ECONNREFUSED')));
    if (call.verb === 'create') {
      this.created.push(call.body as Event);
      return Promise.resolve(call.body);
    }
    if (this.forgetNext) {
      this.forgetNext = false;
      return Promise.reject(notFound({ group: '', resource: 'events' }, call.name ?? ''));
    }
    this.patched.push(call.body as Record<string, unknown>);
    return Promise.resolve({ ...this.created.at(-1), ...(call.body as object) });
  }
  watch(): AsyncIterable<never> {
    throw new Error('not used');
  }
}
const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web', namespace: 'default', uid: 'u1' } };
function recorder(): { store: EventStore; clock: FakeClock; events: EventRecorder } {
  const store = new EventStore();
  const clock = new FakeClock();
  return { store, clock, events: new EventRecorder(new Client(store), { component: 'kubelet', host: 'node-1', clock }) };
}

test('EventRecorder creates an event, then counts its repeats', async () => {
  const { store, events } = recorder();
  for (let i = 0; i < 3; i++) events.event(pod, 'Warning', 'BackOff', 'Back-off restarting failed container', 'spec.containers{web}');
  await events.flush();
  assert.equal(store.created.length, 1);
  assert.equal(store.created[0]!.involvedObject.fieldPath, 'spec.containers{web}');
  assert.deepEqual(store.created[0]!.source, { component: 'kubelet', host: 'node-1' });
  assert.deepEqual(store.patched.map((p) => p['count']), [2, 3]);
});

test('EventRecorder creates the event anew when it has expired', async () => {
  const { store, events } = recorder();
  events.event(pod, 'Normal', 'Pulled', 'm');
  await events.flush();
  store.forgetNext = true;
  events.event(pod, 'Normal', 'Pulled', 'm');
  await events.flush();
  assert.equal(store.created.length, 2);
  assert.equal(store.created[1]!.count, 1);
});

test('EventRecorder keeps events, in their order, while the API server cannot be reached; not for ever', async () => {
  const { store, clock, events } = recorder();
  store.unreachable = 3;
  events.event(pod, 'Normal', 'Created', 'm');
  events.event(pod, 'Normal', 'Started', 'm');
  await flushMicrotasks();
  await clock.advance(20_000);
  assert.equal(store.created.length, 0);
  await clock.advance(10_000);
  await events.flush();
  assert.deepEqual(store.created.map((e) => [e.reason, e.firstTimestamp]), [['Created', store.created[0]!.firstTimestamp], ['Started', store.created[0]!.firstTimestamp]]);
  store.unreachable = 12;
  events.event(pod, 'Normal', 'Killing', 'm');
  await flushMicrotasks();
  await clock.advance(110_000);
  await events.flush();
  assert.equal(store.created.length, 2);
});

test('EventRecorder combines many similar events and stops a flood', async () => {
  const { store, events } = recorder();
  for (let i = 0; i < 40; i++) events.event(pod, 'Normal', 'Failed', `message ${i}`);
  await events.flush();
  assert.equal(store.created.filter((e) => e.message?.startsWith('(combined from similar events): ')).length, 1);
  assert.equal(store.created.length + store.patched.length, 25);
});
