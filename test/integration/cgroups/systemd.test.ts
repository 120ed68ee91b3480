/** The cgroup driver of systemd against a real systemd and real cgroups. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { newCgroupManager } from '#kubelet/cgroups/cgroup-manager.ts';
import { CgroupHierarchy } from '#kubelet/cgroups/hierarchy.ts';
import { SystemdError, systemdDriver, systemdManager, type SystemdCall } from '#kubelet/cgroups/systemd-driver.ts';
import { makePod } from '#kubelet/testing/make-pod.ts';
import { startSystemd, type SystemdContainer } from './systemd-container.ts';

let systemd: SystemdContainer;
let hierarchy: CgroupHierarchy;
let call: SystemdCall;
before(async () => {
  systemd = await startSystemd();
  hierarchy = new CgroupHierarchy(`${systemd.root}/sys/fs/cgroup`);
  call = systemdManager(systemd.bus);
});
after(() => systemd[Symbol.asyncDispose]());
const podWith = (name: string, resources: object) => makePod(name).container('c', { resources }).build();
const properties = async (unit: string): Promise<Record<string, string>> =>
  Object.fromEntries((await systemd.exec('systemctl', 'show', unit, '-p', 'ActiveState,Transient,TasksMax,CPUQuotaPerSecUSec')).trim().split('\n').map((line) => line.split('=') as [string, string]));

test('slices of Pods: made, bounded by systemd and by the kernel, changed, taken up by the next process, removed', async () => {
  const driver = systemdDriver(hierarchy, call);
  const manager = newCgroupManager({ driver: () => driver, root: '/podyard-x', podPidsLimit: 100 });
  await manager.enforceNodeAllocatable!({ cpuMillis: 1000, memoryBytes: 2 ** 30, pids: 1000 });
  const pod = podWith('g', { limits: { cpu: '500m', memory: '64Mi' } });
  const burstable = podWith('b', { requests: { cpu: '250m' } });
  await manager.updateQos!([pod, burstable]);
  const path = await manager.ensurePod(pod);
  assert.equal(await manager.ensurePod(burstable), '/podyard_x.slice/podyard_x-kubepods.slice/podyard_x-kubepods-burstable.slice/podyard_x-kubepods-burstable-poduid_b.slice');
  assert.deepEqual(await properties('podyard_x-kubepods-poduid_g.slice'), { ActiveState: 'active', Transient: 'yes', TasksMax: '100', CPUQuotaPerSecUSec: '500ms' });
  const [controller, file, expected] = hierarchy.v2 ? ['', 'memory.max', 2 ** 26] as const : ['memory', 'memory.limit_in_bytes', 2 ** 26] as const;
  assert.equal((await hierarchy.read(controller, path, file)).trim(), String(expected));
  assert.deepEqual([...(await manager.listPods())].toSorted(), ['uid-b', 'uid-g']);
  const next = newCgroupManager({ driver: () => systemdDriver(hierarchy, call), root: '/podyard-x', podPidsLimit: 50 });
  assert.equal(await next.ensurePod(pod), path);
  assert.equal((await properties('podyard_x-kubepods-poduid_g.slice'))['TasksMax'], '50');
  assert.equal((await hierarchy.read('pids', path, 'pids.max')).trim(), '50');
  // What reloads systemd takes nothing away.
  await systemd.exec('systemctl', 'daemon-reload');
  assert.equal((await hierarchy.read('pids', path, 'pids.max')).trim(), '50');
  await next.removePod('uid-g');
  await next.removePod('uid-g');
  assert.deepEqual(await next.listPods(), ['uid-b']);
  assert.deepEqual(await hierarchy.children(path), []);
});
test('a slice that somebody stopped is made again', async () => {
  const driver = systemdDriver(hierarchy, call);
  await driver.create(['stopped', 'one'], { pids: 10 });
  await systemd.exec('systemctl', 'stop', 'stopped-one.slice');
  await driver.create(['stopped', 'one'], { pids: 20 });
  const { ActiveState, TasksMax } = await properties('stopped-one.slice');
  assert.deepEqual([ActiveState, TasksMax], ['active', '20']);
  await driver.remove(['stopped', 'one']);
});
test('what systemd refuses is told in its words', async () => {
  await assert.rejects(call('StartTransientUnit', 'ssa(sv)a(sa(sv))', ['bad', 'replace', '0', '0']), (err: SystemdError) => err.code === 'Failed' && err.message === 'systemd: StartTransientUnit bad: Invalid unit name or type.');
  await assert.rejects(systemdManager('unix:path=/nonexistent')('StopUnit', 'ss', ['x.slice', 'replace']), /^SystemdError|systemd: StopUnit x\.slice: /);
});
