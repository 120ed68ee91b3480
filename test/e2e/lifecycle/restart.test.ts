/** `down` and `up` again, and Podyard killed: the containers run on, and are taken up. */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import type { Pod } from '#api/gen/core-v1.ts';
import { waitForPhase, waitForPod, waitForPodGone, waitForReady } from '../harness/conditions.ts';
import { hostProcesses } from '../harness/process.ts';
import { onCluster } from '../harness/suite.ts';

const { test } = onCluster({ images: ['docker.io/library/busybox:1.37'] });

const told = (pod: Pod): unknown => [pod.metadata.uid, pod.status?.podIP, pod.status?.startTime, pod.status?.containerStatuses?.map((s) => [s.containerID, s.restartCount, s.state?.running?.startedAt])];

/** For a time that no other cluster of the machine has. */
const STEADY = `sleep ${randomInt(100_000_000, 1_000_000_000)}`;
/** The process id, as the host sees it, of a Pod's container; undefined when it does not run. */
const steadyPid = async (): Promise<number | undefined> => (await hostProcesses(new RegExp(`^${STEADY}$`))).get(STEADY);

test('status, a second up, and what they say', async (c) => {
  const { stdout } = await c.podyard(['status']);
  assert.match(stdout, /^process +\d+, \d+ MB resident\nAPI server +https:\/\/127\.0\.0\.1:\d+\nkubeconfig +\S+\nlog +\S+\nnode +node01 Ready, v1\.36\.\d+, containerd:\/\/\S+\npods +0 of 0 running\n$/);
  const parts = await c.kubectl(['get', 'componentstatuses']);
  assert.match(parts.stdout, /^NAME +STATUS +MESSAGE +ERROR\ncontroller-manager +Healthy +ok +\nscheduler +Healthy +ok +\netcd-0 +Healthy +ok +\n$/);
  const again = await c.up();
  assert.match(again.stdout, /^Podyard already runs \(process \d+\); stop it with: \.\/podyard down$/m);
});

test('down keeps the containers, up takes them up again: same processes, no restart, logs and exec go on', async (c) => {
  await c.kubectl(`run steady --image=busybox:1.37 -- ${STEADY}`);
  await c.kubectl(['run', 'chatty', '--image=busybox:1.37', '--', 'sh', '-c', 'i=0; while true; do echo tick $i; i=$((i+1)); sleep 0.2; done']);
  await c.kubectl(['run', 'ending', '--image=busybox:1.37', '--restart=Never', '--', 'sh', '-c', 'until [ -e /end ]; do sleep 0.1; done; exit 3']);
  const before = [await waitForReady(c, 'steady'), await waitForReady(c, 'chatty')];
  await waitForReady(c, 'ending');
  const pid = await steadyPid();
  assert.ok(pid);
  await c.kubectl('exec ending -- touch /go');

  const down = await c.down();
  assert.match(down.stdout, /^3 Pods keep running and will be taken up by the next "\.\/podyard up"; stop them too with: \.\/podyard down --pods$/m);
  assert.equal(await c.process(), undefined);
  assert.equal((await c.podyard(['status'], { expect: 3 })).stdout, 'Podyard does not run. Start it with: ./podyard up\n');
  assert.equal(await steadyPid(), pid);
  await c.up();
  assert.equal(await steadyPid(), pid);
  assert.deepEqual([await waitForReady(c, 'steady'), await waitForReady(c, 'chatty')].map(told), before.map(told));
  await using logs = await c.startKubectl('logs -f chatty');
  await logs.seen(/^tick \d+$/m);
  const first = Number(/tick (\d+)\n$/.exec(logs.stdout)?.[1]);
  await logs.seen(new RegExp(`^tick ${first + 2}$`, 'm'));
  assert.deepEqual(logs.stdout.trim().split('\n'), logs.stdout.trim().split('\n').map((_, i) => `tick ${i}`), 'no line is lost or doubled');
  assert.equal((await c.kubectl('exec steady -- echo in')).stdout, 'in\n');
});

test('a container that ended while Podyard was away is found out', async (c) => {
  const pid = await steadyPid();
  await c.kubectl('exec ending -- true');
  await c.down();
  process.kill(pid!, 'SIGKILL');
  await c.up();
  const restarted = await waitForPod(c, 'steady', 'restarted', (p) => p.status?.containerStatuses?.[0]?.restartCount === 1 && p.status.containerStatuses[0].ready);
  assert.equal(restarted.status?.containerStatuses?.[0]?.lastState?.terminated?.exitCode, 137);
  await c.kubectl('exec ending -- touch /end');
  const failed = await waitForPhase(c, 'ending', 'Failed');
  assert.equal(failed.status?.containerStatuses?.[0]?.state?.terminated?.exitCode, 3);
});

test('kill -9 of Podyard, and of its containerd too: all is taken up again', async (c) => {
  const before = [await waitForReady(c, 'steady'), await waitForReady(c, 'chatty')];
  await c.kill();
  const [containerd] = await hostProcesses(new RegExp(`^\\S*containerd .*${c.dataDir}`)).then((found) => [...found.values()]);
  assert.ok(containerd);
  process.kill(containerd, 'SIGKILL');
  await c.up();
  assert.deepEqual([await waitForReady(c, 'steady'), await waitForReady(c, 'chatty')].map(told), before.map(told));
  await c.kubectl('delete pod ending chatty --now');
  await waitForPodGone(c, 'chatty');
});

test('down --pods ends the containers; the next up starts them anew', async (c) => {
  await c.down('--pods');
  assert.equal(await steadyPid(), undefined);
  await c.up();
  const again = await waitForPod(c, 'steady', 'running anew', (p) => p.status?.containerStatuses?.[0]?.state?.running !== undefined && p.status.containerStatuses[0].ready);
  assert.ok(again.status!.containerStatuses![0]!.restartCount >= 1);
  assert.ok(await steadyPid());
});

test('an up whose time is over says so and what goes on; a wait that makes no sense is refused before anything is done', async (c) => {
  await c.down();
  const refused = await c.podyard(['up', '--wait-timeout=soon'], { expect: 2 });
  assert.equal(refused.stderr.split('\n')[0], 'podyard: --wait-timeout "soon": must be a duration such as 90s or 5m, up to 24 days');
  assert.equal(await c.process(), undefined);
  const { stdout, stderr } = await c.podyard(['up', '--wait-timeout=20ms'], { expect: 1 });
  assert.match(stderr, /^podyard: the cluster is not up after 20 ms/);
  assert.match(stdout, /→ it goes on starting: see \S+ and \.\/podyard status; \.\/podyard down stops it\n$/);
  const limit = AbortSignal.timeout(60_000);
  while ((await c.podyard(['status'], { expect: 'any' })).code !== 0) limit.throwIfAborted();
});
