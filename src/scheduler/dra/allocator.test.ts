import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { AllocationResult, DeviceClass, DeviceRequestAllocationResult, ResourceClaim, ResourceSlice } from '#api/gen/resource-v1.ts';
import { nameOf } from '#api/object.ts';
import { anyOf, DRIVER, exactly, makeDevice, makeDeviceClass, makeResourceClaim, makeSlice, selector } from '../testing/make-devices.ts';
import { makeNode } from '../testing/make-node.ts';
import { allocate } from './allocator.ts';
import { DeviceLedger } from './device-ledger.ts';
import { DeviceSelectors } from './selectors.ts';
import { SliceIndex } from './slices.ts';

interface Given {
  readonly slices: readonly ResourceSlice[];
  readonly claims?: readonly ResourceClaim[];
  readonly classes?: readonly DeviceClass[];
  /** Devices that other claims have: `pool/device`. */
  readonly taken?: readonly (string | Partial<DeviceRequestAllocationResult>)[];
  readonly node?: string;
  readonly checkTime?: () => void;
}
const NODE = { a: makeNode('a').zone('z1').obj(), b: makeNode('b').zone('z2').obj() };

function run({ slices, claims = [makeResourceClaim('c')], classes = [makeDeviceClass('gpu')], taken = [], node = 'a', checkTime }: Given): readonly AllocationResult[] | string {
  const index = new SliceIndex();
  for (const slice of slices) index.set(slice);
  const ledger = new DeviceLedger();
  taken.forEach((each, i) => {
    const result = typeof each === 'string' ? { pool: each.split('/')[0]!, device: each.split('/')[1]! } : each;
    ledger.set(`other-${i}`, { devices: { results: [{ request: 'r', driver: DRIVER, pool: 'a', device: '', ...result }] } });
  });
  let shares = 0;
  const options = { slices: index, ledger, selectors: new DeviceSelectors(), classOf: (name: string) => classes.find((c) => nameOf(c) === name), newShareID: () => `share-${++shares}` };
  try {
    return allocate(options, NODE[node as 'a'], claims, checkTime);
  } catch (err) {
    return (err as Error).message;
  }
}
/** `request=device` of each claim; or what was said instead. */
function brief(given: Given): string[] | string {
  const results = run(given);
  return typeof results === 'string' ? results : results.map((r) => (r.devices?.results ?? []).map(({ request, device }) => `${request}=${device}`).join(' '));
}
const two = makeSlice('s', 'a', [makeDevice('d0', { model: 'small', numa: 0 }), makeDevice('d1', { model: 'large', numa: 1 })]);
const large = { selectors: [selector(`device.attributes["${DRIVER}"].model == "large"`)] };
const small = { selectors: [selector(`device.attributes["${DRIVER}"].model == "small"`)] };

