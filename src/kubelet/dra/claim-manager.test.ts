import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pod } from '#api/gen/core-v1.ts';
import type { ResourceClaim } from '#api/gen/resource-v1.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { preparedTest, temporaryDirectory } from '#base/testing/prepared-test.ts';
import { Client } from '#client/client.ts';
import { RESOURCE_CLAIMS } from '#client/kinds.ts';
import { allocated } from '../testing/dra-driver.ts';
import { FakeApi } from '../testing/fake-api.ts';
import { makePod } from '../testing/make-pod.ts';
import { ClaimManager } from './claim-manager.ts';
import type { Claim, Device, NodePrepareResourceResponse } from './types.ts';

const signal = new AbortController().signal;
const device = (deviceName: string, requestNames: readonly string[], cdiDeviceIds: readonly string[]): Device => ({ poolName: 'pool', deviceName, requestNames, cdiDeviceIds, shareId: '' });

/** A driver that notes down what it is asked. */
class Driver {
  readonly driver: string;
  readonly calls: string[] = [];
  /** Answers of its own, by method. */
  readonly answers = new Map<string, (claims: readonly Claim[]) => Promise<ReadonlyMap<string, NodePrepareResourceResponse>>>();
  devices: readonly Device[];
  constructor(driver: string) {
    this.driver = driver;
    this.devices = [device('d1', [], [`${driver}/dev=d1`])];
  }
  prepare = (claims: readonly Claim[]) => this.#answer('prepare', claims);
  unprepare = (claims: readonly Claim[]) => this.#answer('unprepare', claims);
  async #answer(method: string, claims: readonly Claim[]): Promise<ReadonlyMap<string, NodePrepareResourceResponse>> {
    this.calls.push(`${method} ${claims.map((c) => c.name).join(' ')}`);
    return (await this.answers.get(method)?.(claims)) ?? new Map(claims.map((c) => [c.uid, { devices: this.devices, error: '' }]));
  }
}

let dir = '';
let api: FakeApi;
let drivers: Map<string, Driver>;
let operations: string[];
const manager = (): ClaimManager => new ClaimManager({
  checkpoint: join(dir, 'dra_manager_state'), client: new Client(api), clock: new FakeClock(),
  plugins: { get(name) {
    const found = drivers.get(name);
    if (!found) throw new Error(`DRA driver ${name} is not registered`);
    return found;
  } },
  onOperation: (name, failed) => void operations.push(`${name} ${failed}`),
});
const put = (name: string, pods: readonly Pod[], ofDrivers: readonly string[] = ['a'], more: Partial<ResourceClaim> = {}): ResourceClaim => api.put<ResourceClaim>(RESOURCE_CLAIMS, {
  apiVersion: 'resource.k8s.io/v1', kind: 'ResourceClaim', metadata: { name, namespace: 'default', uid: `uid-${name}` }, spec: {},
  status: {
    ...allocated('', 'n', {}, pods.map((p) => ({ name: p.metadata.name!, uid: p.metadata.uid! }))),
    allocation: { devices: { results: ofDrivers.map((driver) => ({ driver, request: 'r', pool: 'pool', device: 'd1' })) } },
  },
  ...more,
});
const podWith = (name: string, ...claims: readonly string[]): Pod => makePod(name)
  .spec({ resourceClaims: claims.map((c) => ({ name: `my-${c}`, resourceClaimName: c })) }).container('c', { resources: { claims: claims.map((c) => ({ name: `my-${c}` })) } }).container('without').build();
const messageOf = (promise: Promise<unknown>): Promise<string> => promise.then(() => '', (err: unknown) => (err as Error).message);
const callsOf = (name: string): readonly string[] => drivers.get(name)!.calls;
const answer = (error: string, uid?: string) => async (claims: readonly Claim[]) => new Map(claims.map((c) => [uid ?? c.uid, { devices: [], error }]));

const test = preparedTest(async (t) => {
  dir = await temporaryDirectory(t, 'dra');
  api = new FakeApi();
  drivers = new Map([['a', new Driver('a')], ['b', new Driver('b')]]);
  operations = [];
});

