import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Container, Pod } from '#api/gen/core-v1.ts';
import { preparedTest, temporaryDirectory } from '#base/testing/prepared-test.ts';
import type { KubeletConfig } from '../config.ts';
import { newKubeletMetrics } from '../metrics.ts';
import type { NumaNode } from '../node/machine-topology.ts';
import { admitTo } from '../testing/admit.ts';
import { GIB, machineOf } from '../testing/machines.ts';
import { makePod } from '../testing/make-pod.ts';
import { kubeletConfig } from '../testing/running-kubelet.ts';
import type { ResourceHints } from '../topologymanager/hints.ts';
import { maskOf, nodesOf } from '../topologymanager/numa-mask.ts';
import type { ProviderAdmission } from '../topologymanager/topology-manager.ts';
import type { MachineState } from './machine-state.ts';
import { MemoryManager } from './memory-manager.ts';

let dir = '';
const test = preparedTest(async (t) => { dir = await temporaryDirectory(t, 'memory'); });

const { signal } = new AbortController();
const TWO = machineOf({ sockets: 2, memoryGi: 10, hugePagesGi: 2 }).nodes;
const reserved = (...gib: number[]): Partial<KubeletConfig> => ({
  systemReserved: { memory: `${gib.reduce((a, b) => a + b, 0)}Gi` }, reservedMemory: gib.map((g, numaNode) => ({ numaNode, limits: { memory: `${g}Gi` } })),
});
async function managerWith(options: { config?: Partial<KubeletConfig>; nodes?: readonly NumaNode[]; over?: ReadonlySet<string> } = {}) {
  const config = { ...kubeletConfig(dir, { memoryManagerPolicy: 'Static', evictionHard: {}, ...reserved(1, 1), ...options.config }), rootDir: dir };
  const metrics = newKubeletMetrics();
  const manager = new MemoryManager({ config, metrics, isOver: (uid) => options.over?.has(uid) ?? false });
  await manager.start(options.nodes ?? TWO, 20 * GIB);
  return { manager, metrics, nodes: (name: string, c = 'c') => manager.nodesFor(`uid-${name}`, c) };
}
const state = async (): Promise<MachineState> => (JSON.parse(await readFile(join(dir, 'memory_manager_state'), 'utf8')) as { machineState: MachineState }).machineState;
/** `1@01:5+2`: one assignment, in a group of nodes 0 and 1, 5 GiB and 2 huge pages free; of each node. */
const show = (machine: MachineState): string => Object.values(machine).map((n) => `${n.numberOfAssignments}@${n.cells.toSorted().join('')}:${n.memoryMap['memory']!.free / GIB}+${n.memoryMap['hugepages-1Gi']!.free / GIB}`).join(' ');
const hintsOf = (hints: ResourceHints): string => (hints.get('memory') ?? []).map((h) => `${nodesOf(h.nodes!).join('')}${h.preferred ? '*' : ''}`).toSorted().join(' ');
const asking = (gib: number, huge = 0): Partial<Container> => {
  const list = { cpu: '1', memory: `${gib}Gi`, ...(huge ? { 'hugepages-1Gi': `${huge}Gi` } : {}) };
  return { resources: { requests: list, limits: list } };
};
const podOf = (name: string, gib: number, huge = 0): Pod => makePod(name).container('c', asking(gib, huge)).build();

/* ------------------------------------------------------------ as upstream's */

