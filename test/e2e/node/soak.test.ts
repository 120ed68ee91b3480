/**
 * Many Pod lives leave nothing: processes, mounts, links, cgroups, open files and memory are counted before and after.
 * PODYARD_SOAK_LIVES sets how many; 100 otherwise.
 */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import type { Pod } from '#api/gen/core-v1.ts';
import { PODS } from '#client/kinds.ts';
import { listProcesses } from '#cluster/runtime/processes.ts';
import { runProgram } from '../harness/process.ts';
import { onCluster } from '../harness/suite.ts';
import type { TestCluster } from '../harness/cluster.ts';

const { test } = onCluster({ images: ['docker.io/library/busybox:1.37'] });

const LIVES = Number(process.env['PODYARD_SOAK_LIVES'] ?? 100);
const AT_ONCE = 10;
/**
 * Memory reaches a plateau after some five hundred lives: 60 MB more after a collection, 90 MB as it goes. It is what caches hold of Events and of
 * revisions, their rings being full then (heap 52 to 86 MB, bytes of objects 18 to 37 MB), and room that V8 keeps. What grows beyond is a leak.
 */
const MEMORY_MB = 120;

/** Lives of every sort: ended by themselves, deleted while they run, with an init container, a sidecar, volumes, probes; failed. */
function pod(i: number): Pod {
  const container = (name: string, command: string, more: object = {}): object => ({ name, image: 'busybox:1.37', command: ['sh', '-c', command], ...more });
  const spec = [
    { restartPolicy: 'Never', containers: [container('c', 'exit 0')] },
    { containers: [container('c', 'exec sleep 3600', { readinessProbe: { exec: { command: ['true'] }, periodSeconds: 1 } })] },
    { initContainers: [container('i', 'true'), container('s', 'exec sleep 3600', { restartPolicy: 'Always' })], restartPolicy: 'Never', containers: [container('c', 'echo done')] },
    { containers: [container('c', 'exec sleep 3600', { volumeMounts: [{ name: 'm', mountPath: '/m' }, { name: 'd', mountPath: '/d', subPath: 'x' }] })], volumes: [{ name: 'm', emptyDir: { medium: 'Memory' } }, { name: 'd', emptyDir: {} }] },
    { restartPolicy: 'Never', containers: [container('c', 'exit 1')] },
  ][i % 5]!;
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name: `life-${i}`, namespace: 'default', labels: { soak: 'yes' } }, spec: { terminationGracePeriodSeconds: i % 2, ...spec } } as Pod;
}
const hasLived = (p: Pod): boolean => ['Succeeded', 'Failed'].includes(p.status?.phase ?? '') || p.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') === true;

/** Brings up Pods, waits until each has ended or is ready, deletes them, waits until the API has none. */
async function live(c: TestCluster, from: number, count: number): Promise<void> {
  const pods = (await c.client()).of(PODS);
  const { metadata } = await pods.list({ namespace: 'default', labelSelector: 'soak=yes' });
  const open = new Set<string>();
  const asked = new Set<string>();
  const abort = AbortSignal.timeout(120_000);
  const watch = (async () => {
    for await (const batch of pods.watch({ namespace: 'default', labelSelector: 'soak=yes', resourceVersion: metadata.resourceVersion ?? '0' }, abort)) {
      for (const e of batch) {
        if (e.type === 'BOOKMARK') continue;
        const name = e.object.metadata.name!;
        if (e.type === 'DELETED') open.delete(name);
        else if (hasLived(e.object) && !asked.has(name)) {
          asked.add(name);
          await pods.delete('default', name);
        }
      }
      if (open.size === 0) return;
    }
    throw new Error(`these did not come and go in their time: ${[...open].join(' ')}`);
  })();
  for (let i = from; i < from + count; i++) {
    open.add(`life-${i}`);
    await pods.create(pod(i));
  }
  await watch;
}

interface Count {
  readonly processes: number;
  readonly mounts: number;
  readonly links: number;
  readonly cgroups: number;
  readonly podDirs: number;
  readonly logDirs: number;
  readonly files: number;
  readonly residentMb: number;
}
async function cgroupsBelow(root: string): Promise<number> {
  let n = 0;
  for (const hierarchy of ['', ...(await readdir('/sys/fs/cgroup'))]) {
    const all = await readdir(`/sys/fs/cgroup/${hierarchy}${root}`, { recursive: true, withFileTypes: true }).catch(() => []);
    n += all.filter((e) => e.isDirectory()).length;
  }
  return n;
}
/** What there is of this cluster on the machine. */
async function count(c: TestCluster): Promise<Count> {
  const { cgroupRoot, bridge, runDir } = await c.config();
  const { pid } = (await c.process())!;
  const mine = (await listProcesses()).filter((p) => p.args.some((a) => a.includes(c.dataDir) || a.includes(runDir)));
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').filter((l) => l.includes(c.dataDir) || l.includes(runDir));
  const links = JSON.parse((await runProgram('ip', ['-json', 'link', 'show', 'master', bridge])).stdout || '[]') as unknown[];
  return {
    processes: mine.length, mounts: mounts.length, links: links.length, cgroups: await cgroupsBelow(cgroupRoot),
    podDirs: (await readdir(`${c.dataDir}/kubelet/pods`)).length, logDirs: (await readdir(`${c.dataDir}/pod-logs`)).length, files: (await readdir(`/proc/${pid}/fd`)).length,
    // Without the pages of the store's file, which the kernel takes back as it likes.
    residentMb: Number(/RssAnon:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024,
  };
}
/** The last remains go a moment after the API has let a Pod go: nothing tells when. */
async function settled(c: TestCluster, is: (count: Count) => boolean): Promise<Count> {
  const limit = performance.now() + 20_000;
  for (;;) {
    const now = await count(c);
    if (is(now) || performance.now() > limit) return now;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

test(`${LIVES} Pod lives leave nothing behind`, { timeout: 300_000 + LIVES * 3000 }, async (c, t) => {
  // What is made once, for the first Pods, is no leak.
  await live(c, 0, AT_ONCE);
  const before = await settled(c, (n) => n.podDirs === 0 && n.logDirs === 0 && n.links === 0);
  const began = performance.now();
  for (let i = 0; i < LIVES; i += AT_ONCE) {
    await live(c, AT_ONCE + i, Math.min(AT_ONCE, LIVES - i));
    if (i % 100 === 0) t.diagnostic(`after ${i} lives: ${(await count(c)).residentMb.toFixed(0)} MB`);
  }
  const seconds = (performance.now() - began) / 1000;
  const same = (n: Count): string => JSON.stringify({ ...n, files: undefined, residentMb: undefined });
  const after = await settled(c, (n) => same(n) === same(before));
  t.diagnostic(`${LIVES} lives in ${seconds.toFixed(1)} s; before ${JSON.stringify(before)}, after ${JSON.stringify(after)}`);
  assert.equal(same(after), same(before));
  assert.ok(after.files <= before.files + 4, `open files: ${before.files} before, ${after.files} after`);
  assert.ok(after.residentMb <= before.residentMb + MEMORY_MB, `memory: ${before.residentMb} MB before, ${after.residentMb} MB after`);
});
