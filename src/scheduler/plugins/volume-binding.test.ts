import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PersistentVolume, PersistentVolumeClaim } from '#api/gen/core-v1.ts';
import type { CSIDriver, CSIStorageCapacity, StorageClass } from '#api/gen/storage-v1.ts';
import { PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES } from '#client/kinds.ts';
import { makeNode } from '../testing/make-node.ts';
import { makePod, type PodBuilder } from '../testing/make-pod.ts';
import { makeClaim, makeStorageClass, makeVolume } from '../testing/make-volume.ts';
import { PluginHarness } from '../testing/plugin-harness.ts';
import { startScheduler } from '../testing/running-scheduler.ts';
import { newVolumeBinding } from './volume-binding.ts';

const NODE_CONFLICT = "node(s) didn't match PersistentVolume's node affinity";
const BIND_CONFLICT = "node(s) didn't find available persistent volumes to bind";
const nodes = [makeNode('a').zone('z1').obj(), makeNode('b').zone('z2').obj()];
const classes = [
  makeStorageClass('late'), makeStorageClass('static', { provisioner: 'kubernetes.io/no-provisioner' }), makeStorageClass('now', { volumeBindingMode: 'Immediate' }),
  makeStorageClass('zonal', { allowedTopologies: [{ matchLabelExpressions: [{ key: 'topology.kubernetes.io/zone', values: ['z2'] }] }] }),
];
const pod = () => makePod('p').uid('p').pvc('data');
interface Case {
  readonly claims?: readonly PersistentVolumeClaim[];
  readonly volumes?: readonly PersistentVolume[];
  readonly pod?: PodBuilder;
  readonly want: string | Record<string, string>;
}
const FITS = { a: '', b: '' };
const table: Readonly<Record<string, Case>> = {
  'a claim that is missing': { want: 'persistentvolumeclaim "data" not found' },
  'an ephemeral claim that is missing': { pod: makePod('p').volume({ name: 'v', ephemeral: {} }), want: 'waiting for ephemeral volume controller to create the persistentvolumeclaim "p-v"' },
  'an ephemeral claim of somebody else': { pod: makePod('p').volume({ name: 'v', ephemeral: {} }), claims: [makeClaim('p-v')], want: 'PVC default/p-v was not created for pod default/p (pod is not owner)' },
  'a claim that has lost its volume': { claims: [makeClaim('data', { volume: 'gone', phase: 'Lost' })], want: 'persistentvolumeclaim "data" bound to non-existent persistentvolume "gone"' },
  'a claim that is being deleted': { claims: [makeClaim('data', { deleting: true })], want: 'persistentvolumeclaim "data" is being deleted' },
  'an unbound claim of immediate binding': { claims: [makeClaim('data', { storageClass: 'now' })], want: 'pod has unbound immediate PersistentVolumeClaims' },
  'an unbound claim without a class': { claims: [makeClaim('data', { storageClass: '' })], want: 'pod has unbound immediate PersistentVolumeClaims' },
  'a bound claim': { claims: [makeClaim('data', { volume: 'v' })], volumes: [makeVolume('v', { claim: 'data' })], want: FITS },
  'a bound claim on one node': { claims: [makeClaim('data', { volume: 'v' })], volumes: [makeVolume('v', { claim: 'data', node: 'b' })], want: { a: NODE_CONFLICT, b: '' } },
  'a bound claim whose volume is not there': { claims: [makeClaim('data', { volume: 'v' })], want: { a: 'node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)', b: 'node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)' } },
  'a claim to be provisioned for': { claims: [makeClaim('data')], want: FITS },
  'a claim to be provisioned for in one zone': { claims: [makeClaim('data', { storageClass: 'zonal' })], want: { a: BIND_CONFLICT, b: '' } },
  'a claim with a node selected already': { claims: [makeClaim('data', { selectedNode: 'b' })], want: { a: BIND_CONFLICT, b: '' } },
  'a claim that only volumes that are there can serve': { claims: [makeClaim('data', { storageClass: 'static' })], volumes: [makeVolume('v', { storageClass: 'static', node: 'a' })], want: { a: '', b: BIND_CONFLICT } },
  'volumes that are too small, taken, of another class': {
    claims: [makeClaim('data', { storageClass: 'static' })],
    volumes: [makeVolume('u', { storageClass: 'static', storage: '1Mi' }), makeVolume('v', { storageClass: 'static', claim: 'other' }), makeVolume('w')], want: { a: BIND_CONFLICT, b: BIND_CONFLICT },
  },
  'two claims and one volume': { pod: pod().pvc('more'), claims: [makeClaim('data', { storageClass: 'static' }), makeClaim('more', { storageClass: 'static' })], volumes: [makeVolume('v', { storageClass: 'static' })], want: { a: BIND_CONFLICT, b: BIND_CONFLICT } },
};
for (const [name, { claims = [], volumes = [], pod: p = pod(), want }] of Object.entries(table)) {
  test(`VolumeBinding filters: ${name}`, () => {
    const h = new PluginHarness(newVolumeBinding, { nodes, objects: { persistentVolumeClaims: claims, persistentVolumes: volumes, storageClasses: classes } });
    assert.deepEqual(h.filter(p.obj()), want);
  });
}

