import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { StatefulSet } from '#api/gen/apps-v1.ts';
import type { PersistentVolumeClaim, Pod } from '#api/gen/core-v1.ts';
import type { OwnerReference } from '#api/gen/meta-v1.ts';
import { claimsFor, hasIdentity, hasStorage, isInRange, isMemberOf, newPod, ordinalOf, parsePodName, withIdentity } from './identity.ts';
import { hasForeignController, isStale, ownersByPolicy } from './retention.ts';
import { completed } from './sync.ts';

const SET: StatefulSet = {
  metadata: { name: 'web', namespace: 'ns', uid: 'set' },
  spec: {
    replicas: 2, serviceName: 'svc', selector: { matchLabels: { app: 'web' } }, ordinals: { start: 1 }, template: { spec: { containers: [] } },
    volumeClaimTemplates: [{ metadata: { name: 'data', labels: { a: 'b', app: 'other' } }, spec: { accessModes: ['ReadWriteOnce'] } }],
  },
};
const TEMPLATE = { metadata: { labels: { app: 'web' } }, spec: { containers: [], volumes: [{ name: 'data', emptyDir: {} }, { name: 'tmp', emptyDir: {} }] } };

test('parsePodName splits at the last dash', () => {
  assert.deepEqual(parsePodName('a-b-12'), { parent: 'a-b', ordinal: 12 });
  assert.equal(parsePodName('web'), undefined);
  assert.equal(parsePodName('web-x'), undefined);
});
test('isMemberOf and isInRange go by name and ordinal', () => {
  const pod = (name: string): Pod => ({ metadata: { name }, spec: { containers: [] } });
  assert.ok(isMemberOf(SET, pod('web-7')));
  assert.ok(!isMemberOf(SET, pod('web-b-1')));
  assert.deepEqual(['web-0', 'web-1', 'web-2', 'web-3'].map((n) => isInRange(SET, pod(n))), [false, true, true, false]);
  assert.equal(ordinalOf(pod('odd')), -1);
});
test('newPod carries identity, revision and claims in the place of volumes of their names', () => {
  const pod = newPod(SET, 1, TEMPLATE, 'web-abc');
  assert.equal(pod.metadata.name, 'web-1');
  assert.deepEqual(pod.metadata.labels, { app: 'web', 'statefulset.kubernetes.io/pod-name': 'web-1', 'apps.kubernetes.io/pod-index': '1', 'controller-revision-hash': 'web-abc' });
  assert.deepEqual([pod.spec.hostname, pod.spec.subdomain], ['web-1', 'svc']);
  assert.deepEqual(pod.spec.volumes, [{ name: 'data', persistentVolumeClaim: { claimName: 'data-web-1' } }, { name: 'tmp', emptyDir: {} }]);
  assert.ok(hasIdentity(pod) && hasStorage(SET, pod));
});
test('claimsFor lays the selector’s labels over the template’s', () => {
  const [claim] = claimsFor(SET, 1);
  assert.deepEqual(claim!.metadata, { name: 'data-web-1', namespace: 'ns', labels: { a: 'b', app: 'web' } });
});
test('withIdentity gives labels and claims back', () => {
  const bare: Pod = { metadata: { name: 'web-1' }, spec: { containers: [] } };
  assert.ok(!hasIdentity(bare) && !hasStorage(SET, bare));
  const mended = withIdentity(SET, bare);
  assert.ok(hasIdentity(mended) && hasStorage(SET, mended));
});

