import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { FakeClock } from '#base/fake-clock.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import type { CgroupHierarchy } from '../cgroups/hierarchy.ts';
import type { RuntimePod } from '../runtime/runtime-cache.ts';
import { ContainerUseMeter } from './container-use.ts';
import { NodeUseMeter } from './node-use.ts';
import { resourceMetrics, type SummaryOfUse } from './resource-metrics.ts';
import { summaryOf, type SummaryOptions } from './summary.ts';

const NEVER = new AbortController().signal;
async function procWith(dir: string, ticks: number): Promise<string> {
  await writeFile(join(dir, 'stat'), `cpu  ${ticks} 0 100 5000 10 0 0 0 0 0\ncpu0 1 2 3\n`);
  await writeFile(join(dir, 'meminfo'), 'MemTotal: 1000 kB\nMemFree: 300 kB\nMemAvailable: 600 kB\nAnonPages: 200 kB\nSwapTotal: 50 kB\nSwapFree: 20 kB\n');
  await writeFile(join(dir, 'vmstat'), 'pgfault 77\npgmajfault 7\n');
  return dir;
}

test('NodeUseMeter tells the rate since a reading that is at least a second old', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'podyard-proc-'));
  t.after(() => rm(dir, { recursive: true }));
  const clock = new FakeClock();
  const meter = new NodeUseMeter(clock, await procWith(dir, 1000));
  assert.equal((await meter.read()).nanoCores, undefined);
  await procWith(dir, 1050);
  await clock.advance(500);
  assert.equal((await meter.read()).nanoCores, undefined, 'too little time has passed');
  await clock.advance(1500);
  // 0.5 s of CPU in 2 s.
  assert.equal((await meter.read()).nanoCores, 250_000_000);
  await clock.advance(500);
  await procWith(dir, 1150);
  assert.equal((await meter.read()).nanoCores, 600_000_000, '1.5 s in 2.5');
});

