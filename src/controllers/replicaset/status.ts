/** What a ReplicaSet's or ReplicationController's status says of its Pods. */
import type { ReplicaSetStatus } from '#api/gen/apps-v1.ts';
import type { Pod } from '#api/gen/core-v1.ts';
import { rfc3339 } from '#base/clock.ts';
import type { LabelMatcher } from '#machinery/selectors.ts';
import { withoutZeros } from '../workload/equality.ts';
import { isPodAvailable, isPodReady } from '../workload/pods.ts';
import type { ReplicaOwner } from './replicas.ts';

export interface Observed {
  readonly active: readonly Pod[];
  /** Pods on their way out; undefined for a kind that does not count them. */
  readonly terminating: readonly Pod[] | undefined;
  /** Why Pods could not be made or deleted. */
  readonly failure: Error | undefined;
  readonly now: number;
}

/** `labels` matches Pods that have every label of the template. */
export function replicaStatus(owner: ReplicaOwner, labels: LabelMatcher, { active, terminating, failure, now }: Observed): ReplicaSetStatus {
  const minReady = owner.spec.minReadySeconds ?? 0;
  const conditions = conditionsAfter(owner, active.length, failure, now);
  return {
    replicas: active.length,
    ...withoutZeros({
      fullyLabeledReplicas: active.filter((p) => labels.matches(p.metadata.labels)).length,
      readyReplicas: active.filter(isPodReady).length,
      availableReplicas: active.filter((p) => isPodAvailable(p, minReady, now)).length,
    }),
    ...(terminating === undefined ? {} : { terminatingReplicas: terminating.length }),
    observedGeneration: owner.metadata.generation,
    ...(conditions.length ? { conditions } : {}),
  };
}
function conditionsAfter(owner: ReplicaOwner, have: number, failure: Error | undefined, now: number): NonNullable<ReplicaSetStatus['conditions']> {
  const before = owner.status?.conditions ?? [];
  const others = before.filter((c) => c.type !== 'ReplicaFailure');
  if (!failure) return others;
  // The first failure stays as it is told until all is well again.
  if (others.length < before.length) return before;
  const reason = have < (owner.spec.replicas ?? 0) ? 'FailedCreate' : 'FailedDelete';
  return [...others, { type: 'ReplicaFailure', status: 'True', lastTransitionTime: rfc3339(now), reason, message: failure.message }];
}
