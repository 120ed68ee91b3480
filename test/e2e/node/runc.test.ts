/** A runc that fails for a while: nothing starts, nothing ends, what is asked for is tried again; when it works again all comes right, and nothing is left. */
import assert from 'node:assert/strict';
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { after } from 'node:test';
import { waitForEvent, waitForPod, waitForPodGone, waitForReady } from '../harness/conditions.ts';
import { runProgram } from '../harness/process.ts';
import { onCluster } from '../harness/suite.ts';

/** A `runc` before the real one in the PATH: it fails at the commands for which there is a file. */
const dir = await mkdtemp(`${tmpdir()}/podyard-runc-`);
const real = (await runProgram('sh', ['-c', 'command -v runc'])).stdout.trim();
await writeFile(`${dir}/runc`, `#!/bin/sh
for word; do
  if [ "$before" = --log ]; then log=$word; fi
  before=$word
  case $word in create|kill) if [ -e ${dir}/no-$word ]; then echo '{"level":"error","msg":"runc is out of order"}' >> "$log"; exit 1; fi;; esac
done
exec ${real} "$@"
`);
await chmod(`${dir}/runc`, 0o755);
const path = process.env['PATH'];
process.env['PATH'] = `${dir}:${path}`;
after(() => rm(dir, { recursive: true, force: true }));
const breaks = (command: 'create' | 'kill'): Promise<void> => writeFile(`${dir}/no-${command}`, '');
const works = (command: 'create' | 'kill'): Promise<void> => rm(`${dir}/no-${command}`);

const { test } = onCluster({ images: ['docker.io/library/busybox:1.37'] });
const pod = (name: string, more: object = {}): object => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: 'busybox:1.37', command: ['sleep', '3600'] }], ...more } });

test('a runc that creates nothing: Pods wait and say why; those that run go on, and nothing is left of the tries', async (c) => {
  await c.apply(pod('steady'));
  const steady = await waitForReady(c, 'steady');
  await breaks('create');
  await c.apply(pod('waits', { terminationGracePeriodSeconds: 1, containers: [{ name: 'c', image: 'busybox:1.37', command: ['sleep', '3600'] }] }));
  await waitForEvent(c, 'waits', 'FailedCreatePodSandBox', /^Failed to create pod sandbox: rpc error: .*runc is out of order/);
  assert.match((await c.kubectl('get pod waits')).stdout, /ContainerCreating/);
  await works('create');
  await waitForReady(c, 'waits', { timeoutMs: 60_000 });
  assert.deepEqual((await waitForReady(c, 'steady')).status?.containerStatuses, steady.status?.containerStatuses);
  // One address and one link for each Pod that runs.
  const { bridge, runDir } = await c.config();
  assert.equal((await readdir(`${c.dataDir}/cni/ipam`, { recursive: true })).filter((n) => /\/[\d.]+$/.test(n)).length, 2);
  assert.equal((await runProgram('ip', ['-o', 'link', 'show', 'master', bridge])).stdout.split('\n').filter(Boolean).length, 2);
  assert.equal((await readFile('/proc/self/mountinfo', 'utf8')).split('\n').filter((l) => l.includes(`${runDir}/containerd`) && l.includes('/netns/')).length, 2);
});

test('a runc that starts no container: the container says so, and is started when it can be', async (c) => {
  await c.apply(pod('restarts', { containers: [{ name: 'c', image: 'busybox:1.37', command: ['sh', '-c', 'until [ -e /end ]; do sleep 0.1; done'] }] }));
  await waitForReady(c, 'restarts');
  await breaks('create');
  await c.kubectl('exec restarts -- touch /end');
  const broken = await waitForPod(c, 'restarts', 'that it cannot be started', (p) => /RunContainerError|StartError/.test(`${p.status?.containerStatuses?.[0]?.state?.waiting?.reason} ${p.status?.containerStatuses?.[0]?.lastState?.terminated?.reason}`));
  assert.match(JSON.stringify(broken.status?.containerStatuses), /failed to create containerd task: failed to create shim task: OCI runtime create failed.*runc is out of order/);
  await works('create');
  await waitForPod(c, 'restarts', 'running', (p) => p.status?.containerStatuses?.[0]?.ready === true, { timeoutMs: 90_000 });
});

test('a runc that kills nothing: a Pod that is deleted stays until it can end, and is gone then', async (c) => {
  await breaks('kill');
  await c.kubectl('delete pod waits --wait=false');
  await waitForEvent(c, 'waits', 'FailedKillPod', /^error killing pod: /);
  assert.match((await c.kubectl('get pod waits')).stdout, /Terminating/);
  assert.equal((await c.kubectl('exec waits -- echo in')).stdout, 'in\n');
  await works('kill');
  await waitForPodGone(c, 'waits', { timeoutMs: 90_000 });
  await c.kubectl('delete pod --all --now');
});