const table: Readonly<Record<string, readonly [Given, string[] | string]>> = {
  'one of two devices, the first': [{ slices: [two] }, ['r=d0']],
  'none on another node': [{ slices: [two], node: 'b' }, 'none'],
  'what another claim has is left': [{ slices: [two], taken: ['a/d0'] }, ['r=d1']],
  'nothing is left': [{ slices: [two], taken: ['a/d0', 'a/d1'] }, 'none'],
  'a selector chooses': [{ slices: [two], claims: [makeResourceClaim('c', { requests: [exactly('r', large)] })] }, ['r=d1']],
  'a class of another driver': [{ slices: [two], classes: [makeDeviceClass('gpu', { selectors: [selector('device.driver == "nic.example.com"')] })] }, 'none'],
  'a count': [{ slices: [two], claims: [makeResourceClaim('c', { requests: [exactly('r', { count: 2 })] })] }, ['r=d0 r=d1']],
  'a count that is too high': [{ slices: [two], claims: [makeResourceClaim('c', { requests: [exactly('r', { count: 3 })] })] }, 'none'],
  'a later request needs what an earlier one would have had': [{ slices: [two], claims: [makeResourceClaim('c', { requests: [exactly('any'), exactly('small', small)] })] }, ['any=d1 small=d0']],
  'a later claim needs what an earlier one would have had': [{ slices: [two], claims: [makeResourceClaim('c'), makeResourceClaim('e', { requests: [exactly('small', small)] })] }, ['r=d1', 'small=d0']],
  'all devices': [{ slices: [two], claims: [makeResourceClaim('c', { requests: [exactly('r', { allocationMode: 'All', count: 0 })] })] }, ['r=d0 r=d1']],
  'all devices, one of which is gone': [{ slices: [two], taken: ['a/d1'], claims: [makeResourceClaim('c', { requests: [exactly('r', { allocationMode: 'All', count: 0 })] })] }, 'none'],
  'all of no devices': [{ slices: [two], claims: [makeResourceClaim('c', { requests: [exactly('r', { allocationMode: 'All', count: 0, selectors: [selector('false')] })] })] }, 'none'],
  'the first alternative': [{ slices: [two], claims: [makeResourceClaim('c', { requests: [anyOf('r', ['big', large], ['small', small])] })] }, ['r/big=d1']],
  'the next alternative, as the first is gone': [{ slices: [two], taken: ['a/d1'], claims: [makeResourceClaim('c', { requests: [anyOf('r', ['big', large], ['small', small])] })] }, ['r/small=d0']],
  'the next alternative, for a later request': [{ slices: [two], claims: [makeResourceClaim('c', { requests: [anyOf('r', ['big', large], ['small', small]), exactly('x', large)] })] }, ['r/small=d0 x=d1']],
  'a class that is not there': [{ slices: [two], classes: [] }, 'claim default/c, request r: could not retrieve device class gpu: deviceclass.resource.k8s.io "gpu" not found'],
  'a selector that fails': [{ slices: [two], claims: [makeResourceClaim('c', { requests: [exactly('r', { selectors: [selector(`device.attributes["${DRIVER}"].none`)] })] })] }, 'claim default/c: selector #0: CEL runtime error: no such key: none'],
  'a selector of the class that cannot be read': [{ slices: [two], classes: [makeDeviceClass('gpu', { selectors: [selector('true'), selector('1')] })] }, 'class gpu: selector #1: CEL compile error: must evaluate to bool or the unknown type, not int'],
  'a selector that fails on a device that is not needed': [{ slices: [makeSlice('s', 'a', [makeDevice('d0', { ok: true }), makeDevice('d1')])], claims: [makeResourceClaim('c', { requests: [exactly('r', { selectors: [selector(`device.attributes["${DRIVER}"].ok`)] })] })] }, ['r=d0']],
  'more than a claim may have': [{ slices: [two], claims: [makeResourceClaim('c', { requests: [exactly('r', { count: 33 })] })] }, 'claim default/c: number of requested devices 33 exceeds the claim limit of 32'],
  'an alternative that would be too many': [
    { slices: [makeSlice('s', 'a', Array.from({ length: 40 }, (_, i) => makeDevice(`d${String(i).padStart(2, '0')}`)))], claims: [makeResourceClaim('c', { requests: [exactly('x', { count: 31 }), anyOf('r', ['two', { count: 2 }], ['one', {}])] })] },
    [[...Array.from({ length: 31 }, (_, i) => `x=d${String(i).padStart(2, '0')}`), 'r/one=d31'].join(' ')],
  ],
  'no requests': [{ slices: [two], claims: [makeResourceClaim('c', { requests: [] })] }, ['']],
};
describe('allocate finds', () => {
  for (const [name, [given, want]] of Object.entries(table)) test(name, () => assert.deepEqual(brief(given), want));
});

