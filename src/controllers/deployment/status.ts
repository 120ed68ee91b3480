/** The status of a Deployment, from that of its ReplicaSets. Source: concepts/workloads/controllers/deployment, "Deployment status". */
import type { Deployment, DeploymentStatus, ReplicaSet } from '#api/gen/apps-v1.ts';
import { nameOf } from '#api/object.ts';
import { withoutZeros } from '../workload/equality.ts';
import { conditionOf, NEW_SET_AVAILABLE, newCondition, replicaFailure, TIMED_OUT, withCondition, withoutCondition } from './conditions.ts';
import { actualReplicas, availableReplicas, replicasOf, specReplicas } from './replicasets.ts';
import { maxUnavailable } from './sizes.ts';

/** `progressDeadlineSeconds: 2147483647` means none. */
const NO_DEADLINE = 2_147_483_647;

export function hasProgressDeadline({ spec }: Deployment): boolean {
  return spec.progressDeadlineSeconds !== undefined && spec.progressDeadlineSeconds !== NO_DEADLINE;
}
/** The rollout is over: every Pod is new and available. `status` is what the Deployment has or is about to have. */
export function isComplete(deployment: Deployment, status: DeploymentStatus): boolean {
  const want = replicasOf(deployment);
  return [status.updatedReplicas, status.replicas, status.availableReplicas].every((n) => (n ?? 0) === want) && (status.observedGeneration ?? 0) >= (deployment.metadata.generation ?? 0);
}
function isProgressing(before: DeploymentStatus, after: DeploymentStatus): boolean {
  const old = (s: DeploymentStatus) => (s.replicas ?? 0) - (s.updatedReplicas ?? 0);
  return (after.updatedReplicas ?? 0) > (before.updatedReplicas ?? 0) || old(after) < old(before)
    || (after.readyReplicas ?? 0) > (before.readyReplicas ?? 0) || (after.availableReplicas ?? 0) > (before.availableReplicas ?? 0);
}
/** Milliseconds left until the deadline, negative when it is over; undefined when none runs. */
export function untilDeadline(deployment: Deployment, status: DeploymentStatus, now: number): number | undefined {
  const condition = conditionOf(status.conditions, 'Progressing');
  if (!condition || !hasProgressDeadline(deployment) || condition.reason === NEW_SET_AVAILABLE) return undefined;
  return Date.parse(condition.lastUpdateTime ?? '') + deployment.spec.progressDeadlineSeconds! * 1000 - now;
}
function hasTimedOut(deployment: Deployment, status: DeploymentStatus, now: number): boolean {
  if (hasProgressDeadline(deployment) && conditionOf(status.conditions, 'Progressing')?.reason === TIMED_OUT) return true;
  const left = untilDeadline(deployment, status, now);
  return left !== undefined && left < 0;
}

/** Counts and the Available condition; other conditions as they were. */
export function deploymentStatus(deployment: Deployment, newSet: ReplicaSet | undefined, all: readonly ReplicaSet[], now: number): DeploymentStatus {
  const available = availableReplicas(all);
  const terminating = all.map((rs) => rs.status?.terminatingReplicas);
  const enough = available >= replicasOf(deployment) - maxUnavailable(deployment);
  const condition = enough
    ? newCondition('Available', 'True', 'MinimumReplicasAvailable', 'Deployment has minimum availability.', now)
    : newCondition('Available', 'False', 'MinimumReplicasUnavailable', 'Deployment does not have minimum availability.', now);
  const { collisionCount, conditions = [] } = deployment.status ?? {};
  return {
    observedGeneration: deployment.metadata.generation,
    ...withoutZeros({
      replicas: actualReplicas(all),
      updatedReplicas: actualReplicas(newSet ? [newSet] : []),
      readyReplicas: all.reduce((n, rs) => n + (rs.status?.readyReplicas ?? 0), 0),
      availableReplicas: available,
      unavailableReplicas: Math.max(0, specReplicas(all) - available),
    }),
    ...(terminating.includes(undefined) ? {} : { terminatingReplicas: terminating.reduce<number>((a, b) => a + b!, 0) }),
    ...(collisionCount === undefined ? {} : { collisionCount }),
    conditions: withCondition(conditions, condition),
  };
}

/** {@link deploymentStatus} with what a rollout under way adds: progress, its deadline, and failures of the sets. */
export function rolloutStatus(deployment: Deployment, newSet: ReplicaSet | undefined, all: readonly ReplicaSet[], now: number): DeploymentStatus {
  const status = deploymentStatus(deployment, newSet, all, now);
  let conditions = status.conditions ?? [];
  if (!hasProgressDeadline(deployment)) conditions = withoutCondition(conditions, 'Progressing');
  else conditions = progress(deployment, status, newSet, now);
  const failure = replicaFailure(newSet, all);
  return { ...status, conditions: failure ? withCondition(conditions, failure) : withoutCondition(conditions, 'ReplicaFailure') };
}
function progress(deployment: Deployment, status: DeploymentStatus, newSet: ReplicaSet | undefined, now: number): NonNullable<DeploymentStatus['conditions']> {
  const conditions = status.conditions ?? [];
  const current = conditionOf(deployment.status?.conditions, 'Progressing');
  // A Deployment that was complete and still is has nothing to progress to: only its size changes.
  if (current?.reason === NEW_SET_AVAILABLE && (status.replicas ?? 0) === (status.updatedReplicas ?? 0)) return conditions;
  const what = newSet ? `ReplicaSet "${nameOf(newSet)}"` : `Deployment "${nameOf(deployment)}"`;
  if (isComplete(deployment, status)) return withCondition(conditions, newCondition('Progressing', 'True', NEW_SET_AVAILABLE, `${what} has successfully progressed.`, now));
  if (isProgressing(deployment.status ?? {}, status)) {
    const condition = newCondition('Progressing', 'True', 'ReplicaSetUpdated', `${what} is progressing.`, now);
    // Each step renews the time that the deadline counts from.
    const others = withoutCondition(conditions, 'Progressing');
    return [...others, current?.status === 'True' ? { ...condition, lastTransitionTime: current.lastTransitionTime } : condition];
  }
  if (hasTimedOut(deployment, status, now)) return withCondition(conditions, newCondition('Progressing', 'False', TIMED_OUT, `${what} has timed out progressing.`, now));
  return conditions;
}
