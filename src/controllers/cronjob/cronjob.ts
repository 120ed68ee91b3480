/** Makes Jobs on a schedule. Source: concepts/workloads/controllers/cron-jobs; upstream's counterpart: cronjob-controller. */
import type { CronJob, CronJobStatus, Job } from '#api/gen/batch-v1.ts';
import { keyOf, nameOf, namespaceOf, uidOf } from '#api/object.ts';
import { rfc3339 } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { draftOf, type Draft } from '#base/draft.ts';
import { referenceTo, type EventType } from '#client/events.ts';
import { CRON_JOBS, JOBS } from '#client/kinds.ts';
import type { ReconcileResult } from '#client/reconciler.ts';
import { CronError, isKnownTimeZone } from '#machinery/cron.ts';
import { isReason, StatusError } from '#machinery/status-error.ts';
import { newController, recorderOf, source, sourceWith, type ControllerContext } from '../controller.ts';
import { isFinished, trueCondition } from '../job/conditions.ts';
import { byController } from '../workload/by-controller.ts';
import { controllerOf, isControlledBy, newControllerRef } from '../workload/controller-ref.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { isNamespaceTerminating } from '../workload/pod-control.ts';
import { untilCaughtUp } from '../workload/stale.ts';
import { InvalidScheduleError, recentTime, untilNext } from './due.ts';
import { parseSchedule, type Schedule } from './schedule.ts';
import { localZone, zonedTime } from './time-zone.ts';

const SCHEDULED_AT = 'batch.kubernetes.io/cronjob-scheduled-timestamp';
/** The longest that a timer is set for. */
const DAY_MS = 86_400_000;

type Status = Draft<CronJobStatus>;
type Tell = (type: EventType, reason: string, message: string) => void;

export function jobName(cronJob: CronJob, scheduled: number): string {
  return `${nameOf(cronJob)}-${Math.floor(scheduled / 60_000)}`;
}
/** The Job of one scheduled time (ms since the epoch). */
export function jobFor(cronJob: CronJob, scheduled: number): Job {
  const { metadata, spec } = cronJob.spec.jobTemplate;
  return {
    metadata: {
      name: jobName(cronJob, scheduled), namespace: namespaceOf(cronJob), ...(metadata?.labels ? { labels: metadata.labels } : {}),
      annotations: { ...metadata?.annotations, [SCHEDULED_AT]: zonedTime(cronJob.spec.timeZone ?? 'UTC', scheduled) },
      ownerReferences: [newControllerRef(cronJob, CRON_JOBS)],
    },
    spec: spec ?? { template: {} },
  };
}
/** `Mon, 02 Jan 2026 03:04:05 +0000`. */
const rfc1123z = (ms: number): string => new Date(ms).toUTCString().replace('GMT', '+0000');

/** Ended Jobs beyond the history limits, those that started first going first. */
export function jobsToForget(cronJob: CronJob, jobs: readonly Job[]): Job[] {
  const excess = (type: string, limit: number | undefined): Job[] => {
    const ended = jobs.filter((j) => trueCondition(j.status, type));
    const startOf = (j: Job): string => j.status?.startTime ?? '9999';
    return limit === undefined ? [] : ended.toSorted((a, b) => (startOf(a) < startOf(b) ? -1 : startOf(a) > startOf(b) ? 1 : nameOf(a) < nameOf(b) ? -1 : 1)).slice(0, Math.max(0, ended.length - limit));
  };
  return [...excess('Complete', cronJob.spec.successfulJobsHistoryLimit), ...excess('Failed', cronJob.spec.failedJobsHistoryLimit)];
}

