import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Volume } from '#api/gen/core-v1.ts';
import type { CSINode, VolumeAttachment } from '#api/gen/storage-v1.ts';
import { makeNode } from '../testing/make-node.ts';
import { makePod } from '../testing/make-pod.ts';
import { makeClaim, makeStorageClass, makeVolume } from '../testing/make-volume.ts';
import { PluginHarness } from '../testing/plugin-harness.ts';
import { newNodeVolumeLimits } from './node-volume-limits.ts';
import { newVolumeRestrictions } from './volume-restrictions.ts';
import { newVolumeZone } from './volume-zone.ts';

const ONCE = 'node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod';
const FULL = 'node(s) exceed max volume count';

const disks: readonly [name: string, a: Volume, b: Volume, want: string][] = [
  ['one EBS volume', { name: 'v', awsElasticBlockStore: { volumeID: 'x' } }, { name: 'v', awsElasticBlockStore: { volumeID: 'x' } }, 'node(s) had no available disk'],
  ['two EBS volumes', { name: 'v', awsElasticBlockStore: { volumeID: 'x' } }, { name: 'v', awsElasticBlockStore: { volumeID: 'y' } }, ''],
  ['a GCE disk that both only read', { name: 'v', gcePersistentDisk: { pdName: 'x', readOnly: true } }, { name: 'v', gcePersistentDisk: { pdName: 'x', readOnly: true } }, ''],
  ['a GCE disk that one writes', { name: 'v', gcePersistentDisk: { pdName: 'x' } }, { name: 'v', gcePersistentDisk: { pdName: 'x', readOnly: true } }, 'node(s) had no available disk'],
  ['an RBD image over a common monitor', { name: 'v', rbd: { monitors: ['1', '2'], image: 'i', pool: 'p' } }, { name: 'v', rbd: { monitors: ['2', '3'], image: 'i', pool: 'p' } }, 'node(s) had no available disk'],
  ['an iSCSI target', { name: 'v', iscsi: { targetPortal: 't', iqn: 'q', lun: 0 } }, { name: 'v', iscsi: { targetPortal: 't', iqn: 'q', lun: 1 } }, 'node(s) had no available disk'],
];
for (const [name, a, b, want] of disks) {
  test(`VolumeRestrictions filters: ${name}`, () => {
    const h = new PluginHarness(newVolumeRestrictions, { nodes: [makeNode('n').obj()], pods: [makePod('a').volume(b).node('n').obj()] });
    const got = h.filter(makePod('p').volume(a).obj());
    assert.deepEqual(got, { n: want });
  });
}

test('VolumeRestrictions lets one Pod of the cluster use a ReadWriteOncePod claim', () => {
  const nodes = [makeNode('a').obj(), makeNode('b').obj()];
  const objects = { persistentVolumeClaims: [makeClaim('once', { mode: 'ReadWriteOncePod' }), makeClaim('data')] };
  const h = new PluginHarness(newVolumeRestrictions, { nodes, pods: [makePod('x').pvc('once').node('a').obj()], objects });
  assert.deepEqual(h.filter(makePod('p').pvc('once').obj()), { a: ONCE, b: ONCE });
  assert.deepEqual(h.filter(makePod('p').pvc('data').obj()), { a: '', b: '' });
  h.cache.removePod('x');
  assert.deepEqual(h.filter(makePod('p').pvc('once').obj()), { a: '', b: '' });
});

test('NodeVolumeLimits counts each volume of a driver once, with those that are still attached', () => {
  const csiNode = (name: string, count: number): CSINode => ({ metadata: { name }, spec: { drivers: [{ name: 'example.com/disk', nodeID: name, allocatable: { count } }] } });
  const attachment: VolumeAttachment = { metadata: { name: 'x' }, spec: { attacher: 'example.com/disk', nodeName: 'c', source: { persistentVolumeName: 'v3' } }, status: { attached: true } };
  const volumes = ['v1', 'v2', 'v3'].map((name) => makeVolume(name, { csi: ['example.com/disk', name] }));
  const objects = {
    persistentVolumes: volumes, storageClasses: [makeStorageClass('late')], csiNodes: [csiNode('a', 1), csiNode('b', 2), csiNode('c', 1)], volumeAttachments: [attachment],
    persistentVolumeClaims: [makeClaim('c1', { volume: 'v1' }), makeClaim('c2', { volume: 'v2' }), makeClaim('new')],
  };
  const nodes = ['a', 'b', 'c', 'd'].map((name) => makeNode(name).obj());
  const pods = ['a', 'b'].map((name) => makePod(`on-${name}`).pvc('c1').node(name).obj());
  const h = new PluginHarness(newNodeVolumeLimits, { nodes, pods, objects });
  assert.deepEqual(h.filter(makePod('p').pvc('c2').obj()), { a: FULL, b: '', c: FULL, d: '' });
  assert.deepEqual(h.filter(makePod('p').pvc('c1').obj()), { a: '', b: '', c: FULL, d: '' });
  assert.deepEqual(h.filter(makePod('p').pvc('new').obj()), { a: FULL, b: '', c: FULL, d: '' });
});

test('VolumeZone keeps Pods in the zones of their volumes', () => {
  const objects = { persistentVolumes: [makeVolume('v', { zone: 'z1__z2' })], persistentVolumeClaims: [makeClaim('data', { volume: 'v' })] };
  const nodes = [makeNode('a').zone('z1').obj(), makeNode('b').zone('z3').obj(), makeNode('c').obj()];
  const h = new PluginHarness(newVolumeZone, { nodes, objects });
  assert.deepEqual(h.filter(makePod('p').pvc('data').obj()), { a: '', b: 'node(s) had no available volume zone', c: '' });
});
