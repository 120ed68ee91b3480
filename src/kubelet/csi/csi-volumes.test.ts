import assert from 'node:assert/strict';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Node, PersistentVolume, Pod } from '#api/gen/core-v1.ts';
import type { CSIDriver, CSIDriverSpec } from '#api/gen/storage-v1.ts';
import { FakeClock, flushMicrotasks } from '#base/fake-clock.ts';
import { preparedTest, temporaryDirectory } from '#base/testing/prepared-test.ts';
import { Client } from '#client/client.ts';
import { SECRETS, VOLUME_ATTACHMENTS } from '#client/kinds.ts';
import { CriError } from '#cri/error.ts';
import { csiAttachmentName, csiUniqueName } from '#machinery/volume-names.ts';
import { FakeApi } from '../testing/fake-api.ts';
import { makePod } from '../testing/make-pod.ts';
import { kubeletConfig, NODE } from '../testing/running-kubelet.ts';
import type { CsiClient } from './client.ts';
import { CsiVolumes } from './csi-volumes.ts';
import { inlineSource, persistentSource, volumeCapability } from './source.ts';
import type { Type } from './types.ts';

const DRIVER = 'd.example.com';
const never = new AbortController().signal;
let dir = '';
let api: FakeApi;
let clock: FakeClock;
let calls: string[] = [];
let requests: Record<string, unknown>[] = [];
let failing = new Map<string, Error>();
let capabilities: Type[] = [];
let driverSpec: CSIDriverSpec | undefined;
let registered = true;
let node: Node;
let nodeListeners = new Set<() => void>();
let driverListener: (name: string) => void = () => {};
let reports = 0;
let usage: object[] = [];

function fakeClient(): CsiClient {
  const call = (name: string) => async (request: Record<string, unknown>) => {
    calls.push(name);
    requests.push(request);
    if (failing.has(name)) throw failing.get(name)!;
    if (name === 'nodePublishVolume') await mkdir(request['targetPath'] as string, { recursive: true });
    return name === 'nodeGetVolumeStats' ? { usage } : {};
  };
  const names = ['nodeGetVolumeStats', 'nodeStageVolume', 'nodeUnstageVolume', 'nodePublishVolume', 'nodeUnpublishVolume'];
  return { ...Object.fromEntries(names.map((n) => [n, call(n)])), capabilities: () => Promise.resolve(new Set(capabilities)), close: () => {} } as unknown as CsiClient;
}
async function newVolumes(): Promise<CsiVolumes> {
  const client = fakeClient();
  const volumes = new CsiVolumes({
    config: kubeletConfig(dir), client: new Client(api), clock,
    drivers: {
      client: (name) => {
        if (!registered || name !== DRIVER) throw new Error(`driver name ${name} not found in the list of registered CSI drivers`);
        return client;
      },
      onRegistered: (fn) => void (driverListener = fn),
    },
    node: { node: () => node, onChange: (fn) => (nodeListeners.add(fn), () => nodeListeners.delete(fn)), report: () => Promise.resolve(void reports++) },
    driverObject: () => Promise.resolve(driverSpec && ({ metadata: { name: DRIVER }, spec: driverSpec } as CSIDriver)),
    requestToken: (_pod, p) => Promise.resolve({ apiVersion: 'v1', kind: 'TokenRequest', metadata: {}, spec: { audiences: [] }, status: { token: `for-${p.audience}`, expirationTimestamp: '2026-01-02T04:04:05Z' } }),
  });
  await volumes.start();
  return volumes;
}
const pv = (more: Partial<PersistentVolume['spec']> = {}, csi: object = {}): PersistentVolume => ({ metadata: { name: 'pv' }, spec: { accessModes: ['ReadWriteOnce'], csi: { driver: DRIVER, volumeHandle: 'h', ...csi }, ...more } });
const source = (more: Partial<PersistentVolume['spec']> = {}, csi: object = {}) => persistentSource(pv(more, csi), false);
const pod = (name = 'web'): Pod => makePod(name).container('c').build();

