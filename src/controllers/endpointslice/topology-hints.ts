/**
 * Hints for Services with `service.kubernetes.io/topology-mode: Auto`: each zone is given a share of the endpoints that fits its share of
 * the CPUs, and what a zone has too many of serves another. Pure. Source: the page "Topology Aware Routing", KEP-2433.
 */
import type { Node, Service } from '#api/gen/core-v1.ts';
import type { Endpoint, EndpointSlice } from '#api/gen/discovery-v1.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import type { NewSlice, SlicePlan } from './plan.ts';

const MODE = 'service.kubernetes.io/topology-mode';
const OLD_MODE = 'service.kubernetes.io/topology-aware-hints';
const ZONE = 'topology.kubernetes.io/zone';
const CONTROL_PLANE = ['node-role.kubernetes.io/control-plane', 'node-role.kubernetes.io/master'];
/** How much more than its share an endpoint may have to bear. */
const OVERLOAD = 0.2;

export type ZoneCounts = ReadonlyMap<string, number>;
/** Each zone's share of the CPUs of ready nodes; undefined where too little is known of them. */
export type ZoneRatios = ZoneCounts | undefined;
interface Allocation {
  readonly desired: number;
  readonly minimum: number;
  readonly maximum: number;
}
export interface Hinted {
  readonly plan: SlicePlan;
  /** Endpoints that serve each zone; undefined: there are no hints, and `reason` says why. */
  readonly zones: ZoneCounts | undefined;
  readonly reason?: string;
}

export function wantsTopologyHints({ metadata }: Service): boolean {
  const mode = metadata.annotations?.[OLD_MODE] ?? metadata.annotations?.[MODE];
  return mode === 'Auto' || mode === 'auto';
}
export function zoneRatios(nodes: readonly Node[]): ZoneRatios {
  const cpus = new Map<string, number>();
  for (const { metadata, status } of nodes) {
    if (CONTROL_PLANE.some((label) => metadata.labels?.[label] !== undefined)) continue;
    if (status?.conditions?.find((c) => c.type === 'Ready')?.status !== 'True') continue;
    const zone = metadata.labels?.[ZONE];
    const cpu = status.allocatable?.['cpu'];
    const millis = cpu === undefined ? 0 : parseQuantity(cpu).milliValue();
    if (!zone || !Number(millis)) return undefined;
    cpus.set(zone, (cpus.get(zone) ?? 0) + Number(millis));
  }
  const total = [...cpus.values()].reduce((a, b) => a + b, 0);
  return cpus.size < 2 ? undefined : new Map(Array.from(cpus, ([zone, n]) => [zone, n / total]));
}
/** Whether what was given out does not fit the zones any more. */
export function isOverloaded(zones: ZoneCounts, ratios: ZoneRatios): boolean {
  if (zones.size === 0) return false;
  const total = [...zones.values()].reduce((a, b) => a + b, 0);
  return !ratios || [...ratios].some(([zone, ratio]) => (zones.get(zone) ?? 0) < Math.ceil(total * ratio * (1 / (1 + OVERLOAD))));
}

const isReady = (e: Endpoint): boolean => e.conditions?.ready === true;
function allocate(count: number, ratios: ZoneRatios): Map<string, Allocation> | string {
  if (!ratios) return 'Insufficient Node information: allocatable CPU or zone not specified on one or more nodes';
  const sizes = `(${count} endpoints, ${ratios.size} zones)`;
  if (ratios.size > count) return `Insufficient number of endpoints ${sizes}`;
  const minimum = (ratio: number) => Math.ceil(ratio * count * (1 / (1 + OVERLOAD)));
  const spare = count - [...ratios.values()].reduce((sum, ratio) => sum + minimum(ratio), 0);
  if (spare < 0) return `Unable to allocate minimum required endpoints to each zone without exceeding overload threshold ${sizes}`;
  return new Map(Array.from(ratios, ([zone, ratio]) => [zone, { minimum: minimum(ratio), desired: Math.max(ratio * count, minimum(ratio)), maximum: minimum(ratio) + spare }]));
}
const zonesOf = (e: Endpoint): string[] => (e.hints?.forZones ?? []).map((z) => z.name);

