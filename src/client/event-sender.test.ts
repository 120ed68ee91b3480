import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock, flushMicrotasks } from '#base/fake-clock.ts';
import { forbidden, serviceUnavailable, StatusError } from '#machinery/status-error.ts';
import { EventSender } from './event-sender.ts';

const unreachable = () => new StatusError(serviceUnavailable('request failed').status, new Error('connect ECONNREFUSED'));

/** A sender to a server that answers as `answer` says: throws to fail. What got through is in `written`. */
function sender(answer: () => void | Promise<void>) {
  const clock = new FakeClock();
  const events = new EventSender({ clock, random: () => 0.5 });
  const written: string[] = [];
  let calls = 0;
  const record = (name: string) => events.enqueue({ reason: name, object: 'web' }, async () => {
    calls++;
    await answer();
    written.push(name);
  });
  return { clock, events, written, record, calls: () => calls };
}

test('EventSender keeps events, in their order, while nobody can be reached', async () => {
  let away = true;
  const { clock, events, written, record, calls } = sender(() => { if (away) throw unreachable(); });
  record('Created');
  record('Started');
  await clock.advance(5_000 + 10_000);
  assert.deepEqual([calls(), written], [3, []], 'at once, after half of the first wait, after a whole one');
  away = false;
  await clock.advance(10_000);
  await events.flush();
  assert.deepEqual(written, ['Created', 'Started']);
});

test('EventSender gives an event up after twelve tries, and one that is refused at once', async () => {
  const errors = [...Array<Error>(12).fill(unreachable()), forbidden({ group: '', resource: 'events' }, 'web.1', 'no')];
  const { clock, events, written, record, calls } = sender(() => {
    const err = errors.shift();
    if (err) throw err;
  });
  for (const name of ['lost', 'refused', 'told']) record(name);
  await clock.advance(105_000);
  await events.flush();
  assert.deepEqual([calls(), written], [14, ['told']]);
});

test('EventSender drops what comes while a thousand wait', async () => {
  const first = Promise.withResolvers<void>();
  const { events, written, record } = sender(() => first.promise);
  for (let i = 0; i < 1100; i++) record(String(i));
  first.resolve();
  await events.flush();
  assert.equal(written.length, 1000);
  record('later');
  await events.flush();
  assert.equal(written.at(-1), 'later');
});

test('EventSender sends what waits when it is closed, without trying anew', async () => {
  let away = true;
  const { clock, events, written, record, calls } = sender(() => { if (away) throw unreachable(); });
  record('a');
  record('b');
  await flushMicrotasks();
  away = false;
  await events.close();
  assert.deepEqual(written, ['a', 'b'], 'a wait ends at once');
  assert.equal(clock.timers, 0);
  record('too late');
  assert.equal(calls(), 3);
});

test('EventSender gives up what waits when it is closed and nobody can be reached', async () => {
  const { clock, events, record, calls } = sender(() => { throw unreachable(); });
  for (let i = 0; i < 5; i++) record(String(i));
  await flushMicrotasks();
  await events.close();
  assert.deepEqual([calls(), clock.timers], [2, 0]);
});

test('EventSender.close ends a call that hangs, after a second', async () => {
  const clock = new FakeClock();
  const events = new EventSender({ clock });
  let ended = false;
  events.enqueue({ reason: 'Killing', object: 'web' }, (signal) => new Promise((_, reject) => signal.addEventListener('abort', () => {
    ended = true;
    reject(signal.reason as Error);
  })));
  events.enqueue({ reason: 'Killing', object: 'web' }, () => assert.fail('the next one is not begun'));
  const closed = events.close();
  await clock.advance(999);
  assert.equal(ended, false);
  await clock.advance(1);
  await closed;
  assert.equal(ended, true);
});
