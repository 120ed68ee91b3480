import assert from 'node:assert/strict';
import { link, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Pod } from '#api/gen/core-v1.ts';
import { FakeClock } from '#base/fake-clock.ts';
import type { EventRecorder } from '#client/events.ts';
import type { PodEnd } from '../interfaces.ts';
import { makePod } from '../testing/make-pod.ts';
import { EvictionManager, type EvictionOptions } from './eviction-manager.ts';
import { diskUsage, localLimitExceeded } from './local-storage.ts';
import { bytesText, pressureMessage } from './messages.ts';
import { allocatableThresholds, observe, parseThresholds, thresholdAmount, thresholdsMet, type EvictionSignal, type Observation } from './pressure.ts';
import { isCriticalPod, rankForEviction, type PodUse } from './ranking.ts';

const MIB = 2 ** 20;
const use = (memoryBytes: number, more: Partial<PodUse> = {}): PodUse => ({ memoryBytes, diskBytes: 0, inodes: 0, processes: 0, containers: new Map([['c', { memoryBytes, diskBytes: 0 }]]), ...more });
const pod = (name: string, memory?: string, priority = 0): Pod => makePod(name).spec({ priority }).container('c', memory ? { resources: { requests: { memory } } } : {}).build();

for (const [value, capacity, want] of [['100Mi', 2 ** 30, 100 * MIB], ['10%', 1000, 100], ['12.5%', 1000, 125]] as const) {
  test(`thresholdAmount: ${value} of ${capacity}`, () => assert.equal(thresholdAmount({ signal: 'memory.available', value, gracePeriodMs: 0 }, capacity), want));
}
test('thresholdsMet: below, not at; what cannot be seen is not met', () => {
  const thresholds = parseThresholds({ 'memory.available': '100', 'pid.available': '10%', 'imagefs.available': '15%' });
  const seen = new Map<EvictionSignal, Observation>([['memory.available', { available: 99, capacity: 1000 }], ['pid.available', { available: 100, capacity: 1000 }]]);
  assert.deepEqual(thresholdsMet(thresholds, seen).map((t) => t.signal), ['memory.available']);
});
for (const [values, error] of [[{ 'memory.free': '1' }, /"memory.free" is none of/], [{ 'memory.available': '120%' }, /120% is not between 0% and 100%/], [{ 'memory.available': 'x' }, /./]] as const) {
  test(`parseThresholds refuses ${JSON.stringify(values)}`, () => assert.throws(() => parseThresholds(values as Record<string, string>), error));
}
test('observe reads the host', async () => {
  const seen = await observe('/', '/');
  for (const signal of ['memory.available', 'nodefs.available', 'imagefs.available', 'pid.available'] as const) {
    const { available, capacity } = seen.get(signal)!;
    assert.ok(available > 0 && available <= capacity, signal);
  }
});

const RANKS: readonly { name: string; pods: readonly Pod[]; uses: Record<string, PodUse>; signal?: EvictionSignal; want: readonly string[] }[] = [
  { name: 'above its request comes before below', pods: [pod('below', '100Mi'), pod('above', '10Mi')], uses: { below: use(90 * MIB), above: use(20 * MIB) }, want: ['above', 'below'] },
  { name: 'then the lower priority', pods: [pod('high', undefined, 10), pod('low', undefined, 0)], uses: { high: use(90 * MIB), low: use(20 * MIB) }, want: ['low', 'high'] },
  { name: 'then who is further above', pods: [pod('a', '10Mi'), pod('b', '50Mi')], uses: { a: use(40 * MIB), b: use(70 * MIB) }, want: ['a', 'b'] },
  { name: 'by processes: priority first', pods: [pod('a', undefined, 1), pod('b')], uses: { a: use(0, { processes: 100 }), b: use(0, { processes: 1 }) }, signal: 'pid.available', want: ['b', 'a'] },
  { name: 'by disk', pods: [pod('a'), pod('b')], uses: { a: use(0, { diskBytes: 1 }), b: use(0, { diskBytes: 2 }) }, signal: 'nodefs.available', want: ['b', 'a'] },
];
for (const { name, pods, uses, signal = 'memory.available', want } of RANKS) {
  test(`rankForEviction: ${name}`, () => assert.deepEqual(rankForEviction(pods, signal, (p) => uses[p.metadata.name!]).map((p) => p.metadata.name), want));
}
test('isCriticalPod: static Pods, mirrors, the system\'s priorities', () => {
  const annotated = (a: Record<string, string>) => isCriticalPod(makePod().meta({ annotations: a }).build());
  assert.deepEqual([annotated({}), annotated({ 'kubernetes.io/config.source': 'api' }), annotated({ 'kubernetes.io/config.source': 'file' }), annotated({ 'kubernetes.io/config.mirror': 'x' }), isCriticalPod(pod('p', undefined, 2_000_000_000))], [false, false, true, true, true]);
});
for (const [bytes, want] of [[100, '100'], [100 * MIB, '100Mi'], [2 ** 31, '2Gi'], [1536, '1Ki'], [1024 * 1536, '1536Ki']] as const) test(`bytesText: ${bytes}`, () => assert.equal(bytesText(bytes), want));
test('pressureMessage says what was low, what there was, and who used more than it asked for', () => {
  const [threshold] = parseThresholds({ 'memory.available': '100Mi' });
  assert.equal(pressureMessage(pod('p', '10Mi'), threshold!, { available: 50 * MIB, capacity: 2 ** 30 }, use(20 * MIB)),
    'The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. Container c was using 20Mi, request is 10Mi, has larger consumption of memory. ');
});

