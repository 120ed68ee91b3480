/**
 * Room for critical Pods: one that does not fit is let in all the same, and others go for it. Source: the Kubernetes page "Guaranteed
 * Scheduling For Critical Add-On Pods"; upstream's counterpart: CriticalPodAdmissionHandler.
 */
import type { Pod } from '#api/gen/core-v1.ts';
import { isCriticalPod } from '../eviction/ranking.ts';
import type { PodEnd } from '../interfaces.ts';
import { podRequests } from './admission.ts';
import { qosOf } from './qos.ts';

/** What a node lacks of a resource: CPU in thousandths, Pods by their number. */
export interface Shortage {
  readonly resource: string;
  readonly amount: number;
}
const MESSAGE = 'Preempted in order to admit critical pod';
export const PREEMPTED: PodEnd = {
  reason: 'Preempting', message: MESSAGE, condition: { type: 'DisruptionTarget', status: 'True', reason: 'TerminationByKubelet', message: 'Pod was preempted by Kubelet to accommodate a critical pod.' },
};

function requestOf(pod: Pod, resource: string): number {
  if (resource === 'pods') return 1;
  const quantity = podRequests(pod).get(resource);
  return quantity === undefined ? 0 : Number(resource === 'cpu' ? quantity.milliValue() : quantity.value());
}
/** What is still lacking once these Pods are gone. */
function without(shortages: readonly Shortage[], pods: readonly Pod[]): readonly Shortage[] {
  return shortages.map(({ resource, amount }) => ({ resource, amount: pods.reduce((left, pod) => left - requestOf(pod, resource), amount) })).filter(({ amount }) => amount > 0);
}
/** How far one Pod's requests are from filling the shortages; 0: it fills them all. */
function distance(shortages: readonly Shortage[], pod: Pod): number {
  return shortages.reduce((sum, { resource, amount }) => sum + (Math.max(0, amount - requestOf(pod, resource)) / amount) ** 2, 0);
}
function asksForLess(a: Pod, b: Pod): boolean {
  for (const resource of ['memory', 'cpu']) {
    const difference = requestOf(a, resource) - requestOf(b, resource);
    if (difference !== 0) return difference < 0;
  }
  return true;
}
function noneFound(shortages: readonly Shortage[]): Error {
  return new Error(`no set of running pods found to reclaim resources: [${shortages.map(({ resource, amount }) => `(res: ${resource}, q: ${amount}), `).join('')}]`);
}
/** The nearest Pod again and again, until nothing is lacking. */
function nearest(pods: readonly Pod[], shortages: readonly Shortage[]): readonly Pod[] {
  const left = [...pods];
  const chosen: Pod[] = [];
  for (let lacking = shortages; lacking.length > 0;) {
    const best = left.reduce<Pod | undefined>((found, pod) => {
      if (!found) return pod;
      const [a, b] = [distance(lacking, pod), distance(lacking, found)];
      return a < b || (a === b && asksForLess(pod, found)) ? pod : found;
    }, undefined);
    if (!best) throw noneFound(lacking);
    left.splice(left.indexOf(best), 1);
    chosen.push(best);
    lacking = without(lacking, [best]);
  }
  return chosen;
}
function mayPreempt(pod: Pod, victim: Pod): boolean {
  if (isCriticalPod(pod) && !isCriticalPod(victim)) return true;
  return pod.spec.priority !== undefined && victim.spec.priority !== undefined && pod.spec.priority > victim.spec.priority;
}

/** The Pods that go: as few Guaranteed ones as can be, then Burstable ones, then of no class. Throws in upstream's words when all of them are not enough. */
export function podsToPreempt(pod: Pod, others: readonly Pod[], shortages: readonly Shortage[]): readonly Pod[] {
  const victims = others.filter((other) => mayPreempt(pod, other));
  const of = (qos: ReturnType<typeof qosOf>): readonly Pod[] => victims.filter((victim) => qosOf(victim) === qos);
  const [bestEffort, burstable, guaranteed] = [of('BestEffort'), of('Burstable'), of('Guaranteed')];
  const unmet = without(shortages, victims);
  if (unmet.length > 0) throw noneFound(unmet);
  const fromGuaranteed = nearest(guaranteed, without(shortages, [...bestEffort, ...burstable]));
  const fromBurstable = nearest(burstable, without(shortages, [...bestEffort, ...fromGuaranteed]));
  return [...nearest(bestEffort, without(shortages, [...fromBurstable, ...fromGuaranteed])), ...fromBurstable, ...fromGuaranteed];
}
