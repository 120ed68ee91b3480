import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import type { PersistentVolumeClaimSpec, PersistentVolumeSpec, Pod, Volume } from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';
import { EVENTS, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES, VOLUME_ATTRIBUTES_CLASSES } from '#client/kinds.ts';
import { startInProcessCluster, type InProcessCluster } from '#cluster/in-process-cluster.ts';
import { eventually, isGone } from './eventually.ts';

describe('persistent volumes', () => {
  let cluster: InProcessCluster;
  before(async () => {
    cluster = await startInProcessCluster();
  });
  after(() => cluster.stop());
  const claims = () => cluster.client.of(PERSISTENT_VOLUME_CLAIMS);
  const volumes = () => cluster.client.of(PERSISTENT_VOLUMES);
  const claim = (name: string, spec: Partial<PersistentVolumeClaimSpec> = {}) => claims().create({ metadata: { name, namespace: 'default' }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } }, ...spec } });
  const volume = (name: string, spec: Partial<PersistentVolumeSpec> = {}) => volumes().create({ metadata: { name }, spec: { accessModes: ['ReadWriteOnce'], capacity: { storage: '2Gi' }, storageClassName: 'manual', hostPath: { path: `/tmp/none-${name}` }, ...spec } });
  const pod = (name: string, volume: Omit<Volume, 'name'>): Promise<Pod> => cluster.client.of(PODS).create({
    metadata: { name, namespace: 'default' },
    spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: 'x', volumeMounts: [{ name: 'data', mountPath: '/data' }] }], volumes: [{ name: 'data', ...volume }] },
  });
  const runs = (name: string) => eventually(`${name} runs`, async () => (await cluster.client.of(PODS).get('default', name)).status?.phase === 'Running');
  const claimIs = (name: string, phase: string) => eventually(`${name} is ${phase}`, async () => {
    const found = await claims().get('default', name);
    return found.status?.phase === phase && found;
  });
  const volumeIs = (name: string, phase: string) => eventually(`${name} is ${phase}`, async () => (await volumes().get('', name)).status?.phase === phase);
  const told = (name: string, text: string) => eventually(`${name} is told "${text}"`, async () => (await cluster.client.of(EVENTS).list({ fieldSelector: `involvedObject.name=${name}` })).items.some((e) => `${e.reason}: ${e.message}` === text));

  test('a claim of the default class gets a directory on the node of its first Pod, which goes with it', async () => {
    const made = await claim('data');
    assert.equal(made.spec.storageClassName, 'local-path');
    await told('data', 'WaitForFirstConsumer: waiting for first consumer to be created before binding');
    await pod('user', { persistentVolumeClaim: { claimName: 'data' } });
    await runs('user');
    const bound = await claimIs('data', 'Bound');
    assert.deepEqual([bound.status?.capacity, bound.status?.accessModes, bound.spec.volumeName], [{ storage: '1Gi' }, ['ReadWriteOnce'], `pvc-${made.metadata.uid}`]);
    const pv = await volumes().get('', bound.spec.volumeName!);
    assert.equal(pv.status?.phase, 'Bound');
    assert.equal(pv.metadata.annotations?.['pv.kubernetes.io/provisioned-by'], 'podyard.io/local-path');
    assert.deepEqual(pv.spec.nodeAffinity?.required?.nodeSelectorTerms[0]?.matchExpressions, [{ key: 'kubernetes.io/hostname', operator: 'In', values: ['node-1'] }]);
    const path = pv.spec.hostPath!.path;
    assert.equal((await stat(path)).mode & 0o777, 0o777);
    await told('data', `ProvisioningSucceeded: Successfully provisioned volume ${nameOf(pv)}`);
    await told('data', "ExternalProvisioning: Waiting for a volume to be created either by the external provisioner 'podyard.io/local-path' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.");

    await claims().delete('default', 'data');
    const held = await claims().get('default', 'data');
    assert.deepEqual([held.metadata.deletionTimestamp !== undefined, held.metadata.finalizers], [true, ['kubernetes.io/pvc-protection']]);
    await cluster.client.of(PODS).delete('default', 'user');
    await eventually('the claim goes', () => isGone(claims().get('default', 'data')));
    await eventually('the volume goes', () => isGone(volumes().get('', nameOf(pv))));
    await assert.rejects(stat(path), { code: 'ENOENT' });
  });
  test('a directory on a node that has left is told of, and its volume stays until somebody deletes it', async () => {
    const nodeAffinity = { required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In' as const, values: ['left'] }] }] } };
    await volumes().create({
      metadata: { name: 'left', annotations: { 'pv.kubernetes.io/provisioned-by': 'podyard.io/local-path' } },
      spec: { accessModes: ['ReadWriteOnce'], capacity: { storage: '1Gi' }, storageClassName: 'local-path', persistentVolumeReclaimPolicy: 'Delete', hostPath: { path: '/data/storage/pvc' }, nodeAffinity },
    });
    await claim('left', { volumeName: 'left' });
    await claimIs('left', 'Bound');
    await claims().delete('default', 'left');
    await told('left', 'VolumeFailedDelete: directory "/data/storage/pvc" is on node "left", which is not in the cluster: remove it there, then delete the volume');
    await volumes().delete('', 'left');
    await eventually('the volume goes', () => isGone(volumes().get('', 'left')));
  });
  test('a VolumeAttributesClass goes when no volume and no claim names it any more', async () => {
    const classes = cluster.client.of(VOLUME_ATTRIBUTES_CLASSES);
    const make = async (name: string) => {
      const { metadata } = await classes.create({ metadata: { name }, driverName: 'csi.example.com', parameters: { iops: '100' } });
      assert.deepEqual(metadata.finalizers, ['kubernetes.io/vac-protection']);
    };
    const goes = (name: string) => eventually(`${name} goes`, () => isGone(classes.get('', name)));
    for (const name of ['unused', 'of-claim', 'of-volume']) await make(name);
    await claim('gold', { storageClassName: 'none', volumeAttributesClassName: 'of-claim' });
    await volume('gold', { hostPath: undefined, csi: { driver: 'csi.example.com', volumeHandle: 'gold' }, volumeAttributesClassName: 'of-volume' });
    for (const name of ['of-claim', 'of-volume', 'unused']) await classes.delete('', name);
    await goes('unused');
    assert.deepEqual((await classes.list()).items.map(nameOf), ['of-claim', 'of-volume']);
    await claims().delete('default', 'gold');
    await goes('of-claim');
    await volumes().delete('', 'gold');
    await goes('of-volume');
  });
  test('a claim of the default class grows', async () => {
    await claim('small');
    await pod('grower', { persistentVolumeClaim: { claimName: 'small' } });
    const bound = await claimIs('small', 'Bound');
    await claims().patch('default', 'small', 'application/merge-patch+json', { spec: { resources: { requests: { storage: '3Gi' } } } });
    await told('small', 'VolumeResizeSuccessful: Resize volume succeeded');
    const { status } = await claims().get('default', 'small');
    assert.deepEqual([status?.capacity, status?.allocatedResources, status?.conditions], [{ storage: '3Gi' }, { storage: '3Gi' }, undefined]);
    assert.deepEqual((await volumes().get('', bound.spec.volumeName!)).spec.capacity, { storage: '3Gi' });
    await told('small', `Resizing: External resizer is resizing volume ${bound.spec.volumeName}`);
    await assert.rejects(claims().patch('default', 'small', 'application/merge-patch+json', { spec: { resources: { requests: { storage: '2Gi' } } } }), /field can not be less than/);
    await cluster.client.of(PODS).delete('default', 'grower');
  });
  test('a claim takes the smallest volume of its class that will do; a retained one stays released', async () => {
    await volume('large');
    await volume('small', { capacity: { storage: '1Gi' } });
    await volume('tiny', { capacity: { storage: '1Mi' } });
    await Promise.all(['large', 'small', 'tiny'].map((v) => volumeIs(v, 'Available')));
    await claim('fits', { storageClassName: 'manual' });
    assert.equal((await claimIs('fits', 'Bound')).spec.volumeName, 'small');
    assert.equal((await volumes().get('', 'small')).metadata.annotations?.['pv.kubernetes.io/bound-by-controller'], 'yes');
    await claims().delete('default', 'fits');
    await volumeIs('small', 'Released');
    assert.equal((await volumes().get('', 'tiny')).status?.phase, 'Available');
  });
  test('a volume of a driver stays released: its provisioner deletes it', async () => {
    await volumes().create({ metadata: { name: 'driven' }, spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], storageClassName: 'driven', volumeAttributesClassName: 'fast', persistentVolumeReclaimPolicy: 'Delete', csi: { driver: 'csi.example.com', volumeHandle: 'h' } } });
    await volumes().create({ metadata: { name: 'local' }, spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], storageClassName: 'local', persistentVolumeReclaimPolicy: 'Delete', hostPath: { path: '/x' } } });
    for (const name of ['driven', 'local']) {
      const volumeAttributesClassName = name === 'driven' ? 'fast' : undefined;
      await claim(name, { storageClassName: name, volumeAttributesClassName });
      assert.equal((await claimIs(name, 'Bound')).status?.currentVolumeAttributesClassName, volumeAttributesClassName);
      await claims().delete('default', name);
    }
    await volumeIs('local', 'Failed');
    await volumeIs('driven', 'Released');
    assert.equal((await volumes().get('', 'driven')).status?.message, undefined);
  });
  test('a Pod whose volume is still being made says on which node it will be', async () => {
    await cluster.client.of(STORAGE_CLASSES).create({ metadata: { name: 'outer' }, provisioner: 'outer.example.com', volumeBindingMode: 'WaitForFirstConsumer' });
    await claim('outer', { storageClassName: 'outer' });
    await pod('expected', { persistentVolumeClaim: { claimName: 'outer' } });
    await eventually('the node is told', async () => (await cluster.client.of(PODS).get('default', 'expected')).status?.nominatedNodeName === 'node-1');
    await volume('outer', { storageClassName: 'outer', claimRef: { namespace: 'default', name: 'outer' } });
    await runs('expected');
    assert.equal((await cluster.client.of(PODS).get('default', 'expected')).status?.nominatedNodeName, undefined);
  });
  test('a claim may name its volume, and a volume its claim', async () => {
    await volume('named', { claimRef: { namespace: 'default', name: 'later' } });
    await volume('mine');
    await volumeIs('named', 'Available');
    await claim('asks', { storageClassName: 'manual', volumeName: 'mine' });
    await claimIs('asks', 'Bound');
    await claim('later', { storageClassName: 'manual' });
    assert.equal((await claimIs('later', 'Bound')).spec.volumeName, 'named');
    await claim('toolarge', { storageClassName: 'manual', volumeName: 'tiny' });
    await told('toolarge', 'VolumeMismatch: Cannot bind to requested volume "tiny": requested PV is too small');
    await volumes().delete('', 'mine');
    await volumes().patch('', 'mine', 'application/merge-patch+json', { metadata: { finalizers: null } });
    await claimIs('asks', 'Lost');
    await told('asks', 'ClaimLost: Bound claim has lost its PersistentVolume. Data on the volume is lost!');
  });
  test('a bound volume that is deleted stays until its claim is gone', async () => {
    await volume('kept', { claimRef: { namespace: 'default', name: 'keeper' } });
    await claim('keeper', { storageClassName: 'manual' });
    await claimIs('keeper', 'Bound');
    await volumes().delete('', 'kept');
    assert.ok((await volumes().get('', 'kept')).metadata.deletionTimestamp);
    await claims().delete('default', 'keeper');
    await eventually('the volume goes', () => isGone(volumes().get('', 'kept')));
  });
  test('an ephemeral volume has a claim of its own, which goes with the Pod', async () => {
    await pod('eph', { ephemeral: { volumeClaimTemplate: { metadata: { labels: { kind: 'scratch' } }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '10Mi' } } } } } });
    await runs('eph');
    const own = await claims().get('default', 'eph-data');
    assert.deepEqual([own.metadata.labels?.['kind'], own.metadata.ownerReferences?.[0]?.name, own.status?.phase], ['scratch', 'eph', 'Bound']);
    await cluster.client.of(PODS).delete('default', 'eph');
    await eventually('the claim goes', () => isGone(claims().get('default', 'eph-data')));
    await eventually('its volume goes', () => isGone(volumes().get('', own.spec.volumeName!)));
  });
  test('what cannot be provisioned is told', async () => {
    await claim('unknown', { storageClassName: 'nowhere' });
    await told('unknown', 'ProvisioningFailed: storageclass.storage.k8s.io "nowhere" not found');
    await claim('none', { storageClassName: '' });
    await told('none', 'FailedBinding: no persistent volumes available for this claim and no storage class is set');
    await claim('many', { accessModes: ['ReadWriteMany'] });
    await pod('many', { persistentVolumeClaim: { claimName: 'many' } });
    await told('many', 'ProvisioningFailed: failed to provision volume with StorageClass "local-path": podyard.io/local-path only supports ReadWriteOnce and ReadWriteOncePod access modes');
    assert.equal((await cluster.client.of(STORAGE_CLASSES).get('', 'local-path')).reclaimPolicy, 'Delete');
  });
});
