/** One reconcile of one StatefulSet: which Pods are there, which must be made, which must go, and in what order. */
import type { ControllerRevision, StatefulSet, StatefulSetStatus } from '#api/gen/apps-v1.ts';
import type { Pod } from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';
import { templateOf } from '../history/revisions.ts';
import { isPodAvailable, isPodReady } from '../workload/pods.ts';
import { slowStart } from '../workload/slow-start.ts';
import { hasIdentity, hasStorage, newPod, ordinalOf, revisionOf, startOrdinal } from './identity.ts';
import type { StatefulPods } from './pods.ts';

export interface SyncOptions {
  readonly set: StatefulSet;
  /** All that the set controls. */
  readonly pods: readonly Pod[];
  readonly current: ControllerRevision;
  readonly update: ControllerRevision;
  readonly collisionCount: number;
  readonly control: StatefulPods;
  readonly now: number;
  readonly signal: AbortSignal;
}
/** A place in the set: the Pod that has it, or the one to create. */
interface Slot {
  readonly pod: Pod;
  readonly exists: boolean;
}

const isTerminating = (pod: Pod): boolean => pod.metadata.deletionTimestamp !== undefined;
const isRunningAndReady = (pod: Pod): boolean => pod.status?.phase === 'Running' && isPodReady(pod);

export class StatefulSync {
  readonly #o: SyncOptions;
  readonly #slots: readonly Slot[];
  /** Pods outside the range of ordinals, highest first. */
  readonly #condemned: readonly Pod[];
  readonly #ordered: boolean;
  /** The one that a scale-down may delete although it is not available: nothing before it will ever be, otherwise. */
  readonly #firstUnavailable: Pod | undefined;

