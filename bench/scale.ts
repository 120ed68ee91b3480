/** 100,000 ConfigMaps of 1 KB: what they cost, how they are listed, and how long a start with them takes. */
import { runningProcess } from '#cluster/daemon.ts';
import type { BenchCluster } from './cluster.ts';
import { residentMegabytes } from './footprint.ts';
import { median, millis, perSecond, printRows, seconds, type Row } from './report.ts';

const OBJECTS = 100_000;
const PAGE = 500;
const CONFIG_MAPS = { group: '', version: 'v1', plural: 'configmaps', namespaced: true } as const;
/** About 1 KB with its metadata. */
const BODY = JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'big-{n}' }, data: { text: 'x'.repeat(700) } });

async function residentOf(cluster: BenchCluster): Promise<number> {
  const { pid } = (await runningProcess(cluster.config))!;
  return residentMegabytes(pid);
}

/** Milliseconds of each page. */
async function pageThrough(cluster: BenchCluster): Promise<{ items: number; pages: number[] }> {
  const maps = cluster.client.dynamic(CONFIG_MAPS, 'ConfigMap');
  const pages: number[] = [];
  let items = 0;
  for (let next: string | undefined = ''; next !== undefined;) {
    const began = performance.now();
    const page: Awaited<ReturnType<typeof maps.list>> = await maps.list({ namespace: 'scale', limit: PAGE, ...(next === '' ? {} : { continue: next }) });
    pages.push(performance.now() - began);
    items += page.items.length;
    next = page.metadata.continue || undefined;
  }
  return { items, pages };
}

export async function benchScale(cluster: BenchCluster): Promise<void> {
  await cluster.client.dynamic({ group: '', version: 'v1', plural: 'namespaces', namespaced: false }, 'Namespace').create({ metadata: { name: 'scale' } });
  const rows: Row[] = [];
  const empty = await residentOf(cluster);
  const filled = await cluster.load({ connections: 4, inFlight: 16, count: OBJECTS, method: 'POST', path: '/api/v1/namespaces/scale/configmaps', body: BODY });
  rows.push({ what: `creating ${OBJECTS.toLocaleString('en')} ConfigMaps of 1 KB`, ours: perSecond(filled.perSecond) });
  rows.push({ what: 'resident memory of the whole process: before / with them', ours: `${empty.toFixed(0)} / ${(await residentOf(cluster)).toFixed(0)} MB`, target: '≤ 600 MB' });
  const { items, pages } = await pageThrough(cluster);
  const tenth = Math.floor(pages.length / 10);
  rows.push({ what: `listing ${items.toLocaleString('en')} in pages of ${PAGE}: a page of the first tenth / of the last (median)`, ours: `${millis(median(pages.slice(0, tenth)))} / ${millis(median(pages.slice(-tenth)))}`, target: 'the same' });
  const get = { connections: 1, inFlight: 4, warmUpMs: 1000, ms: 4000, method: 'GET', path: '/api/v1/namespaces/default' } as const;
  const lister = cluster.load({ connections: 1, inFlight: 1, ms: 6000, method: 'GET', path: '/api/v1/configmaps' });
  const beside = await cluster.load(get);
  await lister;
  rows.push({ what: 'p99 of GET, 4 in flight, beside a client that lists them all at once in a loop', ours: millis(beside.p99Ms) });
  rows.push({ what: 'resident memory after that', ours: `${(await residentOf(cluster)).toFixed(0)} MB`, target: '≤ 600 MB' });
  const again = await cluster.restart();
  rows.push({ what: 'start with them on the disk: API ready', ours: seconds(again.apiReadyMs), target: '≤ 3 s' });
  rows.push({ what: 'resident memory then', ours: `${(await residentOf(cluster)).toFixed(0)} MB`, target: '≤ 600 MB' });
  printRows('100,000 objects', rows);
}