const four = makeSlice('s', 'a', [makeDevice('d0', { numa: 0 }), makeDevice('d1', { numa: 1 }), makeDevice('d2', { numa: 1 }), makeDevice('d3', { model: 'x' })]);
const pair = [exactly('r1'), exactly('r2')];
const constraints: Readonly<Record<string, readonly [ResourceClaim, string[] | string]>> = {
  'the same value': [makeResourceClaim('c', { requests: pair, constraints: [{ matchAttribute: `${DRIVER}/numa` }] }), ['r1=d1 r2=d2']],
  'the same value, of some requests': [makeResourceClaim('c', { requests: [...pair, exactly('r3')], constraints: [{ matchAttribute: `${DRIVER}/numa`, requests: ['r2', 'r3'] }] }), ['r1=d0 r2=d1 r3=d2']],
  'the same value, which no three have': [makeResourceClaim('c', { requests: [exactly('r', { count: 3 })], constraints: [{ matchAttribute: `${DRIVER}/numa` }] }), 'none'],
  'an attribute that nothing has': [makeResourceClaim('c', { constraints: [{ matchAttribute: `${DRIVER}/none` }] }), 'none'],
  'an attribute of another domain': [makeResourceClaim('c', { constraints: [{ matchAttribute: 'other.example.com/numa' }] }), 'none'],
  'different values': [makeResourceClaim('c', { requests: [exactly('r', { count: 2 })], constraints: [{ distinctAttribute: `${DRIVER}/numa` }] }), ['r=d0 r=d1']],
  'different values, of which there are too few': [makeResourceClaim('c', { requests: [exactly('r', { count: 3 })], constraints: [{ distinctAttribute: `${DRIVER}/numa` }] }), 'none'],
  'all devices, which differ': [makeResourceClaim('c', { requests: [exactly('r', { allocationMode: 'All', count: 0 })], constraints: [{ matchAttribute: `${DRIVER}/numa` }] }), `claim default/c, request r: cannot add device ${DRIVER}/a/d1 because a claim constraint would not be satisfied`],
  'of an alternative by its full name': [makeResourceClaim('c', { requests: [exactly('x', { selectors: [selector(`device.attributes["${DRIVER}"].?numa.orValue(-1) == 1`)] }), anyOf('r', ['s', {}])], constraints: [{ matchAttribute: `${DRIVER}/numa`, requests: ['x', 'r/s'] }] }), ['x=d1 r/s=d2']],
};
describe('allocate heeds constraints:', () => {
  for (const [name, [claim, want]] of Object.entries(constraints)) test(name, () => assert.deepEqual(brief({ slices: [four], claims: [claim] }), want));
});

