import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeSpec } from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';
import { defaultClass, findVolume, mismatch } from './matching.ts';

const claim = (spec: Partial<PersistentVolumeClaimSpec> = {}): PersistentVolumeClaim => ({
  metadata: { name: 'c', namespace: 'ns', uid: 'u' }, spec: { accessModes: ['ReadWriteOnce'], storageClassName: 'a', resources: { requests: { storage: '1Gi' } }, ...spec },
});
const volume = (name: string, spec: Partial<PersistentVolumeSpec> = {}, phase: 'Available' | 'Released' = 'Available', labels: Record<string, string> = {}): PersistentVolume => ({
  metadata: { name, labels }, spec: { accessModes: ['ReadWriteOnce', 'ReadOnlyMany'], storageClassName: 'a', capacity: { storage: '5Gi' }, ...spec }, status: { phase },
});
const reserved = { claimRef: { name: 'c', namespace: 'ns' } };

describe('findVolume', () => {
  const table: readonly (readonly [what: string, claim: PersistentVolumeClaim, volumes: PersistentVolume[], onlyReserved: boolean, found: string | undefined])[] = [
    ['the smallest that is large enough', claim(), [volume('5'), volume('2', { capacity: { storage: '2Gi' } }), volume('small', { capacity: { storage: '1Mi' } })], false, '2'],
    ['none of another class, mode or state', claim(), [volume('x', { storageClassName: 'b' }), volume('y', { volumeMode: 'Block' }), volume('z', {}, 'Released'), volume('w', { accessModes: ['ReadWriteMany'] })], false, undefined],
    ['the one set aside for it, whatever its class', claim(), [volume('free', { capacity: { storage: '1Gi' } }), volume('mine', { ...reserved, storageClassName: 'b' })], false, 'mine'],
    ['no free one while it waits for its Pod', claim(), [volume('free')], true, undefined],
    ['none set aside for a namesake of before', claim(), [volume('old', { claimRef: { ...reserved.claimRef, uid: 'other' } })], false, undefined],
    ['one with the labels asked for', claim({ selector: { matchLabels: { tier: 'ssd' } } }), [volume('plain'), volume('ssd', {}, 'Available', { tier: 'ssd' })], false, 'ssd'],
  ];
  for (const [what, c, volumes, onlyReserved, found] of table) {
    test(`finds ${what}`, () => {
      const volume = findVolume(c, volumes, onlyReserved);
      assert.equal(volume && nameOf(volume), found);
    });
  }
});
test('mismatch says why a volume that was asked for will not do', () => {
  assert.deepEqual([
    mismatch(volume('v', { capacity: { storage: '1Mi' } }), claim()), mismatch(volume('v'), claim({ storageClassName: 'b' })), mismatch(volume('v'), claim({ volumeMode: 'Block' })),
    mismatch(volume('v'), claim({ accessModes: ['ReadWriteMany'] })), mismatch(volume('v'), claim()),
  ], ['requested PV is too small', 'storageClassName does not match', 'incompatible volumeMode', 'incompatible accessMode', undefined]);
});
test('defaultClass is the newest of those that are marked', () => {
  const of = (name: string, creationTimestamp: string, value: string) => ({ metadata: { name, creationTimestamp, annotations: { 'storageclass.kubernetes.io/is-default-class': value } }, provisioner: 'p' });
  assert.equal(defaultClass([of('a', '2026-01-01T00:00:00Z', 'true'), of('b', '2026-01-02T00:00:00Z', 'true'), of('c', '2026-01-03T00:00:00Z', 'false')])?.metadata.name, 'b');
  assert.equal(defaultClass([]), undefined);
});