test('diskUsage counts what is below a directory, hard links once', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'podyard-du-'));
  const empty = (await diskUsage(dir)).bytes;
  await mkdir(join(dir, 'd'));
  await writeFile(join(dir, 'd', 'f'), Buffer.alloc(100_000));
  const one = await diskUsage(dir);
  await link(join(dir, 'd', 'f'), join(dir, 'again'));
  assert.ok(one.bytes - empty >= 100_000 && one.bytes - empty < 150_000);
  assert.equal((await diskUsage(dir)).bytes, one.bytes);
  assert.equal(one.inodes, 3);
  assert.deepEqual(await diskUsage(join(dir, 'no')), { bytes: 0, inodes: 0 });
  await rm(dir, { recursive: true });
});
const limited = makePod().container('c', { resources: { limits: { 'ephemeral-storage': '10Mi' } } }).container('d', { resources: { limits: { 'ephemeral-storage': '20Mi' } } }).volume('v', { emptyDir: { sizeLimit: '5Mi' } }).build();
const LIMITS: readonly { name: string; emptyDir?: number; c?: number; d?: number; want: string | undefined }[] = [
  { name: 'nothing over', emptyDir: 5 * MIB, c: 10 * MIB, d: 1, want: undefined },
  { name: 'the volume', emptyDir: 5 * MIB + 1, want: 'Usage of EmptyDir volume "v" exceeds the limit "5Mi". ' },
  { name: 'a container', c: 11 * MIB, want: 'Container c exceeded its local ephemeral storage limit "10Mi". ' },
  { name: 'the Pod as a whole', emptyDir: 4 * MIB, c: 9 * MIB, d: 19 * MIB, want: 'Pod ephemeral local storage usage exceeds the total limit of containers 30Mi. ' },
];
for (const { name, emptyDir = 0, c = 0, d = 0, want } of LIMITS) {
  test(`localLimitExceeded: ${name}`, () => assert.equal(localLimitExceeded(limited, { emptyDirs: new Map([['v', emptyDir]]), containers: new Map([['c', c], ['d', d]]) }), want));
}

