import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { PersistentVolumeSpec } from '#api/gen/core-v1.ts';
import { EVENTS, NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, VOLUME_ATTACHMENTS } from '#client/kinds.ts';
import { startInProcessCluster, type InProcessCluster } from '#cluster/in-process-cluster.ts';
import { csiAttachmentName, csiUniqueName } from '#machinery/volume-names.ts';
import { eventually, isGone } from './eventually.ts';

const DRIVER = 'd.example.com';

describe('attach/detach', () => {
  let cluster: InProcessCluster;
  before(async () => {
    cluster = await startInProcessCluster({ nodes: ['node-1', 'node-2'] });
  });
  after(() => cluster.stop());
  const of = () => ({ attachments: cluster.client.of(VOLUME_ATTACHMENTS), pods: cluster.client.of(PODS), nodes: cluster.client.of(NODES) });
  async function volume(name: string, more: Partial<PersistentVolumeSpec> = {}): Promise<void> {
    const accessModes = more.accessModes ?? ['ReadWriteOnce'];
    await cluster.client.of(PERSISTENT_VOLUMES).create({ metadata: { name }, spec: { accessModes, capacity: { storage: '1Gi' }, storageClassName: 'csi', csi: { driver: DRIVER, volumeHandle: `h-${name}` }, ...more } });
    await cluster.client.of(PERSISTENT_VOLUME_CLAIMS).create({ metadata: { name, namespace: 'default' }, spec: { accessModes, storageClassName: 'csi', volumeName: name, resources: { requests: { storage: '1Gi' } } } });
  }
  const pod = (name: string, claimName: string, nodeName: string) => of().pods.create({
    metadata: { name, namespace: 'default' },
    spec: { nodeName, terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: 'x', volumeMounts: [{ name: 'v', mountPath: '/v' }] }], volumes: [{ name: 'v', persistentVolumeClaim: { claimName } }] },
  });
  const attachmentOf = (name: string, node: string) => csiAttachmentName(`h-${name}`, DRIVER, node);
  const answer = (name: string, node: string, status: object) => of().attachments.patch('', attachmentOf(name, node), 'application/merge-patch+json', { status }, { subresource: 'status' });
  const made = (name: string, node: string) => eventually(`${name} is to be attached to ${node}`, () => of().attachments.get('', attachmentOf(name, node)).catch(() => false as const));
  const told = (name: string, text: string) => eventually(`${name} is told "${text}"`, async () => (await cluster.client.of(EVENTS).list({ fieldSelector: `involvedObject.name=${name}` })).items.some((e) => `${e.type} ${e.reason} ${e.source?.component}: ${e.message}` === text));
  const attachedTo = async (node: string) => (await of().nodes.get('', node)).status?.volumesAttached ?? [];

  test('a volume is attached for its Pod, shown on the node, and detached once the node has let go of it', async () => {
    await volume('one');
    await pod('user', 'one', 'node-1');
    const attachment = await made('one', 'node-1');
    assert.deepEqual(attachment.spec, { attacher: DRIVER, nodeName: 'node-1', source: { persistentVolumeName: 'one' } });
    assert.deepEqual(await attachedTo('node-1'), []);
    await answer('one', 'node-1', { attached: false, attachError: { message: 'rpc error: code = Internal desc = no disk', time: '2026-01-02T03:04:05Z' } });
    await told('user', 'Warning FailedAttachVolume attachdetach-controller: AttachVolume.Attach failed for volume "one" : rpc error: code = Internal desc = no disk');
    await answer('one', 'node-1', { attached: true, attachError: null });
    await told('user', 'Normal SuccessfulAttachVolume attachdetach-controller: AttachVolume.Attach succeeded for volume "one" ');
    await eventually('the node shows it', async () => JSON.stringify(await attachedTo('node-1')) === JSON.stringify([{ name: csiUniqueName(DRIVER, 'h-one'), devicePath: '' }]));
    await eventually('the kubelet says that it is in use', async () => (await of().nodes.get('', 'node-1')).status?.volumesInUse?.includes(csiUniqueName(DRIVER, 'h-one')) ?? false);
    await of().pods.delete('default', 'user');
    await eventually('it is detached', () => isGone(of().attachments.get('', attachmentOf('one', 'node-1'))));
    assert.deepEqual(await attachedTo('node-1'), []);
  });
  test('a volume that one node has comes to another only when it is free', async () => {
    await volume('two');
    await pod('first', 'two', 'node-1');
    await made('two', 'node-1');
    await answer('two', 'node-1', { attached: true });
    await pod('second', 'two', 'node-2');
    await told('second', 'Warning FailedAttachVolume attachdetach-controller: Multi-Attach error for volume "two" Volume is already used by pod(s) first');
    await of().pods.delete('default', 'first');
    await made('two', 'node-2');
    await eventually('it leaves the first node', () => isGone(of().attachments.get('', attachmentOf('two', 'node-1'))));
    await of().pods.delete('default', 'second');
  });
  test('a volume for many nodes is attached to many', async () => {
    await volume('many', { accessModes: ['ReadWriteMany'] });
    await pod('left', 'many', 'node-1');
    await pod('right', 'many', 'node-2');
    await Promise.all([made('many', 'node-1'), made('many', 'node-2')]);
    await Promise.all(['left', 'right'].map((name) => of().pods.delete('default', name)));
    await eventually('both go', async () => (await of().attachments.list()).items.length === 0);
  });
});
