/** Pods: one, 30 and 100 of them, against what the runtime alone needs for the same calls in the same run. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Pod } from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';
import { systemClock } from '#base/clock.ts';
import { PODS } from '#client/kinds.ts';
import { connectCri, type CriClient } from '#cri/client.ts';
import { runtimeConfigOf } from '#cluster/node-runtime.ts';
import { BASELINE } from './baseline.ts';
import { IMAGE, type BenchCluster } from './cluster.ts';
import { median, millis, printRows, seconds, type Row } from './report.ts';

const PARALLEL = 6;
const NAMESPACE = 'default';

const podOf = (name: string): Pod => ({
  apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: NAMESPACE, labels: { bench: 'pods' } },
  // Ends at once when asked to, as a program should: what is measured is the way of the request, not the wait.
  spec: { automountServiceAccountToken: false, containers: [{ name: 'c', image: IMAGE, command: ['sh', '-c', "trap 'exit 0' TERM; sleep 3600 & wait"] }] },
});

/** Resolves with the time at which each of the Pods was seen Running; the watch is opened before anything is created. */
async function timesToRunning(cluster: BenchCluster, names: readonly string[], create: () => Promise<void>): Promise<number[]> {
  const pods = cluster.client.of(PODS);
  const list = await pods.list({ namespace: NAMESPACE });
  const left = new Set(names);
  const times: number[] = [];
  const abort = new AbortController();
  const watching = (async () => {
    for await (const batch of pods.watch({ namespace: NAMESPACE, resourceVersion: list.metadata.resourceVersion ?? '0' }, abort.signal)) {
      for (const e of batch) {
        if (e.type === 'BOOKMARK' || e.object.status?.phase !== 'Running' || !left.delete(nameOf(e.object))) continue;
        times.push(performance.now());
        if (left.size === 0) return;
      }
    }
  })();
  await create();
  await watching;
  abort.abort();
  return times;
}
async function deleteAll(cluster: BenchCluster): Promise<number> {
  const pods = cluster.client.of(PODS);
  const began = performance.now();
  const list = await pods.list({ namespace: NAMESPACE });
  const left = new Set(list.items.map(nameOf));
  if (left.size === 0) return 0;
  const abort = new AbortController();
  const watching = (async () => {
    for await (const batch of pods.watch({ namespace: NAMESPACE, resourceVersion: list.metadata.resourceVersion ?? '0' }, abort.signal)) {
      for (const e of batch) if (e.type === 'DELETED') left.delete(nameOf(e.object));
      if (left.size === 0) return;
    }
  })();
  await pods.deleteCollection({ namespace: NAMESPACE });
  await watching;
  abort.abort();
  const took = performance.now() - began;
  // The node removes the last remains a moment after the API has let go.
  await delay(2000);
  return took;
}

/** Starts a Pod by the runtime's own calls. What it leaves behind is below the cluster's folders, and goes with them. */
async function rawStart(cri: CriClient, { config: { cgroupRoot, dataDir } }: BenchCluster): Promise<string> {
  const name = `raw-${randomUUID().slice(0, 8)}`;
  const config = { metadata: { name, namespace: 'bench', uid: randomUUID(), attempt: 0 }, hostname: name, logDirectory: `${dataDir}/bench-logs/${name}`, linux: { cgroupParent: `${cgroupRoot}/bench/${name}`, securityContext: { namespaceOptions: { network: 'POD', pid: 'CONTAINER', ipc: 'POD' } } } } as const;
  const { podSandboxId } = await cri.runPodSandbox({ config });
  const container = { metadata: { name: 'c', attempt: 0 }, image: { image: IMAGE }, command: ['sleep', '3600'], logPath: 'c.log', linux: { securityContext: { namespaceOptions: { network: 'POD', pid: 'CONTAINER', ipc: 'POD' } } } } as const;
  const { containerId } = await cri.createContainer({ podSandboxId, config: container, sandboxConfig: config });
  await cri.startContainer({ containerId });
  return podSandboxId;
}
async function rawStop(cri: CriClient, ids: readonly string[]): Promise<void> {
  const queue = [...ids];
  await Promise.all(Array.from({ length: PARALLEL }, async () => {
    for (let id = queue.pop(); id; id = queue.pop()) {
      await cri.stopPodSandbox({ podSandboxId: id });
      await cri.removePodSandbox({ podSandboxId: id });
    }
  }));
}
/** What the runtime alone needs for `n` Pods with the kubelet's parallelism, and to stop and remove them. */
async function rawBurst(cri: CriClient, cluster: BenchCluster, n: number): Promise<{ startMs: number; removeMs: number }> {
  const began = performance.now();
  let left = n;
  const ids: string[] = [];
  await Promise.all(Array.from({ length: PARALLEL }, async () => {
    while (left-- > 0) ids.push(await rawStart(cri, cluster));
  }));
  const started = performance.now();
  await rawStop(cri, ids);
  return { startMs: started - began, removeMs: performance.now() - started };
}
async function burst(cluster: BenchCluster, n: number): Promise<{ lastMs: number; deleteMs: number }> {
  const names = Array.from({ length: n }, (_, i) => `burst-${n}-${i}`);
  const began = performance.now();
  const times = await timesToRunning(cluster, names, async () => void (await Promise.all(names.map((name) => cluster.client.of(PODS).create(podOf(name))))));
  return { lastMs: times.at(-1)! - began, deleteMs: await deleteAll(cluster) };
}
async function single(cluster: BenchCluster, cri: CriClient): Promise<{ ours: number; raw: number }> {
  const ours: number[] = [];
  const raw: number[] = [];
  for (let i = 0; i < 11; i++) {
    const name = `one-${i}`;
    let answered = 0;
    const [seen] = await timesToRunning(cluster, [name], async () => {
      await cluster.client.of(PODS).create(podOf(name));
      answered = performance.now();
    });
    ours.push(seen! - answered);
    await deleteAll(cluster);
    const began = performance.now();
    const id = await rawStart(cri, cluster);
    raw.push(performance.now() - began);
    await rawStop(cri, [id]);
  }
  return { ours: median(ours), raw: median(raw) };
}

export async function benchPods(cluster: BenchCluster): Promise<void> {
  const cri = connectCri({ endpoint: runtimeConfigOf(cluster.config).socket, clock: systemClock });
  const rows: Row[] = [];
  const one = await single(cluster, cri);
  rows.push({ what: 'one Pod: answer of the create → Running', ours: millis(one.ours), target: `≤ 1.3 × the runtime's ${millis(one.raw)}: ${(one.ours / one.raw).toFixed(2)} ×`, baseline: `${BASELINE.onePodSeconds} s` });
  for (const n of [30, 100] as const) {
    const { startMs: raw, removeMs } = await rawBurst(cri, cluster, n);
    const { lastMs, deleteMs } = await burst(cluster, n);
    rows.push({ what: `${n} Pods at once: last one Running`, ours: seconds(lastMs), target: `≤ 1.3 × the runtime's ${seconds(raw)}: ${(lastMs / raw).toFixed(2)} ×`, baseline: `${n === 30 ? BASELINE.pods30LastSeconds : BASELINE.pods100LastSeconds} s` });
    if (n === 100) rows.push({ what: 'deleting those 100', ours: seconds(deleteMs), target: `≤ 10 s (the runtime alone needs ${seconds(removeMs)})`, baseline: `${BASELINE.delete100Seconds} s` });
  }
  cri.close();
  printRows('Pods', rows);
}
