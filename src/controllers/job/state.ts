/** What a Job's Pods say, before anything is done about it: pure, from the Job and the Pods that it controls. */
import type { Job, JobCondition } from '#api/gen/batch-v1.ts';
import type { Pod } from '#api/gen/core-v1.ts';
import { uidOf } from '#api/object.ts';
import { isPodActive, isPodReady, isPodTerminating } from '../workload/pods.ts';
import { allIndexFailures, backoffAfter, indexFailures, type BackoffRecord } from './backoff.ts';
import { newCondition, trueCondition } from './conditions.ts';
import { countIndexes, hasIndex, parseIndexes, withIndexes, type Indexes } from './indexes.ts';
import { completionIndex, finishedAt, hasBackoffLimitPerIndex, hasFinalizer, hasValidIndex, isIndexed, isPodFailed } from './pods.ts';
import { jobFailureMessage, judgeFailure, successMessage } from './policies.ts';

export interface JobState {
  readonly job: Job;
  readonly pods: readonly Pod[];
  readonly active: readonly Pod[];
  readonly terminating: readonly Pod[];
  /** Pods whose finalizer was taken away, which the informer has yet to show. */
  readonly released: ReadonlySet<string>;
  /** Counts with what is about to be counted. */
  readonly succeeded: number;
  readonly failed: number;
  readonly backoff: BackoffRecord;
  /** Succeeded indexes of the last status, and with those of the Pods. */
  readonly countedIndexes: Indexes;
  readonly succeededIndexes: Indexes;
  /** Undefined unless failures are limited by index. */
  readonly failedIndexes: Indexes | undefined;
  /** By index: the failed Pod that is kept until its replacement has taken over its count of failures. */
  readonly kept: ReadonlyMap<number, Pod>;
  /** Why the Job ends: FailureTarget, SuccessCriteriaMet. */
  readonly finished: JobCondition | undefined;
}
export interface Observation {
  readonly job: Job;
  readonly pods: readonly Pod[];
  readonly released: ReadonlySet<string>;
  readonly backoff: BackoffRecord;
  readonly now: number;
}

/** Pods whose end is not in the status yet. */
function newlyEnded({ job, pods, released }: Observation, list: 'succeeded' | 'failed', ended: (pod: Pod) => boolean): Pod[] {
  const uncounted = new Set(job.status?.uncountedTerminatedPods?.[list]);
  return pods.filter((p) => hasFinalizer(p) && !released.has(uidOf(p)) && !uncounted.has(uidOf(p)) && (!isIndexed(job) || hasValidIndex(p, job)) && ended(p));
}
function succeededIndexes({ job, pods }: Observation): { counted: Indexes; all: Indexes } {
  if (!isIndexed(job)) return { counted: [], all: [] };
  const counted = parseIndexes(job.status?.completedIndexes, job.spec.completions ?? 0);
  return { counted, all: withIndexes(counted, pods.filter((p) => p.status?.phase === 'Succeeded' && hasValidIndex(p, job) && hasFinalizer(p)).map(completionIndex)) };
}
function failsIndex(job: Job, pod: Pod): boolean {
  if (!isPodFailed(pod, job)) return false;
  const { action, counts } = judgeFailure(job.spec.podFailurePolicy, pod);
  return action === 'FailIndex' || (counts && indexFailures(pod) >= (job.spec.backoffLimitPerIndex ?? 0));
}
function failedIndexes({ job, pods, released }: Observation): Indexes | undefined {
  if (!hasBackoffLimitPerIndex(job)) return undefined;
  const before = parseIndexes(job.status?.failedIndexes, job.spec.completions ?? 0);
  return withIndexes(before, pods.filter((p) => hasFinalizer(p) && !released.has(uidOf(p)) && hasValidIndex(p, job) && failsIndex(job, p)).map(completionIndex));
}
function keptPods(o: Observation, active: readonly Pod[], succeeded: Indexes, failed: Indexes | undefined): Map<number, Pod> {
  const kept = new Map<number, Pod>();
  if (!failed) return kept;
  const settled = withIndexes(succeeded, active.map(completionIndex).filter((i) => i >= 0));
  for (const pod of o.pods) {
    const index = completionIndex(pod);
    if (!hasFinalizer(pod) || o.released.has(uidOf(pod)) || !hasValidIndex(pod, o.job) || !isPodFailed(pod, o.job) || hasIndex(settled, index) || hasIndex(failed, index)) continue;
    const other = kept.get(index);
    if (!other || (allIndexFailures(other) <= allIndexFailures(pod) && finishedAt(pod) >= finishedAt(other))) kept.set(index, pod);
  }
  return kept;
}

