/** What a PodDisruptionBudget allows: pure. Source: concepts/workloads/pods/disruptions, tasks/run-application/configure-pdb. */
import type { Pod } from '#api/gen/core-v1.ts';
import type { Condition } from '#api/gen/meta-v1.ts';
import type { PodDisruptionBudget, PodDisruptionBudgetStatus } from '#api/gen/policy-v1.ts';
import { nameOf } from '#api/object.ts';
import { rfc3339 } from '#base/clock.ts';
import { scaledValue } from '../workload/int-or-percent.ts';
import { isPodReady } from '../workload/pods.ts';

/** A Pod that was let go must have begun to end by then. */
export const DELETION_TIMEOUT_MS = 120_000;

/** Whether the budget is a share of what the Pods' controllers want, rather than a number. */
export function needsScale({ spec }: PodDisruptionBudget): boolean {
  return spec.maxUnavailable !== undefined || typeof spec.minAvailable === 'string';
}
/** `expected` is the sum of what the controllers want, or the number of Pods. */
export function desiredHealthy({ spec }: PodDisruptionBudget, expected: number): number {
  if (spec.maxUnavailable !== undefined) return Math.max(0, expected - scaledValue(spec.maxUnavailable, expected, 'up'));
  return scaledValue(spec.minAvailable, expected, 'up');
}

export interface Disrupted {
  /** Pods that were let go and have yet to begin to end, with the time of it. */
  readonly pods: Readonly<Record<string, string>>;
  /** Pods that should have gone by now. */
  readonly overdue: readonly Pod[];
  /** Milliseconds until the next one is overdue. */
  readonly recheckMs: number | undefined;
}
export function disruptedPods(budget: PodDisruptionBudget, pods: readonly Pod[], now: number): Disrupted {
  const known = budget.status?.disruptedPods ?? {};
  const waiting: Record<string, string> = {};
  const overdue: Pod[] = [];
  let recheckMs: number | undefined;
  for (const pod of pods) {
    const since = known[nameOf(pod)];
    if (since === undefined || pod.metadata.deletionTimestamp !== undefined) continue;
    const left = Date.parse(since) + DELETION_TIMEOUT_MS - now;
    if (left < 0) overdue.push(pod);
    else {
      waiting[nameOf(pod)] = since;
      recheckMs = Math.min(recheckMs ?? Infinity, left + 1);
    }
  }
  return { pods: waiting, overdue, recheckMs };
}
export function countHealthy(pods: readonly Pod[], disrupted: Readonly<Record<string, string>>): number {
  return pods.filter((p) => p.metadata.deletionTimestamp === undefined && disrupted[nameOf(p)] === undefined && isPodReady(p)).length;
}

export function withDisruptionAllowed(conditions: readonly Condition[] | undefined, next: Omit<Condition, 'type' | 'lastTransitionTime'>, now: number): Condition[] {
  const all = conditions ?? [];
  const old = all.find((c) => c.type === 'DisruptionAllowed');
  const condition: Condition = { type: 'DisruptionAllowed', ...next, lastTransitionTime: old?.status === next.status ? old.lastTransitionTime : rfc3339(now) };
  return old ? all.map((c) => (c === old ? condition : c)) : [...all, condition];
}
export function budgetStatus(budget: PodDisruptionBudget, counts: { readonly healthy: number; readonly desired: number; readonly expected: number }, disrupted: Readonly<Record<string, string>>, now: number): PodDisruptionBudgetStatus {
  const { healthy, desired, expected } = counts;
  // A budget without Pods allows nothing: its first ones may come before the next look at it.
  const allowed = expected <= 0 ? 0 : Math.max(0, healthy - desired);
  const observedGeneration = budget.metadata.generation;
  const [status, reason] = allowed > 0 ? ['True', 'SufficientPods'] : ['False', 'InsufficientPods'];
  return {
    currentHealthy: healthy, desiredHealthy: desired, expectedPods: expected, disruptionsAllowed: allowed, observedGeneration,
    ...(Object.keys(disrupted).length ? { disruptedPods: disrupted } : {}),
    conditions: withDisruptionAllowed(budget.status?.conditions, { status: status!, reason: reason!, message: '', observedGeneration }, now),
  };
}
