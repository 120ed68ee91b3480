import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '#api/gen/core-v1.ts';
import type { DeviceClass, DeviceRequest, ResourceClaim, ResourceClaimSpec, ResourceSlice, ResourceSliceSpec } from '#api/gen/resource-v1.ts';
import type { Client } from '#client/client.ts';
import { DEVICE_CLASSES, EVENTS, NAMESPACES, NODES, PODS, RESOURCE_CLAIM_TEMPLATES, RESOURCE_CLAIMS, RESOURCE_SLICES } from '#client/kinds.ts';
import { startInProcessCluster, type InProcessCluster } from '#cluster/in-process-cluster.ts';
import { eventually, isGone } from '../controllers/eventually.ts';

const DRIVER = 'gpu.example.com';
const FINALIZER = 'resource.kubernetes.io/delete-protection';
type Request = Omit<DeviceRequest, 'name'> & { name?: string };
const one: Request = { exactly: { deviceClassName: 'gpu' } };

/** A control plane with nodes that are objects only: Pods get a node, and nothing runs them. */
class Fixture implements AsyncDisposable {
  readonly cluster: InProcessCluster;
  readonly client: Client;
  constructor(cluster: InProcessCluster) {
    this.cluster = cluster;
    this.client = cluster.client;
  }
  async node(name: string): Promise<void> {
    await this.client.of(NODES).create({ metadata: { name, labels: { 'kubernetes.io/hostname': name } }, spec: {} });
    const amounts = { cpu: '64', memory: '64Gi', pods: '1000' };
    const body = { status: { capacity: amounts, allocatable: amounts, conditions: [{ type: 'Ready', status: 'True' }] } };
    await this.client.of(NODES).patch('', name, 'application/merge-patch+json', body, { subresource: 'status' });
  }
  /** The node's only slice, with devices `d0`, `d1`, … */
  async slice(nodeName: string, devices: number, more: (index: number) => Partial<NonNullable<ResourceSliceSpec['devices']>[number]> = () => ({})): Promise<ResourceSlice> {
    const spec = { driver: DRIVER, nodeName, pool: { name: nodeName, generation: 1, resourceSliceCount: 1 }, devices: Array.from({ length: devices }, (_, i) => ({ name: `d${i}`, ...more(i) })) };
    return this.client.of(RESOURCE_SLICES).create({ metadata: { name: `${nodeName}-${DRIVER}` }, spec });
  }
  async deviceClass(name = 'gpu', spec: DeviceClass['spec'] = { selectors: [{ cel: { expression: `device.driver == "${DRIVER}"` } }] }): Promise<void> {
    await this.client.of(DEVICE_CLASSES).create({ metadata: { name }, spec });
  }
  spec(...requests: Request[]): ResourceClaimSpec {
    return { devices: { requests: requests.map((r, i) => ({ name: `r${i}`, ...r })) } };
  }
  async claim(name: string, ...requests: Request[]): Promise<ResourceClaim> {
    return this.client.of(RESOURCE_CLAIMS).create({ metadata: { name, namespace: 'default' }, spec: this.spec(...requests) });
  }
  async template(name: string, ...requests: Request[]): Promise<void> {
    await this.client.of(RESOURCE_CLAIM_TEMPLATES).create({ metadata: { name, namespace: 'default' }, spec: { spec: this.spec(...requests) } });
  }
  async pod(name: string, claims: readonly { template?: string; claim?: string }[], more: Partial<Pod['spec']> = {}): Promise<Pod> {
    const resourceClaims = claims.map(({ template, claim }, i) => ({ name: `c${i}`, ...(template ? { resourceClaimTemplateName: template } : { resourceClaimName: claim! }) }));
    return this.client.of(PODS).create({ metadata: { name, namespace: 'default' }, spec: { ...(claims.length ? { resourceClaims } : {}), containers: [{ name: 'c', image: 'x', resources: { claims: resourceClaims.map(({ name: n }) => ({ name: n })) } }], ...more } });
  }
  get(name: string): Promise<Pod> {
    return this.client.of(PODS).get('default', name);
  }
  getClaim(name: string): Promise<ResourceClaim> {
    return this.client.of(RESOURCE_CLAIMS).get('default', name);
  }
  scheduled(name: string): Promise<string> {
    return eventually(`${name} has a node`, async () => (await this.get(name)).spec.nodeName);
  }
  refusal(name: string, why: RegExp): Promise<string> {
    return eventually(`${name} is refused for ${why}`, async () => {
      const message = (await this.get(name)).status?.conditions?.find((c) => c.type === 'PodScheduled' && c.status === 'False')?.message;
      return message !== undefined && why.test(message) ? message : undefined;
    });
  }
  /** Ends the Pod as its kubelet would. */
  async finish(name: string): Promise<void> {
    await this.client.of(PODS).patch('default', name, 'application/merge-patch+json', { status: { phase: 'Succeeded' } }, { subresource: 'status' });
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster.stop();
  }
}
async function start(...nodes: string[]): Promise<Fixture> {
  const fixture = new Fixture(await startInProcessCluster({ nodes: [] }));
  for (const node of nodes) await fixture.node(node);
  return fixture;
}
const devicesOf = (claim: ResourceClaim) => (claim.status?.allocation?.devices?.results ?? []).map((r) => `${r.pool}/${r.device}`);