const pool = (name: string, generation: number, resourceSliceCount: number) => ({ pool: { name, generation, resourceSliceCount } });
const all = makeResourceClaim('c', { requests: [exactly('r', { allocationMode: 'All', count: 0 })] });
const zone2 = { nodeSelectorTerms: [{ matchExpressions: [{ key: 'topology.kubernetes.io/zone', operator: 'In' as const, values: ['z2'] }] }] };
const pools: Readonly<Record<string, readonly [Given, string[] | string]>> = {
  'an older generation is left': [{ slices: [makeSlice('s1', 'a', [makeDevice('old')]), makeSlice('s2', 'a', [makeDevice('new')], pool('a', 2, 1))] }, ['r=new']],
  'a newer generation without anything for the node counts too': [{ slices: [makeSlice('s1', 'a', [makeDevice('old')], pool('p', 1, 2)), makeSlice('s2', 'b', [makeDevice('new')], pool('p', 2, 1))] }, 'none'],
  'a pool that is not whole gives nothing': [{ slices: [makeSlice('s1', 'a', [makeDevice('d')], pool('a', 1, 2))] }, 'none'],
  'a pool over two nodes is whole': [{ slices: [makeSlice('s1', 'a', [makeDevice('da')], pool('p', 1, 2)), makeSlice('s2', 'b', [makeDevice('db')], pool('p', 1, 2))], claims: [all] }, ['r=da']],
  'all of a pool that is not whole': [{ slices: [makeSlice('s1', 'a', [makeDevice('d')], pool('a', 1, 2))], claims: [all] }, `claim default/c, request r: asks for all devices, but resource pool ${DRIVER}/a is currently being updated`],
  'two devices of one name': [{ slices: [makeSlice('s', 'a', [makeDevice('d'), makeDevice('d')])] }, 'invalid'],
  'all of a pool with two devices of one name': [{ slices: [makeSlice('s', 'a', [makeDevice('d'), makeDevice('d')])], claims: [all] }, `claim default/c, request r: asks for all devices, but resource pool ${DRIVER}/a is currently invalid`],
  'another pool helps out': [{ slices: [makeSlice('s', 'a', [makeDevice('d'), makeDevice('d')]), makeSlice('t', undefined, [makeDevice('net')], { allNodes: true })] }, ['r=net']],
  'pools and slices are tried by their names': [{ slices: [makeSlice('s3', 'a', [makeDevice('d3')], pool('z', 1, 1)), makeSlice('s2', 'a', [makeDevice('d2')], pool('p', 1, 2)), makeSlice('s1', 'a', [makeDevice('d1')], pool('p', 1, 2))], claims: [all] }, ['r=d1 r=d2 r=d3']],
  'a selector of nodes': [{ slices: [makeSlice('s', undefined, [makeDevice('d')], { nodeSelector: zone2 })], node: 'b' }, ['r=d']],
  'a selector of other nodes': [{ slices: [makeSlice('s', undefined, [makeDevice('d')], { nodeSelector: zone2 })] }, 'none'],
  'each device has its place': [{ slices: [makeSlice('s', undefined, [makeDevice('da', {}, { nodeName: 'a' }), makeDevice('db', {}, { nodeName: 'b' }), makeDevice('dz', {}, { nodeSelector: zone2 })], { perDeviceNodeSelection: true })], node: 'b', claims: [all] }, ['r=db r=dz']],
  'devices that take their time are the last': [{ slices: [makeSlice('s1', 'a', [makeDevice('slow', {}, { bindingConditions: ['Attached'], bindingFailureConditions: ['Failed'] })], pool('p1', 1, 1)), makeSlice('s2', 'a', [makeDevice('fast')], pool('p2', 1, 1))] }, ['r=fast']],
};
describe('allocate reads pools:', () => {
  for (const [name, [given, want]] of Object.entries(pools)) test(name, () => assert.deepEqual(brief(given), want));
});

const admin = (name: string, count = 1) => exactly(name, { adminAccess: true, count });
const tainted = (effect: 'None' | 'NoSchedule' | 'NoExecute') => makeSlice('s', 'a', [makeDevice('d', {}, { taints: [{ key: 'sick', value: 'yes', effect }] })]);
const tolerating = (toleration: object) => [makeResourceClaim('c', { requests: [exactly('r', { tolerations: [toleration] })] })];
const partitions = [
  makeSlice('counters', 'a', [], { pool: { name: 'a', generation: 1, resourceSliceCount: 2 }, sharedCounters: [{ name: 'whole', counters: { memory: { value: '8Gi' } } }] }),
  makeSlice('parts', 'a', ['8Gi', '4Gi', '4Gi', '4Gi'].map((value, i) => makeDevice(`p${i}`, {}, { consumesCounters: [{ counterSet: 'whole', counters: { memory: { value } } }] })), { pool: { name: 'a', generation: 1, resourceSliceCount: 2 } }),
];
const features: Readonly<Record<string, readonly [Given, string[] | string]>> = {
  'admin access to what others have': [{ slices: [two], taken: ['a/d0', 'a/d1'], claims: [makeResourceClaim('c', { requests: [admin('r')] })] }, ['r=d0']],
  'admin access, not twice in one claim': [{ slices: [two], claims: [makeResourceClaim('c', { requests: [admin('r1'), admin('r2')] })] }, ['r1=d0 r2=d1']],
  'admin access to more than there are': [{ slices: [two], claims: [makeResourceClaim('c', { requests: [admin('r', 3)] })] }, 'none'],
  'those with admin access take nothing away': [{ slices: [two], taken: [{ device: 'd0', adminAccess: true }] }, ['r=d0']],
  'a taint': [{ slices: [tainted('NoSchedule')] }, 'none'],
  'a taint that would evict': [{ slices: [tainted('NoExecute')] }, 'none'],
  'a taint without effect': [{ slices: [tainted('None')] }, ['r=d']],
  'a taint that is tolerated': [{ slices: [tainted('NoSchedule')], claims: tolerating({ key: 'sick', operator: 'Equal', value: 'yes' }) }, ['r=d']],
  'a taint of another value': [{ slices: [tainted('NoSchedule')], claims: tolerating({ key: 'sick', operator: 'Equal', value: 'no' }) }, 'none'],
  'a taint of another effect': [{ slices: [tainted('NoSchedule')], claims: tolerating({ operator: 'Exists', effect: 'NoExecute' }) }, 'none'],
  'any taint is tolerated': [{ slices: [tainted('NoExecute')], claims: tolerating({ operator: 'Exists' }) }, ['r=d']],
  'the whole of a device that has parts': [{ slices: partitions }, ['r=p0']],
  'parts beside each other': [{ slices: partitions, claims: [makeResourceClaim('c', { requests: [exactly('r', { count: 2 })] })] }, ['r=p1 r=p2']],
  'more parts than there is of the whole': [{ slices: partitions, claims: [makeResourceClaim('c', { requests: [exactly('r', { count: 3 })] })] }, 'none'],
  'a part that is taken': [{ slices: partitions, taken: ['a/p3'] }, ['r=p1']],
  'the whole is taken': [{ slices: partitions, taken: ['a/p0'] }, 'none'],
  'a part of what is not there': [{ slices: [makeSlice('s', 'a', [makeDevice('d', {}, { consumesCounters: [{ counterSet: 'whole', counters: { memory: { value: '1' } } }] })])] }, 'invalid'],
};
describe('allocate knows', () => {
  for (const [name, [given, want]] of Object.entries(features)) test(name, () => assert.deepEqual(brief(given), want));
});

