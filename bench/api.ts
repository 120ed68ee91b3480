/** The API under the same load as the baseline's lines: 4 connections × 16 requests in flight, HTTP/2 and JSON. */
import { BASELINE } from './baseline.ts';
import type { BenchCluster } from './cluster.ts';
import type { LoadResult } from './load.ts';
import { millis, perSecond, printRows, type Row } from './report.ts';

const NS = '/api/v1/namespaces/bench';
/** Upstream's processes were warm when they were measured: the first seconds of ours compile. */
const LOAD = { connections: 4, inFlight: 16, warmUpMs: 4000, ms: 4000 } as const;
const LISTED = 2000;
const POD = JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p-{n}' }, spec: { schedulerName: 'nobody', containers: [{ name: 'c', image: 'busybox', resources: { requests: { cpu: '10m' } } }] } });
const CONFIG_MAP = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c-{n}"},"data":{"key":"value"}}';

const rate = (r: LoadResult): string => `${perSecond(r.perSecond)} (p99 ${millis(r.p99Ms)})`;

async function makeNamespace(cluster: BenchCluster, name: string): Promise<void> {
  await cluster.client.dynamic({ group: '', version: 'v1', plural: 'namespaces', namespaced: false }, 'Namespace').create({ metadata: { name } });
  // Pods wait for it; its controller may be as quick as we are.
  await cluster.client.dynamic({ group: '', version: 'v1', plural: 'serviceaccounts', namespaced: true }, 'ServiceAccount').create({ metadata: { name: 'default', namespace: name } }).catch(() => {});
}

export async function benchApi(cluster: BenchCluster): Promise<void> {
  await makeNamespace(cluster, 'bench');
  await makeNamespace(cluster, 'listed');
  const rows: Row[] = [];
  const create = await cluster.load({ ...LOAD, method: 'POST', path: `${NS}/configmaps`, body: CONFIG_MAP });
  rows.push({ what: 'create ConfigMap, 4 × 16 in flight', ours: rate(create), target: '≥ 8,000/s', baseline: perSecond(BASELINE.createConfigMapPerSecond) });
  const pods = await cluster.load({ ...LOAD, method: 'POST', path: `${NS}/pods`, body: POD });
  rows.push({ what: 'create Pod, 4 × 16 in flight', ours: rate(pods), target: '≥ 4,000/s', baseline: perSecond(BASELINE.createPodPerSecond) });
  await cluster.load({ connections: 1, inFlight: 8, count: LISTED, method: 'POST', path: '/api/v1/namespaces/listed/pods', body: POD });
  const { items } = await cluster.client.dynamic({ group: '', version: 'v1', plural: 'pods', namespaced: true }, 'Pod').list({ namespace: 'listed' });
  const one = `/api/v1/namespaces/listed/pods/${items[0]!.metadata.name}`;
  const get = await cluster.load({ ...LOAD, method: 'GET', path: one });
  rows.push({ what: 'GET one Pod, 4 × 16 in flight', ours: rate(get), target: '≥ 20,000/s', baseline: perSecond(BASELINE.getPodPerSecond) });
  for (const [what, query, target, baseline] of [
    [`LIST ${items.length} Pods, consistent, 2 clients`, '', '≥ 200/s', BASELINE.list2000PerSecond],
    ['the same, resourceVersion=0', '?resourceVersion=0', '≥ 200/s', BASELINE.list2000CachedPerSecond],
    ['LIST with a selector that matches none', '?labelSelector=no%3Dsuch', '≥ 1,500/s', BASELINE.listSelectorPerSecond],
  ] as const) {
    const list = await cluster.load({ connections: 2, inFlight: 1, warmUpMs: 1000, ms: 4000, method: 'GET', path: `/api/v1/namespaces/listed/pods${query}` });
    rows.push({ what, ours: rate(list), target, baseline: perSecond(baseline) });
  }
  rows.push(...(await besideALister(cluster, one)));
  rows.push(await oneWriteToManyWatchers(cluster));
  printRows('API', rows);
}

/** What the others feel of a client that lists everything in a loop. */
async function besideALister(cluster: BenchCluster, one: string): Promise<Row[]> {
  const few = { connections: 1, inFlight: 4, warmUpMs: 1000, ms: 4000 } as const;
  const rows: Row[] = [];
  for (const [what, load] of [
    ['GET', { method: 'GET', path: one }],
    ['create ConfigMap', { method: 'POST', path: `${NS}/configmaps`, body: CONFIG_MAP }],
  ] as const) {
    const alone = await cluster.load({ ...few, ...load });
    const lister = cluster.load({ connections: 1, inFlight: 1, ms: 6000, method: 'GET', path: '/api/v1/pods' });
    const beside = await cluster.load({ ...few, ...load });
    await lister;
    rows.push({ what: `p99 of ${what}, 4 in flight: alone / beside a client that lists all Pods in a loop`, ours: `${millis(alone.p99Ms)} / ${millis(beside.p99Ms)}` });
  }
  return rows;
}

async function oneWriteToManyWatchers(cluster: BenchCluster): Promise<Row> {
  await makeNamespace(cluster, 'watched');
  const result = await cluster.watchers({ connections: 100, watchesEach: 10, writes: 20, path: '/api/v1/namespaces/watched/configmaps', body: CONFIG_MAP });
  return { what: `one write, from its request to the last of ${result.watchers} watchers (median / worst of 20)`, ours: `${millis(result.medianMs)} / ${millis(result.worstMs)}`, target: '≤ 50 ms' };
}
