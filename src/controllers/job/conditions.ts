import type { Job, JobCondition, JobStatus } from '#api/gen/batch-v1.ts';
import { rfc3339 } from '#base/clock.ts';

export function newCondition(type: string, status: 'True' | 'False', reason: string, message: string, now: number): JobCondition {
  const time = rfc3339(now);
  return { type, status, reason, message, lastProbeTime: time, lastTransitionTime: time };
}
export function trueCondition(status: JobStatus | undefined, type: string): JobCondition | undefined {
  return status?.conditions?.find((c) => c.type === type && c.status === 'True');
}
export function isFinished(job: Job): boolean {
  return trueCondition(job.status, 'Complete') !== undefined || trueCondition(job.status, 'Failed') !== undefined;
}
/** Conditions with that one as told; the same list when nothing changes. One that was never there is not False. */
export function withCondition(conditions: readonly JobCondition[], next: JobCondition): readonly JobCondition[] {
  const old = conditions.find((c) => c.type === next.type);
  if (!old) return next.status === 'False' ? conditions : [...conditions, next];
  if (old.status === next.status && old.reason === next.reason && old.message === next.message) return conditions;
  return conditions.map((c) => (c === old ? next : c));
}
/** The condition that ends the Job, after the interim one that announced it. */
export function finalCondition(interim: JobCondition, now: number): JobCondition {
  const type = interim.type === 'SuccessCriteriaMet' ? 'Complete' : 'Failed';
  return newCondition(type, 'True', interim.reason ?? '', interim.message ?? '', now);
}