describe('retention', () => {
  const pod = (ordinal: number): Pod => ({ metadata: { name: `web-${ordinal}`, uid: `pod-${ordinal}` }, spec: { containers: [] } });
  const policy = (whenDeleted: string, whenScaled: string): StatefulSet => ({ ...SET, spec: { ...SET.spec, persistentVolumeClaimRetentionPolicy: { whenDeleted, whenScaled } } });
  const claim = (...ownerReferences: OwnerReference[]): PersistentVolumeClaim => ({ metadata: { name: 'data-web-1', ownerReferences }, spec: {} });
  const SET_REF: OwnerReference = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'web', uid: 'set', controller: true, blockOwnerDeletion: true };
  const podRef = (ordinal: number): OwnerReference => ({ apiVersion: 'v1', kind: 'Pod', name: `web-${ordinal}`, uid: `pod-${ordinal}`, controller: true, blockOwnerDeletion: true });
  for (const [whenDeleted, whenScaled, inRange, scaledDown] of [
    ['Retain', 'Retain', undefined, undefined], ['Delete', 'Retain', SET_REF, SET_REF], ['Retain', 'Delete', undefined, podRef(3)], ['Delete', 'Delete', SET_REF, podRef(3)],
  ] as const) {
    test(`ownersByPolicy: deleted ${whenDeleted}, scaled ${whenScaled}`, () => {
      const set = policy(whenDeleted, whenScaled);
      assert.deepEqual(ownersByPolicy(set, pod(1), claim()), inRange && [inRange]);
      assert.deepEqual(ownersByPolicy(set, pod(3), claim()), scaledDown && [scaledDown]);
    });
  }
  test('ownersByPolicy takes back what the policy no longer asks for, and leaves others alone', () => {
    const other: OwnerReference = { apiVersion: 'v1', kind: 'ConfigMap', name: 'c', uid: 'c' };
    assert.deepEqual(ownersByPolicy(policy('Retain', 'Retain'), pod(1), claim(other, SET_REF)), [other]);
    assert.equal(ownersByPolicy(policy('Delete', 'Retain'), pod(1), claim(other, SET_REF)), undefined);
  });
  test('ownersByPolicy makes an owner that is none a controller again, and leaves claims of a former set alone', () => {
    const set = policy('Delete', 'Retain');
    assert.deepEqual(ownersByPolicy(set, pod(1), claim({ ...SET_REF, controller: false })), [SET_REF]);
    assert.equal(ownersByPolicy(set, pod(1), claim({ ...SET_REF, uid: 'former' })), undefined);
  });
  test('ownersByPolicy gives up a claim that has another controller', () => {
    const operator: OwnerReference = { apiVersion: 'x/v1', kind: 'Operator', name: 'o', uid: 'o', controller: true };
    assert.deepEqual(ownersByPolicy(policy('Delete', 'Retain'), pod(1), claim(operator, SET_REF)), [operator]);
    assert.equal(ownersByPolicy(policy('Delete', 'Retain'), pod(1), claim(operator)), undefined);
  });
  test('isStale and hasForeignController look at who owns the claim', () => {
    assert.ok(isStale(claim({ ...podRef(1), uid: 'former' }), pod(1)));
    assert.ok(!isStale(claim(podRef(1)), pod(1)));
    assert.ok(hasForeignController(claim({ apiVersion: 'x/v1', kind: 'Operator', name: 'o', uid: 'o', controller: true }), policy('Delete', 'Retain'), pod(1)));
    assert.ok(!hasForeignController(claim(SET_REF), SET, pod(1)));
  });
});
test('completed makes the update current once all Pods are updated and ready', () => {
  const rolling: StatefulSet = { ...SET, spec: { ...SET.spec, updateStrategy: { type: 'RollingUpdate' } } };
  const status = { replicas: 2, readyReplicas: 2, updatedReplicas: 2, currentReplicas: 0, currentRevision: 'a', updateRevision: 'b' };
  assert.deepEqual(completed(rolling, status), { ...status, currentReplicas: 2, currentRevision: 'b' });
  assert.deepEqual(completed(rolling, { ...status, readyReplicas: 1 }), { ...status, readyReplicas: 1 });
  assert.deepEqual(completed({ ...SET, spec: { ...SET.spec, updateStrategy: { type: 'OnDelete' } } }, status), status);
});
