/** Takes the tracking finalizer from Pods, and remembers those that the informer still shows with it. */
import type { Job } from '#api/gen/batch-v1.ts';
import type { Pod } from '#api/gen/core-v1.ts';
import { nameOf, namespaceOf, uidOf } from '#api/object.ts';
import type { Client } from '#client/client.ts';
import { PODS } from '#client/kinds.ts';
import { controllerOf } from '../workload/controller-ref.ts';
import { isGone } from '../workload/pod-control.ts';
import { TRACKING_FINALIZER } from './pods.ts';

const NONE: ReadonlySet<string> = new Set();

export class Finalizers {
  readonly #client: Client;
  /** UIDs of Pods, by UID of the Job. */
  readonly #expected = new Map<string, Set<string>>();

  constructor(client: Client) {
    this.#client = client;
  }
  expected(jobUid: string): ReadonlySet<string> {
    return this.#expected.get(jobUid) ?? NONE;
  }
  /** A Pod was seen without the finalizer, or not at all. */
  gone(pod: Pod): void {
    const jobUid = controllerOf(pod)?.uid ?? '';
    const set = this.#expected.get(jobUid);
    set?.delete(uidOf(pod));
    if (set?.size === 0) this.#expected.delete(jobUid);
  }
  forget(jobUid: string): void {
    this.#expected.delete(jobUid);
  }
  async remove(pod: Pod, signal: AbortSignal): Promise<void> {
    const patch = { metadata: { uid: uidOf(pod), '$deleteFromPrimitiveList/finalizers': [TRACKING_FINALIZER] } };
    try {
      await this.#client.of(PODS).patch(namespaceOf(pod), nameOf(pod), 'application/strategic-merge-patch+json', patch, { signal });
    } catch (err) {
      if (!isGone(err)) throw err;
    }
  }
  /** UIDs of the Pods that are without it now, and the first failure. */
  async removeAll(job: Job, pods: readonly Pod[], signal: AbortSignal): Promise<{ removed: string[]; error?: unknown }> {
    if (pods.length === 0) return { removed: [] };
    const jobUid = uidOf(job);
    const expected = this.#expected.get(jobUid) ?? new Set();
    this.#expected.set(jobUid, expected);
    // Before the calls: their events may come first.
    for (const pod of pods) expected.add(uidOf(pod));
    const results = await Promise.allSettled(pods.map((pod) => this.remove(pod, signal)));
    const removed = pods.filter((_, i) => results[i]!.status === 'fulfilled').map(uidOf);
    for (const [i, pod] of pods.entries()) if (results[i]!.status === 'rejected') expected.delete(uidOf(pod));
    if (expected.size === 0) this.#expected.delete(jobUid);
    const failed = results.find((r) => r.status === 'rejected');
    return { removed, ...(failed ? { error: failed.reason } : {}) };
  }
}