interface Vectors {
  readonly runs: readonly { readonly nodes: readonly string[]; readonly steps: readonly string[] }[];
}
const vectors = JSON.parse(readFileSync(new URL('../../../test/vectors/kubelet/memory-manager.json', import.meta.url), 'utf8')) as Vectors;
function vectorPod(name: string, text: string): Pod {
  let builder = makePod(name);
  for (const part of text.split(', ')) {
    const [container = '', kind = '', amounts = ''] = part.split(' ');
    const [gib, huge] = amounts.split('+').map(Number);
    builder = builder[kind === 'main' ? 'container' : (kind as 'init' | 'sidecar')](container, asking(gib!, huge));
  }
  return builder.build();
}
for (const [i, { nodes, steps }] of vectors.runs.entries()) {
  test(`memory is given as a kubelet of v1.36 gives it: ${i + 1}`, async () => {
    const rows = nodes.map((row) => [...row.matchAll(/\d+/g)].map(Number));
    const machine = rows.map(([memory = 0, huge = 0], id): NumaNode => ({ id, memoryBytes: memory * GIB, hugePages: { '1Gi': huge * GIB }, distances: undefined }));
    const { manager } = await managerWith({ nodes: machine, config: reserved(...rows.map((r) => r[2]!)) });
    const pods = new Map<string, { pod: Pod; admission: ProviderAdmission }>();
    for (const step of steps) {
      const [head = '', ...fields] = step.split(' | ');
      const [op, name = '', containerName] = head.split(' ');
      if (op === 'pod') {
        const pod = vectorPod(name, fields[0]!);
        const admission = manager.begin(pod);
        pods.set(name, { pod, admission });
        assert.equal(hintsOf(admission.podHints()), fields[1], step);
        continue;
      }
      const { pod, admission } = pods.get(name)!;
      if (op === 'allocate') {
        const [hints, place = '', outcome] = fields;
        const container = [...(pod.spec.initContainers ?? []), ...pod.spec.containers].find((c) => c.name === containerName)!;
        assert.equal(hintsOf(admission.hints(container)), hints, step);
        const affinity = place === 'any' ? { nodes: undefined, preferred: false } : { nodes: maskOf([...place.replace('*', '')].map(Number)), preferred: place.endsWith('*') };
        const got = await admission.allocate(container, affinity, signal).then(() => (manager.nodesFor(`uid-${name}`, container.name) ?? '').replaceAll(',', ''), (err: Error) => `! ${err.message}`);
        assert.equal(got, outcome, step);
      } else if (op === 'release') await manager.release(`uid-${name}`);
      else await manager.starting(pod, { name: 'main' });
      assert.equal(show(await state()), fields.at(-1), step);
    }
  });
}

/* ------------------------------------------------------------ who, and what of it is told */

for (const [name, pod, want] of [
  ['a Guaranteed Pod', podOf('p', 4), '0'],
  ['huge pages too', podOf('p', 4, 2), '0'],
  ['more than one node has', podOf('p', 9), '0,1'],
  ['a Burstable Pod', makePod('p').container('c', { resources: { requests: { cpu: '1', memory: '1Gi' } } }).build(), undefined],
  ['a Pod with resources as a whole', makePod('p').spec({ resources: asking(1).resources }).container('c', asking(1)).build(), undefined],
] as const) {
  test(`MemoryManager binds to nodes: ${name}`, async () => {
    const m = await managerWith();
    await admitTo(m.manager, pod);
    assert.equal(m.nodes('p'), want);
  });
}
test('MemoryManager tells what there is, and what a container has', async () => {
  const m = await managerWith();
  await admitTo(m.manager, podOf('p', 3, 1));
  assert.deepEqual(m.manager.blocksOf('uid-p', 'c'), [{ numaAffinity: [0], type: 'hugepages-1Gi', size: GIB }, { numaAffinity: [0], type: 'memory', size: 3 * GIB }]);
  // Huge pages and what is reserved are not there as memory.
  assert.deepEqual(m.manager.allocatable().map((b) => `${b.numaAffinity.join('')} ${b.type} ${b.size / GIB}`).toSorted(), ['0 hugepages-1Gi 2', '0 memory 7', '1 hugepages-1Gi 2', '1 memory 7']);
});
test('MemoryManager takes back what ended Pods have', async () => {
  const over = new Set<string>();
  const m = await managerWith({ over });
  await admitTo(m.manager, podOf('one', 7));
  await admitTo(m.manager, podOf('two', 7));
  await assert.rejects(admitTo(m.manager, podOf('three', 1)), { message: '[memorymanager] failed to get the default NUMA affinity, no NUMA nodes with enough memory is available' });
  assert.match(await m.metrics.registry.metrics(), /kubelet_memory_manager_pinning_requests_total 3\n[^]*kubelet_memory_manager_pinning_errors_total 1\n/);
  over.add('uid-one');
  await m.manager.releaseEnded();
  await admitTo(m.manager, podOf('three', 1));
  assert.equal(m.nodes('three'), '0');
});
test('MemoryManager without a policy has no say', async () => {
  const m = await managerWith({ config: { memoryManagerPolicy: 'None', reservedMemory: [] } });
  await admitTo(m.manager, podOf('p', 100));
  assert.deepEqual([m.nodes('p'), m.manager.allocatable(), m.manager.begin(podOf('p', 1)).podHints().size], [undefined, [], 0]);
});
test('MemoryManager: an init container that has ended gives back what nobody uses after it, once the next container starts', async () => {
  const m = await managerWith();
  const pod = makePod('p').init('i', asking(6)).sidecar('s', asking(1)).container('c', asking(2)).build();
  await admitTo(m.manager, pod);
  assert.equal(show(await state()), '3@0:1+2 0@1:7+2');
  await m.manager.starting(pod, pod.spec.initContainers![0]!);
  assert.equal(m.nodes('p', 'i'), '0');
  await m.manager.starting(pod, pod.spec.initContainers![1]!);
  assert.deepEqual([m.nodes('p', 'i'), m.nodes('p', 's'), m.nodes('p')], [undefined, '0', '0']);
  assert.equal(show(await state()), '2@0:4+2 0@1:7+2');
});

