import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Event, Node } from '#api/gen/core-v1.ts';
import type { Lease } from '#api/gen/coordination-v1.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { Client } from '#client/client.ts';
import { EventSender } from '#client/event-sender.ts';
import { EventRecorder } from '#client/events.ts';
import { EVENTS, LEASES, NODES } from '#client/kinds.ts';
import { CriError } from '#cri/error.ts';
import { fakeRuntime } from '#cri/fake-runtime.ts';
import { forbidden, serviceUnavailable } from '#machinery/status-error.ts';
import { FakeApi } from '../testing/fake-api.ts';
import { kubeletConfig, NODE, runKubelet } from '../testing/running-kubelet.ts';
import { NodeManager } from './node-manager.ts';
import { initialNode, nodeStatus, type NodeStatusInputs } from './node-status.ts';

const NOW = Date.parse('2026-01-02T03:04:05Z');
const inputs = (more: Partial<NodeStatusInputs> = {}): NodeStatusInputs => ({
  config: kubeletConfig('/x', { systemReserved: { memory: '1Gi' }, labels: { mine: 'yes' }, taints: [{ key: 'k', effect: 'NoSchedule' }] }), now: NOW, shuttingDown: false, volumesInUse: [], devices: { capacity: {}, allocatable: {} }, advertised: {}, pressure: { memory: false, disk: false, pid: false },
  host: { cpus: 4, memoryBytes: 8 * 2 ** 30, ephemeralStorageBytes: 2 ** 40, hugePages: { '1Gi': 0, '2Mi': 2 ** 30 }, machineId: 'm', systemUuid: 's', bootId: 'b', kernelVersion: '6', osImage: 'os', architecture: 'amd64' },
  runtime: { version: 'containerd://1.6.20', notReady: undefined, images: [], handlers: [], features: undefined }, ...more,
});
const condition = (status: ReturnType<typeof nodeStatus>, type: string) => {
  const c = status.conditions!.find((x) => x.type === type)!;
  return `${c.status} ${c.reason}: ${c.message}`;
};

test('nodeStatus: what is reserved and set aside as huge pages is not for Pods to ask for', () => {
  const { capacity, allocatable } = nodeStatus(inputs(), undefined);
  assert.deepEqual(capacity, { cpu: '4', memory: '8388608Ki', pods: '110', 'ephemeral-storage': '1073741824Ki', 'hugepages-1Gi': '0', 'hugepages-2Mi': '1073741824' });
  assert.equal(allocatable!['memory'], '6Gi');
  assert.equal(allocatable!['hugepages-2Mi'], '1073741824');
});
test('nodeStatus: hard eviction thresholds are left alone too; nothing is below zero', () => {
  const config = kubeletConfig('/x', { kubeReserved: { cpu: '500m' }, systemReserved: { cpu: '250m', 'ephemeral-storage': '2Ti' }, evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '10%', 'pid.available': '5%' } });
  const { allocatable } = nodeStatus(inputs({ config, host: { ...inputs().host, hugePages: {} } }), undefined);
  assert.deepEqual([allocatable!['cpu'], allocatable!['memory'], allocatable!['ephemeral-storage'], allocatable!['pods']], ['3250m', '8092Mi', '0', '110']);
  assert.equal(nodeStatus(inputs({ config: kubeletConfig('/x', { kubeReserved: { cpu: '500m' }, reservedSystemCPUs: '0-1' }) }), undefined).allocatable!['cpu'], '2');
});
test('nodeStatus: devices that are not healthy are no one\'s to ask for; what an administrator advertises is', () => {
  const { capacity, allocatable } = nodeStatus(inputs({ devices: { capacity: { 'example.com/gpu': '3' }, allocatable: { 'example.com/gpu': '2' } }, advertised: { 'example.com/dongle': '4', 'example.com/gpu': '9', cpu: '99' } }), undefined);
  assert.deepEqual([capacity!['example.com/gpu'], allocatable!['example.com/gpu']], ['3', '2']);
  assert.deepEqual([capacity!['example.com/dongle'], allocatable!['example.com/dongle'], capacity!['cpu']], ['4', '4', '4']);
});
for (const [name, more, type, want] of [
  ['well', {}, 'Ready', 'True KubeletReady: kubelet is posting ready status'],
  ['no network', { runtime: { version: '', notReady: 'container runtime network not ready: x', images: [], handlers: [], features: undefined } }, 'Ready', 'False KubeletNotReady: container runtime network not ready: x'],
  ['shutting down', { shuttingDown: true }, 'Ready', 'False KubeletNotReady: node is shutting down'],
  ['enough memory', {}, 'MemoryPressure', 'False KubeletHasSufficientMemory: kubelet has sufficient memory available'],
  ['little memory', { pressure: { memory: true, disk: false, pid: false } }, 'MemoryPressure', 'True KubeletHasInsufficientMemory: kubelet has insufficient memory available'],
  ['little disk', { pressure: { memory: false, disk: true, pid: false } }, 'DiskPressure', 'True KubeletHasDiskPressure: kubelet has disk pressure'],
  ['few process IDs', { pressure: { memory: false, disk: false, pid: true } }, 'PIDPressure', 'True KubeletHasInsufficientPID: kubelet has insufficient PID available'],
] as const) {
  test(`nodeStatus, conditions: ${name}`, () => assert.equal(condition(nodeStatus(inputs(more as Partial<NodeStatusInputs>), undefined), type), want));
}
test('nodeStatus tells what the runtime says of supplemental groups', () => {
  assert.equal(nodeStatus(inputs(), undefined).features, undefined);
  assert.deepEqual(nodeStatus(inputs({ runtime: { ...inputs().runtime, features: { supplementalGroupsPolicy: true } } }), undefined).features, { supplementalGroupsPolicy: true });
});
test('nodeStatus: conditions keep their time while their status stays', () => {
  const first = nodeStatus(inputs(), undefined);
  const later = nodeStatus(inputs({ now: NOW + 60_000 }), first).conditions!.find((c) => c.type === 'Ready')!;
  assert.deepEqual([later.lastTransitionTime, later.lastHeartbeatTime], ['2026-01-02T03:04:05Z', '2026-01-02T03:05:05Z']);
});
test('initialNode carries the labels of the platform and the node\'s own, and its taints', () => {
  const node = initialNode(inputs());
  assert.deepEqual(node.metadata.labels, { 'kubernetes.io/arch': 'amd64', 'kubernetes.io/os': 'linux', 'beta.kubernetes.io/arch': 'amd64', 'beta.kubernetes.io/os': 'linux', 'kubernetes.io/hostname': NODE, mine: 'yes' });
  assert.deepEqual(node.spec.taints, [{ key: 'k', effect: 'NoSchedule' }]);
  // What upstream's 1.36 declares by default.
  assert.deepEqual(node.status!.declaredFeatures, ['ExtendWebSocketsToKubelet', 'InPlacePodLevelResourcesVerticalScaling', 'InPlacePodVerticalScalingInitContainers', 'RestartAllContainersOnContainerExits']);
});

