import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Container, Pod } from '#api/gen/core-v1.ts';
import { runOptionsOf } from '../container-manager.ts';
import { StartError, type ReadyVolume } from '../interfaces.ts';
import { makePod } from '../testing/make-pod.ts';
import { kubeletConfig } from '../testing/running-kubelet.ts';
import { podDir } from '../pods/paths.ts';
import { containerConfig, type ContainerInputs } from './container-config.ts';
import { mkdir } from 'node:fs/promises';

let dir = '';
before(async () => { dir = await mkdtemp(join(tmpdir(), 'podyard-config-')); });
after(() => rm(dir, { recursive: true, force: true }));

async function configOf(pod: Pod, more: Partial<ContainerInputs> = {}, container: Container = pod.spec.containers[0]!) {
  const config = kubeletConfig(dir);
  await mkdir(podDir(config, pod.metadata.uid!), { recursive: true });
  return await containerConfig(pod, container, {
    config, image: { imageRef: 'sha256:abc', imageId: 'sha256:abc', uid: 0 }, restartCount: 0, environment: [], granted: runOptionsOf([]), volumes: new Map(), podIPs: ['10.0.0.5'], memoryCapacityBytes: 8 * 2 ** 30, cgroups: { v2: false, swap: false },
    recursiveReadOnly: false, hugePageSizes: [], appArmor: false, imageVolumes: true, volumeManager: { subPath: (_pod: Pod, c: { name: string }, v: ReadyVolume, sub: string, i: number) => Promise.resolve(`/bind/${v.name}/${c.name}/${i}/${sub}`) } as unknown as ContainerInputs['volumeManager'], ...more,
  });
}

