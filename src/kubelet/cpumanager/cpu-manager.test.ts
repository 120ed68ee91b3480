import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pod } from '#api/gen/core-v1.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { preparedTest, temporaryDirectory } from '#base/testing/prepared-test.ts';
import type { KubeletConfig } from '../config.ts';
import { newKubeletMetrics } from '../metrics.ts';
import type { MachineTopology } from '../node/machine-topology.ts';
import { admitTo } from '../testing/admit.ts';
import { machineOf } from '../testing/machines.ts';
import { makePod } from '../testing/make-pod.ts';
import { kubeletConfig } from '../testing/running-kubelet.ts';
import { CpuManager, type RunningContainer } from './cpu-manager.ts';
import { formatCpuSet, parseCpuSet } from './cpu-set.ts';
import { cpuPolicyOptions } from './policy-options.ts';
import { exclusiveCpus } from './static-policy.ts';
import type { ResourceHints } from '../topologymanager/hints.ts';
import { maskOf, nodesOf } from '../topologymanager/numa-mask.ts';

let dir = '';
const test = preparedTest(async (t) => { dir = await temporaryDirectory(t, 'cpus'); });

/** Two sockets of two cores of two threads: 0-3 are the first threads, 4-7 their siblings. */
const EIGHT = machineOf({ sockets: 2, coresPerNode: 2 });
const cpus = (cpu: string, memory = '1Gi') => ({ resources: { requests: { cpu, memory }, limits: { cpu, memory } } });
const whole = (name: string, count: number): Pod => makePod(name).container('c', cpus(String(count))).build();

for (const [text, want] of [['', ''], ['3,1,2', '1-3'], ['0-1,4', '0-1,4'], ['7', '7'], ['0-2,2-3', '0-3']] as const) test(`cpu sets: "${text}" is "${want}"`, () => assert.equal(formatCpuSet(parseCpuSet(text)), want));
for (const text of ['a', '1-', '3-1', '1,,2', '-1']) test(`parseCpuSet refuses "${text}"`, () => assert.throws(() => parseCpuSet(text), /is no list of CPUs/));
for (const [name, pod, want] of [
  ['a whole number of a Guaranteed Pod', whole('p', 2), 2],
  ['a part of a CPU', makePod().container('c', cpus('1500m')).build(), 0],
  ['a Burstable Pod', makePod().container('c', { resources: { requests: { cpu: '1', memory: '1Gi' }, limits: { cpu: '2', memory: '1Gi' } } }).build(), 0],
  ['a Pod with resources as a whole', makePod().spec({ resources: cpus('1').resources }).container('c', cpus('1')).build(), 0],
] as const) test(`exclusiveCpus: ${name}`, () => assert.equal(exclusiveCpus(pod, pod.spec.containers[0]!), want));