const test = preparedTest(async (t) => {
  dir = await temporaryDirectory(t, 'csi');
  [api, clock, calls, requests, failing, capabilities, driverSpec, registered, nodeListeners, reports] = [new FakeApi(), new FakeClock(), [], [], new Map(), ['STAGE_UNSTAGE_VOLUME'], { attachRequired: false }, true, new Set(), 0];
  node = { metadata: { name: NODE }, spec: {} };
});

test('CsiVolumes stages once, publishes for each Pod, and takes back in reverse, leaving nothing', async () => {
  const volumes = await newVolumes();
  await volumes.setUp(pod('a'), 'v', source(), never);
  await volumes.setUp(pod('b'), 'v', source(), never);
  await volumes.setUp(pod('a'), 'v', source(), never);
  await volumes.tearDown('uid-a');
  assert.deepEqual(calls, ['nodeStageVolume', 'nodePublishVolume', 'nodePublishVolume', 'nodeUnpublishVolume']);
  await volumes.tearDown('uid-b');
  assert.deepEqual(calls.slice(4), ['nodeUnpublishVolume', 'nodeUnstageVolume']);
  assert.deepEqual(await readdir(join(dir, 'kubelet', 'plugins', 'kubernetes.io', 'csi', DRIVER)), []);
  assert.deepEqual(await readdir(join(dir, 'kubelet', 'pods', 'uid-b', 'volumes', 'kubernetes.io~csi')), []);
});
test('CsiVolumes waits until the node\'s status says that the volume is attached, and gives the driver what the attacher said', async () => {
  driverSpec = {};
  const volumes = await newVolumes();
  const ready = volumes.setUp(pod(), 'v', source(), never);
  await flushMicrotasks();
  assert.deepEqual([volumes.inUse(), reports, calls], [[csiUniqueName(DRIVER, 'h')], 1, []]);
  api.put(VOLUME_ATTACHMENTS, { metadata: { name: csiAttachmentName('h', DRIVER, NODE) }, spec: {}, status: { attached: true, attachmentMetadata: { lun: '3' } } } as never);
  node = { ...node, status: { volumesAttached: [{ name: csiUniqueName(DRIVER, 'h'), devicePath: '' }] } };
  for (const tell of nodeListeners) tell();
  await ready;
  assert.deepEqual([requests[0]!['publishContext'], requests[1]!['publishContext'], clock.timers], [{ lun: '3' }, { lun: '3' }, 0]);
  await volumes.tearDown('uid-web');
  assert.deepEqual([volumes.inUse(), reports, nodeListeners.size], [[], 2, 0]);
});
test('CsiVolumes gives up waiting for the attachment in upstream\'s words', async () => {
  driverSpec = undefined;
  const volumes = await newVolumes();
  const ready = volumes.setUp(pod(), 'v', source(), never);
  ready.catch(() => {});
  await flushMicrotasks();
  await clock.advance(123_000);
  await assert.rejects(ready, { message: 'Unable to attach or mount volumes: unmounted volumes=[v], unattached volumes=[v], failed to process volumes=[]: timed out waiting for the condition' });
  await volumes.tearDown('uid-web');
  assert.deepEqual(volumes.inUse(), []);
});
test('CsiVolumes takes down what an earlier process left, by the disk alone', async () => {
  await (await newVolumes()).setUp(pod(), 'v', source(), never);
  calls = [];
  const next = await newVolumes();
  await next.tearDown('uid-web');
  assert.deepEqual(calls, ['nodeUnpublishVolume', 'nodeUnstageVolume']);
});
test('CsiVolumes unstages what no Pod uses when the driver comes', async () => {
  const volumes = await newVolumes();
  await volumes.setUp(pod(), 'v', source(), never);
  failing.set('nodeUnstageVolume', new CriError('Internal', 'busy'));
  await assert.rejects(volumes.tearDown('uid-web'), { message: 'rpc error: code = Internal desc = busy' });
  failing.clear();
  calls = [];
  await newVolumes();
  driverListener(DRIVER);
  for (let i = 0; i < 100 && calls.length === 0; i++) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(calls, ['nodeUnstageVolume']);
});
test('CsiVolumes keeps everything when the driver refuses to take a volume back, and is asked again', async () => {
  const volumes = await newVolumes();
  await volumes.setUp(pod(), 'v', source(), never);
  failing.set('nodeUnpublishVolume', new CriError('Internal', 'busy'));
  await assert.rejects(volumes.tearDown('uid-web'), { message: 'rpc error: code = Internal desc = busy' });
  failing.clear();
  await volumes.tearDown('uid-web');
  assert.deepEqual(calls.slice(-2), ['nodeUnpublishVolume', 'nodeUnstageVolume']);
});
test('CsiVolumes brings Pods back whose driver comes later', async () => {
  const volumes = await newVolumes();
  const told: string[] = [];
  volumes.onChange((uid) => told.push(uid));
  registered = false;
  await assert.rejects(volumes.setUp(pod(), 'v', source(), never), { message: 'MountVolume.MountDevice failed for volume "pv" : kubernetes.io/csi: attacher.MountDevice failed to create newCsiDriverClient: driver name d.example.com not found in the list of registered CSI drivers' });
  registered = true;
  driverListener(DRIVER);
  assert.deepEqual(told, ['uid-web']);
});

