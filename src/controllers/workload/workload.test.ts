import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Pod } from '#api/gen/core-v1.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { REPLICA_SETS } from '#client/kinds.ts';
import { StatusError, notFound } from '#machinery/status-error.ts';
import { claimObjects, controllerOf, newControllerRef } from './controller-ref.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { equalStatus, withoutZeros } from './equality.ts';
import { Expectations } from './expectations.ts';
import { canonicalJson, fnv32, fnv32a, templateHash } from './hash.ts';
import { scaledValue } from './int-or-percent.ts';
import { isGone, isNamespaceTerminating, podFromTemplate } from './pod-control.ts';
import { isPodActive, isPodAvailable, nextAvailability } from './pods.ts';
import { slowStart } from './slow-start.ts';

const NOW = Date.parse('2026-01-01T00:01:00Z');
const readyPod = (since: string): Pod => ({ metadata: { name: 'p' }, spec: { containers: [] }, status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: since }] } });

test('isPodActive is false for Pods that have ended or are on their way out', () => {
  assert.ok(isPodActive({ metadata: {}, spec: { containers: [] } }));
  assert.ok(!isPodActive({ metadata: {}, spec: { containers: [] }, status: { phase: 'Succeeded' } }));
  assert.ok(!isPodActive({ metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' }, spec: { containers: [] } }));
});
test('isPodAvailable waits minReadySeconds from the time of readiness', () => {
  assert.ok(isPodAvailable(readyPod('2026-01-01T00:00:50Z'), 0, NOW));
  assert.ok(isPodAvailable(readyPod('2026-01-01T00:00:50Z'), 10, NOW));
  assert.ok(!isPodAvailable(readyPod('2026-01-01T00:00:51Z'), 10, NOW));
  assert.ok(!isPodAvailable({ metadata: {}, spec: { containers: [] } }, 0, NOW));
});
test('nextAvailability tells the shortest wait, and none when nothing is on the way', () => {
  assert.equal(nextAvailability([readyPod('2026-01-01T00:00:55Z'), readyPod('2026-01-01T00:00:52Z')], 10, NOW), 2000);
  assert.equal(nextAvailability([readyPod('2026-01-01T00:00:00Z')], 10, NOW), undefined);
  assert.equal(nextAvailability([readyPod('2026-01-01T00:00:55Z')], 0, NOW), undefined);
});

describe('Expectations', () => {
  test('are met when every creation and deletion was seen', () => {
    const e = new Expectations(new FakeClock());
    assert.equal(e.waitMs('a'), 0);
    e.expect('a', 2, ['x']);
    e.created('a');
    e.deleted('a', 'y');
    assert.ok(e.waitMs('a') > 0);
    e.created('a');
    e.deleted('a', 'x');
    assert.equal(e.waitMs('a'), 0);
  });
  test('count creations that were never tried as done', () => {
    const e = new Expectations(new FakeClock());
    e.expect('a', 5);
    e.created('a');
    e.skipCreations('a', 4);
    assert.equal(e.waitMs('a'), 0);
  });
  test('end after five minutes', async () => {
    const clock = new FakeClock();
    const e = new Expectations(clock);
    e.expect('a', 1);
    assert.equal(e.waitMs('a'), 300_000);
    await clock.advance(300_000);
    assert.equal(e.waitMs('a'), 0);
  });
});

test('slowStart doubles its batches and ends after one that fails', async () => {
  const calls: number[] = [];
  let running = 0;
  let most = 0;
  assert.deepEqual(await slowStart(7, async (i) => {
    most = Math.max(most, ++running);
    await Promise.resolve();
    calls.push(i);
    running--;
  }), { successes: 7 });
  assert.equal(most, 4);
  assert.deepEqual(calls, [0, 1, 2, 3, 4, 5, 6]);
  const failure = new Error('no');
  const tried: number[] = [];
  const result = await slowStart(100, (i) => {
    tried.push(i);
    return i >= 1 ? Promise.reject(failure) : Promise.resolve();
  });
  assert.deepEqual(result, { successes: 1, error: failure });
  assert.deepEqual(tried, [0, 1, 2]);
});
test('scaledValue takes numbers as they are and shares of the total, rounded', () => {
  for (const [value, total, up, down] of [[3, 10, 3, 3], ['25%', 10, 3, 2], ['0%', 10, 0, 0], ['100%', 7, 7, 7], ['1%', 0, 0, 0]] as const) {
    assert.deepEqual([scaledValue(value, total, 'up'), scaledValue(value, total, 'down')], [up, down], String(value));
  }
});

describe('hashes', () => {
  test('fnv32 and fnv32a give the published values', () => {
    assert.equal(fnv32a(''), 0x811c9dc5);
    assert.equal(fnv32a('a'), 0xe40c292c);
    assert.equal(fnv32a('foobar'), 0xbf9cf968);
    assert.equal(fnv32('a'), 0x050c5d7e);
    assert.equal(fnv32('foo', 'bar'), 0x31f0b262);
  });
  test('canonicalJson sorts keys at every depth and escapes as Go does', () => {
    assert.equal(canonicalJson({ b: [{ d: 1, c: '<&>' }], a: undefined }), '{"b":[{"c":"\\u003c\\u0026\\u003e","d":1}]}');
  });
  test('templateHash does not depend on the order of keys, but on the collision count', () => {
    assert.equal(templateHash({ a: 1, b: 2 }, undefined), templateHash({ b: 2, a: 1 }, undefined));
    assert.notEqual(templateHash({ a: 1 }, undefined), templateHash({ a: 1 }, 1));
    assert.match(templateHash({ a: 1 }, undefined), /^[bcdfghjklmnpqrstvwxz2456789]+$/);
  });
});
describe('equality', () => {
  test('semanticEqual takes absent and empty lists as one, but not absent and empty objects', () => {
    assert.ok(semanticEqual({ a: [], b: 1 }, { b: 1 }));
    assert.ok(semanticEqual({ a: null }, {}));
    assert.ok(!semanticEqual({ a: {} }, {}));
    assert.ok(!semanticEqual({ a: [1] }, { a: [2] }));
    assert.ok(!semanticEqual({ a: 1 }, { a: 1, b: 2 }));
  });
  test('equalStatus and withoutZeros take a count of 0 as absent', () => {
    assert.ok(equalStatus({ replicas: 0, ready: 1 }, { ready: 1 }));
    assert.ok(!equalStatus({ ready: 1 }, undefined));
    assert.deepEqual(withoutZeros({ a: 0, b: 2 }), { b: 2 });
  });
});

describe('owners', () => {
  const owner = { metadata: { name: 'rs', namespace: 'ns', uid: 'u1' } };
  const ref = newControllerRef(owner, REPLICA_SETS);
  test('newControllerRef blocks the owner’s deletion', () => {
    assert.deepEqual(ref, { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'rs', uid: 'u1', controller: true, blockOwnerDeletion: true });
    assert.equal(controllerOf({ metadata: { ownerReferences: [{ ...ref, controller: false }] } }), undefined);
  });
  test('podFromTemplate leaves the name to the server', () => {
    const pod = podFromTemplate({ metadata: { labels: { a: 'b' } }, spec: { containers: [] } }, owner, REPLICA_SETS);
    assert.deepEqual(pod.metadata, { generateName: 'rs-', namespace: 'ns', labels: { a: 'b' }, ownerReferences: [ref] });
  });
  test('isNamespaceTerminating and isGone read the wire error', () => {
    const err = new StatusError({ metadata: {}, reason: 'Forbidden', code: 403, details: { causes: [{ reason: 'NamespaceTerminating' }] } });
    assert.ok(isNamespaceTerminating(err));
    assert.ok(!isNamespaceTerminating(new Error('x')));
    assert.ok(isGone(notFound({ group: '', resource: 'pods' }, 'p')));
  });

  interface Call {
    readonly name: string;
    readonly body: unknown;
  }
  function claim(pods: readonly Pod[], live: { metadata: { uid?: string; deletionTimestamp?: string } } = owner, self: { metadata: object } = owner) {
    const calls: Call[] = [];
    const client = { patch: (_: string, name: string, __: string, body: unknown) => Promise.resolve(void calls.push({ name, body })) };
    const done = claimObjects(pods, {
      owner: self, ownerKind: REPLICA_SETS, kind: 'Pod', client: client as never, liveOwner: () => Promise.resolve(live),
      matches: (p) => p.metadata.labels?.['a'] === 'b', signal: new AbortController().signal,
    });
    return { calls, done };
  }
  const pod = (name: string, label: string, more: object = {}): Pod => ({ metadata: { name, namespace: 'ns', uid: `uid-${name}`, labels: { a: label }, ...more }, spec: { containers: [] } });

  test('claimObjects keeps its own, adopts matching orphans, releases what no longer matches', async () => {
    const { calls, done } = claim([
      pod('mine', 'b', { ownerReferences: [ref] }), pod('other', 'b', { ownerReferences: [{ ...ref, uid: 'u2' }] }), pod('orphan', 'b'),
      pod('stranger', 'c'), pod('lost', 'c', { ownerReferences: [ref] }), pod('ending', 'b', { deletionTimestamp: '2026-01-01T00:00:00Z' }),
    ]);
    assert.deepEqual((await done).map((p) => p.metadata.name), ['mine', 'orphan']);
    assert.deepEqual(calls, [
      { name: 'orphan', body: { metadata: { uid: 'uid-orphan', ownerReferences: [ref] } } },
      { name: 'lost', body: { metadata: { uid: 'uid-lost', ownerReferences: [{ $patch: 'delete', uid: 'u1' }] } } },
    ]);
  });
  test('claimObjects refuses to adopt for an owner that is gone or being deleted', async () => {
    await assert.rejects(claim([pod('orphan', 'b')], { metadata: { uid: 'u9' } }).done, { message: "can't adopt Pod ns/orphan (uid-orphan): original ReplicaSet ns/rs is gone: got uid u9, wanted u1" });
    const deleted = { metadata: { uid: 'u1', deletionTimestamp: '2026-01-01T00:00:00Z' } };
    await assert.rejects(claim([pod('orphan', 'b')], deleted).done, { message: "can't adopt Pod ns/orphan (uid-orphan): ns/rs has just been deleted at 2026-01-01T00:00:00Z" });
  });
  test('claimObjects changes nothing for an owner that it knows to be on its way out', async () => {
    const self = { metadata: { ...owner.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } };
    const { calls, done } = claim([pod('mine', 'b', { ownerReferences: [ref] }), pod('lost', 'c', { ownerReferences: [ref] }), pod('orphan', 'b')], owner, self);
    assert.deepEqual((await done).map((p) => p.metadata.name), ['mine']);
    assert.deepEqual(calls, []);
  });
});