async function managerWith(options: { config?: Partial<KubeletConfig>; running?: RunningContainer[]; over?: Set<string>; machine?: MachineTopology } = {}) {
  const { machine = EIGHT } = options;
  const clock = new FakeClock();
  const config = { ...kubeletConfig(dir, { cpuManagerPolicy: 'static', reservedSystemCPUs: '0', ...options.config }), rootDir: dir };
  const updates: string[] = [];
  let failing = false;
  const metrics = newKubeletMetrics();
  const manager = new CpuManager({
    config, clock, metrics, running: () => options.running ?? [], isOver: (uid) => options.over?.has(uid) ?? false,
    runtime: { updateContainerResources: async (r) => {
      if (failing) throw new Error('busy');
      updates.push(`${r.containerId} ${r.linux?.cpusetCpus}`);
      return {};
    } },
  });
  await manager.start(machine);
  return { manager, clock, updates, metrics, fail: (on: boolean) => (failing = on), cpus: (name: string, c = 'c') => manager.cpusOf(`uid-${name}`, c)!.cpus, [Symbol.asyncDispose]: () => manager.stop() };
}
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('CpuManager gives whole CPUs, never the reserved ones, and moves the others away at once', async () => {
  const over = new Set<string>();
  await using m = await managerWith({ running: [{ uid: 'uid-other', name: 'c', id: 'id-other' }], over });
  assert.equal(m.cpus('other'), '0-7');
  await admitTo(m.manager, whole('one', 2));
  assert.deepEqual([m.cpus('one'), m.cpus('other'), m.manager.hasExclusive('uid-one'), m.manager.hasExclusive('uid-other')], ['1,5', '0,2-4,6-7', true, false]);
  await turn();
  assert.deepEqual(m.updates, ['id-other 0,2-4,6-7']);
  await assert.rejects(admitTo(m.manager, whole('big', 6)), { message: 'not enough cpus available to satisfy request: requested=6, available=5' });
  const text = await m.metrics.registry.metrics();
  assert.match(text, /kubelet_cpu_manager_pinning_requests_total 2\n/);
  assert.match(text, /kubelet_cpu_manager_pinning_errors_total 1\n/);
  assert.match(text, /kubelet_cpu_manager_shared_pool_size_millicores 5000\n/);
  over.add('uid-one');
  await m.manager.releaseEnded();
  await admitTo(m.manager, whole('big', 6));
  assert.equal(parseCpuSet(m.cpus('big')).size, 6);
  assert.deepEqual(parseCpuSet(m.cpus('other')), new Set(EIGHT.cpus.keys()).difference(parseCpuSet(m.cpus('big'))));
  await m.manager.release('uid-big');
  assert.equal(m.cpus('other'), '0-7');
});
test('CpuManager: a container that could not be moved is moved at the next round', async () => {
  await using m = await managerWith({ running: [{ uid: 'uid-other', name: 'c', id: 'id-other' }] });
  m.fail(true);
  await admitTo(m.manager, whole('one', 1));
  await turn();
  assert.deepEqual(m.updates, []);
  m.fail(false);
  await m.clock.advance(10_000);
  await turn();
  assert.equal(m.updates.length, 1);
  await m.clock.advance(10_000);
  assert.equal(m.updates.length, 1);
});
test('CpuManager: CPUs of init containers that will have ended are there for later ones, those of sidecars are not', async () => {
  await using m = await managerWith();
  await admitTo(m.manager, makePod('p').init('i', cpus('7')).sidecar('s', cpus('2')).container('c', cpus('3')).container('d', cpus('2')).build());
  assert.deepEqual(['i', 's', 'c', 'd'].map((name) => m.cpus('p', name)), ['1-7', '1,5', '2,4,6', '3,7']);
  assert.equal(m.cpus('other'), '0');
});
test('CpuManager remembers over a restart; what does not fit the node stops the start', async () => {
  {
    await using m = await managerWith();
    await admitTo(m.manager, whole('one', 2));
  }
  const { checksum: _, ...file } = JSON.parse(await readFile(join(dir, 'cpu_manager_state'), 'utf8')) as Record<string, unknown>;
  assert.deepEqual(file, { policyName: 'static', defaultCpuSet: '0,2-4,6-7', entries: { 'uid-one': { c: '1,5' } } });
  {
    await using m = await managerWith();
    assert.equal(m.cpus('one'), '1,5');
  }
  await assert.rejects(managerWith({ config: { cpuManagerPolicy: 'none' } }), { message: `could not restore state from checkpoint: configured policy "none" differs from state checkpoint policy "static", please drain this node and delete the CPU manager checkpoint file "${join(dir, 'cpu_manager_state')}" before restarting Kubelet` });
});
test('CpuManager reserves as many CPUs as amounts are reserved, those that lie best', async () => {
  await using m = await managerWith({ config: { reservedSystemCPUs: '', systemReserved: { cpu: '1500m' } } });
  assert.equal(formatCpuSet(m.manager.allocatable()), '1-3,5-7');
});
test('CpuManager without a policy has no say', async () => {
  await using m = await managerWith({ config: { cpuManagerPolicy: 'none' } });
  await admitTo(m.manager, whole('one', 2));
  assert.deepEqual([m.manager.cpusOf('uid-one', 'c'), m.manager.allocatable().size], [undefined, 0]);
});

