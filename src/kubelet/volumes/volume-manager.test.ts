import assert from 'node:assert/strict';
import { chmod, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { PersistentVolume, PersistentVolumeClaim, Pod, Volume } from '#api/gen/core-v1.ts';
import { FakeClock, flushMicrotasks } from '#base/fake-clock.ts';
import { preparedTest, temporaryDirectory } from '#base/testing/prepared-test.ts';
import { Client } from '#client/client.ts';
import type { EventRecorder } from '#client/events.ts';
import { CONFIG_MAPS, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, SECRETS } from '#client/kinds.ts';
import type { VolumeManager } from '../interfaces.ts';
import { newNodeObjects, type NodeObjects } from '../objects.ts';
import { FakeApi } from '../testing/fake-api.ts';
import { makePod } from '../testing/make-pod.ts';
import { fakeMounter, kubeletConfig } from '../testing/running-kubelet.ts';
import { newVolumeManager } from './volume-manager.ts';

let dir = '';
let api: FakeApi;
let clock: FakeClock;
let objects: NodeObjects;
let volumes: VolumeManager;
let mounter: ReturnType<typeof fakeMounter>;
let events: string[] = [];
let tokens: string[] = [];
let changed: string[] = [];
let views: Map<string, string>;
const never = new AbortController().signal;

const test = preparedTest(async (t) => {
  dir = await temporaryDirectory(t, 'volumes', () => volumes.stop());
  [api, clock, mounter, events, tokens, changed] = [new FakeApi(), new FakeClock(), fakeMounter(), [], [], []];
  views = new Map();
  const client = new Client(api);
  objects = newNodeObjects(client, clock);
  const node = () => ({ nodeName: 'n', nodeIPs: ['192.0.2.1'], allocatable: { cpu: '4', memory: '8Gi' } });
  volumes = newVolumeManager({
    images: {
      view: (imageRef, key) => Promise.resolve(void views.set(key, imageRef)).then(() => ({ type: 'overlay', source: `of ${imageRef}`, options: [] })),
      release: (key) => Promise.resolve(mounter.mounts.size === 0 && void views.delete(key)).then(() => {}),
    },
    config: kubeletConfig(dir), client, clock, mounter, csi: { setUp: () => Promise.reject(new Error('no driver')), tearDown: () => Promise.resolve(), onChange: () => {}, expand: () => Promise.resolve(), use: () => Promise.reject(new Error('no driver')) }, recorder: { eventFor: (_r: unknown, _t: string, reason: string, message: string) => void events.push(`${reason}: ${message}`) } as unknown as EventRecorder,
    payload: {
      trustBundles: { anchors: (_uid, { name }) => (name === 'no' ? Promise.reject(new Error(`no anchors of "${name}"`)) : Promise.resolve(`anchors of ${name}`)), forget: () => {}, onChange: () => {} },
      podCertificates: { bundle: (_pod, volume, index) => {
        if (index === 0) throw new Error(`not issued yet: ${volume} ${index}`);
        return { key: `key ${volume} ${index}\n`, chain: 'chain\n' };
      }, forget: () => {}, onChange: () => {} },
      objects, node, podIPs: () => [], requestToken: (_pod, p) => {
      tokens.push(p.path);
      const expirationSeconds = p.expirationSeconds ?? 3600;
      return Promise.resolve({ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', metadata: {}, spec: { audiences: [], expirationSeconds }, status: { token: `token-${tokens.length}`, expirationTimestamp: new Date(clock.now() + expirationSeconds * 1000).toISOString() } });
    } },
  });
  volumes.onChange((uid) => changed.push(uid));
});
const podWith = (source: Omit<Volume, 'name'>): Pod => makePod().container('c', { resources: { limits: { memory: '64Mi' } } }).volume('v', source).build();
const pathOf = async (pod: Pod): Promise<string> => (await volumes.setUp(pod, never)).get('v')!.hostPath;
const configMap = (data: Record<string, string>) => api.put(CONFIG_MAPS, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'cm', namespace: 'default' }, data });

test('an image is mounted once for all containers, anew when another was pulled; the views of a Pod are given back when nothing mounts them', async () => {
  const pod = podWith({ image: { reference: 'i:1' } });
  const volume = (await volumes.setUp(pod, never)).get('v')!;
  const mount = (imageRef: string) => volumes.mountImage!(pod, volume, imageRef, never);
  const first = await mount('sha256:1');
  assert.deepEqual([first.readOnly, first.image, mounter.mounts.get(first.hostPath)], [true, undefined, 'overlay of sha256:1']);
  assert.deepEqual(await mount('sha256:1'), first);
  const second = await mount('sha256:2');
  assert.deepEqual([...mounter.mounts.values()], ['overlay of sha256:1', 'overlay of sha256:2']);
  assert.notEqual(second.hostPath, first.hostPath);
  assert.deepEqual([...views.values()], ['sha256:1', 'sha256:2']);
  await volumes.tearDown(pod.metadata.uid!);
  assert.deepEqual([mounter.mounts.size, views.size], [0, 0]);
});
test('emptyDir is open to every user, and in memory no larger than its limit, the Pod\'s or the node\'s', async () => {
  const path = await pathOf(podWith({ emptyDir: {} }));
  assert.equal((await stat(path)).mode & 0o7777, 0o777);
  const memory = await pathOf(makePod('m').container('c', { resources: { limits: { memory: '64Mi' } } }).volume('v', { emptyDir: { medium: 'Memory' } }).build());
  assert.equal(mounter.mounts.get(memory), `tmpfs ${64 * 2 ** 20}`);
  assert.equal((await stat(memory)).mode & 0o7777, 0o1777);
  const limited = await pathOf(makePod('l').container('c').volume('v', { emptyDir: { medium: 'Memory', sizeLimit: '10Mi' } }).build());
  assert.equal(mounter.mounts.get(limited), `tmpfs ${10 * 2 ** 20}`);
});
test('configMap volumes: all keys, chosen keys, modes', async () => {
  configMap({ a: '1', b: '2' });
  const path = await pathOf(podWith({ configMap: { name: 'cm', defaultMode: 0o600, items: [{ key: 'a', path: 'x/y', mode: 0o444 }, { key: 'b', path: 'b' }] } }));
  assert.equal(await readFile(join(path, 'x', 'y'), 'utf8'), '1');
  assert.equal((await stat(join(path, 'x', 'y'))).mode & 0o777, 0o444);
  assert.equal((await stat(join(path, 'b'))).mode & 0o777, 0o600);
});
test('secret volumes live on the secrets\' file system and are decoded', async () => {
  api.put(SECRETS, { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's', namespace: 'default' }, data: { k: Buffer.from('geheim').toString('base64') } });
  const path = await pathOf(podWith({ secret: { secretName: 's' } }));
  assert.ok(path.startsWith(join(dir, 'secrets')));
  assert.equal(await readFile(join(path, 'k'), 'utf8'), 'geheim');
});
const MISSING: readonly [string, Omit<Volume, 'name'>, string][] = [
  ['a ConfigMap that is not there', { configMap: { name: 'no' } }, 'configmap "no" not found'],
  ['a Secret that is not there', { secret: { secretName: 'no' } }, 'secret "no" not found'],
  ['a key that is not there', { configMap: { name: 'cm', items: [{ key: 'no', path: 'x' }] } }, 'configmap references non-existent config key: no'],
  ['huge pages that nobody asks for', { emptyDir: { medium: 'HugePages' } }, 'medium HugePages: hugePages storage requested, but there is no resource request for huge pages'],
  ['a trust bundle', { projected: { sources: [{ clusterTrustBundle: { path: 'ca', name: 'no' } }] } }, 'no anchors of "no"'],
  ['certificates that nobody issued', { projected: { sources: [{ podCertificate: { signerName: 's', keyType: 'x' } }] } }, 'not issued yet: v 0'],
  ['a source of another kind', { iscsi: { targetPortal: 'x', iqn: 'y', lun: 0 } }, 'no volume plugin matched: volumes of type "iscsi" are not supported by this node'],
];
for (const [name, source, message] of MISSING) {
  test(`setUp tells of ${name}`, async () => {
    configMap({ a: '1' });
    const full = `MountVolume.SetUp failed for volume "v" : ${message}`;
    await assert.rejects(volumes.setUp(podWith(source), never), { message: full });
    assert.deepEqual(events, [`FailedMount: ${full}`]);
  });
}
test('setUp tells of a claim that is not there', async () => {
  await assert.rejects(volumes.setUp(podWith({ persistentVolumeClaim: { claimName: 'no' } }), never), {
    message: 'Unable to attach or mount volumes: unmounted volumes=[v], unattached volumes=[], failed to process volumes=[v]: error processing PVC default/no: failed to fetch PVC from API server: persistentvolumeclaims "no" not found',
  });
});
test('optional sources may be missing, and are taken up when they come', async () => {
  const pod = podWith({ configMap: { name: 'cm', optional: true } });
  const path = await pathOf(pod);
  configMap({ late: 'yes' });
  await flushMicrotasks();
  assert.ok(changed.includes('uid-web'));
  await volumes.setUp(pod, never);
  assert.equal(await readFile(join(path, 'late'), 'utf8'), 'yes');
});
test('a ConfigMap that changes reaches the volume; one that is deleted leaves it as it was', async () => {
  configMap({ a: '1' });
  const pod = podWith({ configMap: { name: 'cm' } });
  const path = await pathOf(pod);
  configMap({ a: '2' });
  await flushMicrotasks();
  await volumes.setUp(pod, never);
  assert.equal(await readFile(join(path, 'a'), 'utf8'), '2');
  api.remove(CONFIG_MAPS, 'default/cm');
  await flushMicrotasks();
  assert.equal((await volumes.setUp(pod, never)).get('v')!.hostPath, path);
  assert.equal(await readFile(join(path, 'a'), 'utf8'), '2');
  assert.deepEqual(events, ['FailedMount: MountVolume.SetUp failed for volume "v" : configmap "cm" not found']);
});
test('downwardAPI volumes show fields and resources', async () => {
  const pod = makePod().meta({ labels: { b: 'x"y', a: '1' } }).container('c', { resources: { limits: { memory: '64Mi' } } })
    .volume('v', { downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }, { path: 'mem', resourceFieldRef: { containerName: 'c', resource: 'limits.memory', divisor: '1Mi' } }, { path: 'cpu', resourceFieldRef: { containerName: 'c', resource: 'limits.cpu' } }] } }).build();
  const path = await pathOf(pod);
  assert.equal(await readFile(join(path, 'labels'), 'utf8'), 'a="1"\nb="x\\"y"');
  assert.equal(await readFile(join(path, 'mem'), 'utf8'), '64');
  assert.equal(await readFile(join(path, 'cpu'), 'utf8'), '4');
});
test('projected tokens are asked for once, and anew at four fifths of their life', async () => {
  const pod = podWith({ projected: { sources: [{ serviceAccountToken: { path: 'token', expirationSeconds: 1000 } }] } });
  const path = await pathOf(pod);
  await volumes.setUp(pod, never);
  assert.equal(await readFile(join(path, 'token'), 'utf8'), 'token-1');
  await clock.advance(799_000);
  assert.deepEqual(changed, []);
  await clock.advance(1001);
  assert.deepEqual(changed, ['uid-web']);
  await volumes.setUp(pod, never);
  assert.equal(await readFile(join(path, 'token'), 'utf8'), 'token-2');
});
const TOKEN_MODES: readonly [string, (pod: ReturnType<typeof makePod>) => ReturnType<typeof makePod>, number][] = [
  ['readable by its volume\'s mode', (p) => p, 0o644],
  ['the only user\'s alone', (p) => p.spec({ securityContext: { runAsUser: process.getuid?.() ?? 0 } }), 0o600],
  ['the group\'s too where the Pod has one', (p) => p.spec({ securityContext: { fsGroup: process.getgid?.() ?? 0 } }), 0o640],
];
for (const [name, change, mode] of TOKEN_MODES) {
  test(`projected tokens are ${name}`, async () => {
    const path = await pathOf(change(makePod().container('c').volume('v', { projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } })).build());
    assert.equal((await stat(join(path, 'token'))).mode & 0o777, mode);
  });
}
test('projected tokens belong to the only user also where the Pod has a group', async () => {
  const pod = makePod().container('c').spec({ securityContext: { runAsUser: 1000, fsGroup: 2000 } }).volume('v', { projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } }).build();
  const { mode, uid, gid } = await stat(join(await pathOf(pod), 'token'));
  assert.deepEqual([mode & 0o777, uid, gid], [0o640, 1000, 2000]);
});
test('claims: bound local volumes are used, unbound ones are waited for', async () => {
  const pvc = (change: Partial<PersistentVolumeClaim>) => api.put<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS, { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'data', namespace: 'default', uid: 'claim' }, spec: {}, ...change });
  const pod = podWith({ persistentVolumeClaim: { claimName: 'data', readOnly: true } });
  pvc({ status: { phase: 'Pending' } });
  await assert.rejects(volumes.setUp(pod, never), { message: 'Unable to attach or mount volumes: unmounted volumes=[v], unattached volumes=[], failed to process volumes=[v]: error processing PVC default/data: PVC is not bound' });
  pvc({ spec: { volumeName: 'pv' }, status: { phase: 'Bound' } });
  api.put<PersistentVolume>(PERSISTENT_VOLUMES, { apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name: 'pv' }, spec: { local: { path: dir }, claimRef: { uid: 'claim' } } });
  const { measure, ...ready } = (await volumes.setUp(pod, never)).get('v')!;
  assert.deepEqual(ready, { name: 'v', hostPath: dir, readOnly: true });
  assert.ok((await measure!(never)).capacityBytes > 0);
  assert.deepEqual([...volumes.volumesOf('uid-web').keys()], ['v']);
  api.put<PersistentVolume>(PERSISTENT_VOLUMES, { apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name: 'pv' }, spec: { iscsi: { targetPortal: 'x', iqn: 'y', lun: 0 }, claimRef: { uid: 'claim' } } });
  await assert.rejects(volumes.setUp(makePod('other').container('c').volume('v', { persistentVolumeClaim: { claimName: 'data' } }).build(), never), { message: 'MountVolume.SetUp failed for volume "pv" : no volume plugin matched: volumes of type "iscsi" are not supported by this node' });
});
test('fsGroup owns what a volume holds', async () => {
  const gid = process.getgid?.() ?? 0;
  const path = await pathOf(makePod().spec({ securityContext: { fsGroup: gid } }).container('c').volume('v', { emptyDir: {} }).build());
  assert.equal((await stat(path)).mode & 0o2770, 0o2770);
  await chmod(path, 0o2777);
});
test('tearDown leaves nothing, and forgets the objects that nobody needs any more', async () => {
  configMap({ a: '1' });
  const pod = makePod().container('c').volume('v', { configMap: { name: 'cm' } }).volume('m', { emptyDir: { medium: 'Memory' } }).volume('t', { projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } }).build();
  await volumes.setUp(pod, never);
  await volumes.tearDown('uid-web');
  assert.equal(mounter.mounts.size, 0);
  assert.equal(clock.timers, 0);
  await assert.rejects(stat(join(dir, 'secrets', 'uid-web')));
  changed = [];
  configMap({ a: '2' });
  await flushMicrotasks();
  assert.deepEqual(changed, []);
});
test('projected trust anchors and certificates: each in its file, for the one user of the Pod alone', async () => {
  const pod = makePod().container('c', { securityContext: { runAsUser: 1000 } }).volume('v', { projected: { sources: [
    { serviceAccountToken: { path: 'token' } },
    { podCertificate: { signerName: 's', keyType: 'x', credentialBundlePath: 'both', keyPath: 'key', certificateChainPath: 'chain' } },
    { clusterTrustBundle: { path: 'ca/anchors', name: 'a' } },
    { podCertificate: { signerName: 's', keyType: 'x', keyPath: 'second' } },
  ] } }).build();
  const path = await pathOf(pod);
  const read = (name: string) => readFile(join(path, name), 'utf8');
  assert.deepEqual(await Promise.all(['both', 'key', 'chain', 'ca/anchors', 'second', 'token'].map(read)), ['key v 1\nchain\n', 'key v 1\n', 'chain\n', 'anchors of a', 'key v 3\n', 'token-1']);
  for (const name of ['key', 'both', 'chain', 'ca/anchors']) {
    const { mode, uid } = await stat(join(path, name));
    assert.deepEqual([mode & 0o777, uid], [0o600, 1000], name);
  }
});