interface Node {
  readonly manager: EvictionManager;
  readonly clock: FakeClock;
  readonly ended: { uid: string; end: PodEnd; grace: number }[];
  readonly events: string[];
  memory: number;
  disk: number;
  pressureChanges: number;
  reclaimed: number;
}
function nodeWith(pods: readonly Pod[], options: Partial<EvictionOptions> & { reclaimFrees?: number } = {}): Node {
  const clock = new FakeClock();
  const n = { clock, ended: [], events: [], memory: 1000, disk: 1000, pressureChanges: 0, reclaimed: 0 } as unknown as Node;
  Object.assign(n, { manager: new EvictionManager({
    clock, nodeName: 'n', thresholds: parseThresholds({ 'memory.available': '100', 'nodefs.available': '10%' }), intervalMs: 10_000, transitionMs: 300_000, maxPodGraceSeconds: 60,
    recorder: { eventFor: (_r: unknown, _t: string, reason: string, message: string) => void n.events.push(`${reason}: ${message}`) } as unknown as EventRecorder,
    observe: () => Promise.resolve(new Map<EvictionSignal, Observation>([['memory.available', { available: n.memory, capacity: 1000 }], ['nodefs.available', { available: n.disk, capacity: 1000 }]])),
    activePods: () => pods, usage: (list) => Promise.resolve(new Map(list.map((p) => [p.metadata.uid!, use(Number(p.metadata.annotations?.['use'] ?? 0))]))),
    localUse: () => Promise.resolve({ emptyDirs: new Map([['v', 6 * MIB]]), containers: new Map() }),
    endPod: (uid, end, grace) => void n.ended.push({ uid, end, grace }),
    reclaimDisk: () => Promise.resolve(void (n.reclaimed++, (n.disk += options.reclaimFrees ?? 0))),
    onPressure: () => void n.pressureChanges++, ...options,
  }) });
  return n;
}
const small = makePod('small').meta({ annotations: { use: '10' } }).container('c').build();
const large = makePod('large').meta({ annotations: { use: '20' } }).container('c').build();
const critical = makePod('critical').meta({ annotations: { use: '90' } }).spec({ priority: 2_000_000_000 }).container('c').build();

