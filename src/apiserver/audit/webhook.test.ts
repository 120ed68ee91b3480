import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '#base/fake-clock.ts';
import { AuditWebhook, type AuditWebhookOptions } from './webhook.ts';

type Batch = { readonly items: readonly number[] };
function setUp(options: Partial<AuditWebhookOptions> = {}) {
  const clock = new FakeClock();
  const sent: Batch[] = [];
  const waiting: PromiseWithResolvers<void>[] = [];
  let hold = false;
  const webhook = new AuditWebhook({
    clock, maxBatch: 3, maxWaitMs: 1000, maxQueued: 6, ...options,
    webhook: {
      close: () => {},
      post: async (body, { signal }) => {
        sent.push(JSON.parse((body as Buffer).toString()) as Batch);
        if (!hold) return;
        const held = Promise.withResolvers<void>();
        signal.addEventListener('abort', () => held.reject(signal.reason as Error));
        waiting.push(held);
        await held.promise;
      },
    },
  });
  return { clock, sent, waiting, webhook, hold: () => (hold = true), items: () => sent.map((b) => b.items), settle: () => new Promise((resolve) => setImmediate(resolve)) };
}

test('AuditWebhook sends full batches at once, and the rest after a while', async () => {
  const { webhook, clock, sent, items, settle } = setUp();
  for (let i = 0; i < 4; i++) webhook.write(String(i));
  await settle();
  assert.deepEqual(items(), [[0, 1, 2]]);
  assert.deepEqual(Object.keys(sent[0]!), ['kind', 'apiVersion', 'metadata', 'items']);
  await clock.advance(1000);
  await settle();
  assert.deepEqual(items(), [[0, 1, 2], [3]]);
  webhook.write('4');
  await webhook.close();
  assert.deepEqual([items().at(-1), webhook.lost], [[4], 0]);
});

test('AuditWebhook drops and counts what its queue cannot hold, and what could not be sent', async () => {
  const { webhook, waiting, hold, settle, items } = setUp({ maxInFlight: 1 });
  hold();
  for (let i = 0; i < 11; i++) webhook.write(String(i));
  await settle();
  assert.deepEqual(items(), [[0, 1, 2]]);
  assert.equal(webhook.lost, 2); // three under way, six wait
  waiting[0]!.reject(new Error('refused'));
  await settle();
  assert.equal(webhook.lost, 5);
  assert.deepEqual(items()[1], [3, 4, 5]);
  const long = setUp({ maxQueuedLength: 10 });
  long.webhook.write('1'.repeat(8));
  long.webhook.write('2'.repeat(8));
  assert.equal(long.webhook.lost, 1);
});

test('AuditWebhook keeps to its batches a second', async () => {
  const { webhook, clock, items, settle } = setUp({ qps: 1, burst: 2, maxBatch: 1, maxQueued: 100, maxInFlight: 10 });
  for (let i = 0; i < 5; i++) webhook.write(String(i));
  await settle();
  assert.equal(items().length, 2);
  await clock.advance(1000);
  await settle();
  assert.equal(items().length, 3);
  await clock.advance(2000);
  await settle();
  assert.equal(items().length, 5);
});

test('AuditWebhook ends in time when nobody answers', async () => {
  const { webhook, clock, hold, settle } = setUp({ maxInFlight: 1, closeMs: 500 });
  hold();
  for (let i = 0; i < 5; i++) webhook.write(String(i));
  await settle();
  const closed = webhook.close();
  await clock.advance(500);
  await closed;
  assert.equal(webhook.lost, 5);
});
