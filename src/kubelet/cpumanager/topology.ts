/** The CPUs of the machine: which share a core, a socket, a NUMA node. Source: the kernel's "CPU topology info via sysfs". */
import { readdir, readFile } from 'node:fs/promises';
import { parseCpuSet } from './cpu-set.ts';

export interface Cpu {
  readonly id: number;
  /** Unique on the machine. */
  readonly core: number;
  readonly socket: number;
  readonly node: number;
}
export type Topology = ReadonlyMap<number, Cpu>;

/** CPUs that are online. `dir`: `/sys/devices/system`. */
export async function readTopology(dir = '/sys/devices/system'): Promise<Topology> {
  const read = async (path: string): Promise<string> => (await readFile(`${dir}/${path}`, 'utf8').catch(() => '')).trim();
  const nodeOf = new Map<number, number>();
  for (const name of await readdir(`${dir}/node`).catch(() => [])) {
    const id = Number(/^node(\d+)$/.exec(name)?.[1] ?? NaN);
    if (!Number.isNaN(id)) for (const cpu of parseCpuSet(await read(`node/${name}/cpulist`))) nodeOf.set(cpu, id);
  }
  const out = new Map<number, Cpu>();
  for (const id of parseCpuSet(await read('cpu/online'))) {
    const siblings = parseCpuSet(await read(`cpu/cpu${id}/topology/thread_siblings_list`));
    const socket = Number((await read(`cpu/cpu${id}/topology/physical_package_id`)) || '0');
    // Core numbers of the kernel are those of a socket: the first thread's number stands for the core.
    out.set(id, { id, core: siblings.size ? Math.min(...siblings) : id, socket, node: nodeOf.get(id) ?? 0 });
  }
  return out;
}

/**
 * The `count` CPUs of those available that lie best together: whole sockets, then whole cores, then single CPUs, on sockets and cores
 * that are in use already before others. Upstream's packed allocation. Throws an Error when there are too few.
 */
export function takeCpus(topology: Topology, available: ReadonlySet<number>, count: number): Set<number> {
  if (count > available.size) throw new Error(`not enough cpus available to satisfy request: requested=${count}, available=${available.size}`);
  const taken = new Set<number>();
  const left = (): Cpu[] => [...topology.values()].filter((c) => available.has(c.id) && !taken.has(c.id));
  for (const level of ['node', 'socket', 'core'] as const) {
    for (const group of packed(left(), level, topology)) {
      const whole = group.length === [...topology.values()].filter((c) => c[level] === group[0]![level]).length;
      if (whole && group.length <= count - taken.size) for (const c of group) taken.add(c.id);
    }
  }
  for (const group of packed(left(), 'core', topology)) for (const c of group) if (taken.size < count) taken.add(c.id);
  return taken;
}
/** Groups of free CPUs, those on the fullest sockets and cores first. */
function packed(free: readonly Cpu[], level: 'node' | 'socket' | 'core', topology: Topology): Cpu[][] {
  const freeOn = (key: 'socket' | 'core', value: number): number => free.filter((c) => c[key] === value).length;
  const groups = [...Map.groupBy(free, (c) => c[level]).values()];
  if (level !== 'core') return groups;
  const order = (g: readonly Cpu[]): readonly number[] => [freeOn('socket', g[0]!.socket), freeOn('core', g[0]!.core), g[0]!.core];
  return groups.toSorted((a, b) => order(a).map((x, i) => x - order(b)[i]!).find((d) => d !== 0) ?? 0).map((g) => g.toSorted((a, b) => a.id - b.id)).filter((g) => topology.has(g[0]!.id));
}
