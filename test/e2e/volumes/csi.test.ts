/** Volumes of a CSI driver on a real node: attached, staged, published, taken back in order, over a restart too. */
import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { after } from 'node:test';
import { CSI_NODES, PERSISTENT_VOLUME_CLAIMS, VOLUME_ATTACHMENTS } from '#client/kinds.ts';
import { csiAttachmentName, csiHandleHash } from '#machinery/volume-names.ts';
import { waitFor, waitForEvent, waitForLog, waitForNode, waitForPodGone, waitForReady } from '../harness/conditions.ts';
import type { TestCluster } from '../harness/cluster.ts';
import { onCluster } from '../harness/suite.ts';
import { TestDriver } from './csi-driver.ts';

const NAME = 'dir.csi.example.com';
const BUSYBOX = 'docker.io/library/busybox:1.37';
const { test } = onCluster({ images: [BUSYBOX] });
let driver: TestDriver | undefined;
// Started by the first test: it needs the cluster's directories.
after(async () => await driver?.[Symbol.asyncDispose]());

const pod = (name: string, volume: object, more: { command?: string; mounts?: object; spec?: object } = {}): object => ({
  apiVersion: 'v1', kind: 'Pod', metadata: { name },
  spec: {
    terminationGracePeriodSeconds: 0, ...more.spec,
    containers: [{ name: 'c', image: BUSYBOX, command: ['sh', '-c', more.command ?? 'sleep 3600'], ...(more.mounts ?? { volumeMounts: [{ name: 'data', mountPath: '/data' }] }) }],
    volumes: [{ name: 'data', ...volume }],
  },
});
const claimed = (name: string): object => ({ persistentVolumeClaim: { claimName: name } });
async function volume(c: TestCluster, name: string, csi: object, more: object = {}): Promise<void> {
  await c.apply({
    apiVersion: 'v1', kind: 'List', items: [
      { apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name }, spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], storageClassName: 'dir', persistentVolumeReclaimPolicy: 'Retain', csi: { driver: NAME, volumeHandle: `handle-${name}`, ...csi }, ...more } },
      { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name }, spec: { accessModes: ['ReadWriteOnce'], storageClassName: 'dir', volumeName: name, resources: { requests: { storage: '1Gi' } }, ...('volumeMode' in more ? { volumeMode: more.volumeMode } : {}) } },
    ],
  });
}
const uidOf = async (c: TestCluster, name: string): Promise<string> => (await c.kubectl(['get', 'pod', name, '-o', 'jsonpath={.metadata.uid}'])).stdout;
const detached = (c: TestCluster, handle: string): Promise<true> => waitFor(c, VOLUME_ATTACHMENTS, `metadata.name=${csiAttachmentName(handle, NAME, c.nodeName)}`, 'the attachment to go', (all) => (all.size === 0 ? true : undefined));

test('a driver registers: CSINode, annotation and topology labels', async (c) => {
  await waitForNode(c, c.nodeName, 'without drivers', () => true);
  driver = new TestDriver({
    name: NAME, dir: `${c.dir}/csi`, kubeletDir: `${c.dataDir}/kubelet`, nodeId: 'machine-1', topology: { 'topology.dir.csi.example.com/rack': 'r1' },
    capabilities: ['STAGE_UNSTAGE_VOLUME', 'EXPAND_VOLUME', 'GET_VOLUME_STATS'],
  });
  await c.apply({ apiVersion: 'storage.k8s.io/v1', kind: 'CSIDriver', metadata: { name: NAME }, spec: { attachRequired: true, podInfoOnMount: true, fsGroupPolicy: 'File', tokenRequests: [{ audience: 'vault' }], volumeLifecycleModes: ['Persistent', 'Ephemeral'] } });
  await driver.start();
  driver.attachFor(await c.client());
  await driver.until('the registration', () => driver!.statuses.length > 0);
  assert.deepEqual(driver.statuses[0], { pluginRegistered: true, error: '' });
  const csiNode = await waitFor(c, CSI_NODES, `metadata.name=${c.nodeName}`, 'the driver on the CSINode', (all) => [...all.values()].find((n) => n.spec.drivers.length));
  assert.deepEqual(csiNode.spec.drivers, [{ name: NAME, nodeID: 'machine-1', topologyKeys: ['topology.dir.csi.example.com/rack'], allocatable: { count: 7 } }]);
  const node = await waitForNode(c, c.nodeName, 'labelled', (n) => n.metadata.labels?.['topology.dir.csi.example.com/rack'] === 'r1');
  assert.equal(node.metadata.annotations?.['csi.volume.kubernetes.io/nodeid'], `{"${NAME}":"machine-1"}`);
});