test('ClaimManager asks each driver once for all claims of a Pod, and gives containers what they ask for', async () => {
  const pod = podWith('web', 'one', 'two');
  put('one', [pod], ['a', 'b']);
  put('two', [pod]);
  drivers.get('a')!.devices = [device('d1', ['x'], ['a/dev=1', 'a/dev=1b']), device('d2', ['y/small'], ['a/dev=2']), device('d3', [], ['a/dev=3'])];
  const m = manager();
  await m.prepare(pod, signal);
  assert.deepEqual([callsOf('a'), callsOf('b')], [['prepare one two'], ['prepare one']]);
  const asking = (...claims: { name: string; request?: string }[]) => m.cdiDevices(pod, { name: 'x', resources: { claims } });
  assert.deepEqual(pod.spec.containers.map((c) => m.cdiDevices(pod, c)), [['a/dev=1', 'a/dev=1b', 'a/dev=2', 'a/dev=3', 'b/dev=d1'], []]);
  assert.deepEqual(asking({ name: 'my-two', request: 'x' }), ['a/dev=1', 'a/dev=1b', 'a/dev=3']);
  assert.deepEqual(asking({ name: 'my-two', request: 'y' }), ['a/dev=2', 'a/dev=3']);
  assert.deepEqual(asking({ name: 'my-one', request: 'x' }, { name: 'my-one', request: 'y' }), ['a/dev=1', 'a/dev=1b', 'a/dev=3', 'b/dev=d1', 'a/dev=2']);
  assert.throws(() => m.cdiDevices(podWith('other', 'three'), { name: 'x', resources: { claims: [{ name: 'my-three' }] } }), { message: 'internal error: unable to get claim info for ResourceClaim three in namespace default' });
  assert.deepEqual(m.inUse(), new Map([['<any>', 2], ['a', 2], ['b', 1]]));
  assert.deepEqual(operations, ['PrepareResources false']);
});
test('ClaimManager: a claim that several Pods share is prepared once, and given back with the last of them', async () => {
  const [one, two] = [podWith('one', 'c'), podWith('two', 'c')];
  put('c', [one, two]);
  const m = manager();
  // At the same time, and a Pod again whose sandbox died.
  await Promise.all([m.prepare(one, signal), m.prepare(two, signal)]);
  await m.prepare(one, signal);
  assert.deepEqual(callsOf('a'), ['prepare c']);
  await m.unprepare('uid-one', signal);
  assert.deepEqual([m.holds('uid-one'), m.holds('uid-two'), callsOf('a').length], [false, true, 1]);
  await m.unprepare('uid-two', signal);
  await m.unprepare('uid-two', signal);
  assert.deepEqual([m.holds('uid-two'), callsOf('a')], [false, ['prepare c', 'unprepare c']]);
  assert.deepEqual(m.inUse(), new Map([['<any>', 0]]));
});

