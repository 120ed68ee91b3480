/** The machine's CPUs and NUMA nodes: what shares a core, a cache, a socket, a node; each node's memory. Source: the kernel's "CPU topology info via sysfs" and ABI/stable/sysfs-devices-node. */
import { readdir, readFile } from 'node:fs/promises';
import { parseCpuSet } from '../cpumanager/cpu-set.ts';

export interface Cpu {
  readonly id: number;
  /** Unique on the machine. */
  readonly core: number;
  readonly socket: number;
  readonly node: number;
  /** The last cache that only a part of a node's CPUs share; where they all share one, the socket. */
  readonly uncore: number;
}
export interface NumaNode {
  readonly id: number;
  readonly memoryBytes: number;
  /** Huge pages set aside, bytes by page size as resources name it: `{ '2Mi': 0 }`. */
  readonly hugePages: Readonly<Record<string, number>>;
  /** To each node of the machine, in their order; undefined where the kernel does not tell. */
  readonly distances: readonly number[] | undefined;
}
export interface MachineTopology {
  /** Those that are online. */
  readonly cpus: ReadonlyMap<number, Cpu>;
  /** Ascending; some may have no CPU, some no memory. */
  readonly nodes: readonly NumaNode[];
}
export interface TopologyFiles {
  /** `/sys/devices/system`. */
  readonly system?: string;
  /** `/proc/meminfo`: the memory of a machine whose kernel knows of no nodes. */
  readonly meminfo?: string;
}

type Read = (path: string) => Promise<string>;
const text: Read = async (path) => (await readFile(path, 'utf8').catch(() => '')).trim();
const list = async (dir: string): Promise<string[]> => await readdir(dir).catch(() => []);

export async function readMachineTopology({ system = '/sys/devices/system', meminfo = '/proc/meminfo' }: TopologyFiles = {}): Promise<MachineTopology> {
  const ids = (await list(`${system}/node`)).flatMap((name) => /^node(\d+)$/.exec(name)?.[1] ?? []).map(Number).toSorted((a, b) => a - b);
  const nodes = await Promise.all(ids.map((id) => readNode(`${system}/node/node${id}`, id)));
  const cpus = await readCpus(system, ids);
  if (nodes.length > 0) return { cpus, nodes };
  return { cpus, nodes: [{ id: 0, memoryBytes: kib(await text(meminfo), 'MemTotal'), hugePages: await readHugePages('/sys/kernel/mm/hugepages'), distances: undefined }] };
}
async function readNode(dir: string, id: number): Promise<NumaNode> {
  const distances = (await text(`${dir}/distance`)).split(/\s+/).filter(Boolean).map(Number);
  return { id, memoryBytes: kib(await text(`${dir}/meminfo`), 'MemTotal'), hugePages: await readHugePages(`${dir}/hugepages`), distances: distances.length ? distances : undefined };
}
function kib(meminfo: string, name: string): number {
  return Number(new RegExp(`${name}:\\s+(\\d+)`).exec(meminfo)?.[1] ?? 0) * 1024;
}
/** `dir` has one directory for each size: `hugepages-2048kB`. Bytes by `2Mi`. */
export async function readHugePages(dir: string): Promise<Record<string, number>> {
  const out: Record<string, number> = {};
  for (const name of (await list(dir)).toSorted()) {
    const size = Number(/^hugepages-(\d+)kB$/.exec(name)?.[1]);
    if (!size) continue;
    const of = size % 1_048_576 === 0 ? `${size / 1_048_576}Gi` : size % 1024 === 0 ? `${size / 1024}Mi` : `${size}Ki`;
    out[of] = Number(await text(`${dir}/${name}/nr_hugepages`)) * size * 1024;
  }
  return out;
}
async function readCpus(system: string, nodes: readonly number[]): Promise<ReadonlyMap<number, Cpu>> {
  const online = parseCpuSet(await text(`${system}/cpu/online`));
  const nodeOf = new Map<number, number>();
  for (const id of nodes) for (const cpu of parseCpuSet(await text(`${system}/node/node${id}/cpulist`))) nodeOf.set(cpu, id);
  const onNode = (id: number): number => [...online].filter((cpu) => nodeOf.get(cpu) === nodeOf.get(id)).length;
  const out = new Map<number, Cpu>();
  for (const id of [...online].toSorted((a, b) => a - b)) {
    const dir = `${system}/cpu/cpu${id}`;
    const siblings = parseCpuSet(await text(`${dir}/topology/thread_siblings_list`));
    const socket = Number((await text(`${dir}/topology/physical_package_id`)) || '0');
    // Core numbers of the kernel are those of a socket: the first thread's number stands for the core.
    out.set(id, { id, core: siblings.size ? Math.min(...siblings) : id, socket, node: nodeOf.get(id) ?? 0, uncore: (await uncoreCache(`${dir}/cache`, onNode(id))) ?? socket });
  }
  return out;
}
/** The number of a cache beyond the second level that not just all CPUs of the node share. */
async function uncoreCache(dir: string, cpusOfNode: number): Promise<number | undefined> {
  for (const name of (await list(dir)).filter((n) => /^index\d+$/.test(n)).toSorted()) {
    if (Number(await text(`${dir}/${name}/level`)) <= 2) continue;
    const id = await text(`${dir}/${name}/id`);
    if (id !== '' && parseCpuSet(await text(`${dir}/${name}/shared_cpu_list`)).size !== cpusOfNode) return Number(id);
  }
  return undefined;
}
