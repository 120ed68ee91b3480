/**
 * Which CPUs are given: those that lie best together, out of what is in use already before what is whole.
 * Source: the CPU manager's policy documents (KEP-3570) and, for caches, KEP-4800.
 *
 * ```
 *   whole nodes and sockets ──▶ (caches) ──▶ whole cores ──▶ single CPUs
 * ```
 * A group counts as whole when every CPU of it is free, also on machines whose cores are unlike.
 */
import type { Cpu } from '../node/machine-topology.ts';
import type { CpuGroup, CpuTopology } from './topology.ts';

export interface PackedOptions {
  /** Whole caches first, then a part of a single one. */
  readonly alignByUncoreCache?: boolean;
}
/** Throws an Error when there are too few. */
export function takePacked(topology: CpuTopology, available: ReadonlySet<number>, count: number, { alignByUncoreCache = false }: PackedOptions = {}): ReadonlySet<number> {
  checkEnough(available, count);
  const picker = new Picker(topology, available, count);
  const [outer, inner] = order(topology);
  picker.takeWhole(outer, [outer]);
  picker.takeWhole(inner, [outer, inner]);
  if (alignByUncoreCache) takeCaches(picker);
  picker.takeWhole('core', [outer, inner, 'core']);
  picker.takeSingle([outer, inner, 'core']);
  return picker.taken;
}
export function checkEnough(available: ReadonlySet<number>, count: number): void {
  if (count > available.size) throw new Error(`not enough cpus available to satisfy request: requested=${count}, available=${available.size}`);
}
/** Which of both holds the other on this machine. */
function order(topology: CpuTopology): readonly ['node', 'socket'] | readonly ['socket', 'node'] {
  return topology.count('socket') >= topology.count('node') ? ['node', 'socket'] : ['socket', 'node'];
}
/** Nodes with free CPUs, the fullest first. */
export function nodesByUse(topology: CpuTopology, available: ReadonlySet<number>): number[] {
  const [outer, inner] = order(topology);
  return new Picker(topology, available, 0).groups('node', outer === 'node' ? [outer] : [outer, inner]);
}

/** Takes CPUs out of those that are free until there are enough. */
class Picker {
  readonly topology: CpuTopology;
  readonly taken = new Set<number>();
  readonly #free: Set<number>;
  readonly #count: number;
  constructor(topology: CpuTopology, available: ReadonlySet<number>, count: number) {
    this.topology = topology;
    this.#free = new Set(available);
    this.#count = count;
  }
  get missing(): number {
    return this.#count - this.taken.size;
  }
  /** Free CPUs, those of the fullest groups first; groups are looked at from the outermost in. */
  free(path: readonly CpuGroup[]): Cpu[] {
    const used = path.map((kind) => this.topology.spread(kind, this.#free));
    const rank = (cpu: Cpu): number[] => [...path.flatMap((kind, i) => [used[i]!.get(cpu[kind])!, cpu[kind]]), cpu.id];
    const ranked = [...this.#free].map((id) => this.topology.cpus.get(id)!).map((cpu) => ({ cpu, rank: rank(cpu) }));
    return ranked.toSorted((a, b) => a.rank.map((x, i) => x - b.rank[i]!).find((d) => d !== 0) ?? 0).map(({ cpu }) => cpu);
  }
  /** Groups with free CPUs in the same order. */
  groups(kind: CpuGroup, path: readonly CpuGroup[]): number[] {
    return [...new Set(this.free(path).map((cpu) => cpu[kind]))];
  }
  freeIn(kind: CpuGroup, id: number): Cpu[] {
    return [...this.topology.inGroups(kind, [id]).intersection(this.#free)].toSorted((a, b) => a - b).map((cpu) => this.topology.cpus.get(cpu)!);
  }
  takeWhole(kind: CpuGroup, path: readonly CpuGroup[]): void {
    for (const id of this.missing > 0 ? this.groups(kind, path) : []) {
      const all = this.topology.inGroups(kind, [id]);
      if (all.size <= this.missing && all.isSubsetOf(this.#free)) this.take(all);
    }
  }
  takeSingle(path: readonly CpuGroup[]): void {
    for (const { id } of this.missing > 0 ? this.free(path) : []) if (this.missing > 0) this.take([id]);
  }
  take(cpus: Iterable<number>): void {
    for (const cpu of cpus) {
      this.taken.add(cpu);
      this.#free.delete(cpu);
    }
  }
}
function takeCaches(picker: Picker): void {
  const { topology } = picker;
  const [outer] = order(topology);
  const path: CpuGroup[] = outer === 'node' ? ['node', 'uncore'] : ['socket', 'node', 'uncore'];
  const caches = picker.groups('uncore', path);
  if (picker.missing >= topology.per('uncore')) picker.takeWhole('uncore', path);
  for (const cache of caches) {
    if (picker.missing === 0) return;
    const part = partOf(picker, cache);
    if (part.length === picker.missing) picker.take(part);
  }
}
/** CPUs of as many cores of a cache as are needed, the last core only in part where an odd number is missing. */
function partOf(picker: Picker, cache: number): number[] {
  const { topology, missing } = picker;
  const cores = Map.groupBy(picker.freeIn('uncore', cache), (cpu) => cpu.core);
  const used = [...cores.keys()].toSorted((a, b) => a - b).slice(0, Math.ceil(missing / topology.per('core')));
  const cpus = used.flatMap((core) => cores.get(core)!.map((cpu) => cpu.id)).toSorted((a, b) => a - b);
  return missing % 2 === 1 && topology.per('core') > 1 && cpus.length > missing ? cpus.slice(0, -1) : cpus;
}
