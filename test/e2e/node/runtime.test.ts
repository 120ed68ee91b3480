/** What happens to the container runtime happens to no Pod: killed, hung, or one of its shims killed, Pods go on, and what they did meanwhile is told. */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Pod } from '#api/gen/core-v1.ts';
import { waitForNode, waitForPhase, waitForPod, waitForReady } from '../harness/conditions.ts';
import { hostProcesses } from '../harness/process.ts';
import { onCluster } from '../harness/suite.ts';
import type { TestCluster } from '../harness/cluster.ts';

const { test } = onCluster({ images: ['docker.io/library/busybox:1.37'] });

/** Containers that can be told from all others of the machine: they sleep for a time of their own. */
const BASE = 1_000_000_000 + randomInt(1_000_000) * 10;
const sleeper = (n: number): object => ({ name: 'c', image: 'busybox:1.37', command: ['sleep', String(BASE + n)] });
const pod = (name: string, container: object, more: object = {}): object => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { terminationGracePeriodSeconds: 0, containers: [container], ...more } });
const pidOf = async (n: number): Promise<number> => {
  const line = `sleep ${BASE + n}`;
  const pid = (await hostProcesses(new RegExp(`^${line}$`))).get(line);
  assert.ok(pid, line);
  return pid;
};
const containerd = async (c: TestCluster): Promise<number> => {
  const [pid] = (await hostProcesses(new RegExp(`^\\S*containerd --config ${c.dataDir}/`))).values();
  assert.ok(pid);
  return pid;
};
const told = (p: Pod): unknown => [p.metadata.uid, p.status?.podIP, p.status?.containerStatuses?.map((s) => [s.containerID, s.restartCount, s.state?.running?.startedAt])];
const restarted = (times: number) => (p: Pod): boolean => p.status?.containerStatuses?.[0]?.restartCount === times && p.status.containerStatuses[0].ready;

test('containerd is killed: containers keep their processes, one that ends meanwhile is started again, new Pods come to run', async (c) => {
  await c.apply({ apiVersion: 'v1', kind: 'List', items: [pod('steady', sleeper(1)), pod('ends', sleeper(2)), pod('shimless', sleeper(3)), pod('once', { ...sleeper(4), command: ['sh', '-c', 'until [ -e /end ]; do sleep 0.1; done; exit 3'] }, { restartPolicy: 'Never' })] });
  const [steady] = await Promise.all(['steady', 'ends', 'shimless', 'once'].map((name) => waitForReady(c, name)));
  const before = await pidOf(1);
  const old = await containerd(c);
  process.kill(old, 'SIGKILL');
  process.kill(await pidOf(2), 'SIGKILL');
  await c.apply(pod('new', sleeper(5)));
  const again = await waitForPod(c, 'ends', 'restarted', restarted(1));
  assert.equal(again.status?.containerStatuses?.[0]?.lastState?.terminated?.exitCode, 137);
  await waitForReady(c, 'new');
  assert.notEqual(await containerd(c), old);
  assert.equal(await pidOf(1), before);
  assert.deepEqual(told(await waitForReady(c, 'steady')), told(steady!));
  assert.equal((await c.kubectl('exec steady -- echo reached')).stdout, 'reached\n');
});

