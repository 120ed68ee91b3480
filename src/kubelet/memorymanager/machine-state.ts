/**
 * The memory of each NUMA node: what of it is given to whom. Values, never changed: every step gives the next state.
 *
 * A node is used either alone or, by `cells`, in a group with the same other nodes, as long as anything is given of it.
 * Source: KEP-1769, "Memory map".
 */
import type { NumaNode } from '../node/machine-topology.ts';
import type { Hint } from '../topologymanager/hints.ts';
import { byNarrowness, countOf, maskOf, masksOver, nodesOf, type NumaMask } from '../topologymanager/numa-mask.ts';

/** Bytes. */
export interface MemoryTable {
  readonly total: number;
  readonly systemReserved: number;
  readonly allocatable: number;
  readonly reserved: number;
  readonly free: number;
}
export interface NodeMemory {
  /** How many times something was given of this node. */
  readonly numberOfAssignments: number;
  /** By resource: `memory`, `hugepages-1Gi`. */
  readonly memoryMap: Readonly<Record<string, MemoryTable>>;
  /** This node, and those that it is in a group with. */
  readonly cells: readonly number[];
}
/** By the node's number. */
export type MachineState = Readonly<Record<number, NodeMemory>>;
/** So much of a resource, on these nodes together. */
export interface MemoryBlock {
  readonly numaAffinity: readonly number[];
  readonly type: string;
  readonly size: number;
}
/** Bytes by resource. */
export type MemoryRequests = ReadonlyMap<string, number>;

/** Nothing is given yet. `reserved`: bytes by node and resource. Throws an Error where more is reserved than there is. */
export function initialState(nodes: readonly NumaNode[], reserved: ReadonlyMap<number, MemoryRequests>): MachineState {
  const table = (node: number, resource: string, total: number, taken = 0): MemoryTable => {
    const systemReserved = reserved.get(node)?.get(resource) ?? 0;
    const allocatable = total - taken - systemReserved;
    if (allocatable < 0) throw new Error(`[memorymanager] more ${resource} is reserved of NUMA node ${node} than it has`);
    return { total, systemReserved, allocatable, reserved: 0, free: allocatable };
  };
  return Object.fromEntries(nodes.map(({ id, memoryBytes, hugePages }) => {
    const huge = Object.entries(hugePages).map(([size, bytes]) => [`hugepages-${size}`, bytes] as const);
    const taken = huge.reduce((sum, [, bytes]) => sum + bytes, 0);
    const memoryMap = Object.fromEntries([...huge.map(([name, bytes]) => [name, table(id, name, bytes)] as const), ['memory', table(id, 'memory', memoryBytes, taken)] as const]);
    return [id, { numberOfAssignments: 0, memoryMap, cells: [id] }];
  }));
}
/** Gives `size` bytes of the nodes, the first ones' first. Throws an Error for nodes and resources that the machine has not. */
export function reserve(state: MachineState, { numaAffinity, type, size }: MemoryBlock): MachineState {
  const missing = numaAffinity.find((id) => !state[id]);
  if (missing !== undefined) throw new Error('the memory assignment uses the NUMA that does not exist');
  if (numaAffinity.some((id) => !state[id]!.memoryMap[type])) throw new Error('the memory assignment uses memory resource that does not exist');
  return move(state, numaAffinity, type, size, (t, left) => Math.min(t.free, left), () => 1, () => numaAffinity);
}
/** Takes back what {@link reserve} gave. */
export function release(state: MachineState, { numaAffinity, type, size }: MemoryBlock): MachineState {
  return move(state, numaAffinity, type, size, (t, left) => -Math.min(t.reserved, left), () => -1, (node, id) => (node.numberOfAssignments === 1 ? [id] : node.cells));
}
function move(state: MachineState, nodes: readonly number[], type: string, size: number, amount: (table: MemoryTable, left: number) => number, step: () => number, cells: (node: NodeMemory, id: number) => readonly number[]): MachineState {
  const next: Record<number, NodeMemory> = { ...state };
  let left = size;
  for (const id of nodes) {
    const node = state[id]!;
    const table = node.memoryMap[type];
    const moved = table ? amount(table, left) : 0;
    left -= Math.abs(moved);
    next[id] = {
      numberOfAssignments: node.numberOfAssignments + step(), cells: cells(node, id),
      memoryMap: table ? { ...node.memoryMap, [type]: { ...table, reserved: table.reserved + moved, free: table.free - moved } } : node.memoryMap,
    };
  }
  return next;
}

