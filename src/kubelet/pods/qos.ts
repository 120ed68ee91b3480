import type { Pod } from '#api/gen/core-v1.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import type { AnyContainer } from '../interfaces.ts';
import { isRestartableInit } from './containers.ts';

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort';
const COMPUTE = ['cpu', 'memory'] as const;

function positive(list: Readonly<Record<string, string>> | undefined, resource: string): string | undefined {
  const text = list?.[resource];
  return text !== undefined && parseQuantity(text).sign() > 0 ? text : undefined;
}

/** The QoS class of a Pod: what the API server wrote, else computed. Source: concepts/workloads/pods/pod-qos. */
export function qosOf(pod: Pod): QosClass {
  if (pod.status?.qosClass) return pod.status.qosClass as QosClass;
  const specs = pod.spec.resources ? [pod.spec.resources] : [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].map((c) => c.resources ?? {});
  let any = false;
  let guaranteed = true;
  for (const { requests, limits } of specs) {
    for (const resource of COMPUTE) {
      const request = positive(requests, resource);
      const limit = positive(limits, resource);
      any ||= request !== undefined || limit !== undefined;
      guaranteed &&= limit !== undefined && (request === undefined || parseQuantity(request).cmp(parseQuantity(limit)) === 0);
    }
  }
  return !any ? 'BestEffort' : guaranteed ? 'Guaranteed' : 'Burstable';
}

/** Thousandths of a CPU, or bytes: 0 when the list has no such resource. */
export function cpuMillis(list: Readonly<Record<string, string>> | undefined): number {
  return list?.['cpu'] === undefined ? 0 : Number(parseQuantity(list['cpu']).milliValue());
}
export function memoryBytes(list: Readonly<Record<string, string>> | undefined): number {
  return list?.['memory'] === undefined ? 0 : Number(parseQuantity(list['memory']).value());
}

/** What the Pod as a whole asks for beyond its containers, shared out among them. */
function unassignedMemory(pod: Pod): number {
  const whole = memoryBytes(pod.spec.resources?.requests);
  const containers = [...pod.spec.containers, ...(pod.spec.initContainers ?? []).filter(isRestartableInit)];
  const assigned = containers.reduce((sum, c) => sum + memoryBytes(c.resources?.requests), 0);
  return whole > assigned ? Math.floor((whole - assigned) / containers.length) : 0;
}
/** The kernel's order of killing when memory runs out. `capacityBytes` is the node's memory. */
export function oomScoreAdj(pod: Pod, container: AnyContainer, capacityBytes: number): number {
  if (pod.spec.priorityClassName === 'system-node-critical') return -997;
  const qos = qosOf(pod);
  if (qos === 'Guaranteed') return -997;
  if (qos === 'BestEffort') return 1000;
  const scoreOf = (c: AnyContainer): number => 1000 - Math.floor((1000 * (memoryBytes(c.resources?.requests) + unassignedMemory(pod))) / capacityBytes);
  // A sidecar outlives the container that is killed last of those it serves (KEP-753).
  const score = pod.spec.initContainers?.some((c) => c.name === container.name && isRestartableInit(c)) ? Math.min(scoreOf(container), ...pod.spec.containers.map(scoreOf)) : scoreOf(container);
  // Above every Guaranteed Pod, below every BestEffort one.
  return Math.min(Math.max(score, 1000 - 997), 999);
}
