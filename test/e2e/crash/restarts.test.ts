/** A container ends and Podyard dies while it makes the next run: whatever it had come to, the container runs once, and has been restarted once more. */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { sleep, systemClock } from '#base/clock.ts';
import { connectCri } from '#cri/client.ts';
import { readClusterConfig } from '#cluster/config.ts';
import { runtimeConfigOf } from '#cluster/node-runtime.ts';
import { waitForPod, waitForReady } from '../harness/conditions.ts';
import { hostProcesses } from '../harness/process.ts';
import { onCluster } from '../harness/suite.ts';

const { test } = onCluster({ images: ['docker.io/library/busybox:1.37'] });

/** How long after the end of the container: before it is known, while the next run is created, while it starts, when it runs. */
const MOMENTS_MS = [0, 15, 30, 60, 90, 200];

test('kills of Podyard between a container\'s end and its next run', { timeout: 600_000 }, async (c, t) => {
  const line = `sleep ${1_600_000_000 + randomInt(100_000_000)}`;
  const processOf = async (): Promise<number | undefined> => (await hostProcesses(new RegExp(`^${line}$`))).get(line);
  const cri = connectCri({ endpoint: runtimeConfigOf((await readClusterConfig(c.dataDir))!).socket, clock: systemClock });
  t.after(() => cri.close());
  const runs = async (): Promise<string[]> => (await cri.listContainers({ filter: { labelSelector: { 'io.kubernetes.container.name': 'again' } } })).containers.map((r) => `${r.metadata!.attempt} ${r.state}`).toSorted();
  await c.kubectl(['run', 'again', '--image=busybox:1.37', '--', ...line.split(' ')]);
  let before = await waitForReady(c, 'again');
  for (const [round, ms] of MOMENTS_MS.entries()) {
    process.kill((await processOf())!, 'SIGKILL');
    await sleep(systemClock, ms);
    await c.kill();
    await c.up();
    const after = await waitForPod(c, 'again', 'restarted', (p) => {
      const [s] = p.status?.containerStatuses ?? [];
      return s?.ready === true && s.containerID !== before.status!.containerStatuses![0]!.containerID;
    });
    const [was, is] = [before, after].map((p) => p.status!.containerStatuses![0]!);
    assert.deepEqual([is!.restartCount, is!.lastState?.terminated?.exitCode, is!.lastState?.terminated?.containerID], [round + 1, 137, was!.containerID], `killed ${ms} ms after the end`);
    // What was created and never started is gone; of those that have ended the last may be there.
    assert.deepEqual((await runs()).filter((r) => !r.endsWith('EXITED')), [`${round + 1} CONTAINER_RUNNING`]);
    before = after;
  }
  assert.equal((await c.kubectl('delete pod again --now')).stdout, 'pod "again" deleted from default namespace\n');
  assert.equal(await processOf(), undefined);
});
