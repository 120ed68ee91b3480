import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Pod } from '#api/gen/core-v1.ts';
import type { DeviceClass, ResourceClaim, ResourceSlice } from '#api/gen/resource-v1.ts';
import { DEVICE_CLASSES, RESOURCE_CLAIMS, RESOURCE_SLICES } from '#client/kinds.ts';
import { conflict } from '#machinery/status-error.ts';
import { CycleState } from '../framework/cycle-state.ts';
import { NodeToStatus } from '../framework/fit-error.ts';
import { PodInfo } from '../framework/pod-info.ts';
import { messageOf } from '../framework/status.ts';
import { allocatedOn, DRIVER, exactly, makeDevice, makeDeviceClass, makeResourceClaim, makeSlice, selector } from '../testing/make-devices.ts';
import { makeNode } from '../testing/make-node.ts';
import { makePod } from '../testing/make-pod.ts';
import { PluginHarness } from '../testing/plugin-harness.ts';
import { startScheduler } from '../testing/running-scheduler.ts';
import { newDynamicResources } from './dynamic-resources.ts';

const nodes = [makeNode('a').obj(), makeNode('b').obj()];
const slices = [makeSlice('sa', 'a', [makeDevice('d')])];
const gpu = makeDeviceClass('gpu');
function using(...claims: string[]): Pod {
  const pod = makePod('p').obj();
  return { ...pod, spec: { ...pod.spec, resourceClaims: claims.map((resourceClaimName, i) => ({ name: `c${i}`, resourceClaimName })) } };
}
const ofTemplate = (made?: string): Pod => ({
  ...makePod('p').obj(), spec: { containers: [], resourceClaims: [{ name: 'd', resourceClaimTemplateName: 't' }] },
  ...(made === undefined ? {} : { status: { resourceClaimStatuses: [{ name: 'd', ...(made === '' ? {} : { resourceClaimName: made }) }] } }),
});
interface Cluster {
  readonly claims?: readonly ResourceClaim[];
  readonly slices?: readonly ResourceSlice[];
  readonly classes?: readonly DeviceClass[];
}
function harness({ claims = [], slices: own = slices, classes = [gpu] }: Cluster): PluginHarness {
  return new PluginHarness(newDynamicResources, { nodes, objects: { resourceClaims: claims, resourceSlices: own, deviceClasses: classes } });
}
const NONE = 'cannot allocate all claims';
const ELSEWHERE = 'resourceclaim not available on the node';
const failing = { bindingConditions: ['Attached'], bindingFailureConditions: ['Failed'] };
function withCondition(type: string, at: string): ResourceClaim {
  const results = [{ request: 'r', driver: DRIVER, pool: 'a', device: 'd', ...failing }];
  return makeResourceClaim('c', { status: {
    allocation: { allocationTimestamp: at, devices: { results } },
    devices: [{ driver: DRIVER, pool: 'a', device: 'd', conditions: [{ type, status: 'True', reason: 'R', message: 'm', lastTransitionTime: at }] }],
  } });
}
const NOW = '2026-01-01T00:00:00Z';

const table: Readonly<Record<string, readonly [Pod, Cluster, Record<string, string> | string]>> = {
  'a claim that is missing': [using('c'), {}, 'could not find v1.ResourceClaim "default/c"'],
  'a claim that is yet to be made': [ofTemplate(), {}, 'pod "default/p": ResourceClaim not created yet'],
  'a claim of somebody else': [ofTemplate('c'), { claims: [makeResourceClaim('c')] }, 'ResourceClaim default/c was not created for Pod default/p (Pod is not owner)'],
  'a claim that is being deleted': [using('c'), { claims: [makeResourceClaim('c', { metadata: { deletionTimestamp: NOW } })] }, 'resourceclaim "c" is being deleted'],
  'a class that is missing': [using('c'), { claims: [makeResourceClaim('c')], classes: [] }, 'request r: device class gpu does not exist'],
  'devices on one node': [using('c'), { claims: [makeResourceClaim('c')] }, { a: '', b: NONE }],
  'two claims for one device': [using('c', 'e'), { claims: [makeResourceClaim('c'), makeResourceClaim('e')] }, { a: NONE, b: NONE }],
  'one claim by two names': [using('c', 'c'), { claims: [makeResourceClaim('c')] }, { a: '', b: NONE }],
  'devices that others have': [using('c'), { claims: [makeResourceClaim('c'), makeResourceClaim('other', { status: allocatedOn('a', 'd') })] }, { a: NONE, b: NONE }],
  'a claim that is allocated': [using('c'), { claims: [makeResourceClaim('c', { status: allocatedOn('b', 'x') })] }, { a: ELSEWHERE, b: '' }],
  'a claim that is allocated, and one that is not': [using('c', 'e'), { claims: [makeResourceClaim('c', { status: allocatedOn('b', 'x') }), makeResourceClaim('e')] }, { a: ELSEWHERE, b: NONE }],
  'a pool with two devices of one name': [using('c'), { claims: [makeResourceClaim('c')], slices: [makeSlice('s', 'a', [makeDevice('d'), makeDevice('d')])] }, { a: 'invalid resource pools were encountered', b: NONE }],
  'a selector that fails': [using('c'), { claims: [makeResourceClaim('c', { requests: [exactly('r', { selectors: [selector('device.attributes["x"].y')] })] })] }, { a: 'running "DynamicResources" filter plugin: claim default/c: selector #0: CEL runtime error: no such key: y', b: NONE }],
  'a device that is ready': [using('c'), { claims: [withCondition('Attached', NOW)] }, { a: '', b: '' }],
  'a device that has failed': [using('c'), { claims: [withCondition('Failed', NOW)] }, { a: ELSEWHERE, b: ELSEWHERE }],
  'a device that takes too long': [using('c'), { claims: [withCondition('Other', '1969-01-01T00:00:00Z')] }, { a: ELSEWHERE, b: ELSEWHERE }],
};
describe('DynamicResources filters:', () => {
  for (const [name, [pod, cluster, want]] of Object.entries(table)) test(name, () => assert.deepEqual(harness(cluster).filter(pod), want));
});