test('a checkpoint is what the runtime makes of it', async (c) => {
  await c.apply(pod('checked', sleeper(6)));
  await waitForReady(c, 'checked');
  const { stdout, stderr } = await c.kubectl(['create', '--raw', `/api/v1/nodes/${c.nodeName}/proxy/checkpoint/default/checked/c`, '-f', '/dev/null'], { expect: 'any' });
  // Before its second release containerd has none, and later ones need CRIU on the machine.
  assert.match(`${stdout}${stderr}`, /^\{"items":\["\S+\.tar"\]\}|checkpointing of default\/checked\/c failed \(rpc error: code = \w+ desc = /);
  await c.kubectl('delete pod checked --now');
});

test('a shim is killed: its Pod is made anew, and no other', async (c) => {
  const steady = await waitForReady(c, 'steady');
  const shim = Number(/^\d+ \(.*\) \S (\d+)/.exec(await readFile(`/proc/${await pidOf(3)}/stat`, 'utf8'))?.[1]);
  assert.match(await readFile(`/proc/${shim}/cmdline`, 'utf8'), /containerd-shim/);
  process.kill(shim, 'SIGKILL');
  const again = await waitForPod(c, 'shimless', 'running anew', restarted(1));
  assert.notEqual(again.status?.containerStatuses?.[0]?.lastState?.terminated, undefined);
  await pidOf(3);
  assert.deepEqual(told(await waitForReady(c, 'steady')), told(steady));
});

test('containerd hangs for a while: the node says so, Pods go on; what was asked for meanwhile is done when it is back', async (c) => {
  const steady = await waitForReady(c, 'steady');
  const pid = await containerd(c);
  process.kill(pid, 'SIGSTOP');
  try {
    process.kill(await pidOf(2), 'SIGKILL');
    await c.apply(pod('asked', sleeper(6)));
    await c.kubectl('exec steady -- true', { expect: 'failure', timeoutMs: 10_000 }).catch(() => {});
    const hung = await waitForNode(c, 'node01', 'NotReady', (n) => n.status?.conditions?.find((x) => x.type === 'Ready')?.status === 'False');
    assert.match(hung.status?.conditions?.find((x) => x.type === 'Ready')?.message ?? '', /^container runtime is down: /);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await waitForReady(c, 'asked');
  await waitForPod(c, 'ends', 'restarted', restarted(2), { timeoutMs: 90_000 });
  await waitForNode(c, 'node01', 'Ready', (n) => n.status?.conditions?.find((x) => x.type === 'Ready')?.status === 'True');
  assert.deepEqual(told(await waitForReady(c, 'steady')), told(steady));
  await c.kubectl('exec once -- touch /end');
  const ended = await waitForPhase(c, 'once', 'Failed');
  assert.equal(ended.status?.containerStatuses?.[0]?.state?.terminated?.exitCode, 3);
  await c.kubectl('delete pod --all --now');
});

/** `1\n2\n…`: every line once, in order, and nothing else before `end`. */
function assertCounted(stdout: string, end: string): void {
  const lines = stdout.split('\n');
  assert.equal(lines.pop(), '');
  if (end) assert.equal(lines.pop(), end);
  assert.deepEqual(lines.filter((line, i) => line !== String(i + 1)), []);
}
test('who follows a log misses nothing when containerd is killed; when Podyard is restarted, who asks again is shown all', async (c) => {
  await c.apply(pod('counts', { ...sleeper(7), command: ['sh', '-c', 'i=0; until [ -e /end ]; do echo $((i=i+1)); sleep 0.05; done; echo over'] }, { restartPolicy: 'Never' }));
  await waitForReady(c, 'counts');
  await using follow = await c.startKubectl('logs -f counts');
  await follow.seen(/^20$/m);
  const old = await containerd(c);
  process.kill(old, 'SIGKILL');
  // Its node is back when it runs what is new.
  await c.apply(pod('after', sleeper(8)));
  await waitForReady(c, 'after');
  assert.notEqual(await containerd(c), old);
  const [, next] = await follow.seen(/^(\d+)\n$/m);
  await follow.seen(new RegExp(`^${Number(next) + 20}$`, 'm'));

  await c.down();
  // Whatever it has shown by then, perhaps half a line.
  assertCounted((await follow.ended).stdout.replace(/\d+$/, ''), '');
  await c.up();
  await using again = await c.startKubectl('logs -f counts');
  await again.seen(/^20$/m);
  await c.kubectl('exec counts -- touch /end');
  const { code, stdout } = await again.ended;
  assert.equal(code, 0);
  assertCounted(stdout, 'over');
  await c.kubectl('delete pod --all --now');
});
