/** Resources of the Pod as a whole: what the node has granted it, and what it runs with (KEP-5419). */
import type { Pod, PodStatus } from '#api/gen/core-v1.ts';
import type { Quantity } from '#machinery/quantity.ts';
import { podRequests, podResources } from '../pods/admission.ts';
import type { ResizeView } from '../pods/resize.ts';

const COMPUTE = ['cpu', 'memory'];

export function podLevelStatus(view: ResizeView | undefined, phase: string): Pick<PodStatus, 'allocatedResources' | 'resources'> {
  if (!view) return {};
  const { allocated, actuated } = view;
  const requests = listOf(podRequests(allocated));
  const running = phase === 'Running';
  const resources = {
    ...some('requests', running ? { ...actuated.spec.resources?.requests, ...computeOf(listOf(podRequests(actuated))) } : requests),
    ...some('limits', running ? { ...actuated.spec.resources?.limits, ...boundedBy(actuated) } : listOf(podResources(allocated, 'limits'))),
  };
  return { ...some('allocatedResources', requests), ...some('resources', resources) };
}
/** What all containers may have together, where each of them has a limit: then the Pod has it too. */
function boundedBy(pod: Pod): Readonly<Record<string, string>> {
  const all = [...(pod.spec.initContainers ?? []), ...pod.spec.containers];
  const together = listOf(podResources(pod, 'limits'));
  return Object.fromEntries(COMPUTE.filter((name) => together[name] !== undefined && (pod.spec.resources?.limits?.[name] !== undefined || all.every((c) => c.resources?.limits?.[name] !== undefined))).map((name) => [name, together[name]!]));
}
function computeOf(list: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(list).filter(([name]) => COMPUTE.includes(name)));
}
function listOf(amounts: ReadonlyMap<string, Quantity>): Record<string, string> {
  return Object.fromEntries(Array.from(amounts, ([name, q]) => [name, q.toString()]));
}
function some<K extends string, V extends object>(key: K, value: V): { readonly [P in K]?: V } {
  return (Object.keys(value).length ? { [key]: value } : {}) as { readonly [P in K]?: V };
}
