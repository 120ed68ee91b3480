/** `npm run bench [start] [footprint] [pods] [node] [api] [scale]`: our figures beside the baseline's. Not a test: a figure not reached is printed as it is. */
import type { Pod } from '#api/gen/core-v1.ts';
import { PODS } from '#client/kinds.ts';
import { benchApi } from './api.ts';
import { BASELINE } from './baseline.ts';
import { IMAGE, startBenchCluster, type BenchCluster } from './cluster.ts';
import { benchFootprint } from './footprint.ts';
import { benchNode } from './node.ts';
import { benchPods } from './pods.ts';
import { printRows, seconds } from './report.ts';
import { benchScale } from './scale.ts';

async function benchStart(cluster: BenchCluster): Promise<void> {
  const began = performance.now();
  const pod: Pod = { metadata: { name: 'first', namespace: 'default' }, spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: IMAGE, command: ['sleep', '3600'] }] } };
  await cluster.client.of(PODS).create(pod);
  const abort = new AbortController();
  for await (const batch of cluster.client.of(PODS).watch({ namespace: 'default', resourceVersion: '0' }, abort.signal)) {
    if (batch.some((e) => e.type !== 'BOOKMARK' && e.object.status?.phase === 'Running')) break;
  }
  abort.abort();
  const { apiReadyMs, nodeReadyMs } = cluster.start;
  printRows('Cold start, packages installed', [
    { what: 'API ready', ours: seconds(apiReadyMs), target: '≤ 1.0 s', baseline: `${BASELINE.apiReadySeconds} s` },
    { what: 'node Ready', ours: seconds(nodeReadyMs), target: '≤ 3 s', baseline: `${BASELINE.nodeReadySeconds} s` },
    { what: 'first Pod Running (image loading apart)', ours: seconds(nodeReadyMs + performance.now() - began), target: '≤ 4 s', baseline: `${BASELINE.firstPodSeconds} s` },
  ]);
  await cluster.client.of(PODS).delete('default', 'first', { gracePeriodSeconds: 0 });
}

/** Parts that share a cluster; the last one wants a cluster in which nothing else has happened. */
const SHARED = { start: benchStart, footprint: benchFootprint, pods: benchPods, node: benchNode, api: benchApi } as const;
const wanted = process.argv.slice(2);
const on = (name: string): boolean => wanted.length === 0 || wanted.includes(name);

// The first start of a checkout compiles its modules: what a person meets from the second start on is measured.
await (await startBenchCluster())[Symbol.asyncDispose]();
const parts = Object.entries(SHARED).filter(([name]) => on(name));
if (parts.length > 0) {
  await using cluster = await startBenchCluster();
  for (const [, part] of parts) await part(cluster);
}
if (on('scale')) {
  await using cluster = await startBenchCluster();
  await benchScale(cluster);
}
