/** The scheduler's writes to the status of Pods: the PodScheduled condition and the nominated node. */
import type { Pod, PodCondition } from '#api/gen/core-v1.ts';
import { nameOf, namespaceOf, uidOf } from '#api/object.ts';
import { rfc3339, type Clock } from '#base/clock.ts';
import type { Client, ResourceClient } from '#client/client.ts';
import { PODS } from '#client/kinds.ts';
import { conditionPatch } from '#machinery/condition-patch.ts';

export interface PodStatusChange {
  readonly condition?: Pick<PodCondition, 'type' | 'status' | 'reason' | 'message'> | undefined;
  /** '' clears it; absent leaves it. */
  readonly nominatedNodeName?: string | undefined;
}

export class PodStatusWriter {
  readonly #pods: ResourceClient<Pod>;
  readonly #clock: Clock;
  /** Writes under way, so that none overtakes another, nor the binding overtakes them. */
  readonly #pending = new Map<string, Promise<void>>();

  constructor(client: Client, clock: Clock) {
    this.#pods = client.of(PODS);
    this.#clock = clock;
  }
  /** Resolves when no write for the Pod is under way; undefined where that is already so. */
  settled(uid: string): Promise<void> | undefined {
    return this.#pending.get(uid);
  }
  /** Writes what differs from `pod`. Rejects with the StatusError of the write. */
  patch(pod: Pod, change: PodStatusChange, signal: AbortSignal): Promise<void> {
    const body = this.#patchOf(pod, change);
    if (!body) return Promise.resolve();
    const uid = uidOf(pod);
    const before = this.#pending.get(uid) ?? Promise.resolve();
    const write = before.then(async () => {
      await this.#pods.patch(namespaceOf(pod), nameOf(pod), 'application/strategic-merge-patch+json', body, { subresource: 'status', signal });
    });
    const settled = write.catch(() => {}).then(() => {
      if (this.#pending.get(uid) === settled) this.#pending.delete(uid);
    });
    this.#pending.set(uid, settled);
    return write;
  }

  #patchOf(pod: Pod, { condition, nominatedNodeName }: PodStatusChange): unknown {
    const status: Record<string, unknown> = {};
    if (nominatedNodeName !== undefined && (pod.status?.nominatedNodeName ?? '') !== nominatedNodeName) status['nominatedNodeName'] = nominatedNodeName || null;
    if (condition) {
      const old = pod.status?.conditions?.find((c) => c.type === condition.type);
      const observedGeneration = pod.metadata.generation;
      if (!old || old.status !== condition.status || old.reason !== condition.reason || old.message !== condition.message || old.observedGeneration !== observedGeneration) {
        const lastTransitionTime = old?.status === condition.status ? old.lastTransitionTime : rfc3339(this.#clock.now());
        Object.assign(status, conditionPatch(pod.status?.conditions, { ...condition, ...(observedGeneration ? { observedGeneration } : {}), lastTransitionTime }));
      }
    }
    // The uid guards against a Pod of the same name that has taken this one's place.
    return Object.keys(status).length === 0 ? undefined : { metadata: { uid: pod.metadata.uid }, status };
  }
}
