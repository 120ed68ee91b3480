/**
 * `kill -9` of Podyard at random moments while thirty Pods come and go: what has run to its end does not run again, nothing is beside itself,
 * what should end ends, every status tells the truth in the end, and nothing is left. A process whose start was being asked for when Podyard
 * was killed may have begun before the runtime broke it off: it is started anew.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Pod } from '#api/gen/core-v1.ts';
import { sleep, systemClock } from '#base/clock.ts';
import { Client } from '#client/client.ts';
import { PODS } from '#client/kinds.ts';
import { adminTransport } from '#cluster/admin.ts';
import { isReason } from '#machinery/status-error.ts';
import type { TestCluster } from '../harness/cluster.ts';
import { waitForPhase, waitForPodGone, waitForReady } from '../harness/conditions.ts';
import { hostProcesses, runProgram } from '../harness/process.ts';
import { onCluster } from '../harness/suite.ts';

const { test } = onCluster({ images: ['docker.io/library/busybox:1.37'] });

const KILLS = 4;
/** Of each sort, in each round. */
const EACH = 4;
/** Its processes can be told from all others of the machine. */
const TIME = String(randomInt(10_000_000, 100_000_000));

/** Every run of a container adds a line to a file of the host. */
const pod = (dir: string, name: string, line: string, more: object = {}): Pod => ({
  apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'default' },
  spec: {
    terminationGracePeriodSeconds: 0, restartPolicy: 'Never', volumes: [{ name: 'v', hostPath: { path: dir } }, { name: 'm', emptyDir: { medium: 'Memory' } }],
    containers: [{ name: 'c', image: 'busybox:1.37', command: ['sh', '-c', `echo ${name} begins >> /v/runs; ${line}`], volumeMounts: [{ name: 'v', mountPath: '/v' }, { name: 'm', mountPath: '/m' }] }], ...more,
  },
}) as Pod;

/** Does the call until it is known to be done; each is repeated where nobody knows whether the one before came through. */
async function surely(client: Client, call: (client: Client) => Promise<unknown>, done: 'AlreadyExists' | 'NotFound'): Promise<void> {
  await call(client).catch((err: unknown) => {
    if (!isReason(err, done)) throw err;
  });
}

test('Pods that come and go while Podyard is killed run once, and leave nothing', { timeout: 300_000 }, async (c, t) => {
  const dir = `${c.files}/shared`;
  await mkdir(dir, { mode: 0o777 });
  const of = (sort: string, round: number): string[] => Array.from({ length: EACH }, (_, i) => `${sort}-${round}-${i}`);
  for (let round = 0; round < KILLS; round++) {
    const wanted = [...of('once', round).map((name) => pod(dir, name, `sleep 1; echo ${name} ends >> /v/runs`)), ...of('stays', round).map((name, i) => pod(dir, name, `exec sleep ${TIME}${round}${i}`))];
    // What the round before has brought up goes while the new ones come.
    const unwanted = round === 0 ? [] : of('stays', round - 1).slice(1);
    const work = async (): Promise<void> => {
      const transport = await adminTransport({ kubeconfig: c.kubeconfig });
      try {
        const client = new Client(transport, 'churn');
        await Promise.all([
          ...wanted.map((p) => surely(client, (k) => k.of(PODS).create(p), 'AlreadyExists')),
          ...unwanted.map((name) => surely(client, (k) => k.of(PODS).delete('default', name), 'NotFound')),
        ]);
      } finally {
        transport.close();
      }
    };
    const first = work().catch(() => {});
    await sleep(systemClock, randomInt(1500));
    await c.kill();
    await first;
    await c.up();
    await work();
  }
  const rounds = Array.from({ length: KILLS }, (_, round) => round);
  const gone = rounds.slice(0, -1).flatMap((round) => of('stays', round).slice(1));
  const kept = rounds.flatMap((round) => (round === KILLS - 1 ? of('stays', round) : of('stays', round).slice(0, 1)));
  await Promise.all([
    ...rounds.flatMap((round) => of('once', round)).map((name) => waitForPhase(c, name, 'Succeeded', { timeoutMs: 120_000 })), ...gone.map((name) => waitForPodGone(c, name, { timeoutMs: 120_000 })), ...kept.map((name) => waitForReady(c, name, { timeoutMs: 120_000 })),
  ]);
  const runs = (await readFile(`${dir}/runs`, 'utf8')).trimEnd().split('\n');
  const times = (line: string): number => runs.filter((run) => run === line).length;
  for (const name of rounds.flatMap((round) => of('once', round))) assert.equal(times(`${name} ends`), 1, `${name} ran to its end once`);
  for (const name of kept) assert.ok(times(`${name} begins`) >= 1, `${name} runs`);
  await settled('the processes', processesOf, kept.length);
  t.diagnostic(`${runs.length} runs`);
  await c.kubectl('delete pod --all --now');
  await nothingLeft(c);
});

const processesOf = async (): Promise<number> => (await hostProcesses(new RegExp(`^sleep ${TIME}\\d\\d$`))).size;

async function nothingLeft(c: TestCluster): Promise<void> {
  const { runDir, bridge } = await c.config();
  const left = async (): Promise<Record<string, number>> => ({
    podDirs: (await readdir(`${c.dataDir}/kubelet/pods`)).length, logDirs: (await readdir(`${c.dataDir}/pod-logs`)).length,
    mounts: (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').filter((l) => l.includes(`${c.dataDir}/kubelet`) || l.includes(`${runDir}/containerd`)).length,
    links: (await runProgram('ip', ['-o', 'link', 'show', 'master', bridge])).stdout.split('\n').filter(Boolean).length,
    addresses: (await readdir(`${c.dataDir}/cni/ipam`, { recursive: true })).filter((n) => /\/[\d.]+$/.test(n)).length,
    processes: await processesOf(),
  });
  await settled('what is left', left, { podDirs: 0, logDirs: 0, mounts: 0, links: 0, addresses: 0, processes: 0 });
}
/** What an ended Pod had goes a moment after the API has let it go: nothing tells when. */
async function settled<T>(what: string, look: () => Promise<T>, expected: T): Promise<void> {
  for (const limit = performance.now() + 60_000; ;) {
    const now = await look();
    if (isDeepStrictEqual(now, expected)) return;
    if (performance.now() > limit) assert.deepEqual(now, expected, what);
    await sleep(systemClock, 100);
  }
}
