import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Container } from '#api/gen/core-v1.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { preparedTest, temporaryDirectory } from '#base/testing/prepared-test.ts';
import { admitTo } from '../testing/admit.ts';
import { startDevicePlugin, type TestPluginOptions } from '../testing/device-plugin.ts';
import { makePod } from '../testing/make-pod.ts';
import type { Hint, ResourceHints } from '../topologymanager/hints.ts';
import { maskOf, nodesOf } from '../topologymanager/numa-mask.ts';
import { DeviceManager } from './device-manager.ts';

const GPU = 'example.com/gpu';
const { signal } = new AbortController();
let dir = '';
const test = preparedTest(async (t) => { dir = await temporaryDirectory(t, 'devices'); });

const asking = (count: number, resource = GPU): Partial<Container> => ({ resources: { limits: { [resource]: String(count) } } });
const podOf = (name: string, count: number) => makePod(name).container('c', asking(count)).build();

async function managerWith(over: ReadonlySet<string> = new Set()) {
  const clock = new FakeClock();
  const waiters = new Set<() => void>();
  const manager = new DeviceManager({ dir, clock, isOver: (uid) => over.has(uid), onChange: () => waiters.forEach((w) => w()), onRegistration: () => {}, onAllocation: () => {} });
  await manager.start([0, 1]);
  return {
    manager, clock,
    idsOf: (name: string, container = 'c') => manager.allocationsOf(`uid-${name}`, container).flatMap((a) => a.ids),
    /** Resolves when the numbers are these: `capacity/allocatable`. */
    async numbers(want: string, resource = GPU): Promise<void> {
      const is = () => `${manager.capacity().capacity[resource]}/${manager.capacity().allocatable[resource]}` === want;
      while (!is()) await new Promise<void>((resolve) => waiters.add(resolve));
    },
    [Symbol.asyncDispose]: () => manager.stop(),
  };
}
async function pluginWith(devices: readonly string[], more: Partial<TestPluginOptions> = {}) {
  const plugin = await startDevicePlugin({ dir, resource: GPU, devices, ...more });
  await plugin.register();
  return plugin;
}

test('DeviceManager announces healthy devices as allocatable and all as capacity; a change is told at once', async () => {
  await using m = await managerWith();
  await using plugin = await pluginWith(['a', 'b', '!sick']);
  await m.numbers('3/2');
  plugin.setDevices(['a', 'b', 'sick']);
  await m.numbers('3/3');
  plugin.setDevices(['a']);
  await m.numbers('1/1');
});
test('DeviceManager has nothing to do with a resource that is devices of a claim', async () => {
  await using m = await managerWith();
  await using plugin = await pluginWith(['a']);
  await m.numbers('1/1');
  const pod = makePod('web').container('c', asking(1)).container('d', asking(1)).status({ extendedResourceClaimStatus: { resourceClaimName: 'x', requestMappings: [{ containerName: 'c', resourceName: GPU, requestName: 'r' }] } }).build();
  await admitTo(m.manager, pod, signal);
  assert.deepEqual([m.idsOf('web', 'c'), m.idsOf('web', 'd'), plugin.allocated, await m.manager.prepare(pod, pod.spec.containers[0]!, signal)], [[], ['a'], [['a']], []]);
});
test('DeviceManager: without its plugin a resource has no healthy device; after five minutes it has none at all', async () => {
  await using m = await managerWith();
  const plugin = await pluginWith(['a', 'b']);
  await m.numbers('2/2');
  await plugin[Symbol.asyncDispose]();
  await m.numbers('2/0');
  await m.clock.advance(299_000);
  assert.equal(m.manager.capacity().capacity[GPU], '2');
  await m.clock.advance(1000);
  await m.numbers('0/0');
  assert.equal(m.manager.manages(GPU), false);
  await using _again = await pluginWith(['a', 'b', 'c']);
  await m.numbers('3/3');
});
for (const [what, more, message] of [
  ['an unknown version', { version: 'v1alpha9' }, 'rpc error: code = Unknown desc = requested API version "v1alpha9" is not supported by kubelet. Supported versions are ["v1beta1"]'],
  ['a name without a domain', { resource: 'gpu' }, 'rpc error: code = Unknown desc = the ResourceName "gpu" is invalid'],
  ["Kubernetes' own domain", { resource: 'kubernetes.io/gpu' }, 'rpc error: code = Unknown desc = the ResourceName "kubernetes.io/gpu" is invalid'],
] as const) {
  test(`DeviceManager refuses to register ${what}`, async () => {
    await using m = await managerWith();
    await using plugin = await startDevicePlugin({ dir, resource: GPU, devices: ['a'], ...more });
    await assert.rejects(plugin.register(), { message });
    assert.deepEqual(m.manager.capacity().capacity, {});
  });
}

