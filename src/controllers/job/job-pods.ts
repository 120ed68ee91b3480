/** Makes and deletes the Pods of Jobs, and remembers what the informer has yet to show of it. */
import type { Job } from '#api/gen/batch-v1.ts';
import type { Pod } from '#api/gen/core-v1.ts';
import { uidOf } from '#api/object.ts';
import type { Clock } from '#base/clock.ts';
import type { Client } from '#client/client.ts';
import type { EventRecorder } from '#client/events.ts';
import { JOBS } from '#client/kinds.ts';
import { controllerOf } from '../workload/controller-ref.ts';
import { Expectations } from '../workload/expectations.ts';
import type { Finalizers } from './finalizers.ts';
import { isGone, isNamespaceTerminating, PodControl } from '../workload/pod-control.ts';
import { slowStart } from '../workload/slow-start.ts';
import type { Plan } from './plan.ts';
import { hasFinalizer } from './pods.ts';
import type { JobState } from './state.ts';
import { indexNamePrefix, indexTemplate, trackedTemplate } from './template.ts';

export interface Changed {
  readonly created: number;
  readonly deleted: readonly Pod[];
  readonly error?: unknown;
  /** When to look again though nothing changes. */
  readonly afterMs?: number;
}

export class JobPods {
  readonly expectations: Expectations;
  readonly #control: PodControl;
  readonly #finalizers: Finalizers;

  constructor(client: Client, recorder: EventRecorder, clock: Clock, finalizers: Finalizers) {
    this.#finalizers = finalizers;
    this.expectations = new Expectations(clock);
    this.#control = new PodControl(client, recorder, JOBS);
  }
  seen(pod: Pod): void {
    const uid = controllerOf(pod)?.uid;
    if (uid === undefined) return;
    if (pod.metadata.deletionTimestamp === undefined) this.expectations.created(uid);
    else this.expectations.deleted(uid, uidOf(pod));
  }
  gone(pod: Pod): void {
    const uid = controllerOf(pod)?.uid;
    if (uid !== undefined) this.expectations.deleted(uid, uidOf(pod));
  }

  async apply(state: JobState, plan: Plan, signal: AbortSignal): Promise<Changed> {
    switch (plan.kind) {
      case 'none':
        return { created: 0, deleted: [] };
      case 'wait':
        return { created: 0, deleted: [], afterMs: plan.ms };
      case 'delete':
        return { created: 0, ...(await this.#delete(state.job, plan.pods, (pod) => this.#withdraw(state.job, pod, signal))) };
      case 'create':
        return { deleted: [], ...(await this.#create(state, plan.indexes, signal)) };
    }
  }
  /** Ends Pods of a Job that is over. The Pods that are deleted now, and the first failure. */
  async delete(job: Job, pods: readonly Pod[], signal: AbortSignal): Promise<{ deleted: Pod[]; error?: unknown }> {
    return await this.#delete(job, pods, (pod) => this.#control.delete(job, pod, signal));
  }
  /** A Pod that the Job does not want any more counts neither as succeeded nor as failed. */
  async #withdraw(job: Job, pod: Pod, signal: AbortSignal): Promise<void> {
    if (hasFinalizer(pod)) await this.#finalizers.remove(pod, signal);
    await this.#control.delete(job, pod, signal);
  }
  async #delete(job: Job, pods: readonly Pod[], remove: (pod: Pod) => Promise<void>): Promise<{ deleted: Pod[]; error?: unknown }> {
    const uid = uidOf(job);
    // Creations that are yet to be seen must stay expected.
    if (pods.length && this.expectations.waitMs(uid) === 0) this.expectations.expect(uid, 0, pods.map(uidOf));
    const results = await Promise.allSettled(pods.map((pod) => remove(pod).catch((err: unknown) => {
      this.expectations.deleted(uid, uidOf(pod));
      if (!isGone(err)) throw err;
    })));
    const failed = results.find((r) => r.status === 'rejected');
    return { deleted: pods.filter((_, i) => results[i]!.status === 'fulfilled'), ...(failed ? { error: failed.reason } : {}) };
  }
  async #create({ job, kept }: JobState, indexes: readonly (number | undefined)[], signal: AbortSignal): Promise<{ created: number; error?: unknown }> {
    const uid = uidOf(job);
    this.expectations.expect(uid, indexes.length);
    const plain = trackedTemplate(job);
    let tried = 0;
    let refused = 0;
    const { successes, error } = await slowStart(indexes.length, async (i) => {
      tried++;
      const index = indexes[i];
      try {
        if (index === undefined) await this.#control.create(job, plain, signal);
        else await this.#control.create(job, indexTemplate(job, index, kept.get(index)), signal, indexNamePrefix(job, index));
      } catch (err) {
        this.expectations.created(uid);
        if (!isNamespaceTerminating(err)) throw err;
        refused++;
      }
    });
    this.expectations.skipCreations(uid, indexes.length - tried);
    return { created: successes - refused, ...(error === undefined ? {} : { error }) };
  }
}