test('a Pod writes to a volume that was attached, staged and published; the last Pod that goes takes it all back', async (c) => {
  const d = driver!;
  await c.kubectl('create secret generic keys --from-literal=key=geheim');
  await volume(c, 'one', { fsType: 'ext4', volumeAttributes: { colour: 'blue' }, nodeStageSecretRef: { name: 'keys', namespace: 'default' } }, { mountOptions: ['noatime'] });
  await c.apply(pod('writer', claimed('one'), { command: 'id -G; echo hello > /data/file; sleep 3600', spec: { securityContext: { fsGroup: 4242 } } }));
  await waitForReady(c, 'writer');
  const proxy = `/api/v1/nodes/${c.nodeName}/proxy`;
  const { pods } = JSON.parse((await c.kubectl(['get', '--raw', `${proxy}/stats/summary`])).stdout) as { pods: { podRef: { name: string }; volume?: { name: string }[] }[] };
  const measured = pods.find((p) => p.podRef.name === 'writer')?.volume?.find((v) => v.name === 'data') as Record<string, unknown> | undefined;
  assert.deepEqual({ ...measured, time: '' }, { time: '', capacityBytes: 1000, availableBytes: 600, usedBytes: 400, inodes: 10, inodesFree: 8, inodesUsed: 2, name: 'data', pvcRef: { name: 'one', namespace: 'default' } });
  assert.match((await c.kubectl(['get', '--raw', `${proxy}/metrics`])).stdout, /^kubelet_volume_stats_used_bytes\{namespace="default",persistentvolumeclaim="one"\} 400$/m);
  await waitForEvent(c, 'writer', 'SuccessfulAttachVolume', /^AttachVolume\.Attach succeeded for volume "one" $/);
  const uid = await uidOf(c, 'writer');
  const kubelet = `${c.dataDir}/kubelet`;
  const staging = `${kubelet}/plugins/kubernetes.io/csi/${NAME}/${csiHandleHash('handle-one')}/globalmount`;
  const target = `${kubelet}/pods/${uid}/volumes/kubernetes.io~csi/one/mount`;
  const capability = { accessMode: { mode: 'SINGLE_NODE_WRITER' }, mount: { fsType: 'ext4', mountFlags: ['noatime'], volumeMountGroup: '' } };
  assert.deepEqual(d.callsOf('NodeStageVolume'), [{
    volumeId: 'handle-one', publishContext: { device: 'disk-of-one' }, stagingTargetPath: staging, volumeCapability: capability, secrets: { key: 'geheim' }, volumeContext: { colour: 'blue' },
  }]);
  const [published] = d.callsOf('NodePublishVolume');
  const { 'csi.storage.k8s.io/serviceAccount.tokens': tokens, ...context } = published!['volumeContext'] as Record<string, string>;
  assert.deepEqual({ ...published, volumeContext: context }, {
    volumeId: 'handle-one', publishContext: { device: 'disk-of-one' }, stagingTargetPath: staging, targetPath: target, volumeCapability: capability, readonly: false, secrets: {},
    volumeContext: {
      colour: 'blue', 'csi.storage.k8s.io/pod.name': 'writer', 'csi.storage.k8s.io/pod.namespace': 'default', 'csi.storage.k8s.io/pod.uid': uid, 'csi.storage.k8s.io/serviceAccount.name': 'default', 'csi.storage.k8s.io/ephemeral': 'false',
    },
  });
  assert.match((JSON.parse(tokens!) as { vault: { token: string } }).vault.token, /^ey/);
  await waitForLog(c, 'writer', /4242/);
  assert.equal(await readFile(`${d.volumeDir('handle-one')}/file`, 'utf8'), 'hello\n');
  assert.equal((await stat(d.volumeDir('handle-one'))).gid, 4242);
  assert.deepEqual(JSON.parse(await readFile(`${target.slice(0, -6)}/vol_data.json`, 'utf8')), {
    specVolID: 'one', driverName: NAME, volumeHandle: 'handle-one', nodeName: c.nodeName, volumeLifecycleMode: 'Persistent', attachmentID: csiAttachmentName('handle-one', NAME, c.nodeName),
  });
  const node = await waitForNode(c, c.nodeName, 'using the volume', (n) => n.status?.volumesInUse?.length === 1);
  assert.deepEqual([node.status?.volumesInUse, node.status?.volumesAttached], [[`kubernetes.io/csi/${NAME}^handle-one`], [{ name: `kubernetes.io/csi/${NAME}^handle-one`, devicePath: '' }]]);

  // A place inside of the volume: its own mount goes before the volume's.
  await c.apply(pod('reader', claimed('one'), { command: 'cat /data; sleep 3600', mounts: { volumeMounts: [{ name: 'data', mountPath: '/data', subPath: 'file' }] } }));
  assert.match(await waitForLog(c, 'reader', /hello/), /^hello\n$/);
  await c.kubectl('delete pod writer --now');
  await waitForPodGone(c, 'writer');
  assert.equal(d.callsOf('NodeStageVolume').length, 1);
  assert.deepEqual([d.callsOf('NodeUnpublishVolume'), d.callsOf('NodeUnstageVolume')], [[{ volumeId: 'handle-one', targetPath: target }], []]);
  await c.kubectl('delete pod reader --now');
  await waitForPodGone(c, 'reader');
  assert.deepEqual(d.callsOf('NodeUnstageVolume'), [{ volumeId: 'handle-one', stagingTargetPath: staging }]);
  await assert.rejects(stat(staging), { code: 'ENOENT' });
  await detached(c, 'handle-one');
  await waitForNode(c, c.nodeName, 'rid of the volume', (n) => !n.status?.volumesInUse?.length && !n.status?.volumesAttached?.length);
});

