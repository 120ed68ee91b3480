/** The CPUs of the machine by what they share, as allocations look at them. */
import type { Cpu } from '../node/machine-topology.ts';

export type CpuGroup = 'node' | 'socket' | 'uncore' | 'core';

export class CpuTopology {
  readonly cpus: ReadonlyMap<number, Cpu>;
  readonly all: ReadonlySet<number>;
  readonly #groups: Readonly<Record<CpuGroup, ReadonlyMap<number, ReadonlySet<number>>>>;

  constructor(cpus: ReadonlyMap<number, Cpu>) {
    this.cpus = cpus;
    this.all = new Set(cpus.keys());
    const of = (kind: CpuGroup) => new Map(Array.from(Map.groupBy(cpus.values(), (c) => c[kind]), ([id, list]) => [id, new Set(list.map((c) => c.id))]));
    this.#groups = { node: of('node'), socket: of('socket'), uncore: of('uncore'), core: of('core') };
  }
  /** All CPUs of the groups of this kind: those of nodes 0 and 2. */
  inGroups(kind: CpuGroup, ids: Iterable<number>): Set<number> {
    const out = new Set<number>();
    for (const id of ids) for (const cpu of this.#groups[kind].get(id) ?? []) out.add(cpu);
    return out;
  }
  ids(kind: CpuGroup): number[] {
    return [...this.#groups[kind].keys()].toSorted((a, b) => a - b);
  }
  count(kind: CpuGroup): number {
    return this.#groups[kind].size;
  }
  /** CPUs in a group of this kind, on average, rounded down. */
  per(kind: CpuGroup): number {
    return this.all.size === 0 ? 0 : Math.floor(this.all.size / this.count(kind));
  }
  /** How many of these CPUs are on each group of this kind. */
  spread(kind: CpuGroup, cpus: Iterable<number>): Map<number, number> {
    const out = new Map<number, number>();
    for (const cpu of cpus) {
      const id = this.cpus.get(cpu)![kind];
      out.set(id, (out.get(id) ?? 0) + 1);
    }
    return out;
  }
}
