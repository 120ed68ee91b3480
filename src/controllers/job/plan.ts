/** How many Pods a running Job wants, which of them go and which come: pure. */
import type { Pod } from '#api/gen/core-v1.ts';
import { podsToDelete } from '../replicaset/deletion-rank.ts';
import { indexRemainingMs, remainingMs } from './backoff.ts';
import { firstMissing, union, withIndexes } from './indexes.ts';
import { completionIndex, hasBackoffLimitPerIndex, hasValidIndex, isIndexed, replacesOnlyFailed } from './pods.ts';
import { isSuspended, type JobState } from './state.ts';

/** Pods made or deleted in one reconcile. */
const BURST = 500;

export type Plan =
  | { readonly kind: 'none' }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'delete'; readonly pods: readonly Pod[] }
  /** Indexes are undefined for Pods without. */
  | { readonly kind: 'create'; readonly indexes: readonly (number | undefined)[] };

function wantedActive({ job, active, succeeded }: JobState): number {
  const { completions, parallelism = 1 } = job.spec;
  // Without completions one success ends the work: what runs may run on, nothing new comes.
  if (completions === undefined) return succeeded > 0 ? active.length : parallelism;
  return Math.max(0, Math.min(completions - succeeded, parallelism));
}
/** Pods without a valid index, and all but one of each index; the rest. */
function superfluous({ job, active }: JobState, now: number): { gone: Pod[]; left: Pod[] } {
  if (!isIndexed(job)) return { gone: [], left: [...active] };
  const gone = active.filter((p) => !hasValidIndex(p, job));
  const left: Pod[] = [];
  for (const same of Map.groupBy(active.filter((p) => hasValidIndex(p, job)), completionIndex).values()) {
    const extra = podsToDelete(same, [], same.length - 1, now);
    gone.push(...extra);
    left.push(...same.filter((p) => !extra.includes(p)));
  }
  return { gone, left };
}
export function podsForRemoval(state: JobState, atLeast: number, now: number): Pod[] {
  const { gone, left } = superfluous(state, now);
  return gone.length >= atLeast ? gone : [...gone, ...podsToDelete(left, [], atLeast - gone.length, now)];
}
export function pendingIndexes(state: JobState, count: number): number[] {
  const { job, active, terminating, succeededIndexes, failedIndexes } = state;
  const busy = [...active, ...(replacesOnlyFailed(job) ? terminating : [])].map(completionIndex).filter((i) => i >= 0);
  return firstMissing(union(withIndexes(succeededIndexes, busy), failedIndexes ?? []), count, job.spec.completions ?? 0);
}
function creation(state: JobState, missing: number, now: number): Plan {
  const { job } = state;
  const count = Math.min(missing, BURST);
  if (!hasBackoffLimitPerIndex(job)) {
    const ms = remainingMs(state.backoff, now);
    if (ms > 0) return { kind: 'wait', ms };
    return { kind: 'create', indexes: isIndexed(job) ? pendingIndexes(state, count) : Array.from({ length: count }, () => undefined) };
  }
  const waits = pendingIndexes(state, count).map((index) => ({ index, ms: indexRemainingMs(state.kept.get(index), now) }));
  const due = waits.filter((w) => w.ms === 0).map((w) => w.index);
  if (due.length === 0 && waits.length > 0) return { kind: 'wait', ms: Math.min(...waits.map((w) => w.ms)) };
  return { kind: 'create', indexes: due };
}
export function planPods(state: JobState, now: number): Plan {
  const { job, active, terminating } = state;
  if (isSuspended(job)) return active.length ? { kind: 'delete', pods: active } : { kind: 'none' };
  const wanted = wantedActive(state);
  const going = podsForRemoval(state, Math.max(0, active.length - wanted), now).slice(0, BURST);
  if (going.length) return { kind: 'delete', pods: going };
  const missing = wanted - active.length - (replacesOnlyFailed(job) ? terminating.length : 0);
  return missing > 0 ? creation(state, missing, now) : { kind: 'none' };
}
