/** Claims of Pods on a whole kubelet, over a runtime and an API server in memory; the driver is a real plugin on its sockets. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Pod } from '#api/gen/core-v1.ts';
import type { ResourceClaim, ResourceSlice } from '#api/gen/resource-v1.ts';
import { systemClock } from '#base/clock.ts';
import { PODS, RESOURCE_CLAIMS, RESOURCE_SLICES } from '#client/kinds.ts';
import { Channel } from '#cri/channel.ts';
import type { Init } from '#cri/schema.ts';
import type { CreateContainerRequest } from '#cri/types.ts';
import { podResourcesCodec } from '../podresources/protocol.ts';
import { allocated, startDraDriver, type TestDraDriverOptions } from '../testing/dra-driver.ts';
import { makePod, type PodBuilder } from '../testing/make-pod.ts';
import { NODE, runKubelet, type RunningKubelet } from '../testing/running-kubelet.ts';

const DRIVER = 'gpu.example.com';
const claimed = (name: string, claim = 'gpu'): PodBuilder => makePod(name).spec({ resourceClaims: [{ name: 'c', resourceClaimName: claim }] }).container('with', { resources: { claims: [{ name: 'c' }] } }).container('without');
const driver = (k: RunningKubelet, more: Partial<TestDraDriverOptions> = {}) => startDraDriver({ name: DRIVER, kubeletDir: join(k.dir, 'kubelet'), prepare: () => [{ poolName: NODE, deviceName: 'gpu-0', requestNames: ['r'], cdiDeviceIds: ['example.com/gpu=0'] }], ...more });
function putClaim(k: RunningKubelet, pods: readonly Pod[], name = 'gpu', drivers: readonly string[] = [DRIVER]): void {
  const status = allocated(DRIVER, NODE, { r: 'gpu-0' }, pods.map((p) => ({ name: p.metadata.name!, uid: p.metadata.uid! })));
  k.api.put<ResourceClaim>(RESOURCE_CLAIMS, {
    apiVersion: 'resource.k8s.io/v1', kind: 'ResourceClaim', metadata: { name, namespace: 'default' }, spec: {},
    status: { ...status, allocation: { devices: { results: drivers.map((d) => ({ driver: d, pool: NODE, device: 'gpu-0', request: 'r' })) } } },
  });
}
/** Lets time pass, with turns for what is real: sockets, files. */
async function wait(k: RunningKubelet, ms: number): Promise<void> {
  for (let waited = 0; waited < ms; waited += 1000) {
    await k.clock.advance(1000);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
const phase = (k: RunningKubelet, name: string, wanted: string) => () => k.pod(name)?.status?.phase === wanted;
const isGone = (k: RunningKubelet, name: string) => () => k.pod(name) === undefined;
/** Requests for containers from now on. */
function created(k: RunningKubelet): Init<CreateContainerRequest>[] {
  const requests: Init<CreateContainerRequest>[] = [];
  const { createContainer } = k.runtime;
  Object.assign(k.runtime, { createContainer: (...args: Parameters<typeof createContainer>) => {
    requests.push(args[0]);
    return createContainer(...args);
  } });
  return requests;
}
function remove(k: RunningKubelet, name: string): void {
  const pod = k.pod(name)!;
  k.api.put(PODS, { ...pod, metadata: { ...pod.metadata, ...makePod(name).deleting(1).build().metadata, resourceVersion: pod.metadata.resourceVersion } });
}

test('a Pod waits for the driver of its claim, runs with its devices, and gives them back before it is told to be gone', async () => {
  await using k = await runKubelet();
  const requests = created(k);
  const pod = claimed('web').build();
  putClaim(k, [pod]);
  k.create(pod);
  await k.until('the refusal', () => k.events('web').length > 0);
  assert.deepEqual(k.events('web'), [`FailedPrepareDynamicResources: Failed to prepare dynamic resources: prepare dynamic resources: DRA driver ${DRIVER} is not registered`]);
  assert.equal(k.pod('web')?.status?.phase, 'Pending');
  await using d = await driver(k, { health: true });
  await k.until('the Pod to run', phase(k, 'web', 'Running'));
  assert.deepEqual(requests.map((r) => [r.config?.metadata?.name, r.config?.CDIDevices]), [['with', [{ name: 'example.com/gpu=0' }]], ['without', undefined]]);
  assert.deepEqual(d.prepared, [['gpu']]);

  d.tellHealth([{ device: { poolName: NODE, deviceName: 'gpu-0' }, health: 'UNHEALTHY', message: 'too hot', healthCheckTimeoutSeconds: 60 }]);
  const health = () => k.pod('web')?.status?.containerStatuses?.map((c) => c.allocatedResourcesStatus);
  await k.until('the health to be told', () => health()?.[0]?.[0]?.resources?.[0]?.health === 'Unhealthy');
  assert.deepEqual(health(), [[{ name: 'claim:c', resources: [{ resourceID: 'example.com/gpu=0', health: 'Unhealthy', message: 'too hot' }] }], undefined]);
  await wait(k, 61_000);
  await k.until('it to be forgotten', () => health()?.[0]?.[0]?.resources?.[0]?.health === 'Unknown');

  const channel = new Channel({ endpoint: join(k.dir, 'kubelet', 'pod-resources', 'kubelet.sock'), clock: systemClock });
  const { podResources: [shown] } = await channel.unary({ path: '/v1.PodResourcesLister/List', request: podResourcesCodec('ListPodResourcesRequest'), response: podResourcesCodec('ListPodResourcesResponse') }, {});
  channel.close();
  assert.deepEqual(shown?.containers.map((c) => c.dynamicResources), [[{
    claimName: 'gpu', claimNamespace: 'default', claimResources: [{ driverName: DRIVER, poolName: NODE, deviceName: 'gpu-0', shareId: '', cdiDevices: [{ name: 'example.com/gpu=0' }] }],
  }], []]);
  const metrics = async (): Promise<string> => await k.kubelet.host().metrics('kubelet', new AbortController().signal);
  const before = await metrics();
  assert.match(before, /^dra_resource_claims_in_use\{driver_name="<any>"\} 1\ndra_resource_claims_in_use\{driver_name="gpu\.example\.com"\} 1$/m);
  assert.match(before, /^dra_operations_duration_seconds_count\{operation_name="PrepareResources",is_error="true"\} [1-9]/m);
  assert.match(before, /^dra_operations_duration_seconds_count\{operation_name="PrepareResources",is_error="false"\} 1$/m);
  assert.match(before, /^dra_grpc_operations_duration_seconds_count\{driver_name="gpu\.example\.com",method_name="\/k8s\.io\.kubelet\.pkg\.apis\.dra\.v1\.DRAPlugin\/NodePrepareResources",grpc_status_code="OK"\} 1$/m);

  remove(k, 'web');
  await k.until('the Pod to go', isGone(k, 'web'));
  assert.deepEqual(d.unprepared, [['gpu']]);
  assert.match(await metrics(), /^dra_resource_claims_in_use\{driver_name="<any>"\} 0$/m);
});
test('a Pod that has run to its end is not told to have ended before its claims are given back', async () => {
  await using k = await runKubelet({ container: () => ({ exit: { afterMs: 100, code: 0 } }) });
  let fails = true;
  await using d = await driver(k, { unprepare: () => { if (fails) throw new Error('still in use'); } });
  const pod = claimed('job').restartPolicy('Never').build();
  putClaim(k, [pod]);
  k.create(pod);
  await k.until('the driver to be asked', () => d.unprepared.length > 1);
  const status = k.pod('job')?.status;
  assert.deepEqual([status?.phase, status?.containerStatuses?.map((c) => c.state?.terminated?.exitCode)], ['Running', [0, 0]]);
  fails = false;
  await k.until('the Pod to have ended', phase(k, 'job', 'Succeeded'), 10_000);
});
test('Pods that share a claim are prepared once; the claim goes back with the last, also where it was forced out of the API', async () => {
  await using k = await runKubelet();
  await using d = await driver(k);
  const pods = ['one', 'two'].map((name) => claimed(name).build());
  putClaim(k, pods);
  for (const pod of pods) k.create(pod);
  for (const pod of pods) await k.until('the Pods to run', phase(k, pod.metadata.name!, 'Running'));
  assert.equal(d.prepared.length, 1);
  remove(k, 'one');
  await k.until('the first Pod to go', isGone(k, 'one'));
  assert.deepEqual(d.unprepared, []);
  k.api.remove(PODS, 'default/two');
  await k.until('the claim to be given back', () => d.unprepared.length === 1);
});
test('a Pod that cannot end because its driver is away ends as soon as the driver is back', async () => {
  await using k = await runKubelet();
  const pod = claimed('web').build();
  putClaim(k, [pod]);
  {
    await using _first = await driver(k);
    k.create(pod);
    await k.until('the Pod to run', phase(k, 'web', 'Running'));
  }
  remove(k, 'web');
  await k.until('the containers to have ended', () => k.pod('web')?.status?.containerStatuses?.every((c) => c.state?.terminated) ?? false);
  await wait(k, 20_000);
  assert.notEqual(k.pod('web'), undefined);
  await using second = await driver(k);
  await k.until('the Pod to go', isGone(k, 'web'), 2000);
  assert.deepEqual(second.unprepared, [['gpu']]);
});
test('a claim of a template is waited for; extended resources that are devices of a claim reach their container', async () => {
  await using k = await runKubelet();
  const requests = created(k);
  await using _d = await driver(k);
  const pod = makePod('late').spec({ resourceClaims: [{ name: 'c', resourceClaimTemplateName: 't' }] }).container('with', { resources: { claims: [{ name: 'c', request: 'r' }] } }).build();
  k.create(pod);
  await k.until('the refusal', () => k.events('late').length > 0);
  assert.deepEqual(k.events('late'), ['FailedPrepareDynamicResources: Failed to prepare dynamic resources: prepare dynamic resources: pod "default/late": ResourceClaim not created yet']);
  // From now on it would wait for seconds.
  await wait(k, 10_000);
  putClaim(k, [pod], 'late-c-x');
  const owner = { apiVersion: 'v1', kind: 'Pod', name: 'late', uid: pod.metadata.uid!, controller: true };
  const made = k.api.get<ResourceClaim>(RESOURCE_CLAIMS, 'default/late-c-x')!;
  k.api.put(RESOURCE_CLAIMS, { ...made, metadata: { ...made.metadata, ownerReferences: [owner] } });
  k.api.put(PODS, { ...k.pod('late')!, status: { ...k.pod('late')!.status, resourceClaimStatuses: [{ name: 'c', resourceClaimName: 'late-c-x' }] } });
  await k.until('the Pod to run', phase(k, 'late', 'Running'), 2000);

  const extended = makePod('ext').container('with', { resources: { requests: { 'example.com/gpu': '1' }, limits: { 'example.com/gpu': '1' } } })
    .status({ extendedResourceClaimStatus: { resourceClaimName: 'ext', requestMappings: [{ containerName: 'with', resourceName: 'example.com/gpu', requestName: 'r' }] } }).build();
  putClaim(k, [extended], 'ext');
  k.create(extended);
  await k.until('the Pod to run', phase(k, 'ext', 'Running'));
  assert.deepEqual(requests.map((r) => r.config?.CDIDevices), [[{ name: 'example.com/gpu=0' }], [{ name: 'example.com/gpu=0' }]]);
});
test('slices of an earlier kubelet go at the start, those of a driver 30 s after it has left', async () => {
  const slice = (name: string): ResourceSlice => ({ apiVersion: 'resource.k8s.io/v1', kind: 'ResourceSlice', metadata: { name }, spec: { driver: DRIVER, nodeName: NODE, pool: { name: NODE, generation: 1, resourceSliceCount: 1 } } });
  await using k = await runKubelet({ before: (api) => void api.put(RESOURCE_SLICES, slice('old')) });
  assert.deepEqual(k.api.list(RESOURCE_SLICES), []);
  {
    await using d = await driver(k);
    await k.until('the driver to register', () => d.statuses.length > 0);
    k.api.put(RESOURCE_SLICES, slice('new'));
    await wait(k, 60_000);
    assert.equal(k.api.list(RESOURCE_SLICES).length, 1);
  }
  while (k.api.list(RESOURCE_SLICES).length > 0) await wait(k, 1000);
});