test('summaryOf tells of the node, its Pods and their containers, with or without disks', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'podyard-stats-'));
  t.after(() => rm(dir, { recursive: true }));
  await procWith(dir, 1000);
  await mkdir(join(dir, 'logs/app'), { recursive: true });
  await writeFile(join(dir, 'logs/app/0.log'), 'x'.repeat(9000));
  const stalls = (total: number): string => `some avg10=1.50 avg60=0.25 avg300=0.00 total=${total}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1\n`;
  const stalled = (total: number): unknown => ({ full: { total: 1, avg10: 0, avg60: 0, avg300: 0 }, some: { total, avg10: 1.5, avg60: 0.25, avg300: 0 } });
  await mkdir(join(dir, 'pressure'));
  await writeFile(join(dir, 'pressure/memory'), stalls(5));
  const clock = new FakeClock();
  const files: Record<string, string> = {
    'pod1/io.pressure': stalls(2), 'pod1/c/cpu.pressure': stalls(3), 'all/memory.pressure': stalls(4),
    'pod1/memory.current': '5000', 'pod1/cpu.stat': 'usage_usec 2500', 'pod1/memory.stat': 'anon 3000\ninactive_file 1000\npgfault 9', 'pod1/memory.swap.current': '64', 'pod1/pids.current': '3', 'all/memory.current': '9000',
  };
  const startedAt = 1_700_000_000_000_000_000;
  const pod = {
    uid: 'u', name: 'web', namespace: 'default', sandboxes: [{ id: 's', state: 'SANDBOX_READY', createdAt: startedAt - 1e9 }],
    containers: [{ id: 'c', name: 'app', state: 'CONTAINER_RUNNING', startedAt }, { id: 'old', name: 'app', state: 'CONTAINER_EXITED', startedAt }],
  } as unknown as RuntimePod;
  const stats = [{ attributes: { id: 'c', labels: {} }, cpu: { timestamp: startedAt, usageNanoCores: { value: 7 }, usageCoreNanoSeconds: { value: 70 } }, writableLayer: { timestamp: startedAt, usedBytes: { value: 400 }, inodesUsed: { value: 4 } } }];
  let asked = 0;
  const hierarchy = { v2: true, read: async (_c: string, path: string, file: string) => files[`${path}/${file}`] ?? '', readUnified: async (path: string, file: string) => files[`${path}/${file}`] ?? '' } as unknown as CgroupHierarchy;
  const options: SummaryOptions = {
    hierarchy, containers: new ContainerUseMeter(clock, hierarchy),
    clock, nodeName: 'n', bootTimeMs: 0, meter: new NodeUseMeter(clock, dir), rootDir: dir, allPods: 'all', containerCgroup: (of, id) => `${of}/${id}`,
    runtime: { listContainerStats: async () => (asked++, { stats }), imageFsInfo: async () => ({ imageFilesystems: [{ timestamp: 0, fsId: { mountpoint: dir }, usedBytes: { value: 12345 }, inodesUsed: { value: 5 } }], containerFilesystems: [] }) } as unknown as ContainerRuntime,
    volumes: { all: async () => new Map([['u', [{ time: 't', name: 'scratch', capacityBytes: 1, availableBytes: 1, usedBytes: 1000, inodes: 1, inodesFree: 1, inodesUsed: 2 }]]]) },
    pods: () => [{ pod, cgroup: 'pod1', hostNetwork: false, logDir: join(dir, 'logs'), diskVolumes: ['scratch'] }, { pod: { ...pod, uid: 'gone', sandboxes: [] }, cgroup: 'pod2', hostNetwork: false, logDir: dir, diskVolumes: [] }],
  };
  interface Told {
    readonly node: Record<string, Record<string, unknown>> & { readonly systemContainers: { readonly name: string }[]; readonly startTime: string };
    readonly pods: (Record<string, Record<string, number>> & { readonly startTime: string; readonly containers: (Record<string, Record<string, number>> & { readonly startTime: string })[] })[];
  }
  const { node, pods } = (await summaryOf(options, false, NEVER)) as unknown as Told;
  assert.deepEqual([node.startTime, node.systemContainers.map((c) => c.name)], ['1970-01-01T00:00:00Z', ['pods']]);
  assert.deepEqual([node['memory']!['availableBytes'], node['memory']!['pageFaults'], node['swap']!['swapUsageBytes']], [600 * 1024, 77, 30 * 1024]);
  assert.ok(Number(node['fs']!['capacityBytes']) > 0 && Number(node['rlimit']!['maxpid']) > 0);
  assert.equal((node['runtime']!['imageFs'] as { usedBytes: number }).usedBytes, 12345);
  const [told] = pods;
  assert.equal(pods.length, 1, 'a Pod without a sandbox uses nothing');
  assert.deepEqual([told!.startTime, told!.containers.length, told!.containers[0]!.startTime], ['2023-11-14T22:13:19Z', 1, '2023-11-14T22:13:20Z']);
  assert.deepEqual([told!['cpu']!['usageNanoCores'], told!['cpu']!['usageCoreNanoSeconds'], told!['memory']!['workingSetBytes'], told!['memory']!['rssBytes'], told!['process_stats']!['process_count'], told!['swap']!['swapUsageBytes']], [7, 2_500_000, 4000, 3000, 3, 64]);
  assert.deepEqual([node['memory']!['psi'], node['cpu']!['psi'], node['io']], [stalled(5), undefined, undefined]);
  assert.deepEqual((node.systemContainers as unknown as (typeof node)[])[0]!['memory']!['psi'], stalled(4));
  assert.deepEqual([told!['io']!['psi'], told!['cpu']!['psi'], told!.containers[0]!['cpu']!['psi']], [stalled(2), undefined, stalled(3)] as unknown[]);
  const logs = told!.containers[0]!['logs']!['usedBytes']!;
  assert.ok(logs >= 9000, `${logs} bytes of logs`);
  assert.equal(told!['ephemeral-storage']!['usedBytes'], 400 + logs + 1000);
  asked = 0;
  files['pod1/c/memory.current'] = '700';
  files['pod1/c/cpu.stat'] = 'usage_usec 1000000';
  const brief = (await summaryOf(options, true, NEVER)) as unknown as Told;
  assert.deepEqual([brief.node['fs'], brief.pods[0]!['ephemeral-storage'], brief.pods[0]!.containers[0]!['rootfs']], [undefined, undefined, undefined]);
  assert.equal(brief.pods[0]!['memory']!['usageBytes'], 5000);
  const cpu = brief.pods[0]!.containers[0]!['cpu']!;
  assert.deepEqual([brief.pods[0]!.containers[0]!['memory']!['usageBytes'], cpu['usageCoreNanoSeconds'], cpu['usageNanoCores']], [700, 1e9, undefined]);
  await clock.advance(2000);
  files['pod1/c/cpu.stat'] = 'usage_usec 1500000';
  const later = (await summaryOf(options, true, NEVER)) as unknown as Told;
  assert.equal(later.pods[0]!.containers[0]!['cpu']!['usageNanoCores'], 250_000_000);
  assert.equal(asked, 0, 'the runtime is slow where the node is busy');
  files['pod1/c/memory.swap.current'] = '30';
  files['pod1/c/memory.swap.max'] = '100';
  const scraped = resourceMetrics((await summaryOf(options, true, NEVER)) as unknown as SummaryOfUse).split('\n');
  for (const line of [
    'node_memory_working_set_bytes 409600', 'node_swap_usage_bytes 30720', 'container_cpu_usage_seconds_total{container="app",namespace="default",pod="web"} 1.5',
    'container_memory_working_set_bytes{container="app",namespace="default",pod="web"} 700', 'container_start_time_seconds{container="app",namespace="default",pod="web"} 1700000000',
    'container_swap_usage_bytes{container="app",namespace="default",pod="web"} 30', 'container_swap_limit_bytes{container="app",namespace="default",pod="web"} 100',
    'pod_cpu_usage_seconds_total{namespace="default",pod="web"} 0.0025', 'pod_memory_working_set_bytes{namespace="default",pod="web"} 4000', 'pod_swap_usage_bytes{namespace="default",pod="web"} 64', 'resource_scrape_error 0',
  ]) assert.ok(scraped.includes(line), line);
  assert.equal(asked, 0);
  const bare = (await summaryOf({ ...options, pods: () => options.pods().map((p) => ({ ...p, cgroup: undefined })) }, true, NEVER)) as unknown as Told;
  assert.deepEqual([bare.pods[0]!.containers[0]!['cpu']!['usageCoreNanoSeconds'], asked], [70, 1]);
});