test('a Pod goes where the devices are, and its claim tells what it was given', async () => {
  await using f = await start('a', 'b');
  await f.deviceClass();
  await f.slice('b', 1);
  await f.template('one', one);
  const pod = await f.pod('p', [{ template: 'one' }]);
  assert.equal(await f.scheduled('p'), 'b');
  const { items } = await f.client.of(RESOURCE_CLAIMS).list({ namespace: 'default' });
  const { metadata, status } = items[0]!;
  assert.deepEqual(metadata.finalizers, [FINALIZER]);
  assert.match(status!.allocation!.allocationTimestamp!, /^\d{4}-\d\d-\d\dT/);
  const { allocationTimestamp: _, ...allocation } = status!.allocation!;
  assert.deepEqual({ ...status, allocation }, {
    allocation: { devices: { results: [{ request: 'r0', driver: DRIVER, pool: 'b', device: 'd0' }] }, nodeSelector: { nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['b'] }] }] } },
    reservedFor: [{ resource: 'pods', name: 'p', uid: pod.metadata.uid }],
  });
});

test('as many Pods run as there are devices, and the next when one has ended', async () => {
  await using f = await start('a', 'b');
  await f.deviceClass();
  await f.slice('a', 3);
  await f.slice('b', 2);
  await f.template('one', one);
  const names = Array.from({ length: 6 }, (_, i) => `p${i}`);
  await Promise.all(names.map((name) => f.pod(name, [{ template: 'one' }])));
  const waiting = await eventually('five have a node', async () => {
    const without = (await Promise.all(names.map((n) => f.get(n)))).filter((p) => !p.spec.nodeName);
    return without.length === 1 ? without[0] : undefined;
  });
  assert.equal(await f.refusal(waiting.metadata.name!, /cannot allocate/), '0/2 nodes are available: 2 cannot allocate all claims. still not schedulable, preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.');
  const { items } = await f.client.of(RESOURCE_CLAIMS).list({ namespace: 'default' });
  assert.deepEqual(items.flatMap(devicesOf).toSorted(), ['a/d0', 'a/d1', 'a/d2', 'b/d0', 'b/d1']);
  await f.finish(names.find((n) => n !== waiting.metadata.name)!);
  await f.scheduled(waiting.metadata.name!);
});

test('a Pod waits for its claim, its class and its devices', async () => {
  await using f = await start('a');
  await f.pod('p', [{ claim: 'shared' }]);
  await f.claim('shared', one);
  assert.equal(await f.refusal('p', /class/), '0/1 nodes are available: request r0: device class gpu does not exist. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.');
  await f.deviceClass();
  await f.refusal('p', /cannot allocate all claims/);
  await f.slice('a', 1);
  assert.equal(await f.scheduled('p'), 'a');
});