const FAILURES: readonly [string, string, Parameters<typeof source>, CSIDriverSpec | undefined, string][] = [
  ['staging', 'nodeStageVolume', [], { attachRequired: false }, 'MountVolume.MountDevice failed for volume "pv" : rpc error: code = Internal desc = no'],
  ['publishing', 'nodePublishVolume', [], { attachRequired: false }, 'MountVolume.SetUp failed for volume "pv" : rpc error: code = Internal desc = no'],
  ['staging a device', 'nodeStageVolume', [{ volumeMode: 'Block' }], { attachRequired: false }, 'MapVolume.SetUpDevice failed for volume "pv" : rpc error: code = Internal desc = no'],
  ['publishing a device', 'nodePublishVolume', [{ volumeMode: 'Block' }], { attachRequired: false }, 'MapVolume.MapPodDevice failed for volume "pv" : rpc error: code = Internal desc = no'],
  ['a secret that is not there', '', [{}, { nodePublishSecretRef: { name: 's', namespace: 'n' } }], { attachRequired: false }, 'MountVolume.SetUp failed for volume "pv" : fetching NodePublishSecretRef n/s failed: kubernetes.io/csi: failed to find the secret s in the namespace n with error: secrets "s" not found'],
];
for (const [name, method, of, spec, message] of FAILURES) {
  test(`CsiVolumes tells of ${name} in upstream's words`, async () => {
    driverSpec = spec;
    failing.set(method, new CriError('Internal', 'no'));
    await assert.rejects((await newVolumes()).setUp(pod(), 'v', source(...of), never), { message });
  });
}
const INLINE: readonly [string, CSIDriverSpec | undefined, string | undefined][] = [
  ['without a CSIDriver object', undefined, 'no CSIDriver object'],
  ['of a driver that does not serve them', { volumeLifecycleModes: ['Persistent'] }, 'only supports ["Persistent"]'],
  ['of a driver that does', { volumeLifecycleModes: ['Ephemeral'] }, undefined],
];
for (const [name, spec, why] of INLINE) {
  test(`CsiVolumes: inline volumes ${name}`, async () => {
    driverSpec = spec;
    const web = makePod().container('c').volume('v', { csi: { driver: DRIVER } }).build();
    const volumes = await newVolumes();
    const done = volumes.setUp(web, 'v', inlineSource(web, web.spec.volumes![0]!), never);
    if (why) return await assert.rejects(done, { message: `MountVolume.SetUp failed for volume "v" : kubernetes.io/csi: mounter.SetUpAt failed to check volume lifecycle mode: volume mode "Ephemeral" not supported by driver d.example.com (${why})` });
    await done;
    await volumes.tearDown('uid-web');
    assert.deepEqual(calls, ['nodePublishVolume', 'nodeUnpublishVolume']);
  });
}
test('CsiVolumes gives Pod, tokens and secrets as the CSIDriver asks, and publishes anew where it wants that', async () => {
  driverSpec = { attachRequired: false, podInfoOnMount: true, requiresRepublish: true, tokenRequests: [{ audience: 'x' }], serviceAccountTokenInSecrets: true };
  api.put(SECRETS, { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's', namespace: 'n' }, data: { k: Buffer.from('v').toString('base64') } } as never);
  const volumes = await newVolumes();
  const set = () => volumes.setUp(pod(), 'v', source({}, { nodePublishSecretRef: { name: 's', namespace: 'n' }, volumeAttributes: { a: 'b' } }), never);
  assert.equal((await set()).republish, true);
  await set();
  assert.deepEqual(calls, ['nodeStageVolume', 'nodePublishVolume', 'nodePublishVolume']);
  assert.deepEqual([requests[1]!['volumeContext'], requests[1]!['secrets']], [
    { a: 'b', 'csi.storage.k8s.io/pod.name': 'web', 'csi.storage.k8s.io/pod.namespace': 'default', 'csi.storage.k8s.io/pod.uid': 'uid-web', 'csi.storage.k8s.io/serviceAccount.name': '', 'csi.storage.k8s.io/ephemeral': 'false' },
    { k: 'v', 'csi.storage.k8s.io/serviceAccount.tokens': '{"x":{"token":"for-x","expirationTimestamp":"2026-01-02T04:04:05Z"}}' },
  ]);
});
test('CsiVolumes writes what a volume is beside it', async () => {
  await (await newVolumes()).setUp(pod(), 'v', source(), never);
  assert.deepEqual(JSON.parse(await readFile(join(dir, 'kubelet', 'pods', 'uid-web', 'volumes', 'kubernetes.io~csi', 'pv', 'vol_data.json'), 'utf8')), { specVolID: 'pv', driverName: DRIVER, volumeHandle: 'h', nodeName: NODE, volumeLifecycleMode: 'Persistent' });
});

