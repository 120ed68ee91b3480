/**
 * How many Pods a resource's use asks for: pure. Source: tasks/run-application/horizontal-pod-autoscale, "Algorithm details".
 * Amounts are in thousandths of the resource's unit.
 */
import type { Pod } from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';
import { parseQuantity } from '#machinery/quantity.ts';

/** A Pod's CPU use means little while it starts. */
const CPU_INITIALISATION_MS = 300_000;
const INITIAL_READINESS_MS = 30_000;
const MAX_REPLICAS = 2 ** 31 - 1;

export interface PodMetric {
  readonly value: number;
  /** Ms since the epoch, and the length of time measured. */
  readonly at: number;
  readonly windowMs: number;
}
/** How far a ratio may be from 1 before anything is done. */
export interface Tolerance {
  readonly up: number;
  readonly down: number;
}
export interface Calculation {
  readonly pods: readonly Pod[];
  readonly metrics: ReadonlyMap<string, PodMetric>;
  readonly currentReplicas: number;
  readonly resource: string;
  readonly tolerance: Tolerance;
  readonly now: number;
}
export interface Proposal {
  readonly replicas: number;
  /** Percent of what is requested; undefined for targets that are amounts. */
  readonly utilization?: number;
  /** The average for each Pod. */
  readonly average: number;
}
interface Groups {
  readonly ready: number;
  readonly unready: ReadonlySet<string>;
  readonly missing: ReadonlySet<string>;
  readonly ignored: ReadonlySet<string>;
}

function isWithin({ up, down }: Tolerance, ratio: number): boolean {
  return 1 - down <= ratio && ratio <= 1 + up;
}
function isStarting(pod: Pod, metric: PodMetric, now: number): boolean {
  const ready = pod.status?.conditions?.find((c) => c.type === 'Ready');
  const { startTime } = pod.status ?? {};
  if (!ready || startTime === undefined) return true;
  const [started, moved] = [Date.parse(startTime), Date.parse(ready.lastTransitionTime ?? startTime)];
  if (started + CPU_INITIALISATION_MS > now) return ready.status === 'False' || metric.at < moved + metric.windowMs;
  return ready.status === 'False' && started + INITIAL_READINESS_MS > moved;
}
export function groupPods({ pods, metrics, resource, now }: Calculation): Groups {
  const [unready, missing, ignored] = [new Set<string>(), new Set<string>(), new Set<string>()];
  let ready = 0;
  for (const pod of pods) {
    const metric = metrics.get(nameOf(pod));
    if (pod.metadata.deletionTimestamp !== undefined || pod.status?.phase === 'Failed') ignored.add(nameOf(pod));
    else if (pod.status?.phase === 'Pending') unready.add(nameOf(pod));
    else if (!metric) missing.add(nameOf(pod));
    else if (resource === 'cpu' && isStarting(pod, metric, now)) unready.add(nameOf(pod));
    else ready++;
  }
  return { ready, unready, missing, ignored };
}
/** What each Pod requests of the resource. Throws for a container that requests nothing. */
export function podRequests(pods: readonly Pod[], resource: string, container: string | undefined): Map<string, number> {
  return new Map(pods.map((pod) => {
    const own = pod.spec.resources?.requests?.[resource];
    if (own !== undefined && container === undefined) return [nameOf(pod), Number(parseQuantity(own).milliValue())];
    const sidecars = (pod.spec.initContainers ?? []).filter((c) => c.restartPolicy === 'Always');
    const counted = [...pod.spec.containers, ...sidecars].filter((c) => container === undefined || c.name === container);
    if (counted.length === 0) throw new Error(`container ${container} not found in Pod ${nameOf(pod)}`);
    return [nameOf(pod), counted.reduce((sum, c) => {
      const request = c.resources?.requests?.[resource];
      if (request === undefined) throw new Error(`missing request for ${resource} in container ${c.name} of Pod ${nameOf(pod)}`);
      return sum + Number(parseQuantity(request).milliValue());
    }, 0)];
  }));
}

