import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Pod } from '#api/gen/core-v1.ts';
import { FakeClock, flushMicrotasks } from '#base/fake-clock.ts';
import { preparedTest } from '#base/testing/prepared-test.ts';
import type { ReadyVolume } from '../interfaces.ts';
import { makePod } from '../testing/make-pod.ts';
import { directoryUse, fileSystemUse } from '../volumes/volume-use.ts';
import { Exposition } from './exposition.ts';
import { VolumeStats } from './volume-stats.ts';

const use = (n: number) => ({ capacityBytes: n, availableBytes: n - 1, usedBytes: 1, inodes: 10, inodesFree: 9, inodesUsed: 1 });
const ready = (name: string, measure?: ReadyVolume['measure']): ReadyVolume => ({ name, hostPath: '/x', readOnly: false, measure });
const pod: Pod = makePod('p').container('c').volume('data', { persistentVolumeClaim: { claimName: 'claim' } }).volume('own', { ephemeral: {} }).volume('scratch', { emptyDir: {} }).volume('host', { hostPath: { path: '/' } }).volume('broken', { emptyDir: {} }).build();
const uid = pod.metadata.uid!;
let clock: FakeClock;
let pods: readonly Pod[] = [];
let volumes: readonly ReadyVolume[] = [];
let stats: VolumeStats;
const test = preparedTest(() => {
  clock = new FakeClock();
  [pods, volumes] = [[pod], []];
  stats = new VolumeStats({ clock, pods: () => pods, volumesOf: () => new Map(volumes.map((v) => [v.name, v])) });
});

test('VolumeStats tells of what can be measured, claims by their names', async () => {
  volumes = [ready('data', () => Promise.resolve(use(100))), ready('own', () => Promise.resolve(use(200))), ready('scratch', () => Promise.resolve(use(300))), ready('host'), ready('broken', () => Promise.reject(new Error('no')))];
  const time = '2026-01-02T03:04:05Z';
  assert.deepEqual((await stats.all()).get(uid), [
    { time, ...use(100), name: 'data', pvcRef: { name: 'claim', namespace: 'default' } }, { time, ...use(200), name: 'own', pvcRef: { name: 'p-own', namespace: 'default' } }, { time, ...use(300), name: 'scratch' },
  ]);
  const out = new Exposition();
  await stats.expose(out);
  const lines = out.text().split('\n');
  assert.ok(lines.includes('kubelet_volume_stats_capacity_bytes{namespace="default",persistentvolumeclaim="claim"} 100'), out.text());
  assert.equal(lines.filter((l) => l.startsWith('kubelet_volume_stats_')).length, 12, 'six of each claim');
  await stats.stop();
});
test('VolumeStats measures once a minute, and forgets Pods that are gone', async () => {
  let measured = 0;
  volumes = [ready('data', () => Promise.resolve(use(++measured)))];
  await stats.all();
  await stats.all();
  assert.equal(measured, 1);
  await clock.advance(60_000);
  assert.equal((await stats.all()).get(uid)![0]!.capacityBytes, 2);
  pods = [];
  assert.equal((await stats.all()).size, 0);
});
test('VolumeStats does not wait for a driver that hangs, and tells what it knows', async () => {
  volumes = [ready('data', () => Promise.resolve(use(7)))];
  await stats.all();
  await clock.advance(60_000);
  volumes = [ready('data', (signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))))];
  const asked = stats.all();
  await flushMicrotasks();
  await clock.advance(2000);
  assert.equal((await asked).get(uid)![0]!.capacityBytes, 7);
  await stats.stop();
});
test('directoryUse counts what is in the directory, fileSystemUse the whole file system', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'podyard-use-'));
  await mkdir(join(dir, 'a'));
  await writeFile(join(dir, 'a', 'file'), Buffer.alloc(100_000, 1));
  const [own, whole] = [await directoryUse(dir), await fileSystemUse(dir)];
  assert.ok(own.usedBytes >= 100_000 && own.usedBytes < 200_000, String(own.usedBytes));
  assert.equal(own.inodesUsed, 3);
  assert.equal(own.capacityBytes, whole.capacityBytes);
  assert.ok(whole.usedBytes + whole.availableBytes <= whole.capacityBytes && whole.usedBytes > own.usedBytes);
  await rm(dir, { recursive: true });
});