/* ------------------------------------------------------------ what is reserved */

for (const [name, config, message] of [
  ['another sum', { reservedMemory: [{ numaNode: 0, limits: { memory: '1Gi' } }] }, 'the total amount "1Gi" of type "memory" is not equal to the value "2Gi" determined by Node Allocatable feature'],
  ['nothing', { reservedMemory: [] }, 'the total amount "0" of type "memory" is not equal to the value "2Gi" determined by Node Allocatable feature'],
  ['nothing, where nothing is kept', { systemReserved: {}, reservedMemory: [] }, '[memorymanager] you should specify the system reserved memory'],
  ['a node that is not there', { reservedMemory: [{ numaNode: 2, limits: { memory: '2Gi' } }] }, 'the reserved memory configuration references a NUMA node 2 that does not exist on this machine'],
  ['huge pages', { reservedMemory: [{ numaNode: 0, limits: { memory: '2Gi', 'hugepages-1Gi': '1Gi' } }] }, 'the total amount "1Gi" of type "hugepages-1Gi" is not equal to the value "0" determined by Node Allocatable feature'],
  ['without the eviction threshold', { evictionHard: { 'memory.available': '512Mi' } }, 'the total amount "2Gi" of type "memory" is not equal to the value "2560Mi" determined by Node Allocatable feature'],
  ['more than the node has', reserved(9, 1), '[memorymanager] more memory is reserved of NUMA node 0 than it has'],
] as const) {
  test(`MemoryManager does not start with reserved: ${name}`, async () => await assert.rejects(managerWith({ config }), { message }));
}
for (const [name, config] of [
  ['kube and system', { kubeReserved: { memory: '512Mi' }, systemReserved: { memory: '1Gi' }, reservedMemory: [{ numaNode: 0, limits: { memory: '1Gi' } }, { numaNode: 1, limits: { memory: '512Mi' } }] }],
  ['with the eviction threshold', { evictionHard: { 'memory.available': '100Mi' }, reservedMemory: [{ numaNode: 0, limits: { memory: '2148Mi' } }] }],
  ['with a threshold in parts of the machine', { evictionHard: { 'memory.available': '10%' }, reservedMemory: [{ numaNode: 0, limits: { memory: '2Gi' } }, { numaNode: 1, limits: { memory: '2Gi' } }] }],
] as const) {
  test(`MemoryManager starts with reserved: ${name}`, async () => assert.ok((await managerWith({ config })).manager.allocatable().length > 0));
}
test('MemoryManager does not start on machines with too many nodes to look at every set of them', async () => {
  await assert.rejects(managerWith({ nodes: machineOf({ sockets: 17, coresPerNode: 1 }).nodes }), { message: '[memorymanager] unsupported on machines with more than 16 NUMA Nodes' });
});