export function newCronJobController(context: ControllerContext): Component {
  const { client, informers, clock } = context;
  const cronJobs = informers.informer(CRON_JOBS);
  const jobsBy = byController(informers.informer(JOBS));
  const recorder = recorderOf(context, 'cronjob-controller');
  /** Resource version of the last status written, by UID: an older CronJob does not know all its Jobs. */
  const written = new Map<string, number>();

  const live = (namespace: string, name: string, signal: AbortSignal) => client.of(JOBS).get(namespace, name, signal).catch((err: unknown) => {
    if (isReason(err, 'NotFound')) return undefined;
    throw err;
  });
  async function deleteJob(job: Job, status: Status, tell: Tell, signal: AbortSignal): Promise<void> {
    try {
      await client.of(JOBS).delete(namespaceOf(job), nameOf(job), { propagationPolicy: 'Background', preconditions: { uid: uidOf(job) } }, signal);
    } catch (err) {
      if (isReason(err, 'NotFound')) return;
      tell('Warning', 'FailedDelete', `Deleted job: ${StatusError.from(err).message}`);
      throw err;
    }
    dropActive(status, uidOf(job));
    tell('Normal', 'SuccessfulDelete', `Deleted job ${nameOf(job)}`);
  }
  function dropActive(status: Status, uid: string): void {
    status.active = status.active?.filter((r) => r.uid !== uid);
  }

  /** Brings the list of active Jobs up to date with what they report. */
  async function review(cronJob: CronJob, jobs: readonly Job[], status: Status, tell: Tell, signal: AbortSignal): Promise<void> {
    for (const job of jobs) {
      const known = status.active?.some((r) => r.uid === uidOf(job)) ?? false;
      if (!known && !isFinished(job)) tell('Warning', 'UnexpectedJob', `Saw a job that the controller did not create or forgot: ${nameOf(job)}`);
      if (known && isFinished(job)) {
        dropActive(status, uidOf(job));
        tell('Normal', 'SawCompletedJob', `Saw completed job: ${nameOf(job)}, condition: ${trueCondition(job.status, 'Complete') ? 'Complete' : 'Failed'}`);
      }
      const completed = trueCondition(job.status, 'Complete') ? job.status?.completionTime : undefined;
      if (completed !== undefined && completed > (status.lastSuccessfulTime ?? '')) status.lastSuccessfulTime = completed;
    }
    for (const ref of status.active ?? []) {
      if (jobs.some((j) => uidOf(j) === ref.uid) || (await live(namespaceOf(cronJob), ref.name ?? '', signal))) continue;
      tell('Normal', 'MissingJob', `Active job went missing: ${ref.name}`);
      dropActive(status, ref.uid ?? '');
    }
  }

  /** Undefined, and told, when the CronJob has no schedule that could be followed. */
  function scheduleOf({ spec }: CronJob, tell: Tell): Schedule | undefined {
    if (spec.timeZone !== undefined && !isKnownTimeZone(spec.timeZone)) {
      tell('Warning', 'UnknownTimeZone', `invalid timeZone: ${JSON.stringify(spec.timeZone)}: unknown time zone ${spec.timeZone}`);
      return undefined;
    }
    if (spec.suspend) return undefined;
    if (spec.schedule.includes('TZ')) {
      tell('Warning', 'UnsupportedSchedule', `CRON_TZ or TZ used in schedule ${JSON.stringify(spec.schedule)} is not officially supported, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details`);
    }
    try {
      return parseSchedule(spec.schedule, spec.timeZone ?? localZone());
    } catch (err) {
      if (!(err instanceof CronError)) throw err;
      tell('Warning', 'UnparseableSchedule', `unparseable schedule: ${JSON.stringify(spec.schedule)} : ${err.message}`);
      return undefined;
    }
  }
  /** The time to run a Job for now, if there is one. */
  function dueTime(cronJob: CronJob, status: Status, schedule: Schedule, tell: Tell): number | undefined {
    const now = clock.now();
    const { last, missed } = recentTime(cronJob, now, schedule, true);
    if (last === undefined || last > now) return undefined;
    if (missed === 'many') tell('Warning', 'TooManyMissedTimes', 'too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew');
    const { startingDeadlineSeconds, concurrencyPolicy } = cronJob.spec;
    if (startingDeadlineSeconds !== undefined && last + startingDeadlineSeconds * 1000 < now) {
      tell('Warning', 'MissSchedule', `Missed scheduled time to start a job: ${rfc1123z(last)}`);
      return undefined;
    }
    if (status.active?.some((r) => r.name === jobName(cronJob, last)) || status.lastScheduleTime === rfc3339(last)) return undefined;
    if (concurrencyPolicy === 'Forbid' && status.active?.length) {
      tell('Normal', 'JobAlreadyActive', 'Not starting job because prior execution is running and concurrency policy is Forbid');
      return undefined;
    }
    return last;
  }
  async function replaceActive(status: Status, namespace: string, tell: Tell, signal: AbortSignal): Promise<void> {
    for (const ref of (status.active ?? []).slice()) {
      const job = await live(namespace, ref.name ?? '', signal);
      if (job) await deleteJob(job, status, tell, signal);
    }
  }
  async function run(cronJob: CronJob, scheduled: number, status: Status, tell: Tell, signal: AbortSignal): Promise<void> {
    let job: Job | undefined;
    try {
      job = await client.of(JOBS).create(jobFor(cronJob, scheduled), { signal });
      tell('Normal', 'SuccessfulCreate', `Created job ${nameOf(job)}`);
    } catch (err) {
      if (isNamespaceTerminating(err)) return;
      if (!isReason(err, 'AlreadyExists')) {
        tell('Warning', 'FailedCreate', `Error creating job: ${StatusError.from(err).message}`);
        throw err;
      }
      // Made in an earlier turn whose status was lost, or somebody else's.
      job = await live(namespaceOf(cronJob), jobName(cronJob, scheduled), signal);
      if (!job || !isControlledBy(job, cronJob) || status.active?.some((r) => r.uid === uidOf(job!))) return;
    }
    status.active = [...(status.active ?? []), referenceTo(job)];
    status.lastScheduleTime = rfc3339(scheduled);
  }

  async function sync(cronJob: CronJob, signal: AbortSignal): Promise<ReconcileResult> {
    const tell: Tell = (type, reason, message) => recorder.event(cronJob, type, reason, message);
    const status: Status = draftOf(cronJob.status ?? {});
    const jobs = jobsBy.owned(uidOf(cronJob));
    const write = async (): Promise<void> => {
      if (semanticEqual(cronJob.status, status)) return;
      const now = await client.of(CRON_JOBS).updateStatus({ ...cronJob, status }, { signal });
      written.set(uidOf(cronJob), Number(now.metadata.resourceVersion));
    };
    for (const job of jobsToForget(cronJob, jobs)) await deleteJob(job, status, tell, signal);
    await review(cronJob, jobs, status, tell, signal);
    const schedule = cronJob.metadata.deletionTimestamp === undefined ? scheduleOf(cronJob, tell) : undefined;
    if (!schedule) return void (await write());
    let due: number | undefined;
    try {
      due = dueTime(cronJob, status, schedule, tell);
    } catch (err) {
      if (!(err instanceof InvalidScheduleError)) throw err;
      tell('Warning', 'InvalidSchedule', `invalid schedule: ${cronJob.spec.schedule} : ${err.message}`);
      return void (await write());
    }
    try {
      if (due !== undefined && cronJob.spec.concurrencyPolicy === 'Replace') await replaceActive(status, namespaceOf(cronJob), tell, signal);
      if (due !== undefined) await run(cronJob, due, status, tell, signal);
    } finally {
      await write();
    }
    return { afterMs: Math.min(DAY_MS, untilNext({ ...cronJob, status }, clock.now(), schedule)) };
  }

  return newController({
    name: 'cronjob-controller',
    context,
    workers: 5,
    sources: (queue) => [
      source(context, queue, CRON_JOBS, (c) => [keyOf(c)]),
      sourceWith(context, CRON_JOBS, { onDelete: (c) => void written.delete(uidOf(c)) }),
      source(context, queue, JOBS, (job) => {
        const ref = controllerOf(job);
        return ref?.kind === 'CronJob' ? [`${namespaceOf(job)}/${ref.name}`] : [];
      }),
    ],
    async reconcile(key, signal) {
      const cronJob = cronJobs.getByKey(key);
      if (!cronJob || Number(cronJob.metadata.resourceVersion) < (written.get(uidOf(cronJob)) ?? 0)) return undefined;
      return await untilCaughtUp(() => sync(cronJob, signal));
    },
  });
}
