import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Cpu } from '../node/machine-topology.ts';
import { machineOf } from '../testing/machines.ts';
import { formatCpuSet, parseCpuSet } from './cpu-set.ts';
import { takeDistributed } from './distributed.ts';
import { takePacked } from './packed.ts';
import { CpuTopology } from './topology.ts';

interface Vectors {
  readonly machines: readonly { readonly machine: string; readonly cpus: string; readonly cases: readonly string[] }[];
}
const vectors = JSON.parse(readFileSync(new URL('../../../test/vectors/kubelet/cpu-assignment.json', import.meta.url), 'utf8')) as Vectors;
type Take = (topology: CpuTopology, available: ReadonlySet<number>, count: number) => ReadonlySet<number>;
const WAYS: Readonly<Record<string, Take>> = {
  packed: (t, available, count) => takePacked(t, available, count),
  uncore: (t, available, count) => takePacked(t, available, count, { alignByUncoreCache: true }),
  numa1: (t, available, count) => takeDistributed(t, available, count, 1),
  numaN: (t, available, count) => takeDistributed(t, available, count, t.per('core')),
};
function topologyOf(text: string): CpuTopology {
  const rows = text.split(' ').map((row) => row.split('/').map(Number));
  return new CpuTopology(new Map(rows.map(([core = 0, socket = 0, node = 0, uncore = 0], id): [number, Cpu] => [id, { id, core, socket, node, uncore }])));
}
const outcome = (run: () => ReadonlySet<number>): string => {
  try {
    return formatCpuSet(run());
  } catch (err) {
    return `! ${(err as Error).message}`;
  }
};

for (const { machine, cpus, cases } of vectors.machines) {
  test(`CPUs are taken as a kubelet of v1.36 takes them: ${machine}`, () => {
    const topology = topologyOf(cpus);
    for (const line of cases) {
      const [way = '', request = '', want] = line.split(' | ');
      const [count, , available = ''] = request.split(' ');
      assert.equal(outcome(() => WAYS[way]!(topology, available === 'none' ? new Set() : parseCpuSet(available), Number(count))), want, line);
    }
  });
}
for (const [way, available, count, want] of [
  // Cores of two threads (0-7) beside cores of one (8-11): only what is free is taken.
  ['packed', '1,3,8-9', 3, '1,8-9'], ['packed', '0-1,3,8', 2, '3,8'], ['numa1', '1,3,5', 2, '1,3'], ['packed', '0-11', 12, '0-11'],
] as const) {
  test(`unlike cores: ${way} ${count} of ${available}`, () => {
    const unlike = topologyOf(Array.from({ length: 12 }, (_, id) => `${id < 8 ? id - (id % 2) : id}/0/0/0`).join(' '));
    assert.equal(outcome(() => WAYS[way]!(unlike, parseCpuSet(available), count)), want);
  });
}
test('takeDistributed: six nodes, a request that five of them share out', () => {
  const topology = new CpuTopology(machineOf({ sockets: 3, nodesPerSocket: 2, coresPerNode: 4, threads: 1 }).cpus);
  const taken = takeDistributed(topology, topology.all, 20, 1);
  assert.deepEqual([taken.size, [...topology.spread('node', taken).values()]], [20, [4, 4, 4, 4, 4]]);
});
