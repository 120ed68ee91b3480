/**
 * Amounts of resources as numbers. Source: the API reference, "Resource Management for Pods and Containers" and KEP-753 (sidecars),
 * KEP-2837 (Pod-level resources), KEP-1287 (in-place resize).
 */
import type { Container, ContainerStatus, Pod, ResourceRequirements } from '#api/gen/core-v1.ts';
import { parseQuantity } from '#machinery/quantity.ts';

/** `cpu` in thousandths of a core, everything else in whole units (bytes, pieces). Absent means none. */
export type Resources = ReadonlyMap<string, number>;
type Amounts = Map<string, number>;

/** What a container without a request counts as in scoring, so that not all of them land on one node. */
export const DEFAULT_MILLI_CPU = 100;
export const DEFAULT_MEMORY_BYTES = 200 * 1024 * 1024;

const MAX_CACHED = 2048;
const cpuCache = new Map<string, number>();
const wholeCache = new Map<string, number>();

function cached(cache: Map<string, number>, text: string, parse: (text: string) => number): number {
  let value = cache.get(text);
  if (value === undefined) {
    value = parse(text);
    if (cache.size >= MAX_CACHED) cache.clear();
    cache.set(text, value);
  }
  return value;
}
/** The amount of one resource as this folder counts it; an unreadable quantity, which the API server refuses, counts nothing. */
export function amountOf(name: string, text: string | number): number {
  try {
    return name === 'cpu'
      ? cached(cpuCache, String(text), (t) => Number(parseQuantity(t).milliValue()))
      : cached(wholeCache, String(text), (t) => Number(parseQuantity(t).value()));
  } catch {
    return 0;
  }
}
export function resourcesOf(list: Readonly<Record<string, string>> | undefined): Amounts {
  const out: Amounts = new Map();
  for (const name in list) out.set(name, amountOf(name, list[name]!));
  return out;
}

function add(into: Amounts, from: Resources): void {
  for (const [name, amount] of from) into.set(name, (into.get(name) ?? 0) + amount);
}
function raise(into: Amounts, to: Resources): void {
  for (const [name, amount] of to) if (amount > (into.get(name) ?? 0)) into.set(name, amount);
}

/** Which resources the Pod itself, and not its containers, may ask for. */
export function isPodLevelResource(name: string): boolean {
  return name === 'cpu' || name === 'memory' || name.startsWith('hugepages-');
}

function requestsOf(container: Container, status: ContainerStatus | undefined, infeasible: boolean): Amounts {
  const wanted = resourcesOf(container.resources?.requests);
  if (!status) return wanted;
  // A resize that is under way holds the larger of what is wanted and what the node has given; an infeasible one only the latter.
  const given = resourcesOf(status.resources?.requests);
  raise(given, resourcesOf(status.allocatedResources));
  if (infeasible && given.size > 0) return given;
  raise(wanted, given);
  return wanted;
}
function withDefaults(requests: Amounts): Amounts {
  if (!requests.has('cpu')) requests.set('cpu', DEFAULT_MILLI_CPU);
  if (!requests.has('memory')) requests.set('memory', DEFAULT_MEMORY_BYTES);
  return requests;
}
function isResizeInfeasible(pod: Pod): boolean {
  return pod.status?.conditions?.some((c) => c.type === 'PodResizePending' && c.reason === 'Infeasible') ?? false;
}

/** Everything a Pod asks its node for. With `defaults`, as scoring counts it: each container at least a little. */
export function podRequests(pod: Pod, defaults = false): Resources {
  const { spec, status } = pod;
  const infeasible = isResizeInfeasible(pod);
  const of = (c: Container, statuses: readonly ContainerStatus[] | undefined): Amounts => {
    const requests = requestsOf(c, statuses?.find((s) => s.name === c.name), infeasible);
    return defaults ? withDefaults(requests) : requests;
  };
  const total: Amounts = new Map();
  for (const c of spec.containers) add(total, of(c, status?.containerStatuses));
  if (spec.initContainers?.length) {
    const sidecars: Amounts = new Map();
    const peak: Amounts = new Map();
    for (const c of spec.initContainers) {
      const requests = of(c, status?.initContainerStatuses);
      if (c.restartPolicy === 'Always') {
        add(total, requests);
        add(sidecars, requests);
        raise(peak, sidecars);
      } else {
        add(requests, sidecars);
        raise(peak, requests);
      }
    }
    raise(total, peak);
  }
  applyPodLevel(total, spec.resources, status?.resources, infeasible);
  if (spec.overhead) add(total, resourcesOf(spec.overhead));
  return total;
}
function applyPodLevel(total: Amounts, wanted: ResourceRequirements | undefined, given: ResourceRequirements | undefined, infeasible: boolean): void {
  for (const [name, amount] of resourcesOf(wanted?.requests)) {
    if (!isPodLevelResource(name)) continue;
    const text = given?.requests?.[name];
    const has = text === undefined ? undefined : amountOf(name, text);
    total.set(name, has === undefined ? amount : infeasible ? has : Math.max(amount, has));
  }
}
