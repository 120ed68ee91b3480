/** What a cluster with 30 Pods costs when nothing happens. */
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Pod } from '#api/gen/core-v1.ts';
import { PODS } from '#client/kinds.ts';
import { runningProcess } from '#cluster/daemon.ts';
import { BASELINE } from './baseline.ts';
import { IMAGE, type BenchCluster } from './cluster.ts';
import { printRows } from './report.ts';

const IDLE_MS = 20_000;

export async function residentMegabytes(pid: number): Promise<number> {
  return Number(/^VmRSS:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;
}
/** Clock ticks (10 ms) of user and system time. */
export async function cpuTicks(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

export async function benchFootprint(cluster: BenchCluster): Promise<void> {
  const { pid } = (await runningProcess(cluster.config))!;
  const pods = cluster.client.of(PODS);
  const make = (i: number): Pod => ({ metadata: { name: `idle-${i}`, namespace: 'default' }, spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: IMAGE, command: ['sleep', '3600'] }] } });
  for (let i = 0; i < 30; i++) await pods.create(make(i));
  while ((await pods.list({ namespace: 'default' })).items.filter((p) => p.status?.phase === 'Running').length < 30) await delay(200);
  await delay(5000);
  const before = await cpuTicks(pid);
  await delay(IDLE_MS);
  const percent = ((await cpuTicks(pid)) - before) / (IDLE_MS / 1000);
  printRows('Footprint with 30 Pods running', [
    { what: 'resident memory of the whole process', ours: `${(await residentMegabytes(pid)).toFixed(0)} MB`, target: '≤ 200 MB', baseline: `about ${BASELINE.idleMegabytes} MB (idle)` },
    { what: 'idle CPU', ours: `${percent.toFixed(1)} % of a core`, target: '≤ 1 %' },
  ]);
  await pods.deleteCollection({ namespace: 'default' });
}