test('Pods share a claim, on one node, until the last has ended', async () => {
  await using f = await start('a', 'b');
  await f.deviceClass();
  await f.slice('a', 1);
  await f.claim('shared', one);
  await Promise.all(['p', 'q', 'r'].map((name) => f.pod(name, [{ claim: 'shared' }])));
  assert.deepEqual(await Promise.all(['p', 'q', 'r'].map((name) => f.scheduled(name))), ['a', 'a', 'a']);
  assert.deepEqual((await f.getClaim('shared')).status?.reservedFor?.map((r) => r.name).toSorted(), ['p', 'q', 'r']);
  for (const name of ['p', 'q']) await f.finish(name);
  await eventually('one is left', async () => ((await f.getClaim('shared')).status?.reservedFor?.length === 1 ? true : undefined));
  assert.deepEqual(devicesOf(await f.getClaim('shared')), ['a/d0']);
  await f.finish('r');
  await eventually('the claim is free', async () => ((await f.getClaim('shared')).status?.allocation ? undefined : true));
  assert.equal((await f.getClaim('shared')).metadata.finalizers, undefined);
});

test('a claim whose node the Pod cannot use is given back, and allocated elsewhere', async () => {
  await using f = await start('a', 'b');
  await f.deviceClass();
  await f.slice('a', 1);
  await f.slice('b', 1);
  const claim = await f.claim('c', one);
  const allocation = { devices: { results: [{ request: 'r0', driver: DRIVER, pool: 'a', device: 'd0' }] }, nodeSelector: { nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In' as const, values: ['a'] }] }] } };
  await f.client.of(RESOURCE_CLAIMS).updateStatus({ ...claim, metadata: { ...claim.metadata }, status: { allocation } });
  await f.pod('p', [{ claim: 'c' }], { nodeSelector: { 'kubernetes.io/hostname': 'b' } });
  assert.equal(await f.scheduled('p'), 'b');
  assert.deepEqual(devicesOf(await f.getClaim('c')), ['b/d0']);
});

test('a claim that asks for what is wrong is told of in the event, and tried again', async () => {
  await using f = await start('a');
  await f.deviceClass();
  await f.slice('a', 1);
  await f.claim('c', { exactly: { deviceClassName: 'gpu', selectors: [{ cel: { expression: `device.attributes["${DRIVER}"].none` } }] } });
  await f.pod('p', [{ claim: 'c' }]);
  const want = 'running "DynamicResources" filter plugin: claim default/c: selector #0: CEL runtime error: no such key: none';
  assert.equal(await f.refusal('p', /selector/), want);
  assert.ok(await eventually('the event', async () => (await f.client.of(EVENTS).list({ namespace: 'default' })).items.find((e) => e.reason === 'FailedScheduling' && e.message === want)));
});

test('what a Pod would rather have decides its node', async () => {
  await using f = await start('a', 'b');
  await f.deviceClass();
  await f.slice('a', 1, () => ({ attributes: { size: { string: 'small' } } }));
  await f.slice('b', 1, () => ({ attributes: { size: { string: 'large' } } }));
  const of = (name: string) => ({ name, deviceClassName: 'gpu', selectors: [{ cel: { expression: `device.attributes["${DRIVER}"].size == "${name}"` } }] });
  await f.claim('c', { firstAvailable: [of('large'), of('small')] });
  await f.pod('p', [{ claim: 'c' }]);
  assert.equal(await f.scheduled('p'), 'b');
  assert.deepEqual((await f.getClaim('c')).status?.allocation?.devices?.results?.map((r) => r.request), ['r0/large']);
});

test('admin access is for namespaces that are labelled so, and does not take devices away', async () => {
  await using f = await start('a');
  await f.deviceClass();
  await f.slice('a', 1);
  const admin = { ...one.exactly!, adminAccess: true };
  await assert.rejects(f.claim('forbidden', { exactly: admin }), /admin access to devices requires the `resource.kubernetes.io\/admin-access: true` label on the containing namespace/);
  await f.client.of(NAMESPACES).patch('', 'default', 'application/merge-patch+json', { metadata: { labels: { 'resource.kubernetes.io/admin-access': 'true' } } });
  await f.claim('admin', { exactly: admin });
  await f.claim('user', one);
  await f.pod('monitor', [{ claim: 'admin' }]);
  await f.scheduled('monitor');
  await f.pod('work', [{ claim: 'user' }]);
  await f.scheduled('work');
  assert.deepEqual([devicesOf(await f.getClaim('admin')), devicesOf(await f.getClaim('user'))], [['a/d0'], ['a/d0']]);
});

test('a device that may be shared is given in shares', async () => {
  await using f = await start('a');
  await f.deviceClass();
  await f.slice('a', 1, () => ({ allowMultipleAllocations: true, capacity: { memory: { value: '8Gi', requestPolicy: { default: '1Gi', validRange: { min: '1Gi', step: '1Gi' } } } } }));
  const asking = (memory: string): Request => ({ exactly: { deviceClassName: 'gpu', capacity: { requests: { memory } } } });
  for (const [name, memory] of [['x', '5Gi'], ['y', '2500Mi'], ['z', '1Gi']] as const) {
    await f.claim(name, asking(memory));
    await f.pod(name, [{ claim: name }]);
    if (name !== 'z') await f.scheduled(name);
  }
  await f.refusal('z', /cannot allocate all claims/);
  const results = await Promise.all(['x', 'y'].map(async (name) => (await f.getClaim(name)).status!.allocation!.devices!.results![0]!));
  assert.deepEqual(results.map((r) => r.consumedCapacity), [{ memory: '5Gi' }, { memory: '3Gi' }]);
  assert.notEqual(results[0]!.shareID, results[1]!.shareID);
  await f.finish('y');
  await f.scheduled('z');
});

test('a Pod is bound when the device of its claim says that it is ready, and looks elsewhere when that fails', async () => {
  await using f = await start('a', 'b');
  await f.deviceClass();
  const slow = () => ({ bindingConditions: ['Attached'], bindingFailureConditions: ['Broken'] });
  const { metadata, spec } = await f.slice('a', 1, slow);
  await f.claim('c', one);
  await f.pod('p', [{ claim: 'c' }]);
  const given = (device: string) => eventually(`${device} is allocated`, async () => {
    const claim = await f.getClaim('c');
    return devicesOf(claim)[0] === device && claim.status?.reservedFor ? claim : undefined;
  });
  const tell = async (claim: ResourceClaim, type: string) => {
    const { driver, pool, device } = claim.status!.allocation!.devices!.results![0]!;
    const conditions = [{ type, status: 'True' as const, reason: 'Because', message: 'so it is', lastTransitionTime: '2026-01-01T00:00:00Z' }];
    await f.client.of(RESOURCE_CLAIMS).updateStatus({ ...claim, status: { ...claim.status, devices: [{ driver, pool, device, conditions }] } });
  };
  const first = await given('a/d0');
  assert.deepEqual(first.status?.allocation?.devices?.results?.[0]?.bindingConditions, ['Attached']);
  await eventually('the Pod is told of', async () => (await f.client.of(EVENTS).list({ namespace: 'default' })).items.find((e) => e.reason === 'BindingConditionsPending' && e.message === 'waiting for binding conditions for device on node a'));
  assert.equal((await f.get('p')).spec.nodeName, undefined);
  await f.slice('b', 1);
  // Else the same device may well be chosen again.
  await f.client.of(RESOURCE_SLICES).update({ metadata, spec: { ...spec, devices: spec.devices!.map((d) => ({ ...d, taints: [{ key: 'broken', effect: 'NoSchedule' as const }] })) } });
  await tell(first, 'Broken');
  await f.refusal('p', /device binding failed: claim=c, reason=Because, message="so it is"/);
  const labels = `{profile="default-scheduler",driver="${DRIVER}",status="failure"}`;
  const counted = (await f.cluster.server.metrics.text()).split('\n');
  for (const line of [`scheduler_dra_bindingconditions_allocations_total${labels} 1`, `scheduler_dra_bindingconditions_wait_duration_seconds_count${labels} 1`]) assert.ok(counted.includes(line), line);
  assert.equal(await f.scheduled('p'), 'b');
  assert.deepEqual(devicesOf(await f.getClaim('c')), ['b/d0']);
});

test('a Pod asks for devices by the name of an extended resource', async () => {
  await using f = await start('a', 'b');
  await f.deviceClass('gpu', { selectors: [{ cel: { expression: `device.driver == "${DRIVER}"` } }], extendedResourceName: 'example.com/gpu' });
  await f.slice('b', 3);
  const container = (name: string, amount: string) => ({ name, image: 'x', resources: { requests: { 'example.com/gpu': amount }, limits: { 'example.com/gpu': amount } } });
  const pod = await f.pod('p', [], { initContainers: [container('i', '3')], containers: [container('c', '1'), container('d', '1')] });
  assert.equal(await f.scheduled('p'), 'b');
  const { status } = await f.get('p');
  const { resourceClaimName, requestMappings } = status!.extendedResourceClaimStatus!;
  assert.match(await f.cluster.server.metrics.text(), /^scheduler_resourceclaim_creates_total\{status="success"\} 1$/m);
  assert.deepEqual(requestMappings.map((m) => `${m.containerName} ${m.resourceName} ${m.requestName}`), [
    'c example.com/gpu container-1-request-0', 'd example.com/gpu container-2-request-0', 'i example.com/gpu container-1-request-0', 'i example.com/gpu container-2-request-0', 'i example.com/gpu container-0-request-0',
  ]);
  const claim = await f.getClaim(resourceClaimName);
  assert.equal(claim.metadata.generateName, 'p-extended-resources-');
  assert.deepEqual(claim.metadata.annotations, { 'resource.kubernetes.io/extended-resource-claim': 'true' });
  assert.deepEqual(claim.metadata.ownerReferences, [{ apiVersion: 'v1', kind: 'Pod', name: 'p', uid: pod.metadata.uid, controller: true }]);
  assert.deepEqual(claim.spec.devices?.requests?.map((r) => `${r.name} ${r.exactly?.deviceClassName} ${r.exactly?.count}`), ['container-0-request-0 gpu 1', 'container-1-request-0 gpu 1', 'container-2-request-0 gpu 1']);
  assert.deepEqual(devicesOf(claim), ['b/d0', 'b/d1', 'b/d2']);
  await f.pod('q', [], { containers: [{ name: 'c', image: 'x', resources: { limits: { 'deviceclass.resource.kubernetes.io/gpu': '1' } } }] });
  await f.refusal('q', /cannot allocate all claims/);
  await f.finish('p');
  await eventually('the claim goes with its Pod', () => isGone(f.getClaim(resourceClaimName)));
  assert.equal(await f.scheduled('q'), 'b');
});

test('claims and reservations do not leak when Pods come and go at once', async () => {
  await using f = await start('a', 'b', 'c');
  await f.deviceClass();
  for (const node of ['a', 'b', 'c']) await f.slice(node, 4);
  await f.template('one', one);
  const names = Array.from({ length: 40 }, (_, i) => `p${i}`);
  await Promise.all(names.map((name) => f.pod(name, [{ template: 'one' }])));
  const ended = new Set<string>();
  await eventually('all have had their turn', async () => {
    for (const pod of (await f.client.of(PODS).list({ namespace: 'default' })).items) {
      const name = pod.metadata.name!;
      if (!pod.spec.nodeName || ended.has(name)) continue;
      ended.add(name);
      await f.finish(name);
    }
    const { items } = await f.client.of(RESOURCE_CLAIMS).list({ namespace: 'default' });
    const given = items.flatMap(devicesOf);
    assert.equal(new Set(given).size, given.length, 'no device is given twice');
    return ended.size === names.length && items.length === 0 ? true : undefined;
  });
});