test('DynamicResources keeps Pods whose claims are not there out of the queue', () => {
  const { plugin } = harness({ claims: [makeResourceClaim('c')] });
  assert.deepEqual([using('c'), using('none'), ofTemplate(), ofTemplate(''), makePod('p').obj()].map((pod) => plugin.preEnqueue!(pod)?.reasons[0]), [undefined, 'could not find v1.ResourceClaim "default/none"', 'pod "default/p": ResourceClaim not created yet', undefined, undefined]);
});

test('DynamicResources wakes Pods for what may help them', () => {
  const free = makeResourceClaim('c');
  const taken = makeResourceClaim('c', { status: allocatedOn('a', 'd') });
  const { plugin } = harness({ claims: [free] });
  const hint = plugin.events!().find((e) => e.resource === 'ResourceClaim')!.hint!;
  const other = (status = allocatedOn('a', 'd')) => makeResourceClaim('other', { status });
  const table: readonly (readonly [string, Pod, ResourceClaim | undefined, ResourceClaim, string])[] = [
    ['its claim is made', using('c'), undefined, free, 'Queue'],
    ['its claim is allocated', using('c'), free, taken, 'Queue'],
    ['its claim is labelled', using('c'), free, makeResourceClaim('c', { metadata: { labels: { a: 'b' } } }), 'Skip'],
    ['another claim is freed', using('c'), other(), makeResourceClaim('other'), 'Queue'],
    ['another claim is allocated', using('c'), makeResourceClaim('other'), other(), 'Skip'],
    ['another claim of a Pod whose own is not there', using('none'), other(), makeResourceClaim('other'), 'Skip'],
  ];
  for (const [name, pod, old, now, want] of table) assert.equal(hint(pod, old, now), want, name);
});

test('DynamicResources counts what is decided before it is written, and gives it back', () => {
  const h = harness({ claims: [makeResourceClaim('c'), makeResourceClaim('e')] });
  const state = new CycleState();
  const info = new PodInfo(using('c'));
  const snapshot = h.cache.snapshot();
  h.framework.preFilter(state, info, snapshot.nodes);
  assert.equal(h.framework.filters(state, info)(snapshot.get('a')!), undefined);
  assert.equal(h.framework.reserve(state, info, 'a'), undefined);
  assert.deepEqual(h.filter(using('e')), { a: NONE, b: NONE });
  assert.equal(h.filter(using('c')), 'resource claim default/c is in the process of being allocated');
  h.framework.unreserve(state, info, 'a');
  assert.deepEqual(h.filter(using('e')), { a: '', b: NONE });
});

test('DynamicResources gives a claim back that no node can use, if nobody else does', async () => {
  const said = async (reservedFor: readonly string[]) => {
    const claim = makeResourceClaim('c', { status: { ...allocatedOn('gone', 'd'), reservedFor: reservedFor.map((uid) => ({ resource: 'pods', name: uid, uid })) } });
    const h = harness({ claims: [claim] });
    h.api.put(RESOURCE_CLAIMS, claim);
    const state = new CycleState();
    const info = new PodInfo(using('c'));
    const { nodes: all } = h.cache.snapshot();
    h.framework.preFilter(state, info, all);
    for (const node of all) h.framework.filters(state, info)(node);
    const { status } = h.plugin.postFilter!(state, info, new NodeToStatus(all));
    await Promise.all(h.background);
    return [messageOf(status!), h.api.get<ResourceClaim>(RESOURCE_CLAIMS, 'default/c')?.status?.allocation !== undefined];
  };
  assert.deepEqual(await said([]), ['deallocation of ResourceClaim completed', false]);
  assert.deepEqual(await said(['p']), ['deallocation of ResourceClaim completed', false]);
  assert.deepEqual(await said(['q']), ['still not schedulable', true]);
});

test('DynamicResources writes the allocation again where the claim has changed meanwhile, and takes it back where binding fails', async () => {
  await using s = await startScheduler(nodes, { prepare: (api) => {
    api.put(DEVICE_CLASSES, gpu);
    api.put(RESOURCE_SLICES, slices[0]!);
    for (const name of ['c', 'e']) api.put(RESOURCE_CLAIMS, makeResourceClaim(name));
  } });
  let conflicts = 1;
  s.api.intercept = (call) => {
    if (call.resource.plural === 'resourceclaims' && call.subresource === 'status' && call.name === 'c' && conflicts-- > 0) throw conflict({ group: 'resource.k8s.io', resource: 'resourceclaims' }, 'c', 'it has changed');
    if (call.subresource === 'binding' && call.name === 'p') throw new Error('no luck');
  };
  s.put(using('c'));
  await s.settle();
  await s.clock.advance(10);
  await s.settle();
  const claim = () => s.api.get<ResourceClaim>(RESOURCE_CLAIMS, 'default/c')!;
  assert.deepEqual([claim().metadata.finalizers, claim().status?.allocation?.devices?.results?.map((r) => r.device)], [['resource.kubernetes.io/delete-protection'], ['d']]);
  assert.match(s.events('p').join(), /FailedScheduling: running Bind plugin "DefaultBinder": no luck/);
  const release = s.api.calls.find((call) => call.verb === 'patch' && call.resource.plural === 'resourceclaims');
  assert.deepEqual(release?.body, { metadata: { uid: 'c' }, status: { reservedFor: [{ $patch: 'delete', uid: 'p' }] } });
});
