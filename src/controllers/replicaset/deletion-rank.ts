/**
 * Which Pods go first when a ReplicaSet has too many. Source: concepts/workloads/controllers/replicaset, "Scaling a ReplicaSet".
 * Jobs rank theirs the same way.
 */
import type { Pod } from '#api/gen/core-v1.ts';
import { uidOf } from '#api/object.ts';
import { isPodReady, podReadyTime } from '../workload/pods.ts';

const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost';
const PHASES: Readonly<Record<string, number>> = { Pending: 0, Unknown: 1, Running: 2 };
const MAX_INT32 = 2_147_483_647;

/** The annotated cost; 0 for none, or for one that is no int32 in its plain form (`+1`, `01`). */
export function deletionCost(pod: Pod): number {
  const text = pod.metadata.annotations?.[DELETION_COST];
  if (text === undefined || !/^(?:0|-?[1-9]\d*)$/.test(text)) return 0;
  const cost = Number(text);
  return cost > MAX_INT32 || cost < -MAX_INT32 - 1 ? 0 : cost;
}
function restarts(pod: Pod): { regular: number; sidecar: number } {
  const most = (counts: readonly (number | undefined)[]) => counts.reduce<number>((a, b) => Math.max(a, b ?? 0), 0);
  const sidecars = new Set((pod.spec.initContainers ?? []).filter((c) => c.restartPolicy === 'Always').map((c) => c.name));
  return {
    regular: most((pod.status?.containerStatuses ?? []).map((s) => s.restartCount)),
    sidecar: most((pod.status?.initContainerStatuses ?? []).filter((s) => sidecars.has(s.name)).map((s) => s.restartCount)),
  };
}
/** Ages on a logarithmic scale: Pods of about the same age count as equal, so that not always the youngest go. */
function ageRank(since: number | undefined, now: number): number {
  const nanos = (now - (since ?? 0)) * 1e6;
  return nanos > 0 ? Math.floor(Math.log2(nanos)) : -1;
}
function byAge(a: Pod, b: Pod, timeOf: (pod: Pod) => number | undefined, now: number): number {
  const [left, right] = [timeOf(a), timeOf(b)];
  if (left === right) return 0;
  const difference = ageRank(left, now) - ageRank(right, now);
  return difference || (uidOf(a) < uidOf(b) ? -1 : 1);
}
const createdAt = (pod: Pod): number | undefined => (pod.metadata.creationTimestamp === undefined ? undefined : Date.parse(pod.metadata.creationTimestamp));

/** `crowding` tells how many related Pods are active on the Pod's node. */
function compare(a: Pod, b: Pod, crowding: (pod: Pod) => number, now: number): number {
  const assigned = Number(!!a.spec.nodeName) - Number(!!b.spec.nodeName);
  if (assigned) return assigned;
  const phase = (PHASES[a.status?.phase ?? ''] ?? 0) - (PHASES[b.status?.phase ?? ''] ?? 0);
  if (phase) return phase;
  const ready = Number(isPodReady(a)) - Number(isPodReady(b));
  if (ready) return ready;
  const cost = deletionCost(a) - deletionCost(b);
  if (cost) return cost;
  const crowded = crowding(b) - crowding(a);
  if (crowded) return crowded;
  if (isPodReady(a) && isPodReady(b)) {
    const age = byAge(a, b, podReadyTime, now);
    if (age) return age;
  }
  const [left, right] = [restarts(a), restarts(b)];
  return right.regular - left.regular || right.sidecar - left.sidecar || byAge(a, b, createdAt, now);
}

/** The `count` Pods of `pods` to delete. `related` are the active Pods of all ReplicaSets with the same controller, these among them. */
export function podsToDelete(pods: readonly Pod[], related: readonly Pod[], count: number, now: number): Pod[] {
  if (count >= pods.length) return [...pods];
  const perNode = new Map<string, number>();
  for (const { spec } of related) if (spec.nodeName) perNode.set(spec.nodeName, (perNode.get(spec.nodeName) ?? 0) + 1);
  const crowding = (pod: Pod): number => perNode.get(pod.spec.nodeName ?? '') ?? 0;
  return pods.toSorted((a, b) => compare(a, b, crowding, now)).slice(0, count);
}
