/**
 * Keeps the number of Pods that a ReplicaSet or a ReplicationController asks for; the two differ only in their selectors.
 * Source: concepts/workloads/controllers/replicaset; upstream's counterpart: replicaset-controller.
 */
import type { ReplicaSetStatus } from '#api/gen/apps-v1.ts';
import type { Pod, PodTemplateSpec } from '#api/gen/core-v1.ts';
import { keyOf, nameOf, namespaceOf, uidOf, type KubeObject } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { logger } from '#base/logger.ts';
import { PODS, type KindRef } from '#client/kinds.ts';
import type { ReconcileResult } from '#client/reconciler.ts';
import { labelMatcherOf, type LabelMatcher } from '#machinery/selectors.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, recorderOf, source, sourceWith, type ControllerContext } from '../controller.ts';
import { byController } from '../workload/by-controller.ts';
import { claimObjects, controllerOf, isControlledBy } from '../workload/controller-ref.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { Expectations } from '../workload/expectations.ts';
import { ownedPodsHandler } from '../workload/owned-pods.ts';
import { isGone, isNamespaceTerminating, PodControl } from '../workload/pod-control.ts';
import { isPodActive, isPodTerminating, nextAvailability } from '../workload/pods.ts';
import { slowStart } from '../workload/slow-start.ts';
import { untilCaughtUp } from '../workload/stale.ts';
import { podsToDelete } from './deletion-rank.ts';
import { replicaStatus, type Observed } from './status.ts';

/** Pods made or deleted in one reconcile. */
const BURST = 500;

export interface ReplicaOwner extends KubeObject {
  readonly spec: { readonly replicas?: number | undefined; readonly minReadySeconds?: number | undefined; readonly template?: PodTemplateSpec | undefined };
  readonly status?: ReplicaSetStatus | undefined;
}
export interface ReplicaControllerOptions<T extends ReplicaOwner> {
  /** `replicaset-controller`. */
  readonly name: string;
  /** The source that events name. */
  readonly eventSource: string;
  readonly kind: KindRef<T>;
  /** Throws when the selector is invalid. */
  selectorOf(owner: T): LabelMatcher;
  /** Whether the kind's status has `terminatingReplicas`. */
  readonly countsTerminating: boolean;
}

