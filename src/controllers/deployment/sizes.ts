/** How large each ReplicaSet of a Deployment may be. Source: concepts/workloads/controllers/deployment, "Rolling Update" and "Proportional scaling". */
import type { Deployment, ReplicaSet } from '#api/gen/apps-v1.ts';
import { scaledValue } from '../workload/int-or-percent.ts';
import { maxReplicasOf } from './annotations.ts';
import { bySizeNewer, bySizeOlder, isActive, replicasOf, specReplicas } from './replicasets.ts';

/** Both bounds as numbers. Where both come to nothing one Pod may be unavailable, or nothing could ever move. */
function bounds(deployment: Deployment): { surge: number; unavailable: number } {
  const want = replicasOf(deployment);
  const { maxSurge, maxUnavailable } = deployment.spec.strategy?.rollingUpdate ?? {};
  const surge = scaledValue(maxSurge, want, 'up');
  const unavailable = scaledValue(maxUnavailable, want, 'down');
  return { surge, unavailable: surge === 0 && unavailable === 0 ? 1 : unavailable };
}
const isRolling = (deployment: Deployment): boolean => deployment.spec.strategy?.type === 'RollingUpdate';

export function maxSurge(deployment: Deployment): number {
  return isRolling(deployment) ? bounds(deployment).surge : 0;
}
export function maxUnavailable(deployment: Deployment): number {
  const want = replicasOf(deployment);
  return isRolling(deployment) && want > 0 ? Math.min(bounds(deployment).unavailable, want) : 0;
}
/** The size that the newest set may have now. */
export function newSetReplicas(deployment: Deployment, all: readonly ReplicaSet[], current: number): number {
  const want = replicasOf(deployment);
  if (!isRolling(deployment)) return want;
  const room = want + maxSurge(deployment) - specReplicas(all);
  return room <= 0 ? current : current + Math.min(room, want - current);
}

/** Rounds half away from zero, as Go's `math.Round`. */
const round = (x: number): number => Math.sign(x) * Math.round(Math.abs(x));

/** What the set would gain or lose if the Deployment's change of size were shared out exactly. */
function fraction(rs: ReplicaSet, deployment: Deployment): number {
  const size = replicasOf(rs);
  if (replicasOf(deployment) === 0) return -size;
  const before = maxReplicasOf(rs) ?? deployment.status?.replicas ?? 0;
  return before === 0 ? 0 : round((size * (replicasOf(deployment) + maxSurge(deployment))) / before) - size;
}
/**
 * The sizes of the sets with Pods when a Deployment is scaled in the middle of a rollout: each gets its share, what rounding
 * leaves goes to the largest.
 */
export function proportionalSizes(deployment: Deployment, sets: readonly ReplicaSet[]): Map<ReplicaSet, number> {
  const want = replicasOf(deployment);
  const active = sets.filter(isActive);
  const toAdd = (want > 0 ? want + maxSurge(deployment) : 0) - specReplicas(active);
  const sorted = active.toSorted(toAdd > 0 ? bySizeNewer : bySizeOlder);
  const sizes = new Map<ReplicaSet, number>();
  let added = 0;
  for (const rs of sorted) {
    const left = toAdd - added;
    const share = left === 0 ? 0 : toAdd > 0 ? Math.min(fraction(rs, deployment), left) : Math.max(fraction(rs, deployment), left);
    sizes.set(rs, replicasOf(rs) + share);
    added += share;
  }
  const largest = sorted[0];
  if (largest) sizes.set(largest, Math.max(0, sizes.get(largest)! + toAdd - added));
  return sizes;
}