/* ------------------------------------------------------------ state */

test('MemoryManager remembers over a restart', async () => {
  {
    const m = await managerWith();
    await admitTo(m.manager, podOf('wide', 9));
  }
  const m = await managerWith();
  assert.deepEqual([m.nodes('wide'), show(await state())], ['0,1', '1@01:0+2 1@01:5+2']);
  assert.deepEqual([hintsOf(m.manager.begin(podOf('wide', 9)).podHints()), hintsOf(m.manager.begin(podOf('wide', 1)).podHints())], ['01*', '']);
  await m.manager.release('uid-wide');
  assert.equal(show(await state()), '0@0:7+2 0@1:7+2');
});
test('MemoryManager takes up the file of upstream\'s kubelet, and knows what that one writes from what somebody changed', async () => {
  const file = '{"policyName":"Static","machineState":{"0":{"numberOfAssignments":-1,"memoryMap":{},"cells":[0]},"1":{"numberOfAssignments":2,"memoryMap":{"hugepages-1Gi":{"total":0,"systemReserved":0,"allocatable":0,"reserved":0,"free":0},"memory":{"total":10,"systemReserved":1,"allocatable":9,"reserved":3,"free":6}},"cells":[0,1]}},"entries":{"uid-a":{"b":[],"c":[{"numaAffinity":[0,1],"type":"memory","size":3},{"numaAffinity":[0],"type":"hugepages-1Gi","size":0}]}},"checksum":3793213890}';
  const start = async (text: string) => {
    await writeFile(join(dir, 'memory_manager_state'), text);
    return await managerWith();
  };
  await assert.rejects(start(file), /the expected machine state is different from the real one/);
  await assert.rejects(start(file.replace('"free":6', '"free":7')), /checkpoint is corrupted/);
});
const drain = (): string => `please drain this node and delete the memory manager checkpoint file "${join(dir, 'memory_manager_state')}" before restarting Kubelet`;
for (const [name, change, config, message] of [
  ['of another policy', {}, { memoryManagerPolicy: 'None', reservedMemory: [] }, 'could not restore state from checkpoint: [memorymanager] configured policy "None" differs from state checkpoint policy "Static"'],
  ['of a machine where more was reserved', {}, reserved(2, 1), 'start memory manager error: [memorymanager] the expected machine state is different from the real one'],
  ['with something given that is of nobody', { entries: {} }, {}, 'start memory manager error: [memorymanager] the expected machine state is different from the real one'],
  ['without a machine', { machineState: {} }, {}, 'start memory manager error: [memorymanager] machine state can not be empty when it has memory assignments'],
  ['with a node that is not there', { entries: { u: { c: [{ numaAffinity: [5], type: 'memory', size: 1 }] } } }, {}, 'start memory manager error: [memorymanager] (pod: u, container: c) the memory assignment uses the NUMA that does not exist'],
  ['with a resource that is not there', { entries: { u: { c: [{ numaAffinity: [0], type: 'hugepages-4Ki', size: 1 }] } } }, {}, 'start memory manager error: [memorymanager] (pod: u, container: c) the memory assignment uses memory resource that does not exist'],
] as const) {
  test(`MemoryManager does not start with a file ${name}`, async () => {
    const before = await managerWith();
    await admitTo(before.manager, podOf('p', 2));
    const path = join(dir, 'memory_manager_state');
    const written = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
    if (Object.keys(change).length > 0) await writeFile(path, JSON.stringify({ ...written, ...change, checksum: 0 }));
    await assert.rejects(managerWith({ config: config as Partial<KubeletConfig> }), { message: `${message}, ${drain()}` });
  });
}
