/**
 * Pools of devices, as one node sees them. Source: the API reference, "ResourcePool" and "ResourceSliceSpec"; KEP-4381, KEP-4815.
 *
 * A driver replaces a pool by slices of the next generation. Of the slices that matter to a node those of the newest generation count;
 * the pool is complete when as many are there as each of them says. Nothing is given out of a pool that is incomplete or contradicts itself.
 */
import type { Node, NodeSelector } from '#api/gen/core-v1.ts';
import type { Device, ResourceSlice } from '#api/gen/resource-v1.ts';
import { nameOf } from '#api/object.ts';
import { CompiledNodeSelector } from '#machinery/node-selector.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import { deviceId, type Amounts } from './device-ledger.ts';

export interface Candidate {
  readonly id: string;
  readonly driver: string;
  readonly device: Device;
  readonly slice: ResourceSlice;
  readonly pool: Pool;
}
export interface Pool {
  /** `driver/pool`. */
  readonly key: string;
  readonly driver: string;
  readonly name: string;
  readonly state: 'complete' | 'incomplete' | 'invalid';
  /** Devices of the slices that are for the node, by the names of slices; those that are in the node's reach only are not told apart yet. */
  readonly candidates: readonly Candidate[];
  /** What counters hold in all, by counter set. */
  readonly counterSets: ReadonlyMap<string, Amounts>;
  /** All devices of the pool that draw on counters, on whatever node they are. */
  readonly consumers: readonly { readonly id: string; readonly device: Device }[];
}

export function poolKeyOf({ spec }: ResourceSlice): string {
  return `${spec.driver}/${spec.pool.name}`;
}

interface Place {
  readonly nodeName?: string | undefined;
  readonly allNodes?: boolean | undefined;
  readonly nodeSelector?: NodeSelector | undefined;
}
const selectors = new WeakMap<NodeSelector, CompiledNodeSelector>();
export function reaches({ nodeName, allNodes, nodeSelector }: Place, node: Node): boolean {
  if (nodeName) return nodeName === nameOf(node);
  if (allNodes) return true;
  if (!nodeSelector) return false;
  let compiled = selectors.get(nodeSelector);
  if (!compiled) selectors.set(nodeSelector, (compiled = new CompiledNodeSelector(nodeSelector)));
  return compiled.matches(node);
}
function matters({ spec }: ResourceSlice, node: Node): boolean {
  if (spec.sharedCounters?.length) return true;
  if (spec.perDeviceNodeSelection) return (spec.devices ?? []).some((device) => reaches(device, node));
  return reaches(spec, node);
}

/** `slices` are those that may matter to the node, `wholePool` gives all slices of a pool, whatever their generation. */
export function gatherPools(node: Node, slices: readonly ResourceSlice[], wholePool: (key: string) => readonly ResourceSlice[]): Pool[] {
  const newest = new Map<string, ResourceSlice[]>();
  for (const slice of slices) {
    if (!matters(slice, node)) continue;
    const key = poolKeyOf(slice);
    const known = newest.get(key);
    const ahead = known ? slice.spec.pool.generation - known[0]!.spec.pool.generation : 1;
    if (ahead > 0) newest.set(key, [slice]);
    else if (ahead === 0) known!.push(slice);
  }
  const pools: Pool[] = [];
  for (const [key, own] of newest) {
    const pool = poolOf(key, own, wholePool);
    if (pool) pools.push(pool);
  }
  return pools.toSorted((a, b) => Number(hasConditions(a)) - Number(hasConditions(b)) || compare(a.driver, b.driver) || compare(a.name, b.name));
}
/** Undefined: a newer generation has nothing for the node. */
function poolOf(key: string, own: readonly ResourceSlice[], wholePool: (key: string) => readonly ResourceSlice[]): Pool | undefined {
  const { driver, pool } = own[0]!.spec;
  const base = { key, driver, name: pool.name, candidates: [], counterSets: new Map<string, Amounts>(), consumers: [] };
  let others: readonly ResourceSlice[] = [];
  if (own.length !== pool.resourceSliceCount) {
    const all = wholePool(key);
    if (all.some((s) => s.spec.pool.generation > pool.generation)) return undefined;
    const current = all.filter((s) => s.spec.pool.generation === pool.generation);
    if (current.length !== pool.resourceSliceCount) return { ...base, state: 'incomplete' };
    others = current.filter((s) => !own.includes(s));
  }
  const sorted = own.toSorted((a, b) => compare(nameOf(a), nameOf(b)));
  const counterSets = counterSetsOf(sorted);
  if (!counterSets || hasTwins(sorted) || ![...sorted, ...others].every((s) => knowsCounters(s, counterSets))) return { ...base, state: 'invalid' };
  const candidates: Candidate[] = [];
  const consumers = [...sorted, ...others].flatMap((s) => (s.spec.devices ?? []).filter((d) => d.consumesCounters?.length).map((device) => ({ id: idOf(s, device), device })));
  const complete: Pool = { ...base, state: 'complete', candidates, counterSets, consumers };
  for (const slice of sorted) {
    if (slice.spec.sharedCounters?.length) continue;
    for (const device of slice.spec.devices ?? []) candidates.push({ id: idOf(slice, device), driver, device, slice, pool: complete });
  }
  return complete;
}
function idOf({ spec }: ResourceSlice, device: Device): string {
  return deviceId(spec.driver, spec.pool.name, device.name);
}
function hasTwins(slices: readonly ResourceSlice[]): boolean {
  const names = slices.flatMap((s) => (s.spec.devices ?? []).map((d) => d.name));
  return new Set(names).size < names.length;
}
/** Undefined where two sets have one name. */
function counterSetsOf(slices: readonly ResourceSlice[]): ReadonlyMap<string, Amounts> | undefined {
  const sets = new Map<string, Amounts>();
  for (const { name, counters } of slices.flatMap((s) => s.spec.sharedCounters ?? [])) {
    if (sets.has(name)) return undefined;
    sets.set(name, new Map(Object.entries(counters).map(([counter, { value }]) => [counter, parseQuantity(value)])));
  }
  return sets;
}
function knowsCounters({ spec }: ResourceSlice, sets: ReadonlyMap<string, Amounts>): boolean {
  return (spec.devices ?? []).every(({ consumesCounters = [] }) => consumesCounters.every(({ counterSet, counters }) => Object.keys(counters).every((name) => sets.get(counterSet)?.has(name))));
}
/** Devices that take their time to become ready are the last to be tried (KEP-5007). */
function hasConditions(pool: Pool): boolean {
  return pool.candidates.some(({ device }) => device.bindingConditions !== undefined);
}
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
