import type { DeploymentCondition, ReplicaSet } from '#api/gen/apps-v1.ts';
import { rfc3339 } from '#base/clock.ts';

export const NEW_SET_AVAILABLE = 'NewReplicaSetAvailable';
export const TIMED_OUT = 'ProgressDeadlineExceeded';
export const PAUSED = 'DeploymentPaused';

export type Conditions = readonly DeploymentCondition[];

export function newCondition(type: string, status: 'True' | 'False' | 'Unknown', reason: string, message: string, now: number): DeploymentCondition {
  return { type, status, lastUpdateTime: rfc3339(now), lastTransitionTime: rfc3339(now), reason, message };
}
export function conditionOf(conditions: Conditions | undefined, type: string): DeploymentCondition | undefined {
  return conditions?.find((c) => c.type === type);
}
export function withoutCondition(conditions: Conditions, type: string): Conditions {
  return conditions.filter((c) => c.type !== type);
}
/** Sets a condition. One with the same status and reason stays as it is; one with the same status keeps its transition time. */
export function withCondition(conditions: Conditions, condition: DeploymentCondition): Conditions {
  const current = conditionOf(conditions, condition.type);
  if (current?.status === condition.status && current.reason === condition.reason) return conditions;
  const next = current?.status === condition.status ? { ...condition, lastTransitionTime: current.lastTransitionTime } : condition;
  return [...withoutCondition(conditions, condition.type), next];
}
/** What keeps the sets from making Pods: the newest set's trouble before that of others. */
export function replicaFailure(newSet: ReplicaSet | undefined, all: readonly ReplicaSet[]): DeploymentCondition | undefined {
  const failures = (sets: readonly ReplicaSet[]) => sets.flatMap((rs) => (rs.status?.conditions ?? []).filter((c) => c.type === 'ReplicaFailure'));
  const found = failures(newSet ? [newSet] : [])[0] ?? failures(all)[0];
  return found && { ...found, lastUpdateTime: found.lastTransitionTime };
}