const REFUSALS: readonly (readonly [name: string, prepare: (pod: Pod) => void, message: string])[] = [
  ['no such claim', () => {}, 'fetch ResourceClaim c: resourceclaims.resource.k8s.io "c" not found'],
  ['not kept for it', () => put('c', []), 'pod web (uid-web) is not allowed to use ResourceClaim c (uid-c)'],
  ['not allocated', (pod) => put('c', [pod], ['a'], { status: { reservedFor: [{ resource: 'pods', name: 'web', uid: pod.metadata.uid! }] } }), 'ResourceClaim c: not allocated'],
  ['a driver that was never here', (pod) => put('c', [pod], ['a', 'nobody']), 'DRA driver nobody is not registered'],
];
for (const [name, prepare, message] of REFUSALS) {
  test(`ClaimManager changes nothing for a Pod that cannot be prepared: ${name}`, async () => {
    const pod = podWith('web', 'c');
    prepare(pod);
    const m = manager();
    assert.equal(await messageOf(m.prepare(pod, signal)), `prepare dynamic resources: ${message}`);
    assert.deepEqual([m.holds('uid-web'), callsOf('a')], [false, []]);
    // The Pod can go although nobody could give anything back.
    await m.unprepare('uid-web', signal);
    assert.deepEqual(operations, ['PrepareResources true', 'UnprepareResources false']);
  });
}
const ANSWERS: readonly (readonly [name: string, answer: (claims: readonly Claim[]) => Promise<ReadonlyMap<string, NodePrepareResourceResponse>>, message: string])[] = [
  ['fails', () => Promise.reject(new Error('rpc error: code = Unavailable desc = gone')), ': rpc error: code = Unavailable desc = gone'],
  ['refuses the claim', answer('on fire'), ' failed for ResourceClaim c: on fire'],
  ['says nothing of it', () => Promise.resolve(new Map()), ' skipped 1 ResourceClaims'],
  ['answers for another', answer('', 'stranger'), ' returned result for unknown claim UID stranger'],
];
for (const [name, says, message] of ANSWERS) {
  test(`ClaimManager keeps a claim whose driver ${name}, until it has been given back`, async () => {
    const pod = podWith('web', 'c');
    put('c', [pod], ['a', 'b']);
    const m = manager();
    const b = drivers.get('b')!;
    b.answers.set('prepare', says);
    assert.equal(await messageOf(m.prepare(pod, signal)), `prepare dynamic resources: NodePrepareResources${message}`);
    assert.deepEqual([m.holds('uid-web'), m.inUse().get('<any>')], [true, 0]);
    b.answers.clear();
    await m.prepare(pod, signal);
    // The first driver is asked again, and what it gave counts once.
    assert.deepEqual([callsOf('a'), m.cdiDevices(pod, pod.spec.containers[0]!)], [['prepare c', 'prepare c'], ['a/dev=d1', 'b/dev=d1']]);
    b.answers.set('unprepare', says);
    assert.equal(await messageOf(m.unprepare('uid-web', signal)), `unprepare dynamic resources: NodeUnprepareResources${message}`);
    assert.equal(m.holds('uid-web'), true);
    b.answers.clear();
    await m.unprepare('uid-web', signal);
    assert.equal(m.holds('uid-web'), false);
  });
}
test('ClaimManager refuses another claim of the same name while the first is held', async () => {
  const [old, young] = [podWith('old', 'c'), podWith('young', 'c')];
  const m = manager();
  put('c', [old]);
  await m.prepare(old, signal);
  api.remove(RESOURCE_CLAIMS, 'default/c');
  put('c', [young], ['a'], { metadata: { name: 'c', namespace: 'default', uid: 'second' } });
  assert.equal(await messageOf(m.prepare(young, signal)), 'prepare dynamic resources: old ResourceClaim with same name c and different UID uid-c still exists (previous pod force-deleted?!)');
  await m.releaseEnded((uid) => uid === 'uid-old', signal);
  await m.prepare(young, signal);
  assert.deepEqual(callsOf('a'), ['prepare c', 'unprepare c', 'prepare c']);
});
test('ClaimManager waits for a claim that is being given back before it prepares it for the next Pod', async () => {
  const [first, next] = [podWith('first', 'c'), podWith('next', 'c')];
  put('c', [first, next]);
  const m = manager();
  await m.prepare(first, signal);
  const [asked, answered] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  drivers.get('a')!.answers.set('unprepare', async (claims) => {
    asked.resolve();
    await answered.promise;
    return await answer('')(claims);
  });
  const back = m.unprepare('uid-first', signal);
  await asked.promise;
  const prepared = m.prepare(next, signal);
  answered.resolve();
  await Promise.all([back, prepared]);
  assert.deepEqual([callsOf('a'), m.holds('uid-next')], [['prepare c', 'unprepare c', 'prepare c'], true]);
});
test('ClaimManager: a Pod that is to end meanwhile is not prepared any more', async () => {
  const pod = podWith('web', 'c');
  put('c', [pod]);
  const m = manager();
  const abort = new AbortController();
  api.intercept = () => abort.abort(new Error('the pod is to end'));
  assert.equal(await messageOf(m.prepare(pod, abort.signal)), 'prepare dynamic resources: the pod is to end');
  assert.deepEqual([m.holds('uid-web'), callsOf('a')], [false, []]);
});
test('ClaimManager keeps over a restart what containers have; the driver is asked again for the next Pod, and gives back what ended meanwhile', async () => {
  const [one, two] = [podWith('one', 'c'), podWith('two', 'c')];
  put('c', [one, two]);
  drivers.get('a')!.devices = [{ ...device('d1', ['r'], ['a/dev=1']), shareId: 'share' }];
  await manager().prepare(one, signal);
  const m = manager();
  await m.start();
  assert.deepEqual([m.cdiDevices(one, one.spec.containers[0]!), m.inUse().get('<any>'), m.infoOf(one, 'c')?.drivers.get('a')], [['a/dev=1'], 0, [{ pool: 'pool', device: 'd1', shareId: 'share', requests: ['r'], cdiIds: ['a/dev=1'] }]]);
  await m.prepare(two, signal);
  assert.deepEqual([callsOf('a'), m.cdiDevices(two, two.spec.containers[0]!)], [['prepare c', 'prepare c'], ['a/dev=1']]);
  drivers.get('a')!.answers.set('unprepare', answer('busy'));
  // Nobody is there to be told of an error.
  await m.releaseEnded(() => true, signal);
  assert.deepEqual([m.holds('uid-one') || m.holds('uid-two'), callsOf('a').length], [true, 3]);
  drivers.get('a')!.answers.clear();
  await m.releaseEnded(() => true, signal);
  assert.deepEqual([m.holds('uid-one'), m.holds('uid-two')], [false, false]);
  const left = manager();
  await left.start();
  assert.equal(left.holds('uid-one'), false);
});
test('ClaimManager: a node whose checkpoint cannot be read does not start', async () => {
  const pod = podWith('web', 'c');
  put('c', [pod]);
  await manager().prepare(pod, signal);
  const file = join(dir, 'dra_manager_state');
  const good = await readFile(file, 'utf8');
  // What upstream's kubelet reads.
  const { Data } = JSON.parse(good) as { Data: string };
  assert.deepEqual(JSON.parse(Data), {
    kind: 'DRACheckpoint', apiVersion: 'checkpoint.dra.kubelet.k8s.io/v1',
    ClaimInfoStateList: [{ ClaimUID: 'uid-c', ClaimName: 'c', Namespace: 'default', PodUIDs: { 'uid-web': {} }, DriverState: { a: { Devices: [{ PoolName: 'pool', DeviceName: 'd1', ShareID: null, RequestNames: [], CDIDeviceIDs: ['a/dev=d1'] }] } } }],
  });
  for (const [text, why] of [[good.replace('uid-c', 'uid-x'), 'checkpoint is corrupted'], ['{', 'JSON']] as const) {
    await writeFile(file, text);
    await assert.rejects(manager().start(), new RegExp(`^Error: could not initialize checkpoint manager, please drain node and remove DRA state file ".*/dra_manager_state", err: .*${why}`));
  }
});
