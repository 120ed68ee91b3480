/**
 * CPUs spread evenly over as few NUMA nodes as can have them. Source: KEP-2902.
 *
 * For 1, 2, 3… nodes: each takes the same number, what is left over goes to some of them. Of all such choices the one that leaves the nodes
 * of the machine with the most even numbers of free CPUs counts. Where nothing can be spread evenly, CPUs are packed.
 */
import { checkEnough, nodesByUse, takePacked } from './packed.ts';
import type { CpuTopology } from './topology.ts';

/** Which nodes take an even share, and which of them more. */
interface Choice {
  readonly nodes: readonly number[];
  readonly more: readonly number[];
  /** How uneven free CPUs are afterwards. */
  readonly balance: number;
}
/** CPUs are handed out by `groupSize`: 1, or the threads of a core. Throws an Error when there are too few. */
export function takeDistributed(topology: CpuTopology, available: ReadonlySet<number>, count: number, groupSize: number): ReadonlySet<number> {
  if (count === 0) return new Set();
  if (count % groupSize !== 0) return takePacked(topology, available, count);
  checkEnough(available, count);
  const free = topology.spread('node', available);
  const nodes = nodesByUse(topology, available);
  const groups = Math.ceil(count / groupSize);
  const groupsPerNode = Math.ceil(Math.ceil(topology.all.size / groupSize) / topology.count('node'));
  for (let n = Math.ceil(groups / groupsPerNode); n <= Math.min(groups, nodes.length); n++) {
    let best: Choice | undefined;
    for (const combination of combinations(nodes, n)) {
      const choice = weigh(combination, free, count, groupSize);
      if (choice && choice.balance < (best?.balance ?? Infinity)) best = choice;
      if (best?.balance === 0) break;
    }
    if (best) return takeFrom(topology, available, count, groupSize, best);
  }
  return takePacked(topology, available, count);
}
function share(count: number, nodes: number, groupSize: number): number {
  return Math.floor(Math.floor(count / nodes) / groupSize) * groupSize;
}
/** The most even way to have the CPUs from these nodes; undefined where that is none. */
function weigh(nodes: readonly number[], free: ReadonlyMap<number, number>, count: number, groupSize: number): Choice | undefined {
  const each = share(count, nodes.length, groupSize);
  const usable = nodes.reduce((sum, node) => sum + Math.floor(free.get(node)! / groupSize) * groupSize, 0);
  if (usable < count || nodes.some((node) => free.get(node)! < each)) return undefined;
  const left = new Map(free);
  for (const node of nodes) left.set(node, left.get(node)! - each);
  const over = count - each * nodes.length;
  if (over === 0) return { nodes, more: [], balance: deviation([...left.values()]) };
  let best: Choice | undefined;
  const candidates = nodes.filter((node) => left.get(node)! >= groupSize);
  for (let n = candidates.length; n >= 1; n--) {
    for (const more of combinations(candidates, n)) {
      const after = handOut(left, more, over, groupSize);
      const balance = after ? deviation([...after.values()]) : Infinity;
      if (balance < (best?.balance ?? Infinity)) best = { nodes, more, balance };
    }
  }
  return best;
}
/** What nodes have left when `count` CPUs are taken from these, a group from each in turn; undefined where they have too few. */
function handOut(free: ReadonlyMap<number, number>, nodes: readonly number[], count: number, groupSize: number): Map<number, number> | undefined {
  const left = new Map(free);
  let missing = count;
  while (missing > 0) {
    const able = nodes.filter((node) => left.get(node)! >= groupSize).slice(0, missing / groupSize);
    if (able.length === 0) return undefined;
    for (const node of able) left.set(node, left.get(node)! - groupSize);
    missing -= able.length * groupSize;
  }
  return left;
}
function takeFrom(topology: CpuTopology, available: ReadonlySet<number>, count: number, groupSize: number, { nodes, more }: Choice): ReadonlySet<number> {
  let taken: ReadonlySet<number> = new Set();
  const take = (node: number, amount: number): void => {
    taken = taken.union(takePacked(topology, topology.inGroups('node', [node]).intersection(available.difference(taken)), amount));
  };
  for (const node of nodes) take(node, share(count, nodes.length, groupSize));
  while (taken.size < count) {
    const free = topology.spread('node', available.difference(taken));
    for (const node of more) if (taken.size < count && (free.get(node) ?? 0) >= groupSize) take(node, groupSize);
  }
  return taken;
}
/** Standard deviation, in thousandths: closer ones count as equal. */
function deviation(values: readonly number[]): number {
  const thousandths = (x: number): number => Math.round(x * 1000) / 1000;
  const mean = thousandths(values.reduce((sum, x) => sum + x, 0) / values.length);
  return thousandths(Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length));
}
function* combinations<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  if (size === 0) yield [];
  else for (const [i, item] of items.entries()) for (const rest of combinations(items.slice(i + 1), size - 1)) yield [item, ...rest];
}
