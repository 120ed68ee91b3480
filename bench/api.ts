/** The API under the same load as the baseline's lines: 4 connections × 16 requests in flight, HTTP/2 and JSON. */
import { BASELINE } from './baseline.ts';
import type { BenchCluster } from './cluster.ts';
import { perSecond, printRows, type Row } from './report.ts';

const NS = '/api/v1/namespaces/bench';
const LOAD = { connections: 4, inFlight: 16, ms: 4000 } as const;

export async function benchApi(cluster: BenchCluster): Promise<void> {
  await cluster.client.dynamic({ group: '', version: 'v1', plural: 'namespaces', namespaced: false }, 'Namespace').create({ metadata: { name: 'bench' } });
  await cluster.client.dynamic({ group: '', version: 'v1', plural: 'serviceaccounts', namespaced: true }, 'ServiceAccount').create({ metadata: { name: 'default', namespace: 'bench' } }).catch(() => {});
  const pod = JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p-{n}' }, spec: { schedulerName: 'nobody', containers: [{ name: 'c', image: 'busybox', resources: { requests: { cpu: '10m' } } }] } });
  const rows: Row[] = [];
  const create = await cluster.load({ ...LOAD, method: 'POST', path: `${NS}/configmaps`, body: '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c-{n}"},"data":{"key":"value"}}', status: 201 });
  rows.push({ what: 'create ConfigMap, 4 × 16 in flight', ours: `${perSecond(create.perSecond)} (p99 ${create.p99Ms.toFixed(0)} ms)`, target: '≥ 4,000/s', baseline: perSecond(BASELINE.createConfigMapPerSecond) });
  // As many Pods as the list benchmark wants.
  const pods = await cluster.load({ ...LOAD, ms: 1500, method: 'POST', path: `${NS}/pods`, body: pod, status: 201 });
  rows.push({ what: 'create Pod, 4 × 16 in flight', ours: perSecond(pods.perSecond), target: '≥ 4,000/s (issue 3)', baseline: perSecond(BASELINE.createPodPerSecond) });
  const names = (await cluster.client.dynamic({ group: '', version: 'v1', plural: 'pods', namespaced: true }, 'Pod').list({ namespace: 'bench' })).items.map((p) => p.metadata.name!);
  const get = await cluster.load({ ...LOAD, method: 'GET', path: `${NS}/pods/${names[0]}`, status: 200 });
  rows.push({ what: 'GET one Pod, 4 × 16 in flight', ours: perSecond(get.perSecond), target: '≥ 15,000/s', baseline: perSecond(BASELINE.getPodPerSecond) });
  const pods2000 = cluster.client.dynamic({ group: '', version: 'v1', plural: 'pods', namespaced: true }, 'Pod');
  for (const name of names.slice(2000)) await pods2000.delete('bench', name, { gracePeriodSeconds: 0 });
  for (const [what, path, target, baseline] of [
    [`LIST ${Math.min(names.length, 2000)} Pods, consistent, 2 clients`, `${NS}/pods`, '≥ 100/s', BASELINE.list2000PerSecond],
    ['the same, resourceVersion=0', `${NS}/pods?resourceVersion=0`, '≥ 100/s', BASELINE.list2000CachedPerSecond],
    ['LIST with a selector that matches none', `${NS}/pods?labelSelector=no%3Dsuch`, '≥ 1,500/s (issue 3)', BASELINE.listSelectorPerSecond],
  ] as const) {
    const list = await cluster.load({ connections: 2, inFlight: 1, ms: 4000, method: 'GET', path, status: 200 });
    rows.push({ what, ours: perSecond(list.perSecond), target, baseline: perSecond(baseline) });
  }
  printRows('API', rows);
  await cluster.client.dynamic({ group: '', version: 'v1', plural: 'namespaces', namespaced: false }, 'Namespace').delete('', 'bench');
}
