import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { preparedTest, temporaryDirectory } from '#base/testing/prepared-test.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import { criMessage } from '#cri/schema.ts';
import { CgroupHierarchy } from '../cgroups/hierarchy.ts';
import type { HostFacts } from '../node/host-facts.ts';
import type { RuntimePod } from '../runtime/runtime-cache.ts';
import { cadvisorMetrics, type CadvisorOptions } from './cadvisor.ts';
import { cgroupUse, networkUse } from './cgroup-use.ts';
import { newStats } from './stats.ts';

let root = '';
const test = preparedTest(async (t) => { root = await temporaryDirectory(t, 'use'); });
async function files(contents: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, text] of Object.entries(contents)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
    // What makes a directory a hierarchy of version 1.
    await writeFile(join(root, path.split('/')[0]!, 'cgroup.procs'), '', { flag: 'a' }).catch(() => {});
  }
}
const WANT = {
  cpuSeconds: 2.5, cpuUserSeconds: 2, cpuSystemSeconds: 0.5, periods: 10, throttledPeriods: 4, throttledSeconds: 0.25, memoryBytes: 1000, workingSetBytes: 900, rssBytes: 300, cacheBytes: 400, swapBytes: 7, mappedFileBytes: 50,
  maxMemoryBytes: 2000, memoryLimitBytes: 4096, memoryLimitHits: 3, oomKills: 1, pageFaults: 11, majorPageFaults: 2, processes: 5, io: { reads: 3, writes: 4, readBytes: 300, writtenBytes: 400 },
};
test('cgroupUse reads the hierarchies of version 1', async () => {
  await files({
    'cpuacct/p/cpuacct.usage': '2500000000\n', 'cpuacct/p/cpuacct.stat': 'user 200\nsystem 50\n', 'cpu/p/cpu.stat': 'nr_periods 10\nnr_throttled 4\nthrottled_time 250000000\n',
    'memory/p/memory.usage_in_bytes': '1000\n', 'memory/p/memory.max_usage_in_bytes': '2000\n', 'memory/p/memory.limit_in_bytes': '4096\n', 'memory/p/memory.failcnt': '3\n', 'memory/p/memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 1\n',
    'memory/p/memory.stat': 'cache 1\ntotal_cache 400\ntotal_rss 300\ntotal_swap 7\ntotal_mapped_file 50\ntotal_inactive_file 100\ntotal_pgfault 11\ntotal_pgmajfault 2\n', 'pids/p/pids.current': '5\n',
    'blkio/p/blkio.throttle.io_service_bytes': '8:0 Read 100\n8:16 Read 200\n8:0 Write 400\nTotal 700\n', 'blkio/p/blkio.throttle.io_serviced': '8:0 Read 1\n8:16 Read 2\n8:0 Write 4\nTotal 7\n',
  });
  assert.deepEqual(await cgroupUse(new CgroupHierarchy(root), '/p'), WANT);
  await files({ 'memory/p/memory.limit_in_bytes': '9223372036854771712\n' });
  assert.equal((await cgroupUse(new CgroupHierarchy(root), '/p'))?.memoryLimitBytes, undefined);
});
test('cgroupUse reads version 2', async () => {
  await files({
    'cgroup.controllers': 'cpu memory\n', 'p/cpu.stat': 'usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\nnr_periods 10\nnr_throttled 4\nthrottled_usec 250000\n', 'p/memory.current': '1000\n', 'p/memory.peak': '2000\n',
    'p/memory.max': '4096\n', 'p/memory.swap.current': '7\n', 'p/memory.events': 'low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\n', 'p/memory.stat': 'anon 300\nfile 400\nfile_mapped 50\ninactive_file 100\npgfault 11\npgmajfault 2\n', 'p/pids.current': '5\n',
    'p/io.stat': '8:0 rbytes=100 wbytes=400 rios=1 wios=4 dbytes=0 dios=0\n8:16 rbytes=200 wbytes=0 rios=2 wios=0 dbytes=0 dios=0\n',
  });
  assert.deepEqual(await cgroupUse(new CgroupHierarchy(root), '/p'), WANT);
  await files({ 'p/memory.max': 'max\n', 'p/memory.swap.max': '70\n' });
  const { memoryLimitBytes, swapLimitBytes } = (await cgroupUse(new CgroupHierarchy(root), '/p'))!;
  assert.deepEqual([memoryLimitBytes, swapLimitBytes], [undefined, 70]);
});
test('cgroupUse: a group that is not there uses nothing that could be told', async () => {
  await files({ 'memory/other/x': '' });
  assert.equal(await cgroupUse(new CgroupHierarchy(root), '/p'), undefined);
});
const HOST: HostFacts = { cpus: 4, memoryBytes: 8000, ephemeralStorageBytes: 0, hugePages: {}, machineId: 'm', systemUuid: 's', bootId: 'b', kernelVersion: '', osImage: '', architecture: '' };
const DEV = 'Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0\n  eth0:    1234      12    1    2    0     0          0         0     5678      56    3    4    0     0       0          0\n';
test('networkUse leaves out the loopback', async () => {
  await files({ '42/net/dev': DEV });
  assert.deepEqual(await networkUse(42, root), [{ name: 'eth0', received: { bytes: 1234, packets: 12, errors: 1, dropped: 2 }, transmitted: { bytes: 5678, packets: 56, errors: 3, dropped: 4 } }]);
  assert.deepEqual(await networkUse(43, root), []);
});
test('cadvisorMetrics: labels of containers, Pods and the machine\'s groups', async () => {
  for (const group of ['', '/kubepods/poda', '/kubepods/poda/c1', '/kubepods/poda/s1']) await files({ [`memory${group}/memory.usage_in_bytes`]: '1000\n', [`cpuacct${group}/cpuacct.usage`]: '1000000000\n' });
  const pod = { uid: 'a', name: 'web', namespace: 'ns', sandboxes: [criMessage('PodSandboxStatus', { id: 's1', createdAt: 5e9 })], containers: [{ ...criMessage('ContainerStatus', { id: 'c1', state: 'CONTAINER_RUNNING', image: { image: 'nginx:1' }, startedAt: 6e9 }), sandboxId: 's1', name: 'c', restartCount: 0, hash: '' }] } as RuntimePod;
  const options: CadvisorOptions = {
    hierarchy: new CgroupHierarchy(root), host: HOST, cores: { physical: 2, sockets: 1 },
    bootTimeMs: 0, nowMs: 9000, groups: ['/', '/gone'], containerCgroup: (p, id) => `${p}/${id}`, layers: new Map([['c1', criMessage('FilesystemUsage', { usedBytes: { value: 77 }, fsId: { mountpoint: '/img' } })]]),
    pods: [{ pod, cgroup: '/kubepods/poda', hostNetwork: false }],
  };
  const text = await cadvisorMetrics(options);
  const labels = 'container="c",id="/kubepods/poda/c1",image="nginx:1",name="c1",namespace="ns",pod="web"';
  for (const line of [
    'machine_cpu_cores{boot_id="b",machine_id="m",system_uuid="s"} 4',
    `container_cpu_usage_seconds_total{${labels},cpu="total"} 1`, `container_memory_working_set_bytes{${labels}} 1000`, `container_fs_usage_bytes{${labels},device="/img"} 77`, `container_start_time_seconds{${labels}} 6`,
    'container_memory_working_set_bytes{container="",id="/kubepods/poda",image="",name="",namespace="ns",pod="web"} 1000',
    'container_memory_working_set_bytes{container="",id="/",image="",name="",namespace="",pod=""} 1000', 'container_scrape_error 0',
  ]) assert.ok(text.split('\n').includes(line), line);
  assert.ok(!text.includes('/gone'));
  assert.ok(!text.includes('pressure'), 'the kernel tells none');
});
test('cadvisorMetrics: pressures, also of the machine, and where version 2 of cgroups is mounted beside version 1', async () => {
  const some = 'some avg10=1.50 avg60=0.25 avg300=0.00 total=2500000\n';
  await files({
    'memory/p/memory.usage_in_bytes': '1000\n', 'unified/cgroup.controllers': '\n', 'unified/cpu.pressure': some,
    'unified/p/cpu.pressure': some, 'unified/p/memory.pressure': some, 'unified/p/io.pressure': `${some}full avg10=0.00 avg60=0.00 avg300=0.00 total=1000\n`,
  });
  const text = await cadvisorMetrics({ hierarchy: new CgroupHierarchy(root), host: HOST, cores: { physical: 1, sockets: 1 }, bootTimeMs: 0, nowMs: 0, pods: [], groups: ['/', '/p'], containerCgroup: () => '', layers: new Map() });
  const labels = (id: string): string => `{container="",id="${id}",image="",name="",namespace="",pod=""}`;
  assert.deepEqual(text.split('\n').filter((line) => line.startsWith('container_pressure')), [
    `container_pressure_cpu_stalled_seconds_total${labels('/')} 0`, `container_pressure_cpu_stalled_seconds_total${labels('/p')} 0`,
    `container_pressure_cpu_waiting_seconds_total${labels('/')} 2.5`, `container_pressure_cpu_waiting_seconds_total${labels('/p')} 2.5`,
    `container_pressure_memory_stalled_seconds_total${labels('/p')} 0`, `container_pressure_memory_waiting_seconds_total${labels('/p')} 2.5`,
    `container_pressure_io_stalled_seconds_total${labels('/p')} 0.001`, `container_pressure_io_waiting_seconds_total${labels('/p')} 2.5`,
  ]);
});