interface Ratio {
  readonly ratio: number;
  readonly utilization?: number;
  readonly average: number;
}
type Values = Map<string, number>;
/** `ratioOf` compares use with the target; `assumed` is what a Pod without metrics is taken to use when the set may shrink. */
function propose(c: Calculation, ratioOf: (values: Values) => Ratio, assumed: (pod: string) => number): Proposal {
  const { ready, unready, missing, ignored } = groupPods(c);
  const values: Values = new Map([...c.metrics].filter(([pod]) => !ignored.has(pod) && !unready.has(pod)).map(([pod, m]) => [pod, m.value]));
  if (values.size === 0) throw new Error('did not receive metrics for targeted pods (pods might be unready)');
  const first = ratioOf(values);
  const told = { average: first.average, ...(first.utilization === undefined ? {} : { utilization: first.utilization }) };
  const within = (ratio: number): boolean => isWithin(c.tolerance, ratio);
  const stay = { replicas: c.currentReplicas, ...told };
  const withUnready = unready.size > 0 && first.ratio > 1;
  if (!withUnready && missing.size === 0) return within(first.ratio) ? stay : { replicas: Math.ceil(first.ratio * ready), ...told };
  // Cautious in both directions: who is not seen uses all when there are to be fewer, and nothing when there are to be more.
  if (first.ratio !== 1) for (const pod of missing) values.set(pod, first.ratio < 1 ? assumed(pod) : 0);
  if (withUnready) for (const pod of unready) values.set(pod, 0);
  const { ratio } = ratioOf(values);
  if (within(ratio) || (first.ratio < 1 && ratio > 1) || (first.ratio > 1 && ratio < 1)) return stay;
  const replicas = Math.ceil(ratio * values.size);
  if ((ratio < 1 && replicas > c.currentReplicas) || (ratio > 1 && replicas < c.currentReplicas)) return stay;
  return { replicas, ...told };
}
/** Replicas for a use of `target` percent of the requests. */
export function byUtilization(c: Calculation, target: number, container?: string): Proposal {
  const requests = podRequests(c.pods, c.resource, container);
  return propose(c, (values) => {
    const known = [...values].filter(([pod]) => requests.has(pod));
    const requested = known.reduce((sum, [pod]) => sum + requests.get(pod)!, 0);
    if (requested === 0) throw new Error('no metrics returned matched known pods');
    const used = known.reduce((sum, [, value]) => sum + value, 0);
    const utilization = Math.trunc((used * 100) / requested);
    return { ratio: utilization / target, utilization, average: Math.trunc(used / known.length) };
  }, (pod) => Math.trunc(((requests.get(pod) ?? 0) * Math.max(100, target)) / 100));
}
/** Replicas for an average use of `target`. */
export function byAverage(c: Calculation, target: number): Proposal {
  return propose(c, (values) => {
    const average = Math.trunc([...values.values()].reduce((a, b) => a + b, 0) / values.size);
    return { ratio: average / target, average };
  }, () => target);
}
/** Replicas for a use of `target` in all, whatever the Pods' number. */
export function byValue(pods: readonly Pod[], currentReplicas: number, usage: number, target: number, tolerance: Tolerance): number {
  const ratio = usage / target;
  if (currentReplicas === 0) return Math.ceil(ratio);
  if (isWithin(tolerance, ratio)) return currentReplicas;
  if (pods.length === 0) throw new Error('unable to calculate ready pods: no pods returned by selector while calculating replica count');
  const ready = pods.filter((p) => p.status?.phase === 'Running' && p.status.conditions?.find((c) => c.type === 'Ready')?.status === 'True').length;
  return Math.min(MAX_REPLICAS, Math.ceil(ratio * ready));
}
/** Replicas for a use of `target` by each of them, of what is used in all. */
export function byShare(replicas: number, usage: number, target: number, tolerance: Tolerance): Proposal {
  const average = Math.ceil(usage / replicas);
  return { replicas: isWithin(tolerance, usage / (target * replicas)) ? replicas : Math.min(MAX_REPLICAS, Math.ceil(usage / target)), average };
}
