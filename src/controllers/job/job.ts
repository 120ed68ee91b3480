/** Runs Jobs: Pods until enough of them have succeeded. Source: concepts/workloads/controllers/job; upstream's counterpart: job-controller. */
import type { Job, JobCondition } from '#api/gen/batch-v1.ts';
import type { Pod } from '#api/gen/core-v1.ts';
import { keyOf, nameOf, namespaceOf, uidOf } from '#api/object.ts';
import { rfc3339 } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { draftOf } from '#base/draft.ts';
import { JOBS, PODS } from '#client/kinds.ts';
import type { ReconcileResult } from '#client/reconciler.ts';
import { labelMatcherOf } from '#machinery/selectors.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, recorderOf, source, sourceWith, type ControllerContext } from '../controller.ts';
import { byController } from '../workload/by-controller.ts';
import { claimObjects, controllerOf, isControlledBy } from '../workload/controller-ref.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { withoutZeros } from '../workload/equality.ts';
import { untilCaughtUp } from '../workload/stale.ts';
import { NO_FAILURES, type BackoffRecord } from './backoff.ts';
import { finalCondition, isFinished, newCondition, trueCondition, withCondition } from './conditions.ts';
import { Finalizers } from './finalizers.ts';
import { JobPods } from './job-pods.ts';
import { hasFinalizer, TRACKING_FINALIZER } from './pods.ts';
import { planPods } from './plan.ts';
import { deadlineInMs, isSuspended, observe, readyCount, type JobState } from './state.ts';
import { countReleased, track, withFinalizers } from './tracking.ts';

const MANAGED_BY_US = 'kubernetes.io/job-controller';
/** Prefix of the keys of Pods that keep a finalizer which no Job will take away. */
const ORPHAN = 'orphan:';

type Status = ReturnType<typeof draftOf<NonNullable<Job['status']>>>;

/** What was done about the Pods. */
interface Outcome {
  readonly active: number;
  readonly ready: number;
  readonly terminating: number;
  readonly finished: JobCondition | undefined;
  readonly error?: unknown;
  readonly afterMs?: number | undefined;
}
const isManagedElsewhere = (job: Job): boolean => job.spec.managedBy !== undefined && job.spec.managedBy !== MANAGED_BY_US;