test('containerConfig asks the runtime for what upstream\'s kubelet asks', async () => {
  const pod = makePod('web-spike', 'u1').container('web', { image: 'x', command: ['sh', '-c', 'exec httpd'], resources: { requests: { cpu: '100m', memory: '64Mi' }, limits: { cpu: '100m', memory: '64Mi' } } }).build();
  const got = await configOf(pod);
  const root = join(dir, 'kubelet', 'pods', 'u1');
  assert.deepEqual(got.metadata, { name: 'web', attempt: 0 });
  assert.equal(got.image?.image, 'sha256:abc');
  assert.deepEqual(got.labels, { 'io.kubernetes.container.name': 'web', 'io.kubernetes.pod.name': 'web-spike', 'io.kubernetes.pod.namespace': 'default', 'io.kubernetes.pod.uid': 'u1' });
  const { 'io.kubernetes.container.hash': hash, ...annotations } = got.annotations!;
  assert.match(hash!, /^[0-9a-f]{8}$/);
  assert.deepEqual(annotations, {
    'io.kubernetes.container.restartCount': '0', 'io.kubernetes.container.terminationMessagePath': '/dev/termination-log', 'io.kubernetes.container.terminationMessagePolicy': 'File', 'io.kubernetes.pod.terminationGracePeriod': '30',
  });
  assert.equal(got.logPath, 'web/0.log');
  assert.deepEqual(got.mounts!.map((m) => m.containerPath), ['/etc/hosts', '/dev/termination-log']);
  assert.equal(got.mounts![0]!.hostPath, join(root, 'etc-hosts'));
  assert.match(got.mounts![1]!.hostPath!, new RegExp(`^${join(root, 'containers', 'web')}/[0-9a-f]{8}$`));
  assert.equal((await stat(got.mounts![1]!.hostPath!)).mode & 0o777, 0o666);
  assert.match(await readFile(got.mounts![0]!.hostPath!, 'utf8'), /^# Kubernetes-managed hosts file\.\n127\.0\.0\.1\tlocalhost\n[^]*10\.0\.0\.5\tweb-spike\n$/);
  assert.deepEqual(got.linux!.resources, { cpuShares: 102, cpuPeriod: 100_000, cpuQuota: 10_000, memoryLimitInBytes: 67_108_864, oomScoreAdj: -997 });
  const { securityContext } = got.linux!;
  assert.deepEqual(securityContext!.namespaceOptions, { network: 'POD', ipc: 'POD', pid: 'CONTAINER' });
  assert.deepEqual(securityContext!.runAsUser, { value: 0 });
  assert.deepEqual(securityContext!.seccomp, { profileType: 'Unconfined' });
  for (const path of ['/proc/acpi', '/proc/kcore', '/proc/keys', '/proc/latency_stats', '/proc/timer_list', '/proc/timer_stats', '/proc/sched_debug', '/proc/scsi', '/sys/firmware']) assert.ok(securityContext!.maskedPaths!.includes(path), path);
  for (const path of ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger']) assert.ok(securityContext!.readonlyPaths!.includes(path), path);
});
test('containerConfig of a container without resources asks for the least shares and no quota', async () => {
  const got = await configOf(makePod().container('side').build());
  assert.deepEqual(got.linux!.resources, { cpuShares: 2, cpuPeriod: 100_000, oomScoreAdj: 1000 });
});
test('containerConfig gives no huge pages unless there is a limit for them', async () => {
  const got = await configOf(makePod().container('c', { resources: { limits: { 'hugepages-2Mi': '4Mi' } } }).build(), { hugePageSizes: ['1GB', '2MB'] });
  assert.deepEqual(got.linux!.resources!.hugepageLimits, [{ pageSize: '1GB', limit: 0 }, { pageSize: '2MB', limit: 4 * 2 ** 20 }]);
});

const VOLUMES = new Map<string, ReadyVolume>([['v', { name: 'v', hostPath: '/host/v', readOnly: false }], ['ro', { name: 'ro', hostPath: '/host/ro', readOnly: true }], ['img', { name: 'img', hostPath: '', readOnly: true, image: 'i:1' }], ['disk', { name: 'disk', hostPath: '/dev/x', readOnly: false, block: true }]]);
const MOUNTS: readonly { name: string; mount: NonNullable<Container['volumeMounts']>[number]; more?: Partial<ContainerInputs>; want: Record<string, unknown> }[] = [
  { name: 'plain', mount: { name: 'v', mountPath: '/m' }, want: { containerPath: '/m', hostPath: '/host/v', readonly: false, propagation: 'PROPAGATION_PRIVATE', recursiveReadOnly: false } },
  { name: 'a source that is read-only', mount: { name: 'ro', mountPath: '/m' }, want: { readonly: true } },
  { name: 'relative paths are below the root', mount: { name: 'v', mountPath: 'm' }, want: { containerPath: '/m' } },
  { name: 'propagation to the container', mount: { name: 'v', mountPath: '/m', mountPropagation: 'HostToContainer' }, want: { propagation: 'PROPAGATION_HOST_TO_CONTAINER' } },
  { name: 'propagation both ways', mount: { name: 'v', mountPath: '/m', mountPropagation: 'Bidirectional' }, want: { propagation: 'PROPAGATION_BIDIRECTIONAL' } },
  { name: 'recursively read-only where the runtime can', mount: { name: 'v', mountPath: '/m', readOnly: true, recursiveReadOnly: 'Enabled' }, more: { recursiveReadOnly: true }, want: { readonly: true, recursiveReadOnly: true } },
  { name: 'if possible, and it is not', mount: { name: 'v', mountPath: '/m', readOnly: true, recursiveReadOnly: 'IfPossible' }, want: { readonly: true, recursiveReadOnly: false } },
  { name: 'subPath', mount: { name: 'v', mountPath: '/m', subPath: 'a/b' }, want: { hostPath: '/bind/v/c/0/a/b' } },
  { name: 'subPathExpr', mount: { name: 'v', mountPath: '/m', subPathExpr: '$(POD)/x' }, more: { environment: [{ key: 'POD', value: 'web' }] }, want: { hostPath: '/bind/v/c/0/web/x' } },
  { name: 'an image', mount: { name: 'img', mountPath: '/m', subPath: 's' }, want: { image: { image: 'i:1' }, imageSubPath: 's', readonly: true } },
];
for (const { name, mount, more, want } of MOUNTS) {
  test(`containerConfig, mounts: ${name}`, async () => {
    const got = (await configOf(makePod().container('c', { volumeMounts: [mount] }).build(), { volumes: VOLUMES, ...more })).mounts![0]!;
    assert.deepEqual(Object.fromEntries(Object.keys(want).map((k) => [k, got[k as keyof typeof got]])), want);
  });
}
test('containerConfig refuses image volumes where the runtime cannot mount them', async () => {
  await assert.rejects(configOf(makePod().container('c', { volumeMounts: [{ name: 'img', mountPath: '/m' }] }).build(), { volumes: VOLUMES, imageVolumes: false }), { message: 'volume "img" is an image volume, which is not supported by the container runtime' });
});
const REFUSED: readonly [string, Container, string][] = [
  ['a volume that is not there', { name: 'c', volumeMounts: [{ name: 'x', mountPath: '/m' }] }, 'cannot find volume "x" to mount into container "c"'],
  ['recursive read-only that the runtime cannot do', { name: 'c', volumeMounts: [{ name: 'v', mountPath: '/m', readOnly: true, recursiveReadOnly: 'Enabled' }] }, 'volume "v" requested recursive read-only mode, but it is not supported by the runtime'],
  ['a variable of subPathExpr that is not there', { name: 'c', volumeMounts: [{ name: 'v', mountPath: '/m', subPathExpr: '$(NO)' }] }, 'missing value for "NO"'],
  ['a device that is a file system', { name: 'c', volumeDevices: [{ name: 'v', devicePath: '/dev/y' }] }, 'cannot find block volume "v" to map into container "c"'],
];
for (const [name, container, message] of REFUSED) {
  test(`containerConfig refuses ${name}`, async () => {
    await assert.rejects(configOf(makePod().spec({ containers: [container] }).build(), { volumes: VOLUMES }), (err: unknown) => err instanceof StartError && err.message === message);
  });
}
test('containerConfig maps block volumes to devices', async () => {
  const got = await configOf(makePod().container('c', { volumeDevices: [{ name: 'disk', devicePath: '/dev/y' }] }).build(), { volumes: VOLUMES });
  assert.deepEqual(got.devices, [{ hostPath: '/dev/x', containerPath: '/dev/y', permissions: 'mrw' }]);
});
test('containerConfig leaves /etc/hosts and the message file to volumes that are mounted there', async () => {
  const got = await configOf(makePod().container('c', { volumeMounts: [{ name: 'v', mountPath: '/etc/hosts' }], terminationMessagePath: '/etc/hosts' }).build(), { volumes: VOLUMES });
  assert.deepEqual(got.mounts!.map((m) => m.hostPath), ['/host/v']);
});
test('containerConfig expands references in commands and arguments', async () => {
  const got = await configOf(makePod().container('c', { command: ['$(A)', '$$(A)', '$(NO)'], args: ['x$(A)y'] }).build(), { environment: [{ key: 'A', value: '1' }] });
  assert.deepEqual([got.command, got.args], [['1', '$(A)', '$(NO)'], ['x1y']]);
});

for (const [name, granted, want] of [
  ['of nobody in particular', {}, { cpuQuota: 100_000 }],
  ['shared', { cpus: { cpus: '0,2-3', exclusive: false } }, { cpuQuota: 100_000, cpusetCpus: '0,2-3' }],
  ['its own: without a quota', { cpus: { cpus: '1', exclusive: true } }, { cpusetCpus: '1' }],
  ['and memory of NUMA nodes', { cpus: { cpus: '1', exclusive: true }, memoryNodes: '0,1' }, { cpusetCpus: '1', cpusetMems: '0,1' }],
] as const) {
  test(`containerConfig: CPUs ${name}`, async () => {
    const pod = makePod('p').container('c', { resources: { requests: { cpu: '1' }, limits: { cpu: '1' } } }).build();
    const { linux } = await configOf(pod, { granted: { ...runOptionsOf([]), ...granted } });
    const { cpuQuota, cpusetCpus, cpusetMems } = linux!.resources!;
    assert.deepEqual(JSON.parse(JSON.stringify({ cpuQuota, cpusetCpus, cpusetMems })), want);
  });
}