/* ------------------------------------------------------------ options */

for (const [options, message] of [
  [{ 'align-by-socket': 'true' }, 'CPU Manager Policy Alpha-level Options not enabled, but option "align-by-socket" provided'],
  [{ 'distribute-cpus-across-cores': 'true' }, 'CPU Manager Policy Alpha-level Options not enabled, but option "distribute-cpus-across-cores" provided'],
  [{ fast: 'true' }, 'unknown CPU Manager Policy option: "fast"'],
  [{ 'full-pcpus-only': 'maybe' }, 'bad value for option "full-pcpus-only": strconv.ParseBool: parsing "maybe": invalid syntax'],
  [{ 'prefer-align-cpus-by-uncorecache': 'true', 'distribute-cpus-across-numa': 'true' }, 'static policy options prefer-align-cpus-by-uncorecache and distribute-cpus-across-numa can not be used at the same time'],
] as const) test(`cpuPolicyOptions refuses ${JSON.stringify(options)}`, () => assert.throws(() => cpuPolicyOptions(options), { message }));

const withOptions = (...names: string[]) => ({ cpuManagerPolicyOptions: Object.fromEntries(names.map((n) => [n, 'true'])) });
test('full-pcpus-only gives whole cores only, and none whose other thread is reserved', async () => {
  await using m = await managerWith({ config: withOptions('full-pcpus-only') });
  await admitTo(m.manager, whole('one', 2));
  assert.equal(m.cpus('one'), '1,5');
  await assert.rejects(admitTo(m.manager, whole('odd', 3)), { reason: 'SMTAlignmentError', message: 'SMT Alignment Error: requested 3 cpus not multiple cpus per core = 2' });
  // 4 is the thread beside the reserved one.
  await assert.rejects(admitTo(m.manager, whole('big', 6)), { reason: 'SMTAlignmentError', message: 'SMT Alignment Error: not enough free physical CPUs: available physical CPUs = 4, requested CPUs = 6, CPUs per core = 2' });
  const text = await m.metrics.registry.metrics();
  assert.match(text, /kubelet_container_aligned_compute_resources_count\{scope="container",boundary="physical_cpu"\} 1\n/);
  assert.match(text, /kubelet_container_aligned_compute_resources_failure_count\{scope="container",boundary="physical_cpu"\} 2\n/);
  await admitTo(m.manager, whole('rest', 4));
  assert.equal(m.cpus('rest'), '2-3,6-7');
});
test('distribute-cpus-across-numa spreads what one node cannot have', async () => {
  const machine = machineOf({ sockets: 2, coresPerNode: 4, threads: 1 });
  await using m = await managerWith({ machine, config: { reservedSystemCPUs: '', systemReserved: { cpu: '1' }, ...withOptions('distribute-cpus-across-numa') } });
  await admitTo(m.manager, whole('wide', 6));
  assert.equal(m.cpus('wide'), '1-6');
  assert.match(await m.metrics.registry.metrics(), /allocation_per_numa\{numa_node="0"\} 3\nkubelet_cpu_manager_allocation_per_numa\{numa_node="1"\} 3\n/);
});
test('strict-cpu-reservation keeps the reserved CPUs from everybody', async () => {
  {
    await using m = await managerWith({ config: withOptions('strict-cpu-reservation') });
    assert.equal(m.cpus('other'), '1-7');
    await admitTo(m.manager, whole('one', 2));
    assert.equal(m.cpus('other'), '2-4,6-7');
    await m.manager.release('uid-one');
    assert.equal(m.cpus('other'), '1-7');
    await admitTo(m.manager, whole('two', 2));
  }
  {
    await using m = await managerWith({ config: withOptions('strict-cpu-reservation') });
    assert.equal(m.cpus('two'), '1,5');
  }
  await assert.rejects(managerWith(), /^Error: start cpu manager error: not all reserved cpus: "0" are present in defaultCpuSet: "2-4,6-7", please drain this node/);
});
test('prefer-align-cpus-by-uncorecache puts a container on one last-level cache where there is room', async () => {
  const machine = machineOf({ coresPerNode: 8, threads: 1, coresPerCache: 4 });
  await using m = await managerWith({ machine, config: withOptions('prefer-align-cpus-by-uncorecache') });
  await admitTo(m.manager, whole('one', 4));
  assert.equal(m.cpus('one'), '4-7');
  await admitTo(m.manager, whole('two', 3));
  assert.equal(m.cpus('two'), '1-3');
  assert.match(await m.metrics.registry.metrics(), /kubelet_container_aligned_compute_resources_count\{scope="container",boundary="uncore_cache"\} 2\n/);
});

