/**
 * Devices of a DRA driver on a real node: prepared for Pods, given back, over a restart of Podyard too. But for one test the claims are allocated by hand,
 * as the scheduler does it, and the Pods name their node. Whether a container sees its CDI device depends on the containerd of the machine.
 */
import assert from 'node:assert/strict';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { after } from 'node:test';
import type { Pod } from '#api/gen/core-v1.ts';
import type { ResourceClaim, ResourceSlice } from '#api/gen/resource-v1.ts';
import { PODS, RESOURCE_CLAIMS, RESOURCE_SLICES } from '#client/kinds.ts';
import { allocateClaim, publishSlice, startDraDriver, type TestDraDriver } from '#kubelet/testing/dra-driver.ts';
import { injectsCdi } from '#kubelet/runtime/runtime-class.ts';
import type { TestCluster } from '../harness/cluster.ts';
import { waitFor, waitForEvent, waitForLog, waitForNode, waitForPod, waitForPodGone, waitForReady } from '../harness/conditions.ts';
import { onCluster } from '../harness/suite.ts';

const BUSYBOX = 'docker.io/library/busybox:1.37';
const DRIVER = 'toys.example.com';
/** Where runtimes look for devices of the host. */
const CDI_FILE = `/var/run/cdi/podyard-e2e-${process.pid}.json`;
const { test } = onCluster({ images: [BUSYBOX] });
let driver: TestDraDriver | undefined;
// Started by the first test: it needs the cluster's directories.
after(async () => {
  await driver?.[Symbol.asyncDispose]();
  await rm(CDI_FILE, { force: true });
});

/** CDI devices of `toy-2` and of nothing else. */
const start = (c: TestCluster) => startDraDriver({
  name: DRIVER, kubeletDir: `${c.dataDir}/kubelet`, health: true,
  prepare: ({ name }) => [{ poolName: c.nodeName, deviceName: name === 'with-cdi' ? 'toy-2' : 'toy-1', requestNames: ['toy'], cdiDeviceIds: name === 'with-cdi' ? [`example.com/toy${process.pid}=two`] : [] }],
});
async function claim(c: TestCluster, name: string): Promise<ResourceClaim> {
  return await (await c.client()).of(RESOURCE_CLAIMS).create({ metadata: { name, namespace: 'default' }, spec: { devices: { requests: [{ name: 'toy', exactly: { deviceClassName: 'toys' } }] } } });
}
/** A Pod on the node whose first container has the claim; `reserve` is what the scheduler does for all of them together. */
async function podWith(c: TestCluster, name: string, claimName: string, command = 'sleep 3600'): Promise<Pod> {
  return await (await c.client()).of(PODS).create({
    metadata: { name, namespace: 'default' },
    spec: {
      nodeName: c.nodeName, terminationGracePeriodSeconds: 1, restartPolicy: 'Never', resourceClaims: [{ name: 'mine', resourceClaimName: claimName }],
      containers: [{ name: 'with', image: BUSYBOX, command: ['sh', '-c', command], resources: { claims: [{ name: 'mine', request: 'toy' }] } }, { name: 'without', image: BUSYBOX, command: ['sh', '-c', command] }],
    },
  });
}
async function reserve(c: TestCluster, claimName: string, device: string, ...pods: Pod[]): Promise<void> {
  const client = await c.client();
  await allocateClaim(client, await client.of(RESOURCE_CLAIMS).get('default', claimName), DRIVER, c.nodeName, { toy: device }, pods.map((p) => ({ name: p.metadata.name!, uid: p.metadata.uid! })));
}
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 20));
}
const slices = (c: TestCluster, what: string, count: number) => waitFor<ResourceSlice, true>(c, RESOURCE_SLICES, `spec.nodeName=${c.nodeName}`, what, (all) => (all.size === count ? true : undefined));