const MODES: readonly [string[], Type[], string][] = [
  [['ReadWriteOnce'], [], 'SINGLE_NODE_WRITER'], [['ReadWriteOnce'], ['SINGLE_NODE_MULTI_WRITER'], 'SINGLE_NODE_MULTI_WRITER'], [['ReadWriteOncePod'], [], 'SINGLE_NODE_WRITER'],
  [['ReadWriteOncePod'], ['SINGLE_NODE_MULTI_WRITER'], 'SINGLE_NODE_SINGLE_WRITER'], [['ReadOnlyMany'], [], 'MULTI_NODE_READER_ONLY'], [['ReadWriteMany', 'ReadWriteOnce'], [], 'MULTI_NODE_MULTI_WRITER'],
];
for (const [accessModes, able, want] of MODES) {
  test(`volumeCapability: ${accessModes.join()} of a driver with [${able.join()}] is ${want}`, () => {
    assert.equal(volumeCapability(source({ accessModes: accessModes as never }), new Set(able), 7).accessMode?.mode, want);
  });
}
test('CsiVolumes asks the driver how full a volume is', async () => {
  const volumes = await newVolumes();
  const mount = await volumes.setUp(pod(), 'v', source(), never);
  usage = [{ unit: 'BYTES', total: 100, available: 60, used: 40 }, { unit: 'INODES', total: 10, available: 8, used: 2 }];
  assert.deepEqual(await volumes.use(source(), mount, never), { capacityBytes: 100, availableBytes: 60, usedBytes: 40, inodes: 10, inodesFree: 8, inodesUsed: 2 });
  assert.deepEqual(requests.at(-1), { volumeId: 'h', volumePath: mount.hostPath });
  usage = [{ unit: 'BYTES', total: 100, available: 60, used: 40 }];
  assert.equal((await volumes.use(source(), mount, never)).inodes, 0);
  usage = [];
  await assert.rejects(volumes.use(source(), mount, never), { message: 'failed to get usage from response. usage is nil' });
});
