import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Event } from '#api/gen/core-v1.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { notFound } from '#machinery/status-error.ts';
import { Client } from './client.ts';
import { EventSender } from './event-sender.ts';
import { EventRecorder } from './events.ts';
import type { ApiCall, Transport } from './transport.ts';

class EventStore implements Transport {
  readonly created: Event[] = [];
  readonly patched: Record<string, unknown>[] = [];
  forgetNext = false;
  call(call: ApiCall): Promise<unknown> {
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
function recorder(): { store: EventStore; clock: FakeClock; sender: EventSender; events: EventRecorder } {
  const store = new EventStore();
  const clock = new FakeClock();
  const sender = new EventSender({ clock });
  return { store, clock, sender, events: new EventRecorder(new Client(store), { component: 'kubelet', host: 'node-1', clock, sender }) };
}

test('EventRecorder creates an event, then counts its repeats', async () => {
  const { store, sender, events } = recorder();
  for (let i = 0; i < 3; i++) events.event(pod, 'Warning', 'BackOff', 'Back-off restarting failed container', 'spec.containers{web}');
  await sender.flush();
  assert.equal(store.created.length, 1);
  assert.equal(store.created[0]!.involvedObject.fieldPath, 'spec.containers{web}');
  assert.deepEqual(store.created[0]!.source, { component: 'kubelet', host: 'node-1' });
  assert.deepEqual(store.patched.map((p) => p['count']), [2, 3]);
});

test('EventRecorder creates the event anew when it has expired', async () => {
  const { store, sender, events } = recorder();
  events.event(pod, 'Normal', 'Pulled', 'm');
  await sender.flush();
  store.forgetNext = true;
  events.event(pod, 'Normal', 'Pulled', 'm');
  await sender.flush();
  assert.equal(store.created.length, 2);
  assert.equal(store.created[1]!.count, 1);
});

test('EventRecorder lets no event fall for a clock that was set back', async () => {
  const { store, clock, sender, events } = recorder();
  for (let i = 0; i < 10; i++) events.event(pod, 'Normal', 'Failed', 'message');
  clock.jump(-86_400_000);
  events.event(pod, 'Normal', 'Failed', 'message');
  await sender.flush();
  assert.equal(store.created.length + store.patched.length, 11);
});
test('EventRecorder combines many similar events and stops a flood', async () => {
  const { store, sender, events } = recorder();
  for (let i = 0; i < 40; i++) events.event(pod, 'Normal', 'Failed', `message ${i}`);
  await sender.flush();
  assert.equal(store.created.filter((e) => e.message?.startsWith('(combined from similar events): ')).length, 1);
  assert.equal(store.created.length + store.patched.length, 25);
});