/* ------------------------------------------------------------ NUMA nodes */

/** Two nodes of four CPUs: 0-3 and 4-7. */
const TWO_NODES = machineOf({ sockets: 2, coresPerNode: 4, threads: 1 });
const show = (hints: ResourceHints) => (hints.get('cpu') ?? []).map((h) => `${h.nodes === undefined ? 'any' : nodesOf(h.nodes).join('')}${h.preferred ? '*' : ''}`).join(' ');
for (const [name, taken, count, want] of [
  ['a free machine', 0, 2, '0* 1* 01'], ['more than is left of a node', 0, 4, '1* 01'], ['more than a node has', 0, 5, '01*'], ['more than there is', 0, 8, ''],
  ['where a node is in use', 2, 2, '1* 01'], ['where no node has as many', 3, 4, '1* 01'], ['nothing for itself', 0, 0, ''],
] as const) {
  test(`CpuManager hints: ${name}`, async () => {
    await using m = await managerWith({ machine: TWO_NODES });
    if (taken > 0) await admitTo(m.manager, whole('before', taken));
    const pod = count === 0 ? makePod('p').container('c').build() : whole('p', count);
    const admission = m.manager.begin(pod);
    assert.deepEqual([show(admission.hints(pod.spec.containers[0]!)), show(admission.podHints())], [want, want]);
  });
}
test('CpuManager hints of what was given already are where it is, unless it is another number now', async () => {
  await using m = await managerWith({ machine: TWO_NODES });
  await admitTo(m.manager, whole('p', 4));
  assert.equal(m.cpus('p'), '4-7');
  const of = (count: number) => show(m.manager.begin(whole('p', count)).hints(whole('p', count).spec.containers[0]!));
  assert.deepEqual([of(4), of(2), show(m.manager.begin(whole('p', 4)).podHints()), show(m.manager.begin(whole('p', 3)).podHints())], ['1* 01', '', '1* 01', '']);
});
test('CpuManager hints of later containers hold what init containers leave to them', async () => {
  await using m = await managerWith({ machine: TWO_NODES });
  const pod = makePod('p').init('i', cpus('4')).container('c', cpus('2')).build();
  const admission = m.manager.begin(pod);
  assert.equal(show(admission.podHints()), '1* 01');
  await admission.allocate(pod.spec.initContainers![0]!, { nodes: maskOf([1]), preferred: true }, new AbortController().signal);
  assert.equal(show(admission.hints(pod.spec.containers[0]!)), '1* 01');
  await admission.allocate(pod.spec.containers[0]!, { nodes: maskOf([1]), preferred: true }, new AbortController().signal);
  assert.deepEqual([m.cpus('p', 'i'), m.cpus('p', 'c')], ['4-7', '4-5']);
});
test('CpuManager takes CPUs of the given nodes first, and others where they are not enough', async () => {
  await using m = await managerWith({ machine: TWO_NODES });
  const on = async (name: string, count: number, node: number): Promise<string> => {
    const pod = whole(name, count);
    await m.manager.begin(pod).allocate(pod.spec.containers[0]!, { nodes: maskOf([node]), preferred: true }, new AbortController().signal);
    return m.cpus(name);
  };
  assert.deepEqual([await on('a', 2, 1), await on('b', 1, 0), await on('c', 3, 1)], ['4-5', '1', '2,6-7']);
});