  constructor(options: SyncOptions) {
    this.#o = options;
    const { set, pods } = options;
    const start = startOrdinal(set);
    const count = set.spec.replicas ?? 0;
    const byOrdinal = new Map(pods.map((p) => [ordinalOf(p), p]));
    this.#slots = Array.from({ length: count }, (_, i) => {
      const pod = byOrdinal.get(start + i);
      return pod ? { pod, exists: true } : { pod: this.#freshPod(start + i), exists: false };
    });
    this.#condemned = pods.filter((p) => ordinalOf(p) >= 0 && (ordinalOf(p) < start || ordinalOf(p) >= start + count)).toSorted((a, b) => ordinalOf(b) - ordinalOf(a));
    this.#ordered = set.spec.podManagementPolicy !== 'Parallel';
    this.#firstUnavailable = this.#slots.find((s) => !this.#isUp(s))?.pod ?? this.#condemned.findLast((p) => isTerminating(p) || !this.#isAvailable(p));
  }

  /** What the status is before anything is done. */
  status(): StatefulSetStatus {
    const { set, pods, current, update, collisionCount } = this.#o;
    const ofRevision = (name: string) => pods.filter((p) => !isTerminating(p) && revisionOf(p) === name).length;
    return completed(set, {
      observedGeneration: set.metadata.generation,
      replicas: pods.length,
      readyReplicas: pods.filter(isRunningAndReady).length,
      availableReplicas: pods.filter((p) => this.#isAvailable(p)).length,
      currentReplicas: ofRevision(nameOf(current)),
      updatedReplicas: ofRevision(nameOf(update)),
      currentRevision: nameOf(current),
      updateRevision: nameOf(update),
      collisionCount,
    });
  }
  /** Does what may be done now; the Pods' own events bring the set back for the rest. */
  async run(): Promise<void> {
    const { set, control, signal } = this.#o;
    if (set.metadata.deletionTimestamp !== undefined) return;
    if (await this.#each(this.#slots, (slot) => this.#tend(slot))) return;
    for (const pod of this.#condemned) if (!control.retentionMatches(set, pod)) await control.applyRetention(set, pod, signal);
    if (await this.#each(this.#condemned, (pod) => this.#condemn(pod))) return;
    if (set.spec.updateStrategy?.type !== 'OnDelete') await this.#roll();
  }
  /** One after another until one asks to wait, or all at once: then nobody waits for anybody. */
  async #each<T>(items: readonly T[], act: (item: T) => Promise<boolean>): Promise<boolean> {
    if (this.#ordered) {
      for (const item of items) if (await act(item)) return true;
      return false;
    }
    const { error } = await slowStart(items.length, (i) => act(items[i]!));
    if (error !== undefined) throw error;
    return false;
  }

  /** True when the ones after this Pod must wait. */
  async #tend({ pod, exists }: Slot): Promise<boolean> {
    const { set, control, signal } = this.#o;
    if (!exists) {
      if (control.hasStaleClaim(set, pod)) return true;
      await control.create(set, pod, signal);
      return this.#ordered;
    }
    if (pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded') return await this.#replaceEnded(pod);
    if (pod.status?.phase === 'Pending' && !isTerminating(pod)) await control.ensureClaims(set, pod, signal);
    if (this.#ordered && (isTerminating(pod) || !this.#isAvailable(pod))) return true;
    if (!hasIdentity(pod) || !hasStorage(set, pod)) await control.mend(set, pod, signal);
    if (!control.retentionMatches(set, pod)) await control.applyRetention(set, pod, signal);
    return false;
  }
  /** Its successor is made once it is really gone. */
  async #replaceEnded(pod: Pod): Promise<true> {
    const { set, control, signal } = this.#o;
    if (!isTerminating(pod)) await control.delete(set, pod, signal);
    return true;
  }
  async #condemn(pod: Pod): Promise<boolean> {
    const { set, control, signal } = this.#o;
    if (isTerminating(pod)) return this.#ordered;
    if (this.#ordered && !this.#isAvailable(pod) && pod !== this.#firstUnavailable) return true;
    await control.delete(set, pod, signal);
    return this.#ordered;
  }

  /** Deletes the Pod with the highest ordinal that is of another revision, down to the partition, once those above it are up. */
  async #roll(): Promise<void> {
    const { set, control, update, signal } = this.#o;
    for (const slot of this.#slots.slice(set.spec.updateStrategy?.rollingUpdate?.partition ?? 0).toReversed()) {
      if (slot.exists && revisionOf(slot.pod) !== nameOf(update) && !isTerminating(slot.pod)) return await control.delete(set, slot.pod, signal);
      if (!this.#isUp(slot)) return;
    }
  }

  #freshPod(ordinal: number): Pod {
    const { set, current, update } = this.#o;
    const revision = this.#needsCurrent(ordinal) ? current : update;
    return newPod(set, ordinal, templateOf(revision), nameOf(revision));
  }
  /** Below the partition Pods stay what they were. */
  #needsCurrent(ordinal: number): boolean {
    const { spec, status } = this.#o.set;
    if (spec.updateStrategy?.type !== 'RollingUpdate') return false;
    const kept = spec.updateStrategy.rollingUpdate ? (spec.updateStrategy.rollingUpdate.partition ?? 0) : (status?.currentReplicas ?? 0);
    return ordinal < startOrdinal(this.#o.set) + kept;
  }
  #isAvailable(pod: Pod): boolean {
    return isRunningAndReady(pod) && isPodAvailable(pod, this.#o.set.spec.minReadySeconds ?? 0, this.#o.now);
  }
  #isUp({ pod, exists }: Slot): boolean {
    return exists && this.#isAvailable(pod) && !isTerminating(pod);
  }
}

/** A rolling update that has reached every Pod makes its revision the current one. */
export function completed(set: StatefulSet, status: StatefulSetStatus): StatefulSetStatus {
  const { replicas = 0, updateStrategy } = set.spec;
  const done = updateStrategy?.type === 'RollingUpdate' && [status.updatedReplicas, status.readyReplicas, status.replicas].every((n) => n === replicas);
  return done ? { ...status, currentReplicas: status.updatedReplicas, currentRevision: status.updateRevision } : status;
}
