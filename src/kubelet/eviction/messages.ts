/** What users read in an evicted Pod's status and event. */
import type { Pod } from '#api/gen/core-v1.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import type { PodEnd } from '../interfaces.ts';
import type { PodUse } from './ranking.ts';
import { RESOURCE_OF, thresholdAmount, type Observation, type Threshold } from './pressure.ts';

/** A number of bytes as the messages show it: `93Mi`, `1536Ki`, `100`. */
export function bytesText(bytes: number): string {
  for (const [unit, size] of [['Gi', 2 ** 30], ['Mi', 2 ** 20], ['Ki', 2 ** 10]] as const) if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
  return bytes >= 1024 ? `${Math.floor(bytes / 1024)}Ki` : String(bytes);
}

export function pressureMessage(pod: Pod, threshold: Threshold, seen: Observation | undefined, use: PodUse | undefined): string {
  const resource = RESOURCE_OF[threshold.signal];
  let out = `The node was low on resource: ${resource}. `;
  if (seen) out += `Threshold quantity: ${threshold.value.endsWith('%') ? bytesText(thresholdAmount(threshold, seen.capacity)) : threshold.value}, available: ${bytesText(seen.available)}. `;
  for (const c of pod.spec.containers) {
    const of = use?.containers.get(c.name);
    if (!of || (resource !== 'memory' && resource !== 'ephemeral-storage')) continue;
    const used = resource === 'memory' ? of.memoryBytes : of.diskBytes;
    const request = c.resources?.requests?.[resource] ?? '0';
    if (used > Number(parseQuantity(request).value())) out += `Container ${c.name} was using ${bytesText(used)}, request is ${request}, has larger consumption of ${resource}. `;
  }
  return out;
}
export const emptyDirMessage = (volume: string, limit: string): string => `Usage of EmptyDir volume "${volume}" exceeds the limit "${limit}". `;
export const containerStorageMessage = (container: string, limit: string): string => `Container ${container} exceeded its local ephemeral storage limit "${limit}". `;
export const podStorageMessage = (limit: string): string => `Pod ephemeral local storage usage exceeds the total limit of containers ${limit}. `;
export const nodeConditionMessage = (conditions: readonly string[]): string => `The node had condition: [${conditions.join(' ')}]. `;

/** How an evicted Pod ends. */
export function evicted(message: string): PodEnd {
  return { reason: 'Evicted', message, condition: { type: 'DisruptionTarget', status: 'True', reason: 'TerminationByKubelet', message } };
}
