import assert from 'node:assert/strict';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe } from 'node:test';
import { preparedTest, temporaryDirectory } from '#base/testing/prepared-test.ts';
import { makePod } from '../testing/make-pod.ts';
import { newCgroupManager } from './cgroup-manager.ts';
import { CgroupHierarchy } from './hierarchy.ts';
import { limitProperties, sliceOf, slicePath, SystemdError, systemdDriver, type SystemdCall } from './systemd-driver.ts';

let root = '';
const test = preparedTest(async (t) => {
  root = await temporaryDirectory(t, 'slices');
  for (const controller of ['cpu', 'memory', 'pids', 'systemd']) {
    await mkdir(join(root, controller));
    await writeFile(join(root, controller, 'cgroup.procs'), '');
  }
});

describe('names of slices', () => {
  const table: readonly (readonly [names: readonly string[], slice: string, path: string])[] = [
    [[], '-.slice', '/'],
    [['kubepods'], 'kubepods.slice', '/kubepods.slice'],
    [['kubepods', 'burstable'], 'kubepods-burstable.slice', '/kubepods.slice/kubepods-burstable.slice'],
    [['kubepods', 'besteffort', 'pod1234-abcd-5678'], 'kubepods-besteffort-pod1234_abcd_5678.slice', '/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1234_abcd_5678.slice'],
    [['podyard-1a2b', 'kubepods'], 'podyard_1a2b-kubepods.slice', '/podyard_1a2b.slice/podyard_1a2b-kubepods.slice'],
  ];
  for (const [names, slice, path] of table) test(`${names.join('/') || 'the root'}: ${slice}`, () => assert.deepEqual([sliceOf(names), slicePath(names)], [slice, path]));
});
describe('limitProperties', () => {
  const all = { cpuShares: 512, cpuQuotaUs: 50_000, memoryBytes: 2 ** 26, pids: 100 };
  test('on version 2', () => assert.deepEqual(limitProperties(all, true), [['CPUWeight', 't', '20'], ['CPUQuotaPerSecUSec', 't', '500000'], ['MemoryMax', 't', '67108864'], ['TasksMax', 't', '100']]));
  test('on version 1', () => assert.deepEqual(limitProperties(all, false), [['CPUShares', 't', '512'], ['CPUQuotaPerSecUSec', 't', '500000'], ['MemoryLimit', 't', '67108864'], ['TasksMax', 't', '100']]));
  test('quotas are whole hundredths of a CPU, no less than asked', () => assert.deepEqual([1000, 1001, 12_345].map((cpuQuotaUs) => limitProperties({ cpuQuotaUs }, true)[0]![2]), ['10000', '20000', '130000']));
  test('nothing for what is not limited', () => assert.deepEqual(limitProperties({}, true), []));
});

const pod = makePod('g').container('c', { resources: { limits: { cpu: '500m', memory: '64Mi' } } }).build();
const bestEffort = makePod('b').container('c').build();

/** A systemd that notes down what it is asked, and makes and removes directories as it does on version 1. */
class FakeSystemd {
  readonly calls: string[] = [];
  readonly units = new Set<string>();
  readonly call: SystemdCall = async (method, _signature, args) => {
    const [slice = ''] = args;
    this.calls.push([method, ...args].join(' '));
    const path = join(root, 'systemd', slicePath(slice.replace('.slice', '').split('-')));
    if (method === 'StartTransientUnit') {
      if (this.units.has(slice)) throw new SystemdError('UnitExists', 'exists');
      this.units.add(slice);
      return void (await mkdir(path, { recursive: true }));
    }
    if (!this.units.has(slice)) throw new SystemdError('NoSuchUnit', 'none');
    if (method === 'StopUnit') {
      this.units.delete(slice);
      await rm(path, { recursive: true, force: true });
    }
  };
}
test('Pods get slices by their class, with limits both ways; they are found again and go', async () => {
  const systemd = new FakeSystemd();
  const driver = systemdDriver(new CgroupHierarchy(root), systemd.call);
  const manager = newCgroupManager({ driver: () => driver, root: '/podyard-x', podPidsLimit: 100 });
  const path = '/podyard_x.slice/podyard_x-kubepods.slice/podyard_x-kubepods-poduid_g.slice';
  assert.equal(await manager.ensurePod(pod), path);
  const accounting = 'CPUAccounting b true MemoryAccounting b true TasksAccounting b true BlockIOAccounting b true';
  assert.deepEqual(systemd.calls.splice(0), [
    `StartTransientUnit podyard_x-kubepods-poduid_g.slice replace 11 Description s Kubernetes: ${path} Wants as 1 podyard_x-kubepods.slice DefaultDependencies b false ${accounting} CPUShares t 512 CPUQuotaPerSecUSec t 500000 MemoryLimit t 67108864 TasksMax t 100 0`,
  ]);
  assert.equal(await readFile(join(root, 'memory', path, 'memory.limit_in_bytes'), 'utf8'), '67108864');
  assert.equal(await manager.ensurePod(pod), path);
  assert.deepEqual(systemd.calls, [], 'once');
  await manager.updateQos!([pod]);
  assert.equal(await manager.ensurePod(bestEffort), '/podyard_x.slice/podyard_x-kubepods.slice/podyard_x-kubepods-besteffort.slice/podyard_x-kubepods-besteffort-poduid_b.slice');
  assert.deepEqual([...(await manager.listPods())].toSorted(), ['uid-b', 'uid-g']);
  assert.equal(manager.containerPath!(path, 'abc'), `${path}/cri-containerd-abc.scope`);
  systemd.calls.length = 0;
  // The control files of a real group vanish with it.
  await rm(join(root, 'cpu', path, 'cpu.shares'));
  for (const file of ['cpu/cpu.cfs_quota_us', 'memory/memory.limit_in_bytes', 'pids/pids.max']) await rm(join(root, file.split('/')[0]!, path, file.split('/')[1]!));
  await manager.removePod('uid-g');
  assert.deepEqual(systemd.calls, ['StopUnit podyard_x-kubepods-poduid_g.slice replace']);
  assert.deepEqual(await manager.listPods(), ['uid-b']);
  await manager.removePod('uid-g');
  assert.equal(systemd.calls.length, 1, 'what is gone is gone');
});
test('a slice that is there is given its limits; one that somebody stopped is made again', async () => {
  const systemd = new FakeSystemd();
  const driver = systemdDriver(new CgroupHierarchy(root), systemd.call);
  await driver.create(['kubepods'], { cpuShares: 100 });
  systemd.calls.length = 0;
  await systemdDriver(new CgroupHierarchy(root), systemd.call).create(['kubepods'], { cpuShares: 200 });
  assert.deepEqual(systemd.calls.map((c) => c.split(' ')[0]), ['StartTransientUnit', 'SetUnitProperties']);
  assert.equal(systemd.calls[1], 'SetUnitProperties kubepods.slice true 1 CPUShares t 200');
  systemd.units.clear();
  systemd.calls.length = 0;
  await driver.create(['kubepods'], { cpuShares: 300 });
  assert.deepEqual(systemd.calls.map((c) => c.split(' ')[0]), ['StartTransientUnit']);
  await driver.remove(['kubepods', 'none']);
});