test('DeviceManager gives each container its own devices, and says in upstream\'s words when there are no more', async () => {
  const over = new Set<string>();
  await using m = await managerWith(over);
  await using _plugin = await pluginWith(['a', 'b', 'c']);
  await m.numbers('3/3');
  await admitTo(m.manager, podOf('one', 2), signal);
  await assert.rejects(admitTo(m.manager, podOf('two', 2), signal), { message: `requested number of devices unavailable for ${GPU}. Requested: 2, Available: 1` });
  assert.deepEqual(m.idsOf('two'), []);
  over.add('uid-one');
  await m.manager.releaseEnded();
  await admitTo(m.manager, podOf('two', 2), signal);
  assert.equal(m.idsOf('two').length, 2);
  assert.deepEqual(m.idsOf('one'), []);
});
test('DeviceManager: Pods that ask at the same time never share a device', async () => {
  await using m = await managerWith();
  await using _plugin = await pluginWith(['a', 'b', 'c', 'd'], { prefer: () => ['b', 'c'] });
  await m.numbers('4/4');
  await Promise.all([admitTo(m.manager, podOf('one', 2), signal), admitTo(m.manager, podOf('two', 2), signal)]);
  assert.deepEqual([...m.idsOf('one'), ...m.idsOf('two')].toSorted(), ['a', 'b', 'c', 'd']);
});
test('DeviceManager: main containers and sidecars use the devices of init containers that have ended', async () => {
  await using m = await managerWith();
  await using _plugin = await pluginWith(['a', 'b', 'c']);
  await m.numbers('3/3');
  await admitTo(m.manager, makePod('p').init('i', asking(2)).sidecar('s', asking(1)).container('c', asking(1)).container('d', asking(1)).build(), signal);
  const init = m.idsOf('p', 'i');
  const later = ['s', 'c', 'd'].flatMap((c) => m.idsOf('p', c));
  assert.equal(new Set(later).size, 3);
  assert.ok(init.every((id) => later.includes(id)));
});
test('DeviceManager takes what the plugin would rather give, out of what is free', async () => {
  await using m = await managerWith();
  await using _plugin = await pluginWith(['a', 'b', 'c', 'd'], { prefer: ({ availableDeviceIDs, allocationSize }) => [...availableDeviceIDs].toSorted().toReversed().slice(0, allocationSize) });
  await m.numbers('4/4');
  await admitTo(m.manager, podOf('one', 2), signal);
  assert.deepEqual(m.idsOf('one').toSorted(), ['c', 'd']);
  await admitTo(m.manager, podOf('two', 1), signal);
  assert.deepEqual(m.idsOf('two'), ['b']);
});
test('DeviceManager: an allocation that the plugin refuses leaves the devices free', async () => {
  await using m = await managerWith();
  let refuse = true;
  await using _plugin = await pluginWith(['a'], { allocate: () => { if (refuse) throw new Error('out of order'); return {}; } });
  await m.numbers('1/1');
  await assert.rejects(admitTo(m.manager, podOf('one', 1), signal), /out of order/);
  refuse = false;
  await admitTo(m.manager, podOf('two', 1), signal);
  assert.deepEqual(m.idsOf('two'), ['a']);
});
test('DeviceManager.prepare brings what the plugin gave and calls PreStartContainer before each start', async () => {
  await using m = await managerWith();
  await using plugin = await pluginWith(['a'], { preStart: () => {}, allocate: (ids) => ({ envs: { GPUS: ids.join(',') }, devices: [{ containerPath: '/dev/gpu', hostPath: '/dev/null', permissions: 'rw' }] }) });
  await m.numbers('1/1');
  const pod = podOf('p', 1);
  await admitTo(m.manager, pod, signal);
  for (const times of [1, 2]) {
    const [got] = await m.manager.prepare(pod, pod.spec.containers[0]!, signal);
    assert.deepEqual([got!.envs, got!.devices], [{ GPUS: 'a' }, [{ containerPath: '/dev/gpu', hostPath: '/dev/null', permissions: 'rw' }]]);
    assert.deepEqual(plugin.started, Array.from({ length: times }, () => ['a']));
  }
  assert.deepEqual(plugin.allocated, [['a']]);
});
test('DeviceManager.prepare fails where PreStartContainer does', async () => {
  await using m = await managerWith();
  await using _plugin = await pluginWith(['a'], { preStart: () => { throw new Error('cannot be reset'); } });
  await m.numbers('1/1');
  const pod = podOf('p', 1);
  await admitTo(m.manager, pod, signal);
  await assert.rejects(m.manager.prepare(pod, pod.spec.containers[0]!, signal), /^Error: device plugin PreStartContainer rpc failed with err: rpc error: code = .* desc = .*cannot be reset/);
});

