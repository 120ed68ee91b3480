/** Deletes Jobs some time after they ended. Source: concepts/workloads/controllers/ttlafterfinished; upstream's counterpart: ttl-after-finished-controller. */
import type { Job } from '#api/gen/batch-v1.ts';
import { keyOf, splitKey, uidOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { JOBS } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, source, type ControllerContext } from '../controller.ts';
import { trueCondition } from '../job/conditions.ts';

/** Milliseconds until the Job's time is over; undefined while it has none. */
export function timeLeftMs(job: Job, now: number): number | undefined {
  const { ttlSecondsAfterFinished } = job.spec;
  const ended = trueCondition(job.status, 'Complete') ?? trueCondition(job.status, 'Failed');
  if (ttlSecondsAfterFinished === undefined || !ended || job.metadata.deletionTimestamp !== undefined) return undefined;
  return Date.parse(ended.lastTransitionTime ?? '') + ttlSecondsAfterFinished * 1000 - now;
}

export function newTtlAfterFinishedController(context: ControllerContext): Component {
  const { client, clock, informers } = context;
  const jobs = informers.informer(JOBS);
  return newController({
    name: 'ttl-after-finished-controller',
    context,
    sources: (queue) => [source(context, queue, JOBS, (j) => (j.spec.ttlSecondsAfterFinished === undefined ? [] : [keyOf(j)]))],
    async reconcile(key, signal) {
      const job = jobs.getByKey(key);
      const left = job && timeLeftMs(job, clock.now());
      if (left === undefined) return undefined;
      if (left > 0) return { afterMs: left };
      const { namespace, name } = splitKey(key);
      try {
        // Its time may have been made longer: only the stored Job tells.
        const fresh = await client.of(JOBS).get(namespace, name, signal);
        const freshLeft = timeLeftMs(fresh, clock.now());
        if (freshLeft === undefined) return undefined;
        if (freshLeft > 0) return { afterMs: freshLeft };
        await client.of(JOBS).delete(namespace, name, { propagationPolicy: 'Foreground', preconditions: { uid: uidOf(fresh) } }, signal);
      } catch (err) {
        if (!isReason(err, 'NotFound')) throw err;
      }
      return undefined;
    },
  });
}