/** Sets of nodes where all this can be had now; preferred are those of as few nodes as would be enough if all was free. `reusable`: bytes that the Pod has there already. */
export function memoryHints(state: MachineState, requests: MemoryRequests, reusable: (nodes: NumaMask, resource: string) => number): Hint[] {
  const ids = Object.keys(state).map(Number);
  const sum = (mask: NumaMask, resource: string, of: 'free' | 'allocatable'): number => nodesOf(mask).reduce((total, id) => total + (state[id]!.memoryMap[resource]?.[of] ?? 0), 0);
  const large = masksOver(ids).filter((mask) => [...requests].every(([resource, size]) => sum(mask, resource, 'allocatable') >= size));
  const fewest = Math.min(ids.length, ...large.map(countOf));
  const possible = large.filter((mask) => mayGroup(state, mask) && [...requests].every(([resource, size]) => sum(mask, resource, 'free') + reusable(mask, resource) >= size));
  return possible.map((nodes) => ({ nodes, preferred: countOf(nodes) === fewest }));
}
/** No node of these is used alone, or in another group; a single one not in any. */
function mayGroup(state: MachineState, mask: NumaMask): boolean {
  const ids = nodesOf(mask);
  if (ids.length === 1) return state[ids[0]!]!.cells.length === 1;
  return !breaksGroups(state, mask);
}
/** Something is given of one of these nodes otherwise than of all of them together. */
export function breaksGroups(state: MachineState, mask: NumaMask): boolean {
  const ids = nodesOf(mask);
  return ids.length > 1 && ids.some((id) => state[id]!.numberOfAssignments > 0 && maskOf(state[id]!.cells) !== mask);
}
/** As much is free on these nodes. */
export function satisfies(state: MachineState, mask: NumaMask, requests: MemoryRequests): boolean {
  return [...requests].every(([resource, size]) => nodesOf(mask).reduce((sum, id) => sum + (state[id]?.memoryMap[resource]?.free ?? 0), 0) >= size);
}
/** The preferred one of the fewest nodes, else the one of the fewest. */
export function bestHint(hints: readonly Hint[]): (Hint & { readonly nodes: NumaMask }) | undefined {
  const known = hints.filter((h): h is Hint & { readonly nodes: NumaMask } => h.nodes !== undefined);
  return known.toSorted((a, b) => Number(b.preferred) - Number(a.preferred) || byNarrowness(a.nodes, b.nodes))[0];
}
/** The same machine, reserved alike, with as much given of each group of nodes. */
export function sameState(a: MachineState, b: MachineState): boolean {
  const ids = Object.keys(a).map(Number);
  if (ids.length !== Object.keys(b).length) return false;
  return ids.every((id) => {
    const [left, right] = [a[id]!, b[id]];
    if (!right || left.numberOfAssignments !== right.numberOfAssignments || maskOf(left.cells) !== maskOf(right.cells)) return false;
    const resources = Object.keys(left.memoryMap);
    if (resources.length !== Object.keys(right.memoryMap).length) return false;
    const ofGroup = (state: MachineState, resource: string, key: 'free' | 'reserved'): number => left.cells.reduce((sum, cell) => sum + (state[cell]?.memoryMap[resource]?.[key] ?? 0), 0);
    return resources.every((resource) => {
      const [x, y] = [left.memoryMap[resource]!, right.memoryMap[resource]];
      return y && (['total', 'systemReserved', 'allocatable'] as const).every((k) => x[k] === y[k]) && (['free', 'reserved'] as const).every((k) => ofGroup(a, resource, k) === ofGroup(b, resource, k));
    });
  });
}