const policy = { default: '1Gi', validRange: { min: '1Gi', max: '6Gi', step: '1Gi' } };
const shared = (requestPolicy: object | undefined = policy) => makeSlice('s', 'a', [makeDevice('d', {}, { allowMultipleAllocations: true, capacity: { memory: { value: '8Gi', ...(requestPolicy ? { requestPolicy } : {}) } } })]);
const asking = (memory: string) => makeResourceClaim(memory.toLowerCase(), { requests: [exactly('r', { capacity: { requests: { memory } } })] });
const consumed: Readonly<Record<string, readonly [Given, (Readonly<Record<string, string>> | undefined)[] | string]>> = {
  'the default': [{ slices: [shared()] }, [{ memory: '1Gi' }]],
  'a request, rounded up to a step': [{ slices: [shared()], claims: [asking('2500Mi')] }, [{ memory: '3Gi' }]],
  'less than the least': [{ slices: [shared()], claims: [asking('1Mi')] }, [{ memory: '1Gi' }]],
  'more than the most': [{ slices: [shared()], claims: [asking('7Gi')] }, 'none'],
  'two at once': [{ slices: [shared()], claims: [asking('3Gi'), asking('5Gi')] }, [{ memory: '3Gi' }, { memory: '5Gi' }]],
  'two that are too much together': [{ slices: [shared()], claims: [asking('4Gi'), asking('5Gi')] }, 'none'],
  'what others have left': [{ slices: [shared()], taken: [{ device: 'd', shareID: 'x', consumedCapacity: { memory: '3Gi' } }], claims: [asking('5Gi')] }, [{ memory: '5Gi' }]],
  'more than others have left': [{ slices: [shared()], taken: [{ device: 'd', shareID: 'x', consumedCapacity: { memory: '4Gi' } }], claims: [asking('5Gi')] }, 'none'],
  'all of it, without a policy': [{ slices: [shared({ default: '8Gi' })] }, [{ memory: '8Gi' }]],
  'values to choose from': [{ slices: [shared({ default: '1Gi', validValues: ['1Gi', '4Gi'] })], claims: [asking('2Gi')] }, [{ memory: '4Gi' }]],
  'a capacity that the device does not have': [{ slices: [shared()], claims: [makeResourceClaim('c', { requests: [exactly('r', { capacity: { requests: { lanes: '1' } } })] })] }, 'none'],
  'a device for one alone is checked, and not shared': [{ slices: [makeSlice('s', 'a', [makeDevice('d', {}, { capacity: { memory: { value: '8Gi' } } })])], claims: [asking('5Gi')] }, [undefined]],
};
describe('allocate gives of a capacity', () => {
  for (const [name, [given, want]] of Object.entries(consumed)) {
    test(name, () => {
      const results = run(given);
      assert.deepEqual(typeof results === 'string' ? results : results.map((r) => r.devices!.results![0]!.consumedCapacity), want);
    });
  }
});

