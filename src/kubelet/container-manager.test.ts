import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pod } from '#api/gen/core-v1.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { preparedTest, temporaryDirectory } from '#base/testing/prepared-test.ts';
import type { KubeletConfig } from './config.ts';
import { ContainerManager } from './container-manager.ts';
import type { Dra } from './dra/dra.ts';
import { newKubeletMetrics } from './metrics.ts';
import { startDevicePlugin } from './testing/device-plugin.ts';
import { machineOf } from './testing/machines.ts';
import { makePod } from './testing/make-pod.ts';
import { kubeletConfig } from './testing/running-kubelet.ts';

let dir = '';
const test = preparedTest(async (t) => { dir = await temporaryDirectory(t, 'cm'); });

const { signal } = new AbortController();
const GPU = 'example.com/gpu';
/** Two nodes of four CPUs and 8 GiB; CPU 0 and 1 GiB of each node are reserved. */
const TWO_NODES = machineOf({ sockets: 2, coresPerNode: 4, threads: 1, memoryGi: 8 });
const STRICT: Partial<KubeletConfig> = {
  topologyManagerPolicy: 'single-numa-node', cpuManagerPolicy: 'static', reservedSystemCPUs: '0', memoryManagerPolicy: 'Static', evictionHard: {},
  systemReserved: { memory: '2Gi' }, reservedMemory: [{ numaNode: 0, limits: { memory: '1Gi' } }, { numaNode: 1, limits: { memory: '1Gi' } }],
};
async function managerWith(choices: Partial<KubeletConfig>, devices: readonly string[] = []) {
  const config = { ...kubeletConfig(dir, choices), rootDir: dir };
  const changed = Promise.withResolvers<void>();
  const metrics = newKubeletMetrics();
  const manager = new ContainerManager({
    config, clock: new FakeClock(), metrics, dra: { claims: { cdiDevices: () => [] } } as unknown as Dra, withoutCdi: () => undefined,
    runtime: { updateContainerResources: async () => ({}) }, running: () => [], isOver: () => false, onCapacity: () => changed.resolve(), onDeviceHealth: () => {}, topology: async () => TWO_NODES,
  });
  await manager.start();
  const plugin = devices.length > 0 ? await startDevicePlugin({ dir: join(dir, 'device-plugins'), resource: GPU, devices }) : undefined;
  await plugin?.register();
  if (plugin) await changed.promise;
  return {
    manager, metrics,
    /** Devices, CPUs and memory nodes of a container. */
    async given(pod: Pod, name = 'c') {
      const container = pod.spec.containers.find((c) => c.name === name)!;
      const { cpus, memoryNodes } = await manager.runOptions(pod, container, signal);
      return [manager.devices.allocationsOf(pod.metadata.uid!, name).flatMap((a) => a.ids).join(), cpus?.cpus, memoryNodes];
    },
    async [Symbol.asyncDispose]() {
      await plugin?.[Symbol.asyncDispose]();
      await manager.stop();
    },
  };
}
const asking = (cpu: string, memory: string, gpus = 0) => {
  const list = { cpu, memory, ...(gpus ? { [GPU]: String(gpus) } : {}) };
  return { resources: { requests: list, limits: list } };
};
const podOf = (name: string, ...of: Parameters<typeof asking>) => makePod(name).container('c', asking(...of)).build();

test('ContainerManager: devices, CPUs and memory of a container are on one NUMA node', async () => {
  await using m = await managerWith(STRICT, ['near@0', 'far@1']);
  const [one, two] = [podOf('one', '2', '1Gi', 1), podOf('two', '3', '1Gi', 1)];
  // Three CPUs are left of node 0, four of node 1; devices decide over the second Pod.
  assert.equal(await m.manager.allocate(one, signal), undefined);
  assert.deepEqual(await m.given(one), ['near', '1-2', '0']);
  assert.equal(await m.manager.allocate(two, signal), undefined);
  assert.deepEqual(await m.given(two), ['far', '4-6', '1']);
  assert.match(await m.metrics.registry.metrics(), /kubelet_container_aligned_compute_resources_count\{scope="container",boundary="numa_node"\} 2\n/);
});
test('ContainerManager refuses what does not fit a single node; best-effort lets it in', async () => {
  {
    await using m = await managerWith(STRICT, ['far@1']);
    assert.equal(await m.manager.allocate(podOf('one', '4', '1Gi'), signal), undefined);
    assert.deepEqual(await m.manager.allocate(podOf('two', '1', '1Gi', 1), signal), { reason: 'TopologyAffinityError', message: 'Resources cannot be allocated with Topology locality' });
    assert.deepEqual(m.manager.devices.allocationsOf('uid-two', 'c'), []);
  }
  await rm(join(dir, 'cpu_manager_state'));
  await rm(join(dir, 'memory_manager_state'));
  await using m = await managerWith({ ...STRICT, topologyManagerPolicy: 'best-effort' }, ['far@1']);
  const [one, two] = [podOf('one', '4', '1Gi'), podOf('two', '1', '1Gi', 1)];
  assert.equal(await m.manager.allocate(one, signal), undefined);
  assert.equal(await m.manager.allocate(two, signal), undefined);
  // The CPUs of the device's node are taken: memory is there at least.
  assert.deepEqual(await m.given(two), ['far', '1', '1']);
});
test('ContainerManager: with the scope of Pods, all containers are on one node', async () => {
  await using m = await managerWith({ ...STRICT, topologyManagerScope: 'pod' });
  const pod = makePod('p').container('c', asking('2', '1Gi')).container('d', asking('2', '1Gi')).build();
  assert.equal(await m.manager.allocate(pod, signal), undefined);
  assert.deepEqual([await m.given(pod), await m.given(pod, 'd')], [['', '4-5', '1'], ['', '6-7', '1']]);
  assert.deepEqual(await m.manager.allocate(makePod('wide').container('c', asking('2', '1Gi')).container('d', asking('2', '1Gi')).build(), signal), { reason: 'TopologyAffinityError', message: 'Resources cannot be allocated with Topology locality' });
});
for (const [name, choices, pod, want] of [
  ['memory that no node has', STRICT, podOf('p', '1', '15Gi'), { reason: 'UnexpectedAdmissionError', message: 'Allocate failed due to [memorymanager] failed to find NUMA nodes to extend the current topology hint, which is unexpected' }],
  ['threads of a core', { ...STRICT, topologyManagerPolicy: 'none', cpuManagerPolicyOptions: { 'full-pcpus-only': 'true' } }, podOf('p', '8', '1Gi'), { reason: 'SMTAlignmentError', message: 'SMT Alignment Error: not enough free physical CPUs: available physical CPUs = 7, requested CPUs = 8, CPUs per core = 1' }],
] as const) {
  test(`ContainerManager tells why a Pod cannot run: ${name}`, async () => {
    await using m = await managerWith(choices as Partial<KubeletConfig>);
    assert.deepEqual(await m.manager.allocate(pod, signal), want);
  });
}
test('ContainerManager does not start with a policy that the machine does not allow for', async () => {
  await assert.rejects(managerWith({ ...STRICT, reservedMemory: [] }), /^Error: the total amount "0" of type "memory" is not equal to the value "2Gi" determined by Node Allocatable feature/);
});
