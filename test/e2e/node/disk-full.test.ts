/** The disk is full: requests that write are refused and say why, Pods go on, nothing ends; with room again everything is as before. */
import assert from 'node:assert/strict';
import { appendFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { waitForPod, waitForReady } from '../harness/conditions.ts';
import { TestCluster } from '../harness/cluster.ts';
import { runProgram } from '../harness/process.ts';

let c: TestCluster;
let hold: NodeJS.Timeout;
before(async () => {
  hold = setInterval(() => {}, 1 << 30);
  c = await TestCluster.prepare();
  await mkdir(c.dataDir, { recursive: true });
  await runProgram('mount', ['-t', 'tmpfs', '-o', 'size=300m', 'tmpfs', c.dataDir]);
  // The answer to pressure is shown elsewhere: here Pods stay.
  await writeFile(`${c.dataDir}/kubelet.yaml`, JSON.stringify({ apiVersion: 'kubelet.config.k8s.io/v1beta1', kind: 'KubeletConfiguration', evictionHard: { 'memory.available': '50Mi' }, imageGCHighThresholdPercent: 100 }));
  await c.up();
  await c.loadImages(['docker.io/library/busybox:1.37']);
});
after(async () => {
  clearInterval(hold);
  await rm(`${c.dataDir}/filler`, { force: true });
  // All but the directory itself, which is a mount point, goes.
  await c.podyard(['uninstall', '--yes'], { expect: 'any' });
  await runProgram('umount', [c.dataDir]);
  await c.uninstall();
});

const pod = (name: string): object => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: 'busybox:1.37', command: ['sh', '-c', 'until [ -e /end ]; do sleep 0.1; done; exit 3'] }] } });

/** Writes to the file until nothing more fits. */
async function fill(path: string): Promise<void> {
  for (let size = 1 << 20; size >= 512; size /= 2) {
    const piece = Buffer.alloc(size);
    while (await appendFile(path, piece).then(() => true, () => false));
  }
}

test('a full disk: writes are refused, Pods and the process go on; with room again all catches up', async () => {
  await c.apply(pod('steady'));
  await c.apply(pod('ends'));
  const steady = await waitForReady(c, 'steady');
  await waitForReady(c, 'ends');
  const running = await c.process();
  await fill(`${c.dataDir}/filler`);
  // What the store has preallocated may take a few writes more.
  for (let refused = false, i = 0; !refused; i++) {
    const { code, stderr } = await c.kubectl(['create', 'configmap', `map-${i}`, `--from-literal=x=${'y'.repeat(20_000)}`], { expect: 'any' });
    refused = code !== 0;
    if (refused) assert.match(stderr, /Internal error occurred: writing to the store failed: No space left on device/);
  }
  assert.match((await c.kubectl('get pods')).stdout, /^steady +1\/1 +Running /m);
  assert.equal((await c.kubectl('exec steady -- echo in')).stdout, 'in\n');
  await c.kubectl('exec ends -- touch /end');
  // More than one round of everything that is written regularly.
  await c.kubectl('wait --for=delete pod/steady --timeout=12s', { expect: 'failure' });
  assert.deepEqual(await c.process(), running);
  await rm(`${c.dataDir}/filler`);
  await c.apply(pod('later'));
  await waitForReady(c, 'later');
  await waitForPod(c, 'ends', 'running again', (p) => (p.status?.containerStatuses?.[0]?.restartCount ?? 0) >= 1 && p.status?.containerStatuses?.[0]?.ready === true, { timeoutMs: 90_000 });
  const same = await waitForReady(c, 'steady');
  assert.deepEqual(same.status?.containerStatuses?.map((s) => [s.containerID, s.restartCount]), steady.status?.containerStatuses?.map((s) => [s.containerID, s.restartCount]));
  assert.deepEqual(await c.process(), running);
});