/** The zones that an unchanged slice serves; undefined when its hints do not do. */
function hintsOf(slice: EndpointSlice, allocated: ZoneCounts, allocations: ReadonlyMap<string, Allocation>): Map<string, number> | undefined {
  const counts = new Map<string, number>();
  for (const endpoint of (slice.endpoints ?? []).filter(isReady)) {
    const zones = zonesOf(endpoint);
    if (zones.length === 0 || zones.some((z) => !allocations.has(z))) return undefined;
    for (const z of zones) counts.set(z, (counts.get(z) ?? 0) + 1);
  }
  for (const [zone, n] of counts) if (n + (allocated.get(zone) ?? 0) > allocations.get(zone)!.maximum) return undefined;
  return counts;
}
function most(zones: ReadonlyMap<string, number>): [zone: string, count: number] | undefined {
  return [...zones].toSorted((a, b) => b[1] - a[1])[0];
}
/** How many endpoints each zone gives away and gets. */
function transfers(allocations: ReadonlyMap<string, Allocation>, allocated: ZoneCounts): { giving: Map<string, number>; receiving: Map<string, number> } {
  const over = new Map<string, number>();
  const under = new Map<string, number>();
  for (const [zone, { desired }] of allocations) {
    const excess = (allocated.get(zone) ?? 0) - desired;
    if (excess > 0) over.set(zone, excess);
    else if (excess < 0) under.set(zone, -excess);
  }
  const [giving, receiving] = [new Map<string, number>(), new Map<string, number>()];
  for (;;) {
    const [from, to] = [most(over), most(under)];
    if (!from || !to || (from[1] < 1 && to[1] < 1) || from[1] < 0.5 || to[1] < 0.5) return { giving, receiving };
    giving.set(from[0], (giving.get(from[0]) ?? 0) + 1);
    receiving.set(to[0], (receiving.get(to[0]) ?? 0) + 1);
    over.set(from[0], from[1] - 1);
    under.set(to[0], to[1] - 1);
  }
}
const hinted = (e: Endpoint, zone: string): Endpoint => ({ ...e, hints: { forZones: [{ name: zone }] } });
function without(endpoint: Endpoint): Endpoint {
  const { hints: _, ...bare } = endpoint;
  return bare;
}

interface Slices {
  create: NewSlice[];
  update: EndpointSlice[];
}
function mapEndpoints(slices: Slices, change: (e: Endpoint) => Endpoint): Slices {
  return {
    create: slices.create.map((s) => ({ ...s, endpoints: s.endpoints.map(change) })),
    update: slices.update.map((s) => ({ ...s, endpoints: (s.endpoints ?? []).map(change) })),
  };
}
function bare(plan: SlicePlan, unchanged: readonly EndpointSlice[], reason: string): Hinted {
  const stale = unchanged.filter((s) => s.endpoints?.some((e) => e.hints));
  return { plan: { ...plan, ...mapEndpoints({ create: [...plan.create], update: [...plan.update, ...stale] }, without) }, zones: undefined, reason };
}
/** Gives a plan its hints. `unchanged` are the slices that the plan leaves alone. */
export function withTopologyHints(plan: SlicePlan, unchanged: readonly EndpointSlice[], ratios: ZoneRatios): Hinted {
  const everything = [...plan.create, ...plan.update, ...unchanged].flatMap((s) => s.endpoints ?? []);
  const allocations = allocate(everything.filter(isReady).length, ratios);
  if (typeof allocations === 'string') return bare(plan, unchanged, allocations);
  const allocated = new Map<string, number>();
  const update = [...plan.update];
  for (const slice of unchanged) {
    const counts = hintsOf(slice, allocated, allocations);
    if (!counts) update.push(slice);
    else for (const [zone, n] of counts) allocated.set(zone, (allocated.get(zone) ?? 0) + n);
  }
  const changed = [...plan.create, ...update].flatMap((s) => s.endpoints ?? []).filter(isReady);
  if (changed.some((e) => !e.zone)) return bare(plan, unchanged, 'One or more endpoints do not have a zone specified');
  for (const { zone } of changed) allocated.set(zone!, (allocated.get(zone!) ?? 0) + 1);
  const { giving, receiving } = transfers(allocations, allocated);
  const hint = (endpoint: Endpoint): Endpoint => {
    if (!isReady(endpoint)) return without(endpoint);
    const from = endpoint.zone!;
    const left = giving.get(from) ?? 0;
    const to = left > 0 ? [...receiving].find(([, n]) => n > 0)?.[0] : undefined;
    if (to === undefined) return hinted(endpoint, from);
    giving.set(from, left - 1);
    receiving.set(to, receiving.get(to)! - 1);
    allocated.set(from, allocated.get(from)! - 1);
    allocated.set(to, (allocated.get(to) ?? 0) + 1);
    return hinted(endpoint, to);
  };
  return { plan: { ...plan, ...mapEndpoints({ create: [...plan.create], update }, hint) }, zones: allocated };
}
