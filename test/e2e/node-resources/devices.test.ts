/** Devices that a plugin offers reach containers, are never given twice, and are kept over a restart of Podyard. */
import assert from 'node:assert/strict';
import { startDevicePlugin } from '#kubelet/testing/device-plugin.ts';
import type { TestCluster } from '../harness/cluster.ts';
import { waitForNode, waitForPhase, waitForPod, waitForReady } from '../harness/conditions.ts';
import { onCluster } from '../harness/suite.ts';

const BUSYBOX = 'docker.io/library/busybox:1.37';
const TOY = 'example.com/toy';
const { test } = onCluster({ images: [BUSYBOX] });

const podWith = (name: string, toys: number) => ({
  apiVersion: 'v1', kind: 'Pod', metadata: { name },
  spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'c', image: BUSYBOX, command: ['sleep', '3600'], resources: { limits: { [TOY]: String(toys) } } }] },
});
const plugin = (c: TestCluster) => startDevicePlugin({
  dir: `${c.dataDir}/kubelet/device-plugins`, resource: TOY, devices: ['toy-1', 'toy-2', '!broken'], preStart: () => {},
  allocate: (ids) => ({
    envs: { TOYS: ids.join(' ') },
    mounts: [{ containerPath: '/opt/toys', hostPath: c.files, readOnly: true }],
    devices: ids.map((id) => ({ containerPath: `/dev/${id}`, hostPath: '/dev/zero', permissions: 'r' })),
    annotations: { 'example.com/toys': ids.join(',') },
  }),
});
const offers = (c: TestCluster, capacity: string, allocatable: string) => waitForNode(c, c.nodeName, `with ${allocatable} of ${capacity} toys`, ({ status }) => status?.capacity?.[TOY] === capacity && status.allocatable?.[TOY] === allocatable);
const toysOf = async (c: TestCluster, pod: string): Promise<string> => (await c.kubectl(['exec', pod, '--', 'sh', '-c', 'echo $TOYS'])).stdout.trim();

test('a container gets the environment, mounts and devices that the plugin gives, and the next Pod only what is left', { timeout: 300_000 }, async (c) => {
  await using toys = await plugin(c);
  await toys.register();
  await offers(c, '3', '2');
  await c.file('rules.txt', 'play fair\n');
  await c.apply(podWith('one', 1));
  await waitForReady(c, 'one');
  const [id = ''] = toys.allocated.flat();
  assert.deepEqual(toys.started, [[id]]);
  const { stdout } = await c.kubectl(['exec', 'one', '--', 'sh', '-c', 'echo $TOYS; cat /opt/toys/rules.txt; touch /opt/toys/x 2>/dev/null || echo read-only; head -c 3 /dev/$TOYS | od -An -tx1']);
  assert.match(stdout, new RegExp(`^${id}\nplay fair\nread-only\n 00 00 00\n$`));

  await c.apply(podWith('greedy', 2));
  await waitForPod(c, 'greedy', 'unschedulable', (p) => p.status?.conditions?.some((x) => x.reason === 'Unschedulable' && /Insufficient example\.com\/toy/.test(x.message ?? '')) ?? false);
  await c.kubectl('delete pod greedy --now');

  // Whoever names the node passes by the scheduler: the kubelet refuses.
  const forced = podWith('forced', 2);
  await c.apply({ ...forced, spec: { ...forced.spec, nodeName: c.nodeName } });
  const refused = await waitForPhase(c, 'forced', 'Failed');
  assert.deepEqual([refused.status!.reason, refused.status!.message], ['UnexpectedAdmissionError', `Pod was rejected: Allocate failed due to requested number of devices unavailable for ${TOY}. Requested: 2, Available: 1, which is unexpected`]);
  await c.kubectl('delete pod forced --now');
});
test('over a restart of Podyard a container keeps its device; the plugin sees that its socket is gone and registers again', { timeout: 300_000 }, async (c) => {
  const before = await toysOf(c, 'one');
  await c.down();
  await c.up();
  await offers(c, '0', '0');
  await using toys = await plugin(c);
  await toys.register();
  await offers(c, '3', '2');
  assert.equal(await toysOf(c, 'one'), before);
  await c.apply(podWith('two', 1));
  await waitForReady(c, 'two');
  assert.notEqual(await toysOf(c, 'two'), before);
  toys.setDevices(['!toy-1', '!toy-2']);
  await offers(c, '2', '0');
  const sick = await waitForPod(c, 'one', 'told of its device', (p) => p.status?.containerStatuses?.[0]?.allocatedResourcesStatus?.[0]?.resources?.[0]?.health === 'Unhealthy');
  assert.deepEqual(sick.status!.containerStatuses![0]!.allocatedResourcesStatus, [{ name: TOY, resources: [{ resourceID: before, health: 'Unhealthy' }] }]);
  await c.kubectl('delete pod one two --now');
});
