/**
 * From endpoints that should be told to slices that tell them, with as few writes as can be: full slices stay as they are, changed
 * ones are filled up before new ones are made. Pure. Source: the page "EndpointSlices", "Distribution of EndpointSlices".
 */
import type { Endpoint, EndpointPort, EndpointSlice } from '#api/gen/discovery-v1.ts';
import { deepEqual } from '#machinery/equality.ts';

export const MAX_ENDPOINTS_PER_SLICE = 100;

type AddressType = EndpointSlice['addressType'];
/** Endpoints that share a list of ports. */
export interface PortGroup {
  readonly ports: readonly EndpointPort[];
  readonly addressType: AddressType;
  readonly endpoints: readonly Endpoint[];
}
/** What every slice of an owner carries. */
export interface SliceTemplate {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}
export interface NewSlice {
  readonly addressType: AddressType;
  readonly ports: readonly EndpointPort[];
  readonly endpoints: readonly Endpoint[];
}
export interface SlicePlan {
  readonly create: readonly NewSlice[];
  readonly update: readonly EndpointSlice[];
  readonly delete: readonly EndpointSlice[];
}

/** Order of ports does not matter, nor does an absent field against an empty one. */
export function portsKey(addressType: string, ports: readonly EndpointPort[] | undefined): string {
  return JSON.stringify([addressType, (ports ?? []).map((p) => [p.name ?? '', p.protocol ?? 'TCP', p.port ?? 0, p.appProtocol ?? '']).toSorted()]);
}
/** Who an endpoint is: the same one in another condition has the same key. */
export function endpointKey({ addresses, hostname, targetRef }: Endpoint): string {
  return JSON.stringify([addresses.toSorted(), hostname ?? '', targetRef?.namespace ?? '', targetRef?.name ?? '']);
}
function sameLabels(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>> | undefined): boolean {
  return deepEqual(a, b ?? {});
}

interface Kept {
  readonly slice: EndpointSlice;
  endpoints: Endpoint[];
  changed: boolean;
}
/** What stays of a slice: endpoints that are still wanted, in their wanted state. Takes them out of `wanted`. */
function keep(slice: EndpointSlice, wanted: Map<string, Endpoint>, template: SliceTemplate): Kept {
  const endpoints: Endpoint[] = [];
  let changed = !sameLabels(template.labels, slice.metadata.labels);
  if (template.annotations) changed ||= !deepEqual(template.annotations, foreignAnnotations(slice));
  for (const old of slice.endpoints ?? []) {
    const key = endpointKey(old);
    const now = wanted.get(key);
    if (!now) {
      changed = true;
      continue;
    }
    wanted.delete(key);
    changed ||= !deepEqual(old, now);
    endpoints.push(now);
  }
  return { slice, endpoints, changed };
}
export const TRIGGER_TIME = 'endpoints.kubernetes.io/last-change-trigger-time';
function foreignAnnotations(slice: EndpointSlice): Record<string, string> {
  const { [TRIGGER_TIME]: _, ...rest } = slice.metadata.annotations ?? {};
  return rest;
}

/** Slices of one list of ports. */
function planGroup(group: PortGroup, existing: readonly EndpointSlice[], template: SliceTemplate, max: number): { create: NewSlice[]; kept: Kept[] } {
  const wanted = new Map(group.endpoints.map((e) => [endpointKey(e), e]));
  const kept = existing.map((slice) => keep(slice, wanted, template));
  const rest = [...wanted.values()];
  const fill = (k: Kept): void => {
    const room = max - k.endpoints.length;
    if (rest.length === 0 || room <= 0) return;
    k.endpoints.push(...rest.splice(0, room));
    k.changed = true;
  };
  // Slices that are written anyway take what they can, the fullest first.
  for (const k of kept.filter((k) => k.changed && k.endpoints.length > 0).toSorted((a, b) => b.endpoints.length - a.endpoints.length)) fill(k);
  // The remainder goes to the one unchanged slice that it fills best, or to a new one.
  if (rest.length > 0 && rest.length < max) {
    const best = kept.filter((k) => !k.changed && k.endpoints.length + rest.length <= max).toSorted((a, b) => b.endpoints.length - a.endpoints.length)[0];
    const emptied = kept.find((k) => k.changed && k.endpoints.length === 0);
    if (best && !emptied) fill(best);
  }
  // A slice that lost all its endpoints is used again rather than replaced.
  for (const k of kept.filter((k) => k.endpoints.length === 0)) fill(k);
  const create: NewSlice[] = [];
  while (rest.length > 0) create.push({ addressType: group.addressType, ports: group.ports, endpoints: rest.splice(0, max) });
  return { create, kept };
}

/** `existing` are the owner's slices; a slice of a group that is no longer wanted goes. */
export function planSlices(existing: readonly EndpointSlice[], groups: readonly PortGroup[], template: SliceTemplate, max = MAX_ENDPOINTS_PER_SLICE): SlicePlan {
  const byKey = Map.groupBy(existing, (s) => portsKey(s.addressType, s.ports));
  const plan: { create: NewSlice[]; update: EndpointSlice[]; delete: EndpointSlice[] } = { create: [], update: [], delete: [] };
  for (const group of groups) {
    const key = portsKey(group.addressType, group.ports);
    const { create, kept } = planGroup(group, byKey.get(key) ?? [], template, max);
    byKey.delete(key);
    plan.create.push(...create);
    // An empty group is the placeholder of an owner without endpoints: one slice of it stays.
    const spare = group.endpoints.length === 0 ? kept[0] : undefined;
    if (group.endpoints.length === 0 && !spare) plan.create.push({ addressType: group.addressType, ports: group.ports, endpoints: [] });
    for (const k of kept) {
      if (k.endpoints.length === 0 && k !== spare) plan.delete.push(k.slice);
      else if (k.changed) plan.update.push({ ...k.slice, endpoints: k.endpoints });
    }
  }
  for (const slices of byKey.values()) plan.delete.push(...slices);
  return recycled(plan);
}
/** Slices that would be deleted become those that would be made: clients see a change rather than a gap. */
function recycled(plan: { create: NewSlice[]; update: EndpointSlice[]; delete: EndpointSlice[] }): SlicePlan {
  const left: EndpointSlice[] = [];
  for (const slice of plan.delete) {
    const at = plan.create.findLastIndex((fresh) => fresh.addressType === slice.addressType);
    if (at < 0) left.push(slice);
    else plan.update.push({ ...slice, ...plan.create.splice(at, 1)[0]! });
  }
  return { ...plan, delete: left };
}