test('EvictionManager leaves a node alone that has enough', async () => {
  const n = nodeWith([small, large]);
  assert.deepEqual(await n.manager.synchronize(), []);
  assert.deepEqual(n.manager.pressure(), { memory: false, disk: false, pid: false });
});
test('EvictionManager evicts one Pod at a time, at once, never a critical one', async () => {
  const n = nodeWith([critical, small, large]);
  n.memory = 99;
  assert.deepEqual(await n.manager.synchronize(), ['uid-large']);
  assert.equal(n.ended[0]!.grace, 1);
  assert.deepEqual([n.ended[0]!.end.reason, n.ended[0]!.end.condition!.reason], ['Evicted', 'TerminationByKubelet']);
  assert.match(n.ended[0]!.end.message, /^The node was low on resource: memory\. Threshold quantity: 100, available: 99\. Container c was using 20, request is 0, has larger consumption of memory\. $/);
  assert.equal(n.pressureChanges, 1);
  assert.ok(n.events.includes('EvictionThresholdMet: Attempting to reclaim memory'));
});
test('EvictionManager does not wait for the runtime where memory runs out: limits of local disk are looked at afterwards', async () => {
  const limited = makePod('limited').container('c', { resources: { limits: { 'ephemeral-storage': '5Mi' } } }).build();
  let asked = 0;
  const n = nodeWith([limited, large], { localUse: () => Promise.resolve({ emptyDirs: new Map(), containers: new Map([['c', 6 * MIB * ++asked]]) }) });
  n.memory = 99;
  assert.deepEqual([await n.manager.synchronize(), asked], [['uid-large'], 0]);
  n.memory = 1000;
  assert.deepEqual([await n.manager.synchronize(), asked], [['uid-limited'], 1]);
});
test('EvictionManager keeps the condition until it has been well for a while', async () => {
  const n = nodeWith([]);
  n.memory = 50;
  await n.manager.synchronize();
  n.memory = 1000;
  await n.clock.advance(299_000);
  await n.manager.synchronize();
  assert.equal(n.manager.pressure().memory, true);
  await n.clock.advance(2000);
  assert.equal(n.manager.pressure().memory, false);
});
test('EvictionManager keeps the condition no longer when the clock is set back meanwhile, and no shorter when it is set forward', async () => {
  for (const jump of [-3_600_000, 3_600_000]) {
    const n = nodeWith([]);
    n.memory = 50;
    await n.manager.synchronize();
    n.memory = 1000;
    n.clock.jump(jump);
    await n.clock.advance(299_000);
    await n.manager.synchronize();
    assert.equal(n.manager.pressure().memory, true);
    await n.clock.advance(2000);
    assert.equal(n.manager.pressure().memory, false);
  }
});
test('EvictionManager frees disk before it evicts for disk', async () => {
  const enough = nodeWith([large], { reclaimFrees: 500 });
  enough.disk = 50;
  assert.deepEqual(await enough.manager.synchronize(), []);
  assert.equal(enough.reclaimed, 1);
  const little = nodeWith([large], { reclaimFrees: 10 });
  little.disk = 50;
  assert.deepEqual(await little.manager.synchronize(), ['uid-large']);
});
test('EvictionManager waits out the grace of a soft threshold, and then grants the Pod its own up to the node\'s most', async () => {
  const n = nodeWith([large], { thresholds: parseThresholds({ 'memory.available': '500' }, { 'memory.available': 60_000 }) });
  n.memory = 400;
  assert.deepEqual(await n.manager.synchronize(), []);
  assert.equal(n.manager.pressure().memory, true, 'the node says so while it waits');
  await n.clock.advance(61_000);
  assert.deepEqual(await n.manager.synchronize(), ['uid-large']);
  assert.equal(n.ended[0]!.grace, 30);
});
test('EvictionManager goes on until the least reclaim is reached', async () => {
  const n = nodeWith([small, large], { thresholds: parseThresholds({ 'memory.available': '100' }, {}, { 'memory.available': '50' }) });
  n.memory = 120;
  assert.deepEqual(await n.manager.synchronize(), [], 'above the threshold, never below it');
  n.memory = 90;
  assert.deepEqual(await n.manager.synchronize(), ['uid-large']);
  n.memory = 149;
  assert.equal((await n.manager.synchronize()).length, 1);
  n.memory = 150;
  assert.deepEqual(await n.manager.synchronize(), []);
  n.memory = 120;
  assert.deepEqual(await n.manager.synchronize(), []);
});
test('EvictionManager looks again as soon as an evicted Pod is gone, not before', async () => {
  const gone = Promise.withResolvers<void>();
  const n = nodeWith([small, large], { ended: () => gone.promise });
  n.memory = 90;
  n.manager.start();
  const settle = async (): Promise<void> => { for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve)); };
  await settle();
  await n.clock.advance(20_000);
  await settle();
  assert.equal(n.ended.length, 1);
  n.memory = 1000;
  gone.resolve();
  await settle();
  assert.equal(n.ended.length, 1);
  await n.manager.stop();
});
test('allocatableThresholds holds all Pods together to the hard threshold of memory, in its words', () => {
  const thresholds = allocatableThresholds(parseThresholds({ 'memory.available': '100Mi', 'nodefs.available': '10%' }));
  assert.deepEqual(thresholds.map((t) => [t.signal, t.value]), [['allocatableMemory.available', '100Mi']]);
  assert.deepEqual(thresholdsMet(thresholds, new Map([['allocatableMemory.available', { available: 99 * MIB, capacity: 2 ** 30 }]])), thresholds);
  assert.match(pressureMessage(pod('p'), thresholds[0]!, undefined, undefined), /^The node was low on resource: memory\. /);
  assert.throws(() => parseThresholds({ 'allocatableMemory.available': '1' }), /is none of/);
});
test('EvictionManager evicts Pods that are over their own limits whatever the node has', async () => {
  const n = nodeWith([makePod('over').container('c').volume('v', { emptyDir: { sizeLimit: '5Mi' } }).build()]);
  assert.deepEqual(await n.manager.synchronize(), ['uid-over']);
  assert.match(n.ended[0]!.end.message, /^Usage of EmptyDir volume "v" exceeds/);
});
const burstable = makePod('b').container('c', { resources: { requests: { cpu: '1' } } }).build();
const tolerant = makePod('t').container('c').spec({ tolerations: [{ key: 'node.kubernetes.io/memory-pressure', operator: 'Exists', effect: 'NoSchedule' }] }).build();
for (const [name, set, pod_, want] of [
  ['memory: best effort', { memory: 50 }, small, 'The node had condition: [MemoryPressure]. '],
  ['memory: burstable', { memory: 50 }, burstable, undefined],
  ['memory: tolerated', { memory: 50 }, tolerant, undefined],
  ['disk: everybody', { disk: 50 }, burstable, 'The node had condition: [DiskPressure]. '],
  ['both', { memory: 50, disk: 50 }, tolerant, 'The node had condition: [MemoryPressure DiskPressure]. '],
  ['critical Pods are let in', { memory: 50, disk: 50 }, critical, undefined],
] as const) {
  test(`EvictionManager.admit under pressure: ${name}`, async () => {
    const n = nodeWith([]);
    Object.assign(n, set);
    await n.manager.synchronize();
    const got = n.manager.admit(pod_);
    assert.equal(got?.message, want);
    if (got) assert.equal(got.reason, 'Evicted');
  });
}