test('NodeManager registers the node, renews its lease, and writes its status only when it changed', async () => {
  await using k = await runKubelet();
  const node = () => k.api.get<Node>(NODES, NODE)!;
  assert.equal(node().status!.conditions!.find((c) => c.type === 'Ready')!.status, 'True');
  const lease = () => k.api.get<Lease>(LEASES, `kube-node-lease/${NODE}`)!.spec!.renewTime;
  const [first, version] = [lease(), node().metadata.resourceVersion];
  await k.clock.advance(30_000);
  assert.notEqual(lease(), first);
  assert.equal(node().metadata.resourceVersion, version);
  await k.clock.advance(300_000);
  assert.notEqual(node().metadata.resourceVersion, version);
  await k.until('the event', () => k.api.list<Event>(EVENTS).some((e) => e.reason === 'Starting'));
});
test('NodeManager: the status is written again in time when the clock was set back', async () => {
  await using k = await runKubelet();
  const { resourceVersion } = k.api.get<Node>(NODES, NODE)!.metadata;
  k.clock.jump(-3_600_000);
  await k.clock.advance(330_000);
  assert.notEqual(k.api.get<Node>(NODES, NODE)!.metadata.resourceVersion, resourceVersion);
});
test('NodeManager: what an administrator advertises becomes allocatable, and stops to be when it is taken back', async () => {
  await using k = await runKubelet();
  const node = () => k.api.get<Node>(NODES, NODE)!;
  const { capacity } = node().status!;
  const advertise = (more: Record<string, string>) => k.api.put(NODES, { ...node(), status: { ...node().status, capacity: { ...capacity, ...more } } });
  advertise({ 'example.com/dongle': '4' });
  await k.until('it to be allocatable', () => node().status!.allocatable!['example.com/dongle'] === '4', 15_000);
  advertise({});
  await k.until('it to be gone', () => node().status!.allocatable!['example.com/dongle'] === undefined, 15_000);
  const version = node().metadata.resourceVersion;
  await k.clock.advance(30_000);
  assert.equal(node().metadata.resourceVersion, version, 'the node is at rest again');
});
test('NodeManager: what the control plane said of a node that was silent is taken back at the next report, not when the last one is old', async () => {
  await using k = await runKubelet();
  const node = () => k.api.get<Node>(NODES, NODE)!;
  const conditions = node().status!.conditions!.map((c) => ({ ...c, status: 'Unknown', reason: 'NodeStatusUnknown', message: 'Kubelet stopped posting node status.' }));
  k.api.put(NODES, { ...node(), status: { ...node().status, conditions } });
  await k.until('Ready', () => condition(node().status!, 'Ready') === 'True KubeletReady: kubelet is posting ready status', 15_000);
  await k.until('the event', () => k.events(NODE).includes(`NodeReady: Node ${NODE} status is now: NodeReady`));
  const version = node().metadata.resourceVersion;
  await k.clock.advance(30_000);
  assert.equal(node().metadata.resourceVersion, version, 'the node is at rest again');
});
test('NodeManager: a runtime that is down makes the node not ready; it comes back', async () => {
  await using k = await runKubelet();
  const ready = () => k.api.get<Node>(NODES, NODE)!.status!.conditions!.find((c) => c.type === 'Ready')!;
  const { version } = k.runtime;
  Object.assign(k.runtime, { version: () => Promise.reject(new CriError('Unavailable', 'gone')) });
  await k.until('NotReady', () => ready().status === 'False', 15_000);
  assert.equal(ready().message, 'container runtime is down: rpc error: code = Unavailable desc = gone');
  Object.assign(k.runtime, { version });
  await k.until('Ready', () => ready().status === 'True', 15_000);
  await k.until('events', () => k.api.list<Event>(EVENTS).some((e) => e.reason === 'NodeNotReady'));
});
test('NodeManager waits for a server that is away; what it refuses is an error', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'podyard-node-'));
  try {
    await mkdir(join(dir, 'kubelet'));
    for (const [answers, outcome] of [[[serviceUnavailable('request to https://192.0.2.1:6443 failed: connect ECONNREFUSED'), serviceUnavailable('the server is starting')], 'registered'], [[forbidden({ group: '', resource: 'nodes' }, NODE, 'no')], 'refused']] as const) {
      const [clock, api, left] = [new FakeClock(), new FakeApi(), [...answers] as Error[]];
      api.intercept = ({ verb, resource }) => {
        const err = verb === 'create' && resource.plural === 'nodes' ? left.shift() : undefined;
        if (err) throw err;
      };
      const client = new Client(api, 'kubelet');
      const manager = new NodeManager({
        config: kubeletConfig(dir), client, runtime: fakeRuntime({ clock }), clock, recorder: new EventRecorder(client, { component: 'kubelet', host: NODE, clock, sender: new EventSender({ clock }) }),
        pressure: () => ({ memory: false, disk: false, pid: false }), volumesInUse: () => [], devices: () => ({ capacity: {}, allocatable: {} }),
      });
      const started = manager.start(new AbortController().signal).then(() => 'registered', () => 'refused');
      const over = new AbortController();
      void started.then(() => over.abort());
      // Reading the machine's facts takes time that is not the clock's.
      while (!over.signal.aborted) await clock.advance(100);
      assert.equal(await started, outcome);
      assert.deepEqual([left.length, api.get<Node>(NODES, NODE) !== undefined], [0, outcome === 'registered']);
      await manager.stop();
    }
  } finally {
    await rm(dir, { recursive: true });
  }
});
test('NodeManager: a node whose network comes up after its start is Ready at once, not at the next report', async () => {
  let network = false;
  await using k = await runKubelet({ networkReady: () => network });
  const ready = () => condition(k.api.get<Node>(NODES, NODE)!.status!, 'Ready');
  await k.clock.advance(2000);
  assert.match(ready(), /^False KubeletNotReady: container runtime network not ready: /);
  const version = k.api.get<Node>(NODES, NODE)!.metadata.resourceVersion;
  await k.clock.advance(500);
  assert.equal(k.api.get<Node>(NODES, NODE)!.metadata.resourceVersion, version, 'nothing is written while nothing changes');
  network = true;
  await k.until('Ready', () => ready() === 'True KubeletReady: kubelet is posting ready status', 1000);
});
test('Kubelet.shutDownNode stops ordinary Pods first, critical ones in the time kept for them, and takes no more', async () => {
  const { makePod } = await import('../testing/make-pod.ts');
  await using k = await runKubelet({ config: { shutdownGraceMs: 60_000, shutdownGraceCriticalMs: 20_000 }, container: () => ({ term: { afterMs: 1000, code: 0 } }) });
  k.create(makePod('plain').container('c').build());
  k.create(makePod('critical').spec({ priority: 2_000_000_000 }).container('c').build());
  await k.until('both to run', () => ['plain', 'critical'].every((n) => k.pod(n)?.status?.phase === 'Running'));
  const over: string[] = [];
  for (const n of ['plain', 'critical']) void k.kubelet.workers.ended(`uid-${n}`).then(() => over.push(n));
  let done = false;
  void k.kubelet.shutDownNode(new AbortController().signal).then(() => (done = true));
  await k.until('the shutdown', () => done, 60_000);
  assert.deepEqual(over, ['plain', 'critical']);
  await k.until('the statuses', () => k.pod('plain')?.status?.reason === 'Terminated');
  assert.equal(k.pod('plain')!.status!.message, 'Pod was terminated in response to imminent node shutdown.');
  assert.equal(k.api.get<Node>(NODES, NODE)!.status!.conditions!.find((c) => c.type === 'Ready')!.message, 'node is shutting down');
  k.create(makePod('late').container('c').build());
  await k.until('the refusal', () => k.pod('late')?.status?.reason === 'NodeShutdown');
});