test('VolumeBinding heeds the free space that a driver tells of', () => {
  const driver: CSIDriver = { metadata: { name: 'example.com/disk' }, spec: { storageCapacity: true } };
  const capacity = (name: string, zone: string, amount: string): CSIStorageCapacity =>
    ({ metadata: { name, namespace: 'kube-system' }, storageClassName: 'late', capacity: amount, nodeTopology: { matchLabels: { 'topology.kubernetes.io/zone': zone } } });
  const h = new PluginHarness(newVolumeBinding, {
    nodes,
    objects: { persistentVolumeClaims: [makeClaim('data', { storage: '5Gi' })], storageClasses: classes, csiDrivers: [driver], csiStorageCapacities: [capacity('x', 'z1', '1Gi'), capacity('y', 'z2', '10Gi')] },
  });
  assert.deepEqual(h.filter(pod().obj()), { a: 'node(s) did not have enough free storage', b: '' });
});

const prepare = (...objects: (StorageClass | PersistentVolume | PersistentVolumeClaim)[]) => ({
  prepare: (api: { put: (kind: typeof PERSISTENT_VOLUMES | typeof PERSISTENT_VOLUME_CLAIMS | typeof STORAGE_CLASSES, obj: never) => unknown }) => {
    for (const obj of objects) api.put(obj.kind === 'StorageClass' ? STORAGE_CLASSES : obj.kind === 'PersistentVolume' ? PERSISTENT_VOLUMES : PERSISTENT_VOLUME_CLAIMS, obj as never);
  },
});

test('VolumeBinding selects the node for a claim, and lets the Pod be bound when the claim is', async () => {
  await using s = await startScheduler([nodes[0]!], prepare(classes[0]!, makeClaim('data')));
  s.put(pod().obj());
  await s.settle();
  const claim = s.api.get<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS, 'default/data')!;
  assert.deepEqual([claim.metadata.annotations?.['volume.kubernetes.io/selected-node'], s.nodeOf('p')], ['a', undefined]);
  s.api.put(PERSISTENT_VOLUMES, makeVolume('v', { claim: 'data' }));
  s.api.put(PERSISTENT_VOLUME_CLAIMS, { ...claim, metadata: { ...claim.metadata, annotations: { ...claim.metadata.annotations, 'pv.kubernetes.io/bind-completed': 'yes' } }, spec: { ...claim.spec, volumeName: 'v' } });
  await s.settle();
  assert.equal(s.nodeOf('p'), 'a');
});

test('VolumeBinding sets a volume aside for its claim, so that two Pods do not get the same', async () => {
  const claims = [makeClaim('data', { storageClass: 'static' }), makeClaim('more', { storageClass: 'static' })];
  await using s = await startScheduler([nodes[0]!], prepare(classes[1]!, ...claims, makeVolume('v', { storageClass: 'static', node: 'a' })));
  s.put(pod().obj(), makePod('q').pvc('more').obj());
  await s.settle();
  const ref = s.api.get<PersistentVolume>(PERSISTENT_VOLUMES, 'v')?.spec?.claimRef;
  assert.deepEqual([ref?.name, ref?.uid, s.api.get<PersistentVolume>(PERSISTENT_VOLUMES, 'v')?.metadata.annotations], ['data', 'data', { 'pv.kubernetes.io/bound-by-controller': 'yes' }]);
  assert.match(s.events('q')[0]!, /^FailedScheduling: 0\/1 nodes are available: 1 node\(s\) didn't find available persistent volumes to bind\. no new claims/);
});

test('VolumeBinding has the Pod scheduled anew when no volume could be made', async () => {
  await using s = await startScheduler([nodes[0]!], prepare(classes[0]!, makeClaim('data')));
  s.put(pod().obj());
  await s.settle();
  const claim = s.api.get<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS, 'default/data')!;
  s.api.put(PERSISTENT_VOLUME_CLAIMS, { ...claim, metadata: { ...claim.metadata, annotations: {} } });
  await s.settle();
  assert.deepEqual(s.events('p'), ['FailedScheduling: running PreBind plugin "VolumeBinding": binding volumes: provisioning failed for PVC "data"']);
  assert.equal(s.scheduler.cache.isAssumed('p'), false);
});

test('VolumeBinding gives up after ten minutes', async () => {
  await using s = await startScheduler([nodes[0]!], prepare(classes[0]!, makeClaim('data')));
  s.put(pod().obj());
  await s.settle();
  await s.clock.advance(600_000);
  assert.deepEqual(s.events('p'), ['FailedScheduling: running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded']);
});

test('a Pod whose claim is missing says so, and is placed when the claim is there', async () => {
  await using s = await startScheduler([nodes[0]!]);
  s.put(pod().obj());
  await s.settle();
  assert.deepEqual(s.events('p'), ['FailedScheduling: 0/1 nodes are available: persistentvolumeclaim "data" not found. not found']);
  s.api.put(PERSISTENT_VOLUMES, makeVolume('v', { claim: 'data' }));
  s.api.put(PERSISTENT_VOLUME_CLAIMS, makeClaim('data', { volume: 'v' }));
  await s.settle();
  assert.equal(s.nodeOf('p'), 'a');
});