test('DeviceManager remembers allocations over a restart; plugins see it by their sockets, and register again', async () => {
  const pod = podOf('p', 1);
  const first = await managerWith();
  await using _plugin = await pluginWith(['a', 'b'], { allocate: () => ({ envs: { X: '1' } }) });
  await first.numbers('2/2');
  await admitTo(first.manager, pod, signal);
  await first.manager.stop();
  const before = JSON.parse(await readFile(join(dir, 'kubelet_internal_checkpoint'), 'utf8')) as { Data: { PodDeviceEntries: { DeviceIDs: unknown }[]; RegisteredDevices: Record<string, string[]> } };
  assert.deepEqual(before.Data.RegisteredDevices[GPU]!.toSorted(), ['a', 'b']);
  await using m = await managerWith();
  assert.deepEqual((await readdir(dir)).toSorted(), ['kubelet.sock', 'kubelet_internal_checkpoint']);
  assert.deepEqual(m.manager.capacity(), { capacity: { [GPU]: '0' }, allocatable: { [GPU]: '0' } });
  await assert.rejects(admitTo(m.manager, podOf('new', 1), signal), { message: `no healthy devices present; cannot allocate unhealthy devices ${GPU}` });
  assert.equal(m.idsOf('p').length, 1);
  // A container that starts again gets the same as before, though the plugin is not back.
  assert.equal((await m.manager.prepare(pod, pod.spec.containers[0]!, signal))[0]!.envs['X'], '1');
  await using _again = await pluginWith(['a', 'b'], {});
  await m.numbers('2/2');
  await admitTo(m.manager, podOf('new', 1), signal);
  assert.notDeepEqual(m.idsOf('new'), m.idsOf('p'));
});
test('DeviceManager: a checkpoint that somebody changed is left aside', async () => {
  await writeFile(join(dir, 'kubelet_internal_checkpoint'), '{"Data":{"PodDeviceEntries":null,"RegisteredDevices":{"example.com/gpu":["a"]}},"Checksum":1}');
  await using m = await managerWith();
  assert.deepEqual(m.manager.capacity().capacity, {});
});
test('DeviceManager tells how the devices of a container are', async () => {
  await using m = await managerWith();
  const plugin = await pluginWith(['b', 'a', 'c']);
  await m.numbers('3/3');
  const pod = podOf('p', 2);
  await admitTo(m.manager, pod, signal);
  const [first, second] = m.idsOf('p').toSorted() as [string, string];
  const of = (...health: string[]) => [{ name: GPU, resources: [first, second].map((resourceID, i) => ({ resourceID, health: health[i] })) }];
  assert.deepEqual(m.manager.health('uid-p', 'c'), of('Healthy', 'Healthy'));
  plugin.setDevices(['a', 'b', 'c'].map((id) => (id === second ? `!${id}` : id)));
  await m.numbers('3/2');
  assert.deepEqual(m.manager.health('uid-p', 'c'), of('Healthy', 'Unhealthy'));
  await plugin[Symbol.asyncDispose]();
  await m.numbers('3/0');
  assert.deepEqual(m.manager.health('uid-p', 'c'), of('Unhealthy', 'Unhealthy'), 'without a plugin');
  assert.deepEqual(m.manager.health('uid-p', 'other'), []);
});

/* ------------------------------------------------------------ NUMA nodes */

