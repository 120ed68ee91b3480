/** Which of a schedule's times a CronJob has to run for. Source: concepts/workloads/controllers/cron-jobs, "CronJob limitations". */
import type { CronJob } from '#api/gen/batch-v1.ts';
import type { Schedule } from './schedule.ts';

/** A time this soon after the schedule's, so that it surely is past. */
const LATE_MS = 100;
const MANY = 100;

export interface Recent {
  /** From when on times count. */
  readonly earliest: number;
  /** The last time that has come since. */
  readonly last: number | undefined;
  readonly missed: 'none' | 'few' | 'many';
}
/** A schedule whose times lie too close together, or that has none. */
export class InvalidScheduleError extends Error {}

/** All times in ms since the epoch. */
export function recentTime(cronJob: CronJob, now: number, schedule: Schedule, withDeadline: boolean): Recent {
  const { startingDeadlineSeconds } = cronJob.spec;
  const since = Date.parse(cronJob.status?.lastScheduleTime ?? cronJob.metadata.creationTimestamp ?? '') || now;
  const earliest = withDeadline && startingDeadlineSeconds !== undefined ? Math.max(since, now - startingDeadlineSeconds * 1000) : since;
  const first = schedule.next(earliest);
  const second = first === undefined ? undefined : schedule.next(first);
  if (first !== undefined && now < first) return { earliest, last: undefined, missed: 'none' };
  if (first !== undefined && second !== undefined && now < second) return { earliest, last: first, missed: 'none' };
  if (first === undefined || second === undefined || second - first < 500) throw new InvalidScheduleError('time difference between two schedules is less than 1 second');
  const step = Math.round((second - first) / 1000);
  const count = Math.floor(Math.floor((now - first) / 1000) / step) + 1;
  // A step back from the estimate: intervals need not be equal.
  let last: number | undefined;
  for (let t = schedule.next(first + (count - 2) * step * 1000); t !== undefined && t <= now; t = schedule.next(t)) last = t;
  return { earliest, last, missed: count > MANY ? 'many' : 'few' };
}
/** Milliseconds until the next time. */
export function untilNext(cronJob: CronJob, now: number, schedule: Schedule): number {
  const from = lastTime(cronJob, now, schedule);
  const next = schedule.next(from);
  return next === undefined ? Number.MAX_SAFE_INTEGER : Math.max(0, next + LATE_MS - now);
}
function lastTime(cronJob: CronJob, now: number, schedule: Schedule): number {
  try {
    const { earliest, last, missed } = recentTime(cronJob, now, schedule, false);
    return last ?? (missed === 'none' ? earliest : now);
  } catch (err) {
    if (err instanceof InvalidScheduleError) return now;
    throw err;
  }
}
