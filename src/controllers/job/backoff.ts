/** How long a Job waits before it replaces failed Pods: 10 s, doubled with each failure in a row, at most 10 minutes. */
import type { Job } from '#api/gen/batch-v1.ts';
import type { Pod } from '#api/gen/core-v1.ts';
import { finishedAt } from './pods.ts';
import { judgeFailure } from './policies.ts';

const BASE_MS = 10_000;
const MAX_MS = 600_000;
const FAILURES = 'batch.kubernetes.io/job-index-failure-count';
const IGNORED_FAILURES = 'batch.kubernetes.io/job-index-ignored-failure-count';

/** Failures since the last success. Times in ms since the epoch. */
export interface BackoffRecord {
  readonly failures: number;
  readonly lastFailure: number;
}
export const NO_FAILURES: BackoffRecord = { failures: 0, lastFailure: 0 };

export function backoffAfter(before: BackoffRecord, succeeded: readonly Pod[], failed: readonly Pod[]): BackoffRecord {
  const lastSuccess = succeeded.length ? Math.max(...succeeded.map(finishedAt)) : undefined;
  const since = failed.map(finishedAt).filter((at) => lastSuccess === undefined || at > lastSuccess);
  const base = lastSuccess === undefined ? before : NO_FAILURES;
  return since.length === 0 ? base : { failures: base.failures + since.length, lastFailure: Math.max(base.lastFailure, ...since) };
}
export function remainingMs({ failures, lastFailure }: BackoffRecord, now: number): number {
  if (failures === 0) return 0;
  return Math.max(0, Math.min(BASE_MS * 2 ** Math.min(failures - 1, 20), MAX_MS) - (now - lastFailure));
}

function count(pod: Pod, annotation: string): number {
  const text = pod.metadata.annotations?.[annotation] ?? '';
  return /^\d+$/.test(text) ? Number(text) : 0;
}
/** Earlier failures of the Pod's index that count towards `backoffLimitPerIndex`. */
export function indexFailures(pod: Pod): number {
  return count(pod, FAILURES);
}
export function allIndexFailures(pod: Pod): number {
  return count(pod, FAILURES) + count(pod, IGNORED_FAILURES);
}
/** The wait before the Pod that failed last in an index is replaced. */
export function indexRemainingMs(last: Pod | undefined, now: number): number {
  return last ? remainingMs({ failures: allIndexFailures(last) + 1, lastFailure: finishedAt(last) }, now) : 0;
}
/** Annotations of a Pod that takes the place of `replaced` in an index. */
export function failureAnnotations(job: Job, replaced: Pod | undefined): Record<string, string> {
  if (!replaced) return { [FAILURES]: '0' };
  const { counts } = judgeFailure(job.spec.podFailurePolicy, replaced);
  const ignored = count(replaced, IGNORED_FAILURES) + (counts ? 0 : 1);
  return { [FAILURES]: String(count(replaced, FAILURES) + (counts ? 1 : 0)), ...(ignored ? { [IGNORED_FAILURES]: String(ignored) } : {}) };
}
