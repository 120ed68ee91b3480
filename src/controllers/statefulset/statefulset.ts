/**
 * Keeps Pods with names, an order and storage of their own. Source: concepts/workloads/controllers/statefulset;
 * upstream's counterpart: statefulset-controller.
 */
import type { ControllerRevision, StatefulSet, StatefulSetStatus } from '#api/gen/apps-v1.ts';
import type { Pod } from '#api/gen/core-v1.ts';
import { keyOf, nameOf, namespaceOf, uidOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { logger } from '#base/logger.ts';
import { CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS } from '#client/kinds.ts';
import type { ReconcileResult } from '#client/reconciler.ts';
import type { WorkQueue } from '#client/work-queue.ts';
import { labelMatcherOf, type LabelMatcher } from '#machinery/selectors.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, recorderOf, source, sourceWith, type ControllerContext } from '../controller.ts';
import { compareRevisions, createRevision, equalData, newRevision, nextRevisionNumber, renumberRevision, truncateHistory } from '../history/revisions.ts';
import { byController } from '../workload/by-controller.ts';
import { claimObjects, controllerOf } from '../workload/controller-ref.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { equalStatus } from '../workload/equality.ts';
import { nextAvailability } from '../workload/pods.ts';
import { untilCaughtUp } from '../workload/stale.ts';
import { isMemberOf, revisionOf } from './identity.ts';
import { StatefulPods } from './pods.ts';
import { StatefulSync } from './sync.ts';

const NAME = 'statefulset-controller';
const log = logger(NAME);

interface Revisions {
  readonly current: ControllerRevision;
  readonly update: ControllerRevision;
  readonly collisionCount: number;
}

export function newStatefulSetController(context: ControllerContext): Component {
  const { client, informers, clock } = context;
  const sets = informers.informer(STATEFUL_SETS);
  const pods = informers.informer(PODS);
  const claims = informers.informer(PERSISTENT_VOLUME_CLAIMS);
  const podsBy = byController(pods);
  const revisionsBy = byController(informers.informer(CONTROLLER_REVISIONS));
  const recorder = recorderOf(context, NAME);
  const control = new StatefulPods(client, recorder, claims);

  function selectorOf(set: StatefulSet): LabelMatcher | undefined {
    try {
      return labelMatcherOf(set.spec.selector);
    } catch (err) {
      log.error({ key: keyOf(set), err }, 'selector is invalid');
      return undefined;
    }
  }
  function podHandler(queue: WorkQueue) {
    const enqueueOwner = (pod: Pod): void => {
      const ref = controllerOf(pod);
      const set = ref?.kind === 'StatefulSet' ? sets.get(namespaceOf(pod), ref.name) : undefined;
      if (set && uidOf(set) === ref?.uid) queue.add(keyOf(set));
    };
    const enqueueMatching = (pod: Pod): void => {
      for (const set of sets.list(namespaceOf(pod))) if (selectorOf(set)?.matches(pod.metadata.labels)) queue.add(keyOf(set));
    };
    return {
      onAdd: (pod: Pod) => (controllerOf(pod) ? enqueueOwner(pod) : enqueueMatching(pod)),
      onUpdate(old: Pod, pod: Pod) {
        const moved = controllerOf(old)?.uid !== controllerOf(pod)?.uid;
        if (moved) enqueueOwner(old);
        if (controllerOf(pod)) enqueueOwner(pod);
        else if (moved || !semanticEqual(old.metadata.labels, pod.metadata.labels)) enqueueMatching(pod);
      },
      onDelete: enqueueOwner,
    };
  }

  /** The revision of the present template, made or taken up again, and the one that Pods are being moved from. */
  async function findRevisions(set: StatefulSet, revisions: readonly ControllerRevision[], signal: AbortSignal): Promise<Revisions> {
    const wanted = newRevision({ owner: set, ownerKind: STATEFUL_SETS, template: set.spec.template, number: nextRevisionNumber(revisions) });
    const same = revisions.filter((r) => equalData(r, wanted)).at(-1);
    const latest = revisions.at(-1);
    let collisionCount = set.status?.collisionCount ?? 0;
    let update: ControllerRevision;
    if (!same) ({ revision: update, collisionCount } = await createRevision(client, set, wanted, collisionCount, signal));
    else if (latest && equalData(latest, same)) update = latest;
    else update = await renumberRevision(client, same, wanted.revision, signal);
    return { update, collisionCount, current: revisions.find((r) => nameOf(r) === set.status?.currentRevision) ?? update };
  }
  async function writeStatus(set: StatefulSet, status: StatefulSetStatus, signal: AbortSignal): Promise<void> {
    if (!equalStatus(set.status, status)) await client.of(STATEFUL_SETS).updateStatus({ ...set, status }, { signal });
  }

  async function sync(set: StatefulSet, selector: LabelMatcher, signal: AbortSignal): Promise<ReconcileResult> {
    const claim = { owner: set, ownerKind: STATEFUL_SETS, signal, liveOwner: () => client.of(STATEFUL_SETS).get(namespaceOf(set), nameOf(set), signal) };
    const owned = await claimObjects(podsBy.claimable(set), { ...claim, kind: 'Pod', client: client.of(PODS), matches: (p) => isMemberOf(set, p) && selector.matches(p.metadata.labels) });
    const history = await claimObjects(revisionsBy.claimable(set), { ...claim, kind: 'ControllerRevision', client: client.of(CONTROLLER_REVISIONS), matches: (r) => selector.matches(r.metadata.labels) });
    const revisions = history.toSorted(compareRevisions);
    const { current, update, collisionCount } = await findRevisions(set, revisions, signal);
    const now = clock.now();
    const work = new StatefulSync({ set, pods: owned, current, update, collisionCount, control, now, signal });
    // The status is told even when the work fails: what is there is there.
    const [done] = await Promise.allSettled([work.run()]);
    await writeStatus(set, work.status(), signal);
    const live = new Set([nameOf(current), nameOf(update), ...owned.map(revisionOf)]);
    await truncateHistory(client, revisions, (r) => live.has(nameOf(r)), set.spec.revisionHistoryLimit ?? 10, signal);
    if (done.status === 'rejected') throw done.reason;
    const afterMs = nextAvailability(owned, set.spec.minReadySeconds ?? 0, now);
    return afterMs === undefined ? undefined : { afterMs };
  }

  return newController({
    name: NAME,
    context,
    workers: 5,
    sources: (queue) => [
      source(context, queue, STATEFUL_SETS, (s) => [keyOf(s)]),
      sourceWith(context, PODS, podHandler(queue)),
      sourceWith(context, CONTROLLER_REVISIONS, {}),
      // A Pod may wait for an old claim of its name to go.
      sourceWith(context, PERSISTENT_VOLUME_CLAIMS, {
        onDelete: (claimGone) => {
          for (const set of sets.list(namespaceOf(claimGone))) if (set.spec.volumeClaimTemplates?.length) queue.add(keyOf(set));
        },
      }),
    ],
    async reconcile(key, signal) {
      const set = sets.getByKey(key);
      const selector = set && selectorOf(set);
      if (!selector) return undefined;
      try {
        return await untilCaughtUp(() => sync(set, selector, signal));
      } catch (err) {
        // Gone while it was worked on.
        if (isReason(err, 'NotFound')) return undefined;
        throw err;
      }
    },
  });
}