export function newJobController(context: ControllerContext): Component {
  const { client, informers, clock } = context;
  const jobs = informers.informer(JOBS);
  const pods = informers.informer(PODS);
  const podsBy = byController(pods);
  const recorder = recorderOf(context, 'job-controller');
  const finalizers = new Finalizers(client);
  const jobPods = new JobPods(client, recorder, clock, finalizers);
  /** By UID of the Job. */
  const backoffs = new Map<string, BackoffRecord>();
  /** Resource version of the last status written, by UID: an older Job has counts that no longer hold. */
  const written = new Map<string, number>();

  function jobOf(pod: Pod): Job | undefined {
    const ref = controllerOf(pod);
    const job = ref?.kind === 'Job' ? jobs.get(namespaceOf(pod), ref.name) : undefined;
    return job && uidOf(job) === ref?.uid ? job : undefined;
  }
  /** Pods that wait for a Job which will not see to them. */
  function keysOf(pod: Pod): string[] {
    const job = jobOf(pod);
    const needsRelease = hasFinalizer(pod) && (!job || isFinished(job)) ? [ORPHAN + keyOf(pod)] : [];
    if (job) return [keyOf(job), ...needsRelease];
    if (controllerOf(pod)) return needsRelease;
    return [...needsRelease, ...jobs.list(namespaceOf(pod)).filter((j) => labelMatcherOf(j.spec.selector).matches(pod.metadata.labels)).map(keyOf)];
  }
  function leftBehind(job: Job): string[] {
    return podsBy.owned(uidOf(job)).filter(hasFinalizer).map((p) => ORPHAN + keyOf(p));
  }

  async function releaseOrphan(key: string, signal: AbortSignal): Promise<undefined> {
    const pod = pods.getByKey(key);
    if (!pod || !hasFinalizer(pod)) return;
    const ref = controllerOf(pod);
    if (ref && ref.kind !== 'Job') return;
    const job = jobOf(pod);
    if (job && (isManagedElsewhere(job) || !isFinished(job))) return;
    await finalizers.remove(pod, signal);
  }
  async function podsFor(job: Job, signal: AbortSignal): Promise<Pod[]> {
    const matcher = labelMatcherOf(job.spec.selector);
    const claimed = await claimObjects(podsBy.claimable(job), {
      owner: job, ownerKind: JOBS, kind: 'Pod', client: client.of(PODS), signal, finalizers: [TRACKING_FINALIZER],
      matches: (p) => matcher.matches(p.metadata.labels), liveOwner: () => client.of(JOBS).get(namespaceOf(job), nameOf(job), signal),
    });
    // Adopted just now: the finalizer is set, though the informer does not show it yet.
    return claimed.map((p) => (isControlledBy(p, job) || hasFinalizer(p) ? p : { ...p, metadata: { ...p.metadata, finalizers: [...(p.metadata.finalizers ?? []), TRACKING_FINALIZER] } }));
  }

  /** Ends what still runs of a Job that is over. */
  async function end(state: JobState, satisfied: boolean, signal: AbortSignal): Promise<Outcome> {
    const { deleted, error } = await jobPods.delete(state.job, state.active, signal);
    const left = state.active.filter((p) => !deleted.includes(p));
    return {
      active: left.length, ready: readyCount(left), terminating: state.terminating.length + deleted.length, error,
      // While Pods may exist that are not seen yet, the end cannot be declared.
      finished: left.length === 0 && satisfied ? state.finished : undefined,
    };
  }
  async function manage(state: JobState, status: Status, satisfied: boolean, signal: AbortSignal): Promise<Outcome> {
    const { job } = state;
    const may = satisfied && job.metadata.deletionTimestamp === undefined;
    const now = clock.now();
    const changed = may ? await jobPods.apply(state, planPods(state, now), signal) : { created: 0, deleted: [] };
    const left = state.active.filter((p) => !changed.deleted.includes(p));
    const active = left.length + changed.created;
    const done = (job.spec.completions === undefined ? state.succeeded > 0 : state.succeeded >= job.spec.completions) && active === 0;
    if (!done && may) suspension(job, status, now);
    return {
      active, ready: readyCount(left), terminating: state.terminating.length + changed.deleted.length, error: changed.error, afterMs: changed.afterMs,
      finished: done ? newCondition('SuccessCriteriaMet', 'True', 'CompletionsReached', 'Reached expected number of succeeded pods', now) : undefined,
    };
  }
  function suspension(job: Job, status: Status, now: number): void {
    const suspended = isSuspended(job);
    const next = suspended ? newCondition('Suspended', 'True', 'JobSuspended', 'Job suspended', now) : newCondition('Suspended', 'False', 'JobResumed', 'Job resumed', now);
    const before = status.conditions ?? [];
    const after = withCondition(before, next);
    if (after === before) return;
    status.conditions = draftOf(after);
    // Time spent suspended does not count towards the deadline.
    if (suspended) delete status.startTime;
    else status.startTime = rfc3339(now);
    recorder.event(job, 'Normal', suspended ? 'Suspended' : 'Resumed', next.message ?? '');
  }

  /** Writes the status where it differs from the stored one. */
  async function write(job: Job, status: Status, signal: AbortSignal): Promise<Job> {
    const { ready = 0, terminating = 0, uncountedTerminatedPods = {}, active, succeeded, failed, ...rest } = status;
    const full = { ...rest, ...withoutZeros({ active: active ?? 0, succeeded: succeeded ?? 0, failed: failed ?? 0 }), ready, terminating, uncountedTerminatedPods };
    if (semanticEqual(job.status, full)) return job;
    const now = await client.of(JOBS).updateStatus({ ...job, status: full }, { signal });
    written.set(uidOf(job), Number(now.metadata.resourceVersion));
    return now;
  }
  async function settle(state: JobState, status: Status, outcome: Outcome, signal: AbortSignal): Promise<void> {
    const waiting = withFinalizers(state);
    countReleased(status, waiting);
    const { release, full } = track({ ...state, finished: outcome.finished }, status);
    const { finished } = outcome;
    if (finished && !trueCondition(status, finished.type)) status.conditions = draftOf(withCondition(status.conditions ?? [], finished));
    let job = await write(state.job, status, signal);
    backoffs.set(uidOf(job), state.backoff);
    const { removed, error } = await finalizers.removeAll(job, release, signal);
    for (const uid of removed) waiting.delete(uid);
    const next = draftOf(job.status ?? {});
    countReleased(next, waiting);
    const { succeeded = [], failed = [] } = next.uncountedTerminatedPods ?? {};
    const ends = error === undefined && finished && !full && succeeded.length + failed.length === 0 && outcome.terminating === 0 ? finalCondition(finished, clock.now()) : undefined;
    if (ends) {
      next.conditions = draftOf(withCondition(next.conditions ?? [], ends));
      if (ends.type === 'Complete') next.completionTime = ends.lastTransitionTime;
    }
    job = await write(job, next, signal);
    if (ends) tellEnd(job, ends);
    if (error !== undefined) throw error;
  }
  function tellEnd(job: Job, ends: JobCondition): void {
    backoffs.delete(uidOf(job));
    if (ends.type === 'Complete') recorder.event(job, 'Normal', 'Completed', 'Job completed');
    else recorder.event(job, 'Warning', ends.reason ?? '', ends.message ?? '');
  }

  async function sync(job: Job, signal: AbortSignal): Promise<ReconcileResult> {
    const uid = uidOf(job);
    if (Number(job.metadata.resourceVersion) < (written.get(uid) ?? 0)) return undefined;
    const waitMs = jobPods.expectations.waitMs(uid);
    // Copied before the Pods are read: what is not in it is without finalizer in what is read.
    const released = new Set(finalizers.expected(uid));
    const own = await podsFor(job, signal);
    const now = clock.now();
    const state = observe({ job, pods: own, released, backoff: backoffs.get(uid) ?? NO_FAILURES, now });
    const status: Status = draftOf(job.status ?? {});
    if (status.startTime === undefined && !isSuspended(job)) status.startTime = rfc3339(now);
    const outcome = state.finished ? await end(state, waitMs === 0, signal) : await manage(state, status, waitMs === 0, signal);
    status.active = outcome.active;
    status.ready = outcome.ready;
    status.terminating = outcome.terminating;
    await settle(state, status, outcome, signal);
    if (outcome.error !== undefined) throw outcome.error;
    const deadline = outcome.finished ? undefined : deadlineInMs({ ...job, status }, now);
    const waits = [outcome.afterMs, deadline, waitMs || undefined].filter((ms) => ms !== undefined);
    return waits.length ? { afterMs: Math.max(1, Math.min(...waits)) } : undefined;
  }

  return newController({
    name: 'job-controller',
    context,
    workers: 5,
    sources: (queue) => [
      source(context, queue, JOBS, (j) => [keyOf(j)]),
      sourceWith(context, JOBS, {
        onUpdate(_, job) {
          if (isFinished(job)) for (const key of leftBehind(job)) queue.add(key);
        },
        onDelete(job) {
          const uid = uidOf(job);
          jobPods.expectations.forget(uid);
          finalizers.forget(uid);
          backoffs.delete(uid);
          written.delete(uid);
          for (const key of leftBehind(job)) queue.add(key);
        },
      }),
      sourceWith(context, PODS, {
        onAdd: (pod) => jobPods.seen(pod),
        onUpdate: (_, pod) => {
          if (pod.metadata.deletionTimestamp !== undefined) jobPods.gone(pod);
          if (!hasFinalizer(pod)) finalizers.gone(pod);
        },
        onDelete: (pod) => {
          jobPods.gone(pod);
          finalizers.gone(pod);
        },
      }),
      source(context, queue, PODS, keysOf),
    ],
    async reconcile(key, signal) {
      if (key.startsWith(ORPHAN)) return await releaseOrphan(key.slice(ORPHAN.length), signal);
      const job = jobs.getByKey(key);
      if (!job || isManagedElsewhere(job) || isFinished(job)) return undefined;
      return await untilCaughtUp(() => sync(job, signal)).catch((err: unknown) => {
        if (isReason(err, 'NotFound') && !jobs.getByKey(key)) return undefined;
        throw err;
      });
    },
  });
}