export function isSuspended(job: Job): boolean {
  return job.spec.suspend === true;
}
/** Restarts of containers on the spot count as failures where the kubelet restarts them. */
function pastRestartLimit({ job, pods }: Observation): boolean {
  if (job.spec.template.spec?.restartPolicy !== 'OnFailure') return false;
  const running = pods.filter((p) => p.status?.phase === 'Running' || p.status?.phase === 'Pending');
  const restarts = running.flatMap((p) => [...(p.status?.initContainerStatuses ?? []), ...(p.status?.containerStatuses ?? [])]).reduce((sum, s) => sum + (s.restartCount ?? 0), 0);
  const limit = job.spec.backoffLimit ?? 6;
  return limit === 0 ? restarts > 0 : restarts >= limit;
}
/** Milliseconds until `activeDeadlineSeconds` are over; undefined for a Job without, that waits to start or is suspended. */
export function deadlineInMs(job: Job, now: number): number | undefined {
  const { activeDeadlineSeconds } = job.spec;
  const { startTime } = job.status ?? {};
  return activeDeadlineSeconds === undefined || startTime === undefined || isSuspended(job) ? undefined : Date.parse(startTime) + activeDeadlineSeconds * 1000 - now;
}
function verdict(o: Observation, failedCount: number, succeeded: Indexes, failed: Indexes | undefined): JobCondition | undefined {
  const { job, now } = o;
  const met = trueCondition(job.status, 'SuccessCriteriaMet') ?? trueCondition(job.status, 'FailureTarget');
  if (met) return met;
  const fail = (reason: string, message: string) => newCondition('FailureTarget', 'True', reason, message, now);
  const byPolicy = jobFailureMessage(job, o.pods);
  if (byPolicy !== undefined) return fail('PodFailurePolicy', byPolicy);
  if (failedCount > (job.spec.backoffLimit ?? 6) || pastRestartLimit(o)) return fail('BackoffLimitExceeded', 'Job has reached the specified backoff limit');
  if ((deadlineInMs(job, now) ?? 1) <= 0) return fail('DeadlineExceeded', 'Job was active longer than specified deadline');
  const lost = failed ? countIndexes(failed) : 0;
  if (lost > (job.spec.maxFailedIndexes ?? Infinity)) return fail('MaxFailedIndexesExceeded', 'Job has exceeded the specified maximal number of failed indexes');
  if (lost > 0 && lost + countIndexes(succeeded) >= (job.spec.completions ?? 0)) return fail('FailedIndexes', 'Job has failed indexes');
  const success = isIndexed(job) ? successMessage(job, succeeded) : undefined;
  return success === undefined ? undefined : newCondition('SuccessCriteriaMet', 'True', 'SuccessPolicy', success, now);
}

export function observe(o: Observation): JobState {
  const { job, pods, released } = o;
  const active = pods.filter(isPodActive);
  const newSucceeded = newlyEnded(o, 'succeeded', (p) => p.status?.phase === 'Succeeded');
  const newFailed = newlyEnded(o, 'failed', (p) => isPodFailed(p, job));
  const { counted, all } = succeededIndexes(o);
  const lost = failedIndexes(o);
  const { succeeded = 0, failed = 0, uncountedTerminatedPods: uncounted } = job.status ?? {};
  const failures = failed + newFailed.filter((p) => judgeFailure(job.spec.podFailurePolicy, p).counts).length + (uncounted?.failed?.length ?? 0);
  return {
    job, pods, active, released, terminating: pods.filter(isPodTerminating),
    succeeded: isIndexed(job) ? countIndexes(all) : succeeded + newSucceeded.length + (uncounted?.succeeded?.length ?? 0),
    failed: failures,
    backoff: backoffAfter(o.backoff, newSucceeded, newFailed),
    countedIndexes: counted, succeededIndexes: all, failedIndexes: lost,
    kept: keptPods(o, active, all, lost),
    finished: verdict(o, failures, all, lost),
  };
}
export function readyCount(pods: readonly Pod[]): number {
  return pods.filter(isPodReady).length;
}