const show = (hints: ResourceHints, resource = GPU) => hints.get(resource)?.map((h) => `${nodesOf(h.nodes!).join('')}${h.preferred ? '*' : ''}`).join(' ') ?? 'any';
const on = (...nodes: number[]): Hint => ({ nodes: maskOf(nodes), preferred: true });
for (const [name, devices, taken, count, want] of [
  ['one on each node', ['a@0', 'b@1'], 0, 1, '0* 1* 01'],
  ['as many as a node has', ['a@0', 'b@0', 'c@1'], 0, 2, '0* 01'],
  ['more than a node has', ['a@0', 'b@1'], 0, 2, '01*'],
  ['one that is near both', ['a@0,1', 'b@1'], 0, 2, '1* 01'],
  ['without topology', ['a', 'b'], 0, 1, 'any'],
  ['some without topology', ['a', 'b@1'], 0, 1, '1*'],
  ['sick ones count for what a node has, not for what there is', ['!a@0', '!b@0', 'c@0', 'd@1', 'e@1'], 0, 2, '1* 01'],
  ['more than there are', ['a@0'], 0, 2, ''],
  ['nodes that the machine has not', ['a@7', 'b@1'], 0, 1, '1*'],
  ['where some are in use', ['a@0', 'b@1', 'c@1'], 1, 2, '01 1*'],
] as const) {
  test(`DeviceManager hints: ${name}`, async () => {
    await using m = await managerWith();
    await using _plugin = await pluginWith(devices);
    await m.numbers(`${devices.length}/${devices.filter((d) => !d.startsWith('!')).length}`);
    if (taken > 0) await m.manager.begin(podOf('before', taken)).allocate(podOf('before', taken).spec.containers[0]!, on(0), signal);
    const pod = podOf('p', count);
    const admission = m.manager.begin(pod);
    const sorted = (text: string) => text.split(' ').toSorted().join(' ');
    assert.deepEqual([sorted(show(admission.hints(pod.spec.containers[0]!))), sorted(show(admission.podHints()))], [sorted(want), sorted(want)]);
  });
}
test('DeviceManager hints: none without devices, those of what a container has, and of what init containers leave', async () => {
  await using m = await managerWith();
  await using _plugin = await pluginWith(['a@0', 'b@1', 'c@1']);
  await m.numbers('3/3');
  assert.equal(m.manager.begin(makePod().container('c').build()).podHints().size, 0);
  const pod = makePod('p').init('i', asking(2)).container('c', asking(1)).container('d', asking(1)).build();
  const admission = m.manager.begin(pod);
  assert.equal(show(admission.podHints()), '1* 01');
  const [init, c, d] = [...pod.spec.initContainers!, ...pod.spec.containers] as [Container, Container, Container];
  await admission.allocate(init, on(1), signal);
  assert.deepEqual(m.idsOf('p', 'i').toSorted(), ['b', 'c']);
  assert.equal(show(admission.hints(c)), '1* 01', 'what is left to it is on node 1');
  await admission.allocate(c, on(1), signal);
  await admission.allocate(d, on(1), signal);
  assert.deepEqual([...m.idsOf('p', 'c'), ...m.idsOf('p', 'd')].toSorted(), ['b', 'c']);
  const again = m.manager.begin(pod);
  assert.deepEqual([show(again.hints(init)), show(again.podHints())], ['1* 01', '1* 01']);
  assert.equal(show(m.manager.begin(podOf('p', 2)).hints(podOf('p', 2).spec.containers[0]!)), '', 'asks for another number now');
});
for (const [name, devices, count, nodes, prefer, want, offered] of [
  ['those near the node', ['a@0', 'b@1', 'c@1'], 2, [1], undefined, ['b', 'c'], []],
  ['more near it than are needed: the plugin says which', ['a@0', 'b@1', 'c@1', 'd@1'], 2, [1], ['d', 'a', 'c'], ['c', 'd'], [['b', 'c', 'd']]],
  ['too few near it: all those, then what the plugin would rather give', ['a@0', 'b@1', 'c@0', 'd@0'], 2, [1], ['d'], ['b', 'd'], [['a', 'b', 'c', 'd']]],
  ['others with a node before those without', ['a', 'b@0', 'c@1'], 2, [1], undefined, ['b', 'c'], []],
  ['no place in particular: as the plugin says', ['a@0', 'b@1', 'c@1'], 1, undefined, ['b'], ['b'], [['a', 'b', 'c']]],
] as const) {
  test(`DeviceManager gives devices: ${name}`, async () => {
    const asked: string[][] = [];
    await using m = await managerWith();
    await using _plugin = await pluginWith(devices, prefer && { prefer: ({ availableDeviceIDs }) => {
      asked.push([...availableDeviceIDs].toSorted());
      return prefer;
    } });
    await m.numbers(`${devices.length}/${devices.length}`);
    const pod = podOf('p', count);
    await m.manager.begin(pod).allocate(pod.spec.containers[0]!, { nodes: nodes && maskOf(nodes), preferred: true }, signal);
    assert.deepEqual([m.idsOf('p').toSorted(), asked], [want, offered]);
  });
}
test('DeviceManager takes up the file of upstream\'s kubelet', async () => {
  await writeFile(join(dir, 'kubelet_internal_checkpoint'), '{"Data":{"PodDeviceEntries":[{"PodUID":"u","ContainerName":"c","ResourceName":"r/x","DeviceIDs":{"-1":["c"],"0":["a","b"]},"AllocResp":"CgYKAUESAUI="}],"RegisteredDevices":{"q/y":null,"r/x":["a"]}},"Checksum":3356469303}');
  await using m = await managerWith();
  assert.deepEqual(m.manager.allocationsOf('u', 'c').map((a) => [a.ids.toSorted(), a.response?.envs]), [[['a', 'b', 'c'], { A: 'B' }]]);
});