test('a Pod waits for its claim and for its driver, runs, and its device is given back before it goes', { timeout: 300_000 }, async (c) => {
  await claim(c, 'plain');
  const pod = await podWith(c, 'one', 'plain', 'echo started; sleep 3600');
  await waitForEvent(c, 'one', 'FailedPrepareDynamicResources', /^Failed to prepare dynamic resources: prepare dynamic resources: pod one \([0-9a-f-]{36}\) is not allowed to use ResourceClaim plain \([0-9a-f-]{36}\)$/);
  await reserve(c, 'plain', 'toy-1', pod);
  await waitForEvent(c, 'one', 'FailedPrepareDynamicResources', /^Failed to prepare dynamic resources: prepare dynamic resources: DRA driver toys\.example\.com is not registered$/);
  driver = await start(c);
  await publishSlice(await c.client(), DRIVER, c.nodeName, ['toy-1', 'toy-2']);
  await waitForReady(c, 'one');
  assert.deepEqual([driver.statuses, driver.prepared], [[{ pluginRegistered: true, error: '' }], [['plain']]]);
  driver.tellHealth([{ device: { poolName: c.nodeName, deviceName: 'toy-1' }, health: 'UNHEALTHY', message: 'worn out', healthCheckTimeoutSeconds: 300 }]);
  const sick = await waitForPod(c, 'one', 'told of its device', (p) => p.status?.containerStatuses?.some((s) => s.allocatedResourcesStatus?.[0]?.resources?.[0]?.health === 'Unhealthy') ?? false);
  assert.deepEqual(sick.status!.containerStatuses!.map((s) => s.allocatedResourcesStatus), [[{ name: 'claim:mine/toy', resources: [{ resourceID: `${DRIVER}/${c.nodeName}/toy-1`, health: 'Unhealthy', message: 'worn out' }] }], undefined]);
  const { stdout } = await c.kubectl(['get', '--raw', `/api/v1/nodes/${c.nodeName}/proxy/metrics`]);
  assert.match(stdout, /^dra_resource_claims_in_use\{driver_name="toys\.example\.com"\} 1$/m);
  await c.kubectl('delete pod one');
  await waitForPodGone(c, 'one');
  assert.deepEqual(driver.unprepared, [['plain']]);
  await slices(c, 'the slices to be there', 1);
});
test('a CDI device reaches the container that asks for it, or its container says why it cannot', { timeout: 300_000 }, async (c) => {
  await mkdir('/var/run/cdi', { recursive: true });
  await writeFile(CDI_FILE, JSON.stringify({ cdiVersion: '0.3.0', kind: `example.com/toy${process.pid}`, devices: [{ name: 'two', containerEdits: { env: ['TOY=two'], mounts: [{ hostPath: c.files, containerPath: '/opt/toy', options: ['ro', 'bind'] }] } }] }));
  await claim(c, 'with-cdi');
  await c.file('rules.txt', 'play fair\n');
  const pod = await podWith(c, 'cdi', 'with-cdi', 'echo "toy: $TOY"; cat /opt/toy/rules.txt; sleep 3600');
  await reserve(c, 'with-cdi', 'toy-2', pod);
  const { nodeInfo } = (await waitForNode(c, c.nodeName, 'known', () => true)).status!;
  if (injectsCdi(nodeInfo!.containerRuntimeVersion)) {
    assert.equal(await waitForLog(c, 'cdi -c with', /fair/), 'toy: two\nplay fair\n');
    assert.match(await waitForLog(c, 'cdi -c without', /toy: /), /^toy: \n/);
  } else {
    await waitForEvent(c, 'cdi', 'Failed', new RegExp(`^Error: container runtime containerd://1\\.6\\.\\d+ cannot inject CDI devices, containerd 1\\.7 or later can: example\\.com/toy${process.pid}=two$`));
  }
  await c.kubectl('delete pod cdi');
  await waitForPodGone(c, 'cdi');
});
test('a Pod of a template gets a node with its device, from the scheduler to the driver, and the next one waits for it', { timeout: 300_000 }, async (c) => {
  // What was allocated by hand stays so.
  await c.kubectl('delete resourceclaims plain with-cdi');
  await c.apply(`
apiVersion: resource.k8s.io/v1
kind: DeviceClass
metadata: { name: toys }
spec: { selectors: [{ cel: { expression: 'device.driver == "${DRIVER}"' } }] }
---
apiVersion: resource.k8s.io/v1
kind: ResourceClaimTemplate
metadata: { name: both, namespace: default }
spec: { spec: { devices: { requests: [{ name: toy, exactly: { deviceClassName: toys, count: 2 } }] } } }
`);
  const client = await c.client();
  const pod = (name: string) => client.of(PODS).create({
    metadata: { name, namespace: 'default' },
    spec: { terminationGracePeriodSeconds: 1, resourceClaims: [{ name: 'mine', resourceClaimTemplateName: 'both' }], containers: [{ name: 'with', image: BUSYBOX, command: ['sleep', '3600'], resources: { claims: [{ name: 'mine' }] } }] },
  });
  await pod('first');
  await waitForReady(c, 'first');
  const [made] = (await client.of(RESOURCE_CLAIMS).list({ namespace: 'default' })).items.filter(({ metadata }) => metadata.generateName === 'first-mine-');
  assert.deepEqual(made!.status!.allocation!.devices!.results!.map(({ device }) => device), ['toy-1', 'toy-2']);
  await pod('second');
  await waitForEvent(c, 'second', 'FailedScheduling', /1 cannot allocate all claims/);
  await c.kubectl('delete pod first');
  await waitForReady(c, 'second');
  await c.kubectl('delete pod second');
  await waitForPodGone(c, 'second');
});
test('claims that a killed kubelet had prepared are given back by the next one, also of a Pod that was forced out meanwhile', { timeout: 300_000 }, async (c) => {
  const d = driver!;
  await claim(c, 'shared');
  const pods = [await podWith(c, 'stays', 'shared'), await podWith(c, 'forced', 'shared')];
  await reserve(c, 'shared', 'toy-1', ...pods);
  for (const name of ['stays', 'forced']) await waitForReady(c, name);
  const prepared = () => d.prepared.filter(([name]) => name === 'shared').length;
  const given = () => d.unprepared.filter(([name]) => name === 'shared').length;
  assert.equal(prepared(), 1);
  const registrations = d.statuses.length;
  await c.kill();
  assert.match(await readFile(`${c.dataDir}/kubelet/dra_manager_state`, 'utf8'), /\\"ClaimName\\":\\"shared\\"/);
  await c.up();
  // Its slices go with the start: the driver, which lives on, publishes them again.
  await slices(c, 'the slices of before to go', 0);
  await publishSlice(await c.client(), DRIVER, c.nodeName, ['toy-1', 'toy-2']);
  assert.equal(d.statuses.length, registrations + 1);
  // A claim that is allocated is kept for a Pod of its node by its controller.
  await podWith(c, 'third', 'shared');
  await waitForReady(c, 'third');
  assert.equal(prepared(), 2);
  await c.kubectl('delete pod stays forced --force --grace-period=0');
  assert.equal(given(), 0);
  await c.kubectl('delete pod third');
  await waitForPodGone(c, 'third');
  // Those that were forced out end beside it.
  await until(() => given() === 1);
  await until(async () => !(await readFile(`${c.dataDir}/kubelet/dra_manager_state`, 'utf8')).includes('shared'));
});
