import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { preparedTest, temporaryDirectory } from '#base/testing/prepared-test.ts';
import { GIB, machineOf, writeSysfs, type MachineShape } from '../testing/machines.ts';
import { readMachineTopology } from './machine-topology.ts';

let dir = '';
const test = preparedTest(async (t) => { dir = await temporaryDirectory(t, 'machine'); });

const SHAPES: Readonly<Record<string, MachineShape>> = {
  'one socket with hyper-threads': {},
  'two sockets': { sockets: 2, coresPerNode: 2, hugePagesGi: 3 },
  'four nodes in two sockets': { sockets: 2, nodesPerSocket: 2, coresPerNode: 2, threads: 1, distances: [[10, 12, 20, 20], [12, 10, 20, 20], [20, 20, 10, 12], [20, 20, 12, 10]] },
  'several last-level caches in a node': { coresPerNode: 8, coresPerCache: 2 },
};
for (const [name, shape] of Object.entries(SHAPES)) {
  test(`readMachineTopology reads what the kernel tells: ${name}`, async () => {
    const machine = machineOf(shape);
    await writeSysfs(dir, machine);
    assert.deepEqual(await readMachineTopology({ system: dir }), machine);
  });
}
test('readMachineTopology leaves out CPUs that are offline, and knows nodes without CPUs', async () => {
  const machine = machineOf({ sockets: 2, coresPerNode: 1 });
  await writeSysfs(dir, machine, { 'cpu/online': '0,2', 'node/node3/cpulist': '', 'node/node3/meminfo': 'Node 3 MemTotal: 1048576 kB' });
  const { cpus, nodes } = await readMachineTopology({ system: dir });
  assert.deepEqual([...cpus.keys()], [0, 2]);
  assert.deepEqual(nodes.map(({ id, memoryBytes, distances }) => [id, memoryBytes / GIB, distances]), [[0, 16, [10, 20]], [1, 16, [20, 10]], [3, 1, undefined]]);
});
test('readMachineTopology of a kernel without nodes: one with all the memory', async () => {
  await writeFile(join(dir, 'meminfo'), 'MemTotal:        2097152 kB\nMemFree:         1 kB\n');
  const { nodes } = await readMachineTopology({ system: dir, meminfo: join(dir, 'meminfo') });
  assert.deepEqual(nodes.map((n) => [n.id, n.memoryBytes]), [[0, 2 * GIB]]);
});
test('readMachineTopology finds the CPUs and the memory of this machine', async () => {
  const { cpus, nodes } = await readMachineTopology();
  assert.ok(cpus.size > 0);
  assert.ok(nodes.some((n) => n.memoryBytes > 0));
});
