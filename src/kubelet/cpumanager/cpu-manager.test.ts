import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Pod } from '#api/gen/core-v1.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { preparedTest, temporaryDirectory } from '#base/testing/prepared-test.ts';
import type { KubeletConfig } from '../config.ts';
import { newKubeletMetrics } from '../metrics.ts';
import { makePod } from '../testing/make-pod.ts';
import { kubeletConfig } from '../testing/running-kubelet.ts';
import { CpuManager, exclusiveCpus, type RunningContainer } from './cpu-manager.ts';
import { formatCpuSet, parseCpuSet } from './cpu-set.ts';
import { readTopology, takeCpus, type Topology } from './topology.ts';

let dir = '';
const test = preparedTest(async (t) => { dir = await temporaryDirectory(t, 'cpus'); });

/** Two sockets of two cores of two threads, numbered as the kernel does: 0-3 are the first threads, 4-7 their siblings. */
const EIGHT: Topology = new Map(Array.from({ length: 8 }, (_, id) => [id, { id, core: id % 4, socket: Math.floor((id % 4) / 2), node: 0 }]));
const cpus = (cpu: string, memory = '1Gi') => ({ resources: { requests: { cpu, memory }, limits: { cpu, memory } } });
const whole = (name: string, count: number): Pod => makePod(name).container('c', cpus(String(count))).build();

for (const [text, want] of [['', ''], ['3,1,2', '1-3'], ['0-1,4', '0-1,4'], ['7', '7'], ['0-2,2-3', '0-3']] as const) test(`cpu sets: "${text}" is "${want}"`, () => assert.equal(formatCpuSet(parseCpuSet(text)), want));
for (const text of ['a', '1-', '3-1', '1,,2', '-1']) test(`parseCpuSet refuses "${text}"`, () => assert.throws(() => parseCpuSet(text), /is no list of CPUs/));
for (const [available, count, want] of [
  ['0-7', 0, ''], ['0-7', 1, '0'], ['0-7', 2, '0,4'], ['0-7', 4, '0-1,4-5'], ['0-7', 5, '0-2,4-5'], ['0-7', 8, '0-7'],
  // A core that is in use already before one that is whole; a socket in use before another.
  ['1-7', 1, '4'], ['1-7', 2, '1,5'], ['1-7', 3, '1,4-5'], ['2-3,5-7', 4, '2-3,6-7'],
] as const) test(`takeCpus: ${count} of ${available}`, () => assert.equal(formatCpuSet(takeCpus(EIGHT, parseCpuSet(available), count)), want));
test('takeCpus says what there is when it is not enough', () => assert.throws(() => takeCpus(EIGHT, parseCpuSet('1-2'), 3), { message: 'not enough cpus available to satisfy request: requested=3, available=2' }));
test('readTopology reads what the kernel tells', async () => {
  const write = async (path: string, text: string) => {
    await mkdir(dirname(join(dir, path)), { recursive: true });
    await writeFile(join(dir, path), `${text}\n`);
  };
  await write('cpu/online', '0-1,3');
  for (const [id, siblings, socket] of [[0, '0,3', 0], [1, '1', 1], [3, '0,3', 0]] as const) {
    await write(`cpu/cpu${id}/topology/thread_siblings_list`, siblings);
    await write(`cpu/cpu${id}/topology/physical_package_id`, String(socket));
  }
  await write('node/node0/cpulist', '0,3');
  await write('node/node1/cpulist', '1');
  assert.deepEqual([...(await readTopology(dir)).values()], [{ id: 0, core: 0, socket: 0, node: 0 }, { id: 1, core: 1, socket: 1, node: 1 }, { id: 3, core: 0, socket: 0, node: 0 }]);
  assert.ok((await readTopology()).size > 0);
});
for (const [name, pod, want] of [
  ['a whole number of a Guaranteed Pod', whole('p', 2), 2],
  ['a part of a CPU', makePod().container('c', cpus('1500m')).build(), 0],
  ['a Burstable Pod', makePod().container('c', { resources: { requests: { cpu: '1', memory: '1Gi' }, limits: { cpu: '2', memory: '1Gi' } } }).build(), 0],
  ['a Pod with resources as a whole', makePod().spec({ resources: cpus('1').resources }).container('c', cpus('1')).build(), 0],
] as const) test(`exclusiveCpus: ${name}`, () => assert.equal(exclusiveCpus(pod, pod.spec.containers[0]!), want));