/* ------------------------------------------------------------ state */

const checkpoint = async (text: string, config: Partial<KubeletConfig> = {}) => {
  await writeFile(join(dir, 'cpu_manager_state'), text);
  return await managerWith({ config });
};
test('CpuManager takes up the file of upstream\'s kubelet, and writes what that one can take up', async () => {
  await using m = await checkpoint('{"policyName":"static","defaultCpuSet":"0,2-4","entries":{"uid-a":{"c":"6-7"},"uid-b":{"c1":"5","c2":"1"}},"checksum":358069188}');
  assert.deepEqual([m.cpus('a'), m.cpus('b', 'c1'), m.cpus('b', 'c2'), m.cpus('other')], ['6-7', '5', '1', '0,2-4']);
  await m.manager.release('uid-a');
  await m.manager.release('uid-b');
  assert.equal(await readFile(join(dir, 'cpu_manager_state'), 'utf8'), '{"policyName":"static","defaultCpuSet":"0-7","checksum":14413152}');
});
const drain = (): string => `please drain this node and delete the CPU manager checkpoint file "${join(dir, 'cpu_manager_state')}" before restarting Kubelet`;
for (const [name, file, message] of [
  ['of another checksum', { defaultCpuSet: '0-7', checksum: 1 }, 'could not restore state from checkpoint: checkpoint is corrupted'],
  ['with a list that is none', { defaultCpuSet: '0-x' }, 'could not restore state from checkpoint: could not parse default cpu set "0-x": "0-x" is no list of CPUs such as 0-3,7'],
  ['with a container\'s list that is none', { defaultCpuSet: '0-7', entries: { u: { c: '?' } } }, 'could not restore state from checkpoint: could not parse cpuset "?" for container "c" in pod "u": "?" is no list of CPUs such as 0-3,7'],
  ['of another policy', { policyName: 'none', defaultCpuSet: '' }, 'could not restore state from checkpoint: configured policy "static" differs from state checkpoint policy "none"'],
  ['without a shared pool', { defaultCpuSet: '', entries: { u: { c: '0-7' } } }, 'start cpu manager error: default cpuset cannot be empty'],
  ['that has given away a reserved CPU', { defaultCpuSet: '1-7', entries: { u: { c: '0' } } }, 'start cpu manager error: not all reserved cpus: "0" are present in defaultCpuSet: "1-7"'],
  ['that gives a CPU twice', { defaultCpuSet: '0-7', entries: { u: { c: '5-6' } } }, 'start cpu manager error: pod: u, container: c cpuset: "5-6" overlaps with default cpuset "0-7"'],
  ['of a machine with other CPUs', { defaultCpuSet: '0-5' }, 'start cpu manager error: current set of available CPUs "0-7" doesn\'t match with CPUs in state "0-5"'],
] as const) {
  test(`CpuManager does not start with a file ${name}`, async () => {
    await assert.rejects(checkpoint(JSON.stringify({ policyName: 'static', checksum: 0, ...file })), { message: `${message}, ${drain()}` });
  });
}
test('CpuManager does not start where CPUs are reserved that the machine has not', async () => {
  for (const cpuManagerPolicy of ['static', 'none'] as const) await assert.rejects(managerWith({ config: { cpuManagerPolicy, reservedSystemCPUs: '0,9' } }), { message: 'reserved-cpus: 0,9 is not a subset of online-cpus: 0-7' });
});
