/** Machines of any shape, in memory or as the kernel shows them in files. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { formatCpuSet } from '../cpumanager/cpu-set.ts';
import type { Cpu, MachineTopology, NumaNode } from '../node/machine-topology.ts';

export interface MachineShape {
  readonly sockets?: number;
  readonly nodesPerSocket?: number;
  readonly coresPerNode?: number;
  readonly threads?: number;
  /** Cores that share a last-level cache; all of a node's where absent. */
  readonly coresPerCache?: number;
  readonly memoryGi?: number;
  /** Pages of 1 GiB on each node. */
  readonly hugePagesGi?: number;
  readonly distances?: readonly (readonly number[])[];
}
export const GIB = 2 ** 30;

/** Numbered as the kernel does: the first threads of all cores, then their siblings. */
export function machineOf({ sockets = 1, nodesPerSocket = 1, coresPerNode = 4, threads = 2, coresPerCache, memoryGi = 16, hugePagesGi = 0, distances }: MachineShape = {}): MachineTopology {
  const cores = sockets * nodesPerSocket * coresPerNode;
  const cpus = Array.from({ length: cores * threads }, (_, id): Cpu => {
    const core = id % cores;
    const node = Math.floor(core / coresPerNode);
    const socket = Math.floor(node / nodesPerSocket);
    return { id, core, socket, node, uncore: coresPerCache === undefined ? socket : Math.floor(core / coresPerCache) };
  });
  const nodes = Array.from({ length: sockets * nodesPerSocket }, (_, id): NumaNode => ({
    id, memoryBytes: memoryGi * GIB, hugePages: { '1Gi': hugePagesGi * GIB },
    distances: distances?.[id] ?? Array.from({ length: sockets * nodesPerSocket }, (__, other) => (other === id ? 10 : 20)),
  }));
  return { cpus: new Map(cpus.map((c) => [c.id, c])), nodes };
}
/** Writes what `/sys/devices/system` would have of the machine; `more` files beside. */
export async function writeSysfs(dir: string, { cpus, nodes }: MachineTopology, more: Readonly<Record<string, string>> = {}): Promise<void> {
  const all = [...cpus.values()];
  const listOf = (test: (cpu: Cpu) => boolean): string => formatCpuSet(all.filter(test).map((c) => c.id));
  const files: Record<string, string> = { 'cpu/online': listOf(() => true) };
  for (const { id, core, socket, node, uncore } of all) {
    const cpu = `cpu/cpu${id}`;
    files[`${cpu}/topology/thread_siblings_list`] = listOf((c) => c.core === core);
    files[`${cpu}/topology/physical_package_id`] = String(socket);
    const shared = all.some((c) => c.node === node && c.uncore !== uncore) ? (c: Cpu): boolean => c.uncore === uncore : (c: Cpu): boolean => c.node === node;
    for (const [i, [level, cacheId, list]] of ([['1', core, (c: Cpu) => c.core === core], ['3', uncore, shared]] as const).entries()) {
      Object.assign(files, { [`${cpu}/cache/index${i}/level`]: level, [`${cpu}/cache/index${i}/id`]: String(cacheId), [`${cpu}/cache/index${i}/shared_cpu_list`]: listOf(list) });
    }
  }
  for (const { id, memoryBytes, hugePages, distances } of nodes) {
    files[`node/node${id}/cpulist`] = listOf((c) => c.node === id);
    files[`node/node${id}/meminfo`] = `Node ${id} MemTotal:       ${memoryBytes / 1024} kB\nNode ${id} MemFree:        1 kB`;
    files[`node/node${id}/hugepages/hugepages-1048576kB/nr_hugepages`] = String((hugePages['1Gi'] ?? 0) / GIB);
    if (distances) files[`node/node${id}/distance`] = distances.join(' ');
  }
  for (const [path, text] of Object.entries({ ...files, ...more })) {
    await mkdir(dirname(join(dir, path)), { recursive: true });
    await writeFile(join(dir, path), `${text}\n`);
  }
}
