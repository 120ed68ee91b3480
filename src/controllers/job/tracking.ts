/**
 * Counts ended Pods exactly once (KEP-2307), in steps that survive a crash between any two of them: UIDs of ended Pods go into
 * `status.uncountedTerminatedPods`; their finalizers go; then the UIDs become numbers. This file holds the pure parts.
 */
import type { JobStatus } from '#api/gen/batch-v1.ts';
import type { Pod } from '#api/gen/core-v1.ts';
import { uidOf } from '#api/object.ts';
import type { Draft } from '#base/draft.ts';
import { countIndexes, formatIndexes, hasIndex, withIndexes } from './indexes.ts';
import { completionIndex, hasBackoffLimitPerIndex, hasFinalizer, hasValidIndex, isIndexed, isPodFailed } from './pods.ts';
import { judgeFailure } from './policies.ts';
import type { JobState } from './state.ts';

/** UIDs in one status: what remains is for the next reconcile. */
const MAX_UNCOUNTED = 500;

export interface Tracked {
  /** Pods to take the finalizer from. */
  readonly release: readonly Pod[];
  /** More Pods wait than fit. */
  readonly full: boolean;
}

export function withFinalizers({ pods, released }: JobState): Set<string> {
  return new Set(pods.filter((p) => hasFinalizer(p) && !released.has(uidOf(p))).map(uidOf));
}
/** Turns UIDs whose Pods have no finalizer any more into numbers. True when something changed. */
export function countReleased(status: Draft<JobStatus>, finalizers: ReadonlySet<string>): boolean {
  let changed = false;
  for (const list of ['succeeded', 'failed'] as const) {
    const uids = status.uncountedTerminatedPods?.[list];
    const left = uids?.filter((uid) => finalizers.has(uid)) ?? [];
    if (!uids || left.length === uids.length) continue;
    status[list] = (status[list] ?? 0) + uids.length - left.length;
    if (left.length) status.uncountedTerminatedPods![list] = left;
    else delete status.uncountedTerminatedPods![list];
    changed = true;
  }
  return changed;
}
function mayRelease(state: JobState, pod: Pod, failed: boolean): boolean {
  if (state.job.metadata.deletionTimestamp !== undefined || state.finished || pod.status?.phase === 'Succeeded') return true;
  return failed && !(hasBackoffLimitPerIndex(state.job) && state.kept.get(completionIndex(pod)) === pod);
}
/** Enters what has ended into the status, which changes where something is new. */
export function track(state: JobState, status: Draft<JobStatus>): Tracked {
  const { job } = state;
  const indexed = isIndexed(job);
  const uncounted = (status.uncountedTerminatedPods ??= {});
  const [succeeded, failed] = [new Set(uncounted.succeeded), new Set(uncounted.failed)];
  const newIndexes = new Set<number>();
  const release: Pod[] = [];
  let full = false;
  const pods = indexed ? state.pods.toSorted((a, b) => completionIndex(a) - completionIndex(b)) : state.pods;
  for (const pod of pods) {
    const uid = uidOf(pod);
    const isFailed = isPodFailed(pod, job);
    if (!hasFinalizer(pod) || state.released.has(uid) || !mayRelease(state, pod, isFailed)) continue;
    release.push(pod);
    const valid = !indexed || hasValidIndex(pod, job);
    if (pod.status?.phase === 'Succeeded' && !failed.has(uid)) {
      if (!indexed) succeeded.add(uid);
      else if (valid && !hasIndex(state.countedIndexes, completionIndex(pod))) newIndexes.add(completionIndex(pod));
    } else if ((isFailed || (state.finished && state.finished.type !== 'SuccessCriteriaMet')) && valid && judgeFailure(job.spec.podFailurePolicy, pod).counts) failed.add(uid);
    full = newIndexes.size + succeeded.size + failed.size >= MAX_UNCOUNTED;
    if (full) break;
  }
  if (succeeded.size) uncounted.succeeded = [...succeeded];
  if (failed.size) uncounted.failed = [...failed];
  if (indexed) {
    const indexes = withIndexes(state.countedIndexes, newIndexes);
    status.succeeded = countIndexes(indexes);
    status.completedIndexes = formatIndexes(indexes) || undefined;
    if (state.failedIndexes) status.failedIndexes = formatIndexes(state.failedIndexes);
  }
  return { release, full };
}
