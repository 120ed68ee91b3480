/** What of an object has changed, in the words of the queue's events. */
import type { Node, Pod } from '#api/gen/core-v1.ts';
import type { ClusterEvent, EventAction } from './framework/events.ts';
import { podRequests } from './framework/resources.ts';

function same(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a ?? null) === JSON.stringify(b ?? null);
}
function conditionsOf(node: Node): Record<string, string> {
  return Object.fromEntries((node.status?.conditions ?? []).map((c) => [c.type, c.status]));
}

/** Undefined where nothing has changed that could matter, as in a heartbeat. */
export function nodeChange(old: Node, node: Node): ClusterEvent | undefined {
  const actions: EventAction[] = [];
  if (!same(old.status?.allocatable, node.status?.allocatable)) actions.push('UpdateAllocatable');
  if (!same(old.metadata.labels, node.metadata.labels)) actions.push('UpdateLabel');
  if (!same(old.spec.taints, node.spec.taints) || (old.spec.unschedulable ?? false) !== (node.spec.unschedulable ?? false)) actions.push('UpdateTaint');
  if (!same(conditionsOf(old), conditionsOf(node))) actions.push('UpdateCondition');
  if (!same(old.metadata.annotations, node.metadata.annotations)) actions.push('UpdateAnnotation');
  if (!same(old.status?.declaredFeatures, node.status?.declaredFeatures)) actions.push('UpdateDeclaredFeature');
  return actions.length === 0 ? undefined : { resource: 'Node', actions };
}

function scaledDown(old: Pod, pod: Pod): boolean {
  const before = podRequests(old);
  const after = podRequests(pod);
  return before.entries().some(([name, amount]) => (after.get(name) ?? 0) < amount);
}
/** Changes of a Pod, as one event of the given resource; undefined where nothing has changed that could matter. */
export function podChange(resource: 'AssignedPod' | 'TargetPod', old: Pod, pod: Pod): ClusterEvent | undefined {
  const actions: EventAction[] = [];
  if (!same(old.metadata.labels, pod.metadata.labels)) actions.push('UpdateLabel');
  if (scaledDown(old, pod)) actions.push('UpdateScaleDown');
  if (!same(old.spec.tolerations, pod.spec.tolerations)) actions.push('UpdateToleration');
  if (old.spec.schedulingGates?.length && !pod.spec.schedulingGates?.length) actions.push('UpdateGatesEliminated');
  if (!same(old.status?.resourceClaimStatuses, pod.status?.resourceClaimStatuses)) actions.push('UpdateGeneratedResourceClaim');
  // A nominated or terminating neighbour counts differently in spreading.
  if (!old.metadata.deletionTimestamp && pod.metadata.deletionTimestamp) actions.push('Update');
  return actions.length === 0 ? undefined : { resource, actions };
}
/** True where nothing differs but what the scheduler and the API server write themselves. */
export function isOnlyBookkeeping(old: Pod, pod: Pod): boolean {
  if (old.metadata.resourceVersion === pod.metadata.resourceVersion) return true;
  const { resourceVersion: _a, managedFields: _b, generation: _c, ...before } = old.metadata;
  const { resourceVersion: _d, managedFields: _e, generation: _f, ...after } = pod.metadata;
  return same(old.spec, pod.spec) && same(before, after) && same(old.status?.nominatedNodeName, pod.status?.nominatedNodeName) && same(old.status?.resourceClaimStatuses, pod.status?.resourceClaimStatuses);
}
export function isTerminal(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}