test('allocate tells the whole of a result', () => {
  const opaque = (x: string) => ({ opaque: { driver: DRIVER, parameters: { x } } });
  const conditions = { bindingConditions: ['Attached'], bindingFailureConditions: ['Failed'] };
  const [result] = run({
    slices: [makeSlice('s', 'a', [makeDevice('d0', {}, { ...conditions, allowMultipleAllocations: true, capacity: { memory: { value: '2' } } }), makeDevice('d1')])],
    classes: [makeDeviceClass('gpu', { config: [opaque('class')] })],
    claims: [{ ...makeResourceClaim('c'), spec: { devices: { requests: [exactly('r1', { tolerations: [{ operator: 'Exists' }] }), anyOf('r2', ['s', {}])], config: [opaque('everyone'), { ...opaque('some'), requests: ['r2/s'] }, { ...opaque('two'), requests: ['r1', 'r2'] }] } } }],
  }) as AllocationResult[];
  assert.deepEqual(result, {
    devices: {
      results: [
        { request: 'r1', driver: DRIVER, pool: 'a', device: 'd0', tolerations: [{ operator: 'Exists' }], ...conditions, shareID: 'share-1', consumedCapacity: { memory: '2' } },
        { request: 'r2/s', driver: DRIVER, pool: 'a', device: 'd1' },
      ],
      config: [
        { source: 'FromClass', requests: ['r1', 'r2/s'], ...opaque('class') }, { source: 'FromClaim', ...opaque('everyone') }, { source: 'FromClaim', requests: ['r2/s'], ...opaque('some') },
        { source: 'FromClaim', requests: ['r1', 'r2'], ...opaque('two') },
      ],
    },
    nodeSelector: { nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['a'] }] }] },
  });
});
test('allocate says where devices can be used: by the selectors of their slices, on the node they bind to, everywhere', () => {
  const selectorOf = (slice: ResourceSlice) => (run({ slices: [slice], node: 'b' }) as AllocationResult[])[0]!.nodeSelector;
  assert.deepEqual(selectorOf(makeSlice('s', undefined, [makeDevice('d')], { nodeSelector: zone2 })), zone2);
  assert.deepEqual(selectorOf(makeSlice('s', undefined, [makeDevice('d', {}, { bindsToNode: true })], { allNodes: true })), { nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['b'] }] }] });
  assert.equal(selectorOf(makeSlice('s', undefined, [makeDevice('d')], { allNodes: true })), undefined);
});
test('allocate asks whether there is time, and does not try sets twice or in vain', () => {
  const devices = Array.from({ length: 31 }, (_, i) => makeDevice(`d${i}`, { group: i % 5 }));
  let steps = 0;
  const checkTime = () => { if (++steps > 10_000) throw new Error('too long'); };
  // 2^31 sets of devices are too few, which their number tells.
  assert.equal(brief({ slices: [makeSlice('s', 'a', devices)], claims: [makeResourceClaim('c', { requests: [exactly('r', { count: 32 })] })], checkTime }), 'none');
  // There are five groups only, in 6^5 sets: that takes trying.
  assert.equal(brief({ slices: [makeSlice('s', 'a', devices)], claims: [makeResourceClaim('c', { requests: [exactly('r', { count: 6 })], constraints: [{ distinctAttribute: `${DRIVER}/group` }] })], checkTime }), 'too long');
});
