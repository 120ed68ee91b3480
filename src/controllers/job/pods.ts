/** What a Job asks of its Pods. */
import type { Job } from '#api/gen/batch-v1.ts';
import type { ContainerStatus, Pod } from '#api/gen/core-v1.ts';

/** Keeps a Pod in the API until its outcome is counted (KEP-2307). */
export const TRACKING_FINALIZER = 'batch.kubernetes.io/job-tracking';
/** Name of the annotation and of the label. */
export const COMPLETION_INDEX = 'batch.kubernetes.io/job-completion-index';
export const NO_INDEX = -1;

export function isIndexed(job: Job): boolean {
  return job.spec.completionMode === 'Indexed';
}
export function hasBackoffLimitPerIndex(job: Job): boolean {
  return job.spec.backoffLimitPerIndex !== undefined;
}
/** Whether a Pod that is on its way out keeps its place until it has ended. */
export function replacesOnlyFailed(job: Job): boolean {
  return job.spec.podReplacementPolicy === 'Failed' || job.spec.podFailurePolicy !== undefined;
}
export function hasFinalizer(pod: Pod): boolean {
  return pod.metadata.finalizers?.includes(TRACKING_FINALIZER) ?? false;
}
/** The Pod's completion index, `NO_INDEX` when it has none. */
export function completionIndex(pod: Pod): number {
  const text = pod.metadata.annotations?.[COMPLETION_INDEX];
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : NO_INDEX;
}
export function hasValidIndex(pod: Pod, job: Job): boolean {
  const index = completionIndex(pod);
  return index !== NO_INDEX && index < (job.spec.completions ?? 0);
}
/** Failed, or taken away before it could succeed, unless the Job waits for the end of those. */
export function isPodFailed(pod: Pod, job: Job): boolean {
  if (pod.status?.phase === 'Failed') return true;
  if (replacesOnlyFailed(job)) return false;
  return pod.metadata.deletionTimestamp !== undefined && pod.status?.phase !== 'Succeeded';
}

function lastEnd(statuses: readonly ContainerStatus[]): number | undefined {
  const ends = statuses.map((s) => (s.state?.terminated?.finishedAt === undefined ? NaN : Date.parse(s.state.terminated.finishedAt)));
  return ends.length === 0 || ends.some(Number.isNaN) ? undefined : Math.max(...ends);
}
/** When the Pod ended, in ms since the epoch, as well as its status tells. */
export function finishedAt(pod: Pod): number {
  const byContainers = lastEnd(pod.status?.containerStatuses ?? []);
  if (byContainers !== undefined) return byContainers;
  const notReady = pod.status?.conditions?.find((c) => c.type === 'Ready' && c.status === 'False')?.lastTransitionTime;
  if (notReady !== undefined) return Date.parse(notReady);
  const { deletionTimestamp, deletionGracePeriodSeconds = 0, creationTimestamp } = pod.metadata;
  if (deletionTimestamp !== undefined) return Date.parse(deletionTimestamp) - deletionGracePeriodSeconds * 1000;
  return creationTimestamp === undefined ? 0 : Date.parse(creationTimestamp);
}