async function managerWith(options: { config?: Partial<KubeletConfig>; running?: RunningContainer[]; over?: Set<string> } = {}) {
  const clock = new FakeClock();
  const config = { ...kubeletConfig(dir, { cpuManagerPolicy: 'static', reservedSystemCPUs: '0', ...options.config }), rootDir: dir };
  const updates: string[] = [];
  let failing = false;
  const metrics = newKubeletMetrics();
  const manager = new CpuManager({
    config, clock, metrics, topology: async () => EIGHT, running: () => options.running ?? [], isOver: (uid) => options.over?.has(uid) ?? false,
    runtime: { updateContainerResources: async (r) => {
      if (failing) throw new Error('busy');
      updates.push(`${r.containerId} ${r.linux?.cpusetCpus}`);
      return {};
    } },
  });
  await manager.start();
  return { manager, clock, updates, metrics, fail: (on: boolean) => (failing = on), cpus: (name: string, c = 'c') => manager.cpusOf(`uid-${name}`, c)!.cpus, [Symbol.asyncDispose]: () => manager.stop() };
}
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('CpuManager gives whole CPUs, never the reserved ones, and moves the others away at once', async () => {
  const over = new Set<string>();
  await using m = await managerWith({ running: [{ uid: 'uid-other', name: 'c', id: 'id-other' }], over });
  assert.equal(m.cpus('other'), '0-7');
  await m.manager.allocate(whole('one', 2));
  assert.deepEqual([m.cpus('one'), m.cpus('other'), m.manager.hasExclusive('uid-one'), m.manager.hasExclusive('uid-other')], ['1,5', '0,2-4,6-7', true, false]);
  await turn();
  assert.deepEqual(m.updates, ['id-other 0,2-4,6-7']);
  await assert.rejects(m.manager.allocate(whole('big', 6)), { message: 'not enough cpus available to satisfy request: requested=6, available=5' });
  const text = await m.metrics.registry.metrics();
  assert.match(text, /kubelet_cpu_manager_pinning_requests_total 2\n/);
  assert.match(text, /kubelet_cpu_manager_pinning_errors_total 1\n/);
  assert.match(text, /kubelet_cpu_manager_shared_pool_size_millicores 6000\n/);
  over.add('uid-one');
  await m.manager.allocate(whole('big', 6));
  assert.equal(parseCpuSet(m.cpus('big')).size, 6);
  assert.deepEqual(parseCpuSet(m.cpus('other')), new Set(EIGHT.keys()).difference(parseCpuSet(m.cpus('big'))));
  await m.manager.release('uid-big');
  assert.equal(m.cpus('other'), '0-7');
});
test('CpuManager: a container that could not be moved is moved at the next round', async () => {
  await using m = await managerWith({ running: [{ uid: 'uid-other', name: 'c', id: 'id-other' }] });
  m.fail(true);
  await m.manager.allocate(whole('one', 1));
  await turn();
  assert.deepEqual(m.updates, []);
  m.fail(false);
  await m.clock.advance(10_000);
  await turn();
  assert.equal(m.updates.length, 1);
  await m.clock.advance(10_000);
  assert.equal(m.updates.length, 1);
});
test('CpuManager: main containers use the CPUs of init containers that have ended', async () => {
  await using m = await managerWith();
  await m.manager.allocate(makePod('p').init('i', cpus('3')).container('c', cpus('2')).container('d', cpus('2')).build());
  const [init, c, d] = ['i', 'c', 'd'].map((name) => parseCpuSet(m.cpus('p', name)));
  assert.ok(c!.isDisjointFrom(d!));
  assert.ok(init!.isSubsetOf(c!.union(d!)));
});
test('CpuManager remembers over a restart; what does not fit the node stops the start', async () => {
  {
    await using m = await managerWith();
    await m.manager.allocate(whole('one', 2));
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
  await m.manager.allocate(whole('one', 2));
  assert.equal(m.manager.cpusOf('uid-one', 'c'), undefined);
});