test('cadvisorMetrics tells what the kernel knows where the runtime does not answer, and that something is missing', async () => {
  await files({ 'memory/p/memory.usage_in_bytes': '5000' });
  const text = await cadvisorMetrics({ hierarchy: new CgroupHierarchy(root), host: HOST, cores: { physical: 1, sockets: 1 }, bootTimeMs: 0, nowMs: 0, pods: [], groups: ['/p'], containerCgroup: () => '', layers: undefined });
  for (const line of ['container_memory_usage_bytes{container="",id="/p",image="",name="",namespace="",pod=""} 5000', 'container_scrape_error 1']) assert.ok(text.split('\n').includes(line), line);
});

test('a runtime that does not answer keeps cAdvisor\'s metrics back for five seconds at most, and never the rest', async () => {
  const timeouts: (number | undefined)[] = [];
  const listContainerStats = (_request: object, options?: { timeoutMs?: number }): Promise<never> => {
    timeouts.push(options?.timeoutMs);
    return Promise.reject(new Error('context deadline exceeded'));
  };
  const stats = newStats({
    runtime: { listContainerStats } as unknown as ContainerRuntime, nodeName: 'n', counts: () => ({ pods: 0, containers: 0 }), counted: async () => '', volumes: { expose: async () => {} },
    cadvisor: async (layers) => `layers ${String(layers)}`, summary: async () => ({ node: {}, pods: [] }),
  });
  const { signal } = new AbortController();
  assert.equal(await stats.metrics('cadvisor', signal), 'layers undefined');
  assert.match(await stats.metrics('resource', signal), /^resource_scrape_error 0$/m);
  assert.deepEqual(timeouts, [5000]);
});
