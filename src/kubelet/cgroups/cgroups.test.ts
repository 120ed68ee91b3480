import assert from 'node:assert/strict';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { preparedTest, temporaryDirectory } from '#base/testing/prepared-test.ts';
import { makePod } from '../testing/make-pod.ts';
import { newCgroupManager } from './cgroup-manager.ts';
import { cgroupfsDriver } from './driver.ts';
import { CgroupHierarchy, weightOf } from './hierarchy.ts';

let root = '';
const test = preparedTest(async (t) => { root = await temporaryDirectory(t, 'cgroup'); });
/** A hierarchy of version 1. */
async function mounted(controller: string): Promise<void> {
  await mkdir(join(root, controller), { recursive: true });
  await writeFile(join(root, controller, 'cgroup.procs'), '');
}
const read = (...path: string[]) => readFile(join(root, ...path), 'utf8');
const guaranteed = makePod('g').container('c', { resources: { requests: { cpu: '500m', memory: '64Mi' }, limits: { cpu: '500m', memory: '64Mi' } } }).build();
const bestEffort = makePod('b').container('c').build();

test('CgroupHierarchy writes limits in each hierarchy of version 1, below the node\'s own root', async () => {
  for (const c of ['cpu', 'memory', 'pids']) await mounted(c);
  const hierarchy = new CgroupHierarchy(root);
  const manager = newCgroupManager({ driver: () => cgroupfsDriver(hierarchy), root: '/podyard-x', podPidsLimit: 100 });
  assert.equal(await manager.ensurePod(guaranteed), '/podyard-x/kubepods/poduid-g');
  assert.equal(await read('cpu/podyard-x/kubepods/poduid-g/cpu.shares'), '512');
  assert.equal(await read('cpu/podyard-x/kubepods/poduid-g/cpu.cfs_quota_us'), '50000');
  assert.equal(await read('memory/podyard-x/kubepods/poduid-g/memory.limit_in_bytes'), String(64 * 2 ** 20));
  assert.equal(await read('pids/podyard-x/kubepods/poduid-g/pids.max'), '100');
  assert.equal(await manager.ensurePod(bestEffort), '/podyard-x/kubepods/besteffort/poduid-b');
  assert.equal(await read('cpu/podyard-x/kubepods/besteffort/poduid-b/cpu.shares'), '2');
  assert.deepEqual([...(await manager.listPods())].toSorted(), ['uid-b', 'uid-g']);
  assert.deepEqual([await hierarchy.has('memory'), await hierarchy.has('hugetlb')], [true, false]);
});
test('CgroupManager raises what a Pod has without lowering the rest, and lowers it when asked again', async () => {
  for (const c of ['cpu', 'memory']) await mounted(c);
  const manager = newCgroupManager({ driver: () => cgroupfsDriver(new CgroupHierarchy(root)), root: '/p' });
  const of = (cpu: string, memory: string) => makePod('g').container('c', { resources: { requests: { cpu, memory }, limits: { cpu, memory } } }).build();
  const limits = async () => [await read('cpu/p/kubepods/poduid-g/cpu.cfs_quota_us'), await read('memory/p/kubepods/poduid-g/memory.limit_in_bytes')];
  await manager.ensurePod(of('500m', '64Mi'));
  await manager.ensurePod(of('200m', '128Mi'), { raiseOnly: true });
  assert.deepEqual(await limits(), ['50000', String(128 * 2 ** 20)]);
  await manager.ensurePod(of('200m', '128Mi'));
  assert.deepEqual(await limits(), ['20000', String(128 * 2 ** 20)]);
});
test('CgroupManager bounds all Pods together', async () => {
  for (const c of ['cpu', 'memory', 'pids']) await mounted(c);
  await newCgroupManager({ driver: () => cgroupfsDriver(new CgroupHierarchy(root)), root: '/p' }).enforceNodeAllocatable!({ cpuMillis: 1500, memoryBytes: 2 ** 30, pids: 5000 });
  assert.equal(await read('cpu/p/kubepods/cpu.shares'), '1536');
  assert.equal(await read('memory/p/kubepods/memory.limit_in_bytes'), String(2 ** 30));
  assert.equal(await read('pids/p/kubepods/pids.max'), '5000');
});
test('CgroupManager gives the classes their shares', async () => {
  await mounted('cpu');
  const manager = newCgroupManager({ driver: () => cgroupfsDriver(new CgroupHierarchy(root)), root: '/p' });
  await manager.updateQos!([guaranteed, bestEffort, makePod('u').container('c', { resources: { requests: { cpu: '1' } } }).build()]);
  assert.equal(await read('cpu/p/kubepods/burstable/cpu.shares'), '1024');
  assert.equal(await read('cpu/p/kubepods/besteffort/cpu.shares'), '2');
});
test('CgroupManager gives the class of burstable Pods its shares with each Pod that comes or changes', async () => {
  await mounted('cpu');
  const burstable = (name: string, cpu: string) => makePod(name).container('c', { resources: { requests: { cpu } } }).build();
  let active = [burstable('u', '500m')];
  const manager = newCgroupManager({ driver: () => cgroupfsDriver(new CgroupHierarchy(root)), root: '/p', activePods: () => active });
  const shares = () => read('cpu/p/kubepods/burstable/cpu.shares');
  await manager.ensurePod(active[0]!);
  assert.equal(await shares(), '512');
  active = [active[0]!, burstable('v', '500m')];
  await Promise.all(active.map((pod) => manager.ensurePod(pod)));
  assert.equal(await shares(), '1024');
  active = [burstable('u', '1500m'), active[1]!];
  await manager.ensurePod(active[0]!);
  assert.equal(await shares(), '2048');
});
test('CgroupHierarchy delegates controllers down the path of version 2', async () => {
  for (const dir of ['', 'p', 'p/kubepods', 'p/kubepods/poduid-g']) {
    await mkdir(join(root, dir), { recursive: true });
    await writeFile(join(root, dir, 'cgroup.controllers'), 'cpu memory pids\n');
  }
  const hierarchy = new CgroupHierarchy(root);
  assert.equal(hierarchy.v2, true);
  await newCgroupManager({ driver: () => cgroupfsDriver(hierarchy), root: '/p' }).ensurePod(guaranteed);
  assert.equal(await read('p/cgroup.subtree_control'), '+pids');
  assert.equal(await read('p/kubepods/poduid-g/cpu.max'), '50000 100000');
  assert.equal(await read('p/kubepods/poduid-g/cpu.weight'), String(weightOf(512)));
  assert.equal(await read('p/kubepods/poduid-g/memory.max'), String(64 * 2 ** 20));
});
test('CgroupHierarchy: swap is counted where groups below the root have its file', async () => {
  await writeFile(join(root, 'cgroup.controllers'), 'memory\n');
  await mkdir(join(root, 'system.slice'));
  assert.equal(new CgroupHierarchy(root).swap, false);
  await writeFile(join(root, 'system.slice', 'memory.swap.max'), 'max\n');
  assert.equal(new CgroupHierarchy(root).swap, true);
});
test('CgroupHierarchy removes a group and what is below it; what is not there is fine', async () => {
  await mounted('cpu');
  await mkdir(join(root, 'cpu', 'p', 'kubepods', 'besteffort', 'poduid-b', 'container'), { recursive: true });
  const manager = newCgroupManager({ driver: () => cgroupfsDriver(new CgroupHierarchy(root)), root: '/p' });
  await manager.removePod('uid-b');
  await assert.rejects(stat(join(root, 'cpu/p/kubepods/besteffort/poduid-b')));
  await manager.removePod('uid-b');
});
for (const [shares, weight] of [[2, 1], [1024, 39], [262_144, 10_000]] as const) test(`weightOf: ${shares} shares`, () => assert.equal(weightOf(shares), weight));
test('a Pod as a whole has the huge pages that it asks for, and none of other sizes', async () => {
  await mounted('hugetlb');
  const manager = newCgroupManager({ driver: () => cgroupfsDriver(new CgroupHierarchy(root)), root: '/p', hugePageSizes: () => ['2MB', '1GB'] });
  const of = (size: string) => ({ resources: { requests: { 'hugepages-2Mi': size, cpu: '1' }, limits: { 'hugepages-2Mi': size, cpu: '1' } } });
  const huge = makePod('h').container('a', of('4Mi')).container('b', of('6Mi')).build();
  const path = await manager.ensurePod(huge);
  assert.equal(await read('hugetlb', path, 'hugetlb.2MB.limit_in_bytes'), String(10 * 2 ** 20));
  assert.equal(await read('hugetlb', path, 'hugetlb.1GB.limit_in_bytes'), '0');
});
test('CgroupHierarchy takes no directory for a hierarchy in which nothing is mounted', async () => {
  await mounted('cpu');
  await mkdir(join(root, 'hugetlb'));
  const hierarchy = new CgroupHierarchy(root);
  assert.deepEqual([await hierarchy.has('cpu'), await hierarchy.has('hugetlb')], [true, false]);
  await hierarchy.create('/p', { cpuShares: 2, hugePages: { '2MB': 0 } });
  await assert.rejects(stat(join(root, 'hugetlb', 'p')));
});