test('a block volume is a device of the container', async (c) => {
  const d = driver!;
  await volume(c, 'raw', {}, { volumeMode: 'Block' });
  await c.apply(pod('block', claimed('raw'), { command: 'echo -n marker | dd of=/dev/disk conv=notrunc 2>/dev/null; sync; dd if=/dev/disk bs=6 count=1 2>/dev/null; echo; sleep 3600', mounts: { volumeDevices: [{ name: 'data', devicePath: '/dev/disk' }] } }));
  await waitForReady(c, 'block');
  await waitForLog(c, 'block', /marker/);
  const uid = await uidOf(c, 'block');
  const devices = `${c.dataDir}/kubelet/plugins/kubernetes.io/csi/volumeDevices`;
  const published = d.callsOf('NodePublishVolume').find((r) => r['volumeId'] === 'handle-raw')!;
  assert.deepEqual([published['targetPath'], published['stagingTargetPath'], published['volumeCapability']], [`${devices}/publish/raw/${uid}`, `${devices}/staging/raw`, { block: {}, accessMode: { mode: 'SINGLE_NODE_WRITER' } }]);
  assert.equal((await readFile(`${d.volumeDir('handle-raw')}.img`, 'utf8')).slice(0, 6), 'marker');
  await c.kubectl('delete pod block --now');
  await waitForPodGone(c, 'block');
  await assert.rejects(stat(`${devices}/raw`), { code: 'ENOENT' });
  await detached(c, 'handle-raw');
});

test('an inline volume lives and goes with its Pod', async (c) => {
  const d = driver!;
  await c.apply(pod('inline', { csi: { driver: NAME, volumeAttributes: { size: 'small' } } }, { command: 'echo inline > /data/x; cat /data/x; sleep 3600' }));
  await waitForLog(c, 'inline', /inline/);
  const request = d.callsOf('NodePublishVolume').at(-1)!;
  assert.deepEqual([(request['volumeContext'] as Record<string, string>)['csi.storage.k8s.io/ephemeral'], request['stagingTargetPath']], ['true', '']);
  await c.kubectl('delete pod inline --now');
  await waitForPodGone(c, 'inline');
  assert.equal(d.callsOf('NodeUnpublishVolume').at(-1)!['volumeId'], request['volumeId']);
});

