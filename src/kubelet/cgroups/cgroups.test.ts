import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { makePod } from '../testing/make-pod.ts';
import { newCgroupManager } from './cgroup-manager.ts';
import { cgroupfsDriver } from './driver.ts';
import { CgroupHierarchy, weightOf } from './hierarchy.ts';

let root = '';
beforeEach(async () => { root = await mkdtemp(join(tmpdir(), 'podyard-cgroup-')); });
afterEach(() => rm(root, { recursive: true, force: true }));
const read = (...path: string[]) => readFile(join(root, ...path), 'utf8');
const guaranteed = makePod('g').container('c', { resources: { requests: { cpu: '500m', memory: '64Mi' }, limits: { cpu: '500m', memory: '64Mi' } } }).build();
const bestEffort = makePod('b').container('c').build();

test('CgroupHierarchy writes limits in each hierarchy of version 1, below the node\'s own root', async () => {
  for (const c of ['cpu', 'memory', 'pids']) await mkdir(join(root, c));
  const hierarchy = new CgroupHierarchy(root);
  const manager = newCgroupManager(() => cgroupfsDriver(hierarchy), '/podyard-x', 100);
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
  for (const c of ['cpu', 'memory']) await mkdir(join(root, c));
  const manager = newCgroupManager(() => cgroupfsDriver(new CgroupHierarchy(root)), '/p');
  const of = (cpu: string, memory: string) => makePod('g').container('c', { resources: { requests: { cpu, memory }, limits: { cpu, memory } } }).build();
  const limits = async () => [await read('cpu/p/kubepods/poduid-g/cpu.cfs_quota_us'), await read('memory/p/kubepods/poduid-g/memory.limit_in_bytes')];
  await manager.ensurePod(of('500m', '64Mi'));
  await manager.ensurePod(of('200m', '128Mi'), { raiseOnly: true });
  assert.deepEqual(await limits(), ['50000', String(128 * 2 ** 20)]);
  await manager.ensurePod(of('200m', '128Mi'));
  assert.deepEqual(await limits(), ['20000', String(128 * 2 ** 20)]);
});
test('CgroupManager bounds all Pods together', async () => {
  for (const c of ['cpu', 'memory', 'pids']) await mkdir(join(root, c));
  await newCgroupManager(() => cgroupfsDriver(new CgroupHierarchy(root)), '/p').enforceNodeAllocatable!({ cpuMillis: 1500, memoryBytes: 2 ** 30, pids: 5000 });
  assert.equal(await read('cpu/p/kubepods/cpu.shares'), '1536');
  assert.equal(await read('memory/p/kubepods/memory.limit_in_bytes'), String(2 ** 30));
  assert.equal(await read('pids/p/kubepods/pids.max'), '5000');
});
test('CgroupManager gives the classes their shares', async () => {
  await mkdir(join(root, 'cpu'));
  const manager = newCgroupManager(() => cgroupfsDriver(new CgroupHierarchy(root)), '/p');
  await manager.updateQos!([guaranteed, bestEffort, makePod('u').container('c', { resources: { requests: { cpu: '1' } } }).build()]);
  assert.equal(await read('cpu/p/kubepods/burstable/cpu.shares'), '1024');
  assert.equal(await read('cpu/p/kubepods/besteffort/cpu.shares'), '2');
});
test('CgroupHierarchy delegates controllers down the path of version 2', async () => {
  for (const dir of ['', 'p', 'p/kubepods', 'p/kubepods/poduid-g']) {
    await mkdir(join(root, dir), { recursive: true });
    await writeFile(join(root, dir, 'cgroup.controllers'), 'cpu memory pids\n');
  }
  const hierarchy = new CgroupHierarchy(root);
  assert.equal(hierarchy.v2, true);
  await newCgroupManager(() => cgroupfsDriver(hierarchy), '/p').ensurePod(guaranteed);
  assert.equal(await read('p/cgroup.subtree_control'), '+pids');
  assert.equal(await read('p/kubepods/poduid-g/cpu.max'), '50000 100000');
  assert.equal(await read('p/kubepods/poduid-g/cpu.weight'), String(weightOf(512)));
  assert.equal(await read('p/kubepods/poduid-g/memory.max'), String(64 * 2 ** 20));
});
test('CgroupHierarchy removes a group and what is below it; what is not there is fine', async () => {
  await mkdir(join(root, 'cpu', 'p', 'kubepods', 'besteffort', 'poduid-b', 'container'), { recursive: true });
  const manager = newCgroupManager(() => cgroupfsDriver(new CgroupHierarchy(root)), '/p');
  await manager.removePod('uid-b');
  await assert.rejects(stat(join(root, 'cpu/p/kubepods/besteffort/poduid-b')));
  await manager.removePod('uid-b');
});
for (const [shares, weight] of [[2, 1], [1024, 39], [262_144, 10_000]] as const) test(`weightOf: ${shares} shares`, () => assert.equal(weightOf(shares), weight));