export function newReplicaController<T extends ReplicaOwner>(context: ControllerContext, options: ReplicaControllerOptions<T>): Component {
  const { client, informers, clock } = context;
  const { kind, selectorOf } = options;
  const log = logger(options.name);
  const owners = informers.informer(kind);
  const pods = informers.informer(PODS);
  const podsBy = byController(pods);
  const recorder = recorderOf(context, options.eventSource);
  const podControl = new PodControl(client, recorder, kind);
  /** By UID of the owner. */
  const expectations = new Expectations(clock);

  function matches(owner: T, pod: Pod): boolean {
    try {
      return selectorOf(owner).matches(pod.metadata.labels);
    } catch {
      return false;
    }
  }

  /** Makes or deletes Pods; resolves with the first failure that matters. */
  async function manage(owner: T, active: readonly Pod[], signal: AbortSignal): Promise<Error | undefined> {
    const missing = (owner.spec.replicas ?? 0) - active.length;
    const error = missing > 0 ? await createPods(owner, Math.min(missing, BURST), signal) : missing < 0 ? await deletePods(owner, active, Math.min(-missing, BURST), signal) : undefined;
    return error === undefined || error instanceof Error ? error : new Error(String(error));
  }
  async function createPods(owner: T, count: number, signal: AbortSignal): Promise<unknown> {
    const uid = uidOf(owner);
    expectations.expect(uid, count);
    let tried = 0;
    const { error } = await slowStart(count, async () => {
      tried++;
      try {
        await podControl.create(owner, owner.spec.template ?? {}, signal);
      } catch (err) {
        expectations.created(uid);
        if (!isNamespaceTerminating(err)) throw err;
      }
    });
    expectations.skipCreations(uid, count - tried);
    return error;
  }
  async function deletePods(owner: T, active: readonly Pod[], count: number, signal: AbortSignal): Promise<unknown> {
    const uid = uidOf(owner);
    const condemned = podsToDelete(active, relatedPods(owner), count, clock.now());
    expectations.expect(uid, 0, condemned.map(uidOf));
    const results = await Promise.allSettled(condemned.map((pod) => podControl.delete(owner, pod, signal).catch((err: unknown) => {
      expectations.deleted(uid, uidOf(pod));
      if (!isGone(err)) throw err;
    })));
    return results.find((r) => r.status === 'rejected')?.reason;
  }
  /** Active Pods of all sets with the same controller: where a Deployment has crowded a node. */
  function relatedPods(owner: T): Pod[] {
    const controller = controllerOf(owner);
    const family = controller ? owners.list(namespaceOf(owner)).filter((o) => controllerOf(o)?.uid === controller.uid) : [owner];
    return family.flatMap((o) => podsBy.owned(uidOf(o))).filter(isPodActive);
  }

  /** Writes the status where it differs; once more over the live object when the cached one is stale. Resolves with the object as it is then. */
  async function updateStatus(owner: T, observed: Observed, signal: AbortSignal): Promise<void> {
    const labels = labelMatcherOf({ matchLabels: owner.spec.template?.metadata?.labels ?? {} });
    const status = replicaStatus(owner, labels, observed);
    if (semanticEqual(owner.status, status)) return;
    const write = (base: T) => client.of(kind).updateStatus({ ...base, status }, { signal });
    try {
      await write(owner);
    } catch (err) {
      if (!isReason(err, 'Conflict')) throw err;
      const live = await client.of(kind).get(namespaceOf(owner), nameOf(owner), signal);
      if (uidOf(live) === uidOf(owner)) await write(live);
    }
  }

  async function sync(owner: T, selector: LabelMatcher, signal: AbortSignal): Promise<ReconcileResult> {
    const waitMs = expectations.waitMs(uidOf(owner));
    const candidates = podsBy.claimable(owner);
    const claim = { owner, ownerKind: kind, kind: 'Pod', client: client.of(PODS), signal, matches: (p: Pod) => selector.matches(p.metadata.labels), liveOwner: () => client.of(kind).get(namespaceOf(owner), nameOf(owner), signal) };
    const active = await claimObjects(candidates.filter(isPodActive), claim);
    const terminating = candidates.filter((p) => isPodTerminating(p) && isControlledBy(p, owner) && claim.matches(p));
    const failure = waitMs === 0 && owner.metadata.deletionTimestamp === undefined ? await manage(owner, active, signal) : undefined;
    const now = clock.now();
    await updateStatus(owner, { active, terminating: options.countsTerminating ? terminating : undefined, failure, now }, signal).catch((err: unknown) => {
      if (!isReason(err, 'NotFound')) throw err;
    });
    if (failure) throw failure;
    const afterMs = nextAvailability(active, owner.spec.minReadySeconds ?? 0, now) ?? waitMs;
    return afterMs > 0 ? { afterMs } : undefined;
  }

  return newController({
    name: options.name,
    context,
    workers: 5,
    sources: (queue) => [
      source(context, queue, kind, (o) => [keyOf(o)]),
      sourceWith(context, kind, { onDelete: (o) => expectations.forget(uidOf(o)) }),
      sourceWith(context, PODS, ownedPodsHandler({ kind, owners, expectations, matches }, queue)),
    ],
    async reconcile(key, signal) {
      const owner = owners.getByKey(key);
      if (!owner) return undefined;
      let selector: LabelMatcher;
      try {
        selector = selectorOf(owner);
      } catch (err) {
        log.error({ key, err }, 'selector is invalid');
        return undefined;
      }
      return await untilCaughtUp(() => sync(owner, selector, signal));
    },
  });
}