test('a claim that grows has its file system grown by the driver of the node', async (c) => {
  const d = driver!;
  await c.apply({ apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', metadata: { name: 'dir' }, provisioner: NAME, allowVolumeExpansion: true });
  await volume(c, 'grows', {});
  await c.apply(pod('grower', claimed('grows')));
  await waitForReady(c, 'grower');
  await c.kubectl(['patch', 'pvc', 'grows', '-p', '{"spec":{"resources":{"requests":{"storage":"2Gi"}}}}']);
  await waitForEvent(c, 'grows', 'ExternalExpanding', /^waiting for an external controller to expand this PVC$/);
  // What an external resizer does.
  await c.kubectl(['patch', 'pv', 'grows', '-p', '{"spec":{"capacity":{"storage":"2Gi"}}}']);
  await c.kubectl(['patch', 'pvc', 'grows', '--subresource=status', '-p', '{"status":{"conditions":[{"type":"FileSystemResizePending","status":"True"}],"allocatedResources":{"storage":"2Gi"},"allocatedResourceStatuses":{"storage":"NodeResizePending"}}}']);
  // The kubelet looks at each sync of the Pod.
  await c.kubectl('annotate pod grower look=now');
  await waitForEvent(c, 'grows', 'FileSystemResizeSuccessful', /^MountVolume\.NodeExpandVolume succeeded for volume "grows" node01$/);
  const { status } = await waitFor(c, PERSISTENT_VOLUME_CLAIMS, 'metadata.name=grows', 'the claim to have grown', (all) => [...all.values()].find((x) => x.status?.capacity?.['storage'] === '2Gi'));
  assert.deepEqual([status?.conditions, status?.allocatedResourceStatuses, status?.allocatedResources], [undefined, undefined, { storage: '2Gi' }]);
  const [request] = d.callsOf('NodeExpandVolume');
  assert.deepEqual([request?.['volumeId'], request?.['capacityRange']], ['handle-grows', { requiredBytes: 2 ** 31, limitBytes: 0 }]);
  await c.kubectl('delete pod grower --now');
});

test('what a driver refuses is told in the Pod\'s events, and tried again', async (c) => {
  const d = driver!;
  await volume(c, 'bad', {});
  d.failures.set('NodeStageVolume', 'disk on fire');
  await c.apply(pod('unlucky', claimed('bad')));
  await waitForEvent(c, 'unlucky', 'FailedMount', /^MountVolume\.MountDevice failed for volume "bad" : rpc error: code = Internal desc = disk on fire$/);
  d.failures.clear();
  await waitForReady(c, 'unlucky');
  await c.kubectl('delete pod unlucky --now');
  await c.apply(pod('nobody', { csi: { driver: 'no.example.com' } }));
  await waitForEvent(c, 'nobody', 'FailedMount', /^MountVolume\.SetUp failed for volume "data" : kubernetes\.io\/csi: mounter\.SetUpAt failed to check volume lifecycle mode: volume mode "Ephemeral" not supported by driver no\.example\.com \(no CSIDriver object\)$/);
  await c.kubectl('delete pod nobody --now');
});

test('volumes of a kubelet that was killed are taken back by the next one', { timeout: 300_000 }, async (c) => {
  const d = driver!;
  await volume(c, 'kept', {});
  await c.apply(pod('survivor', claimed('kept'), { command: 'echo first > /data/file; while sleep 0.2; do date >> /data/file; done' }));
  await waitForReady(c, 'survivor');
  const registrations = d.statuses.length;
  await c.kill();
  await c.up();
  d.attachFor(await c.client());
  await d.until('the driver to be taken up again', () => d.statuses.length > registrations);
  assert.equal((await c.kubectl(['exec', 'survivor', '--', 'head', '-n1', '/data/file'])).stdout, 'first\n');
  await c.kubectl('delete pod survivor --now');
  await waitForPodGone(c, 'survivor');
  assert.equal(d.callsOf('NodeUnpublishVolume').at(-1)!['volumeId'], 'handle-kept');
  assert.equal(d.callsOf('NodeUnstageVolume').at(-1)!['volumeId'], 'handle-kept');
  await detached(c, 'handle-kept');
});
