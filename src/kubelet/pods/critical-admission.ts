/** Lets Pods in, and makes room for the critical ones among them. */
import type { Node, Pod } from '#api/gen/core-v1.ts';
import { uidOf } from '#api/object.ts';
import { abortable } from '#base/abort.ts';
import { referenceTo, type EventRecorder } from '#client/events.ts';
import { isCriticalPod } from '../eviction/ranking.ts';
import type { PodEnd } from '../interfaces.ts';
import { admissionFailures, type AdmissionOptions } from './admission.ts';
import type { PodRejection } from './pod-workers.ts';
import { PREEMPTED, podsToPreempt, type Shortage } from './preemption.ts';

export interface CriticalAdmissionOptions {
  readonly recorder: Pick<EventRecorder, 'eventFor'>;
  endPod(uid: string, end: PodEnd): void;
  ended(uid: string): Promise<void>;
  /** A Pod goes for want of a resource. */
  onPreemption(resource: string): void;
}

export class CriticalAdmission {
  readonly #o: CriticalAdmissionOptions;
  /** By the uid of a critical Pod: those that go for it. */
  readonly #victims = new Map<string, readonly string[]>();

  constructor(options: CriticalAdmissionOptions) {
    this.#o = options;
  }
  /** `others` are the Pods that hold resources of the node, as they count: their uids are those of the Pods that would go. */
  admit(pod: Pod, others: readonly Pod[], node: Node, options: AdmissionOptions): PodRejection | undefined {
    const failures = admissionFailures(pod, others, node, options);
    const [first] = failures;
    if (!first) return undefined;
    // A critical Pod is never refused for want of room alone.
    const other = isCriticalPod(pod) ? failures.find((failure) => !failure.shortage) : first;
    if (other) return { reason: other.reason, message: other.message };
    return this.#preempt(pod, others, failures.map((failure) => failure.shortage!));
  }
  /** Resolves when those that go for the Pod are gone. */
  async roomFor(pod: Pod, signal: AbortSignal): Promise<void> {
    const victims = this.#victims.get(uidOf(pod)) ?? [];
    this.#victims.delete(uidOf(pod));
    await abortable(Promise.all(victims.map((uid) => this.#o.ended(uid))), signal);
  }

  #preempt(pod: Pod, others: readonly Pod[], shortages: readonly Shortage[]): PodRejection | undefined {
    const { recorder, endPod, onPreemption } = this.#o;
    try {
      const victims = podsToPreempt(pod, others, shortages);
      for (const victim of victims) {
        recorder.eventFor(referenceTo(victim), 'Warning', PREEMPTED.reason, PREEMPTED.message);
        endPod(uidOf(victim), PREEMPTED);
        onPreemption(shortages[0]!.resource);
      }
      this.#victims.set(uidOf(pod), victims.map(uidOf));
      return undefined;
    } catch (err) {
      return { reason: 'UnexpectedAdmissionError', message: `Unexpected error while attempting to recover from admission failure: preemption: error finding a set of pods to preempt: ${(err as Error).message}` };
    }
  }
}
