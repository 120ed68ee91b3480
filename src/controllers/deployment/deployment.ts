/**
 * Rolls Deployments out: one ReplicaSet for each template, sized so that enough Pods are available at any time.
 * Source: concepts/workloads/controllers/deployment; upstream's counterpart: deployment-controller.
 */
import type { Deployment, ReplicaSet } from '#api/gen/apps-v1.ts';
import type { Pod } from '#api/gen/core-v1.ts';
import { keyOf, nameOf, namespaceOf, uidOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { logger } from '#base/logger.ts';
import { DEPLOYMENTS, PODS, REPLICA_SETS } from '#client/kinds.ts';
import type { ReconcileResult } from '#client/reconciler.ts';
import type { WorkQueue } from '#client/work-queue.ts';
import { labelMatcherOf, type LabelMatcher } from '#machinery/selectors.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, recorderOf, source, sourceWith, type ControllerContext } from '../controller.ts';
import { byController } from '../workload/by-controller.ts';
import { claimObjects, controllerOf } from '../workload/controller-ref.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { untilCaughtUp } from '../workload/stale.ts';
import { conditionOf, TIMED_OUT } from './conditions.ts';
import { Rollout } from './rollout.ts';
import { isComplete, untilDeadline } from './status.ts';

const NAME = 'deployment-controller';
const log = logger(NAME);
/** Times on the wire are whole seconds: a look right at the deadline could come too early. */
const AFTER_DEADLINE_MS = 1000;

export function newDeploymentController(context: ControllerContext): Component {
  const { client, informers, clock } = context;
  const deployments = informers.informer(DEPLOYMENTS);
  const sets = informers.informer(REPLICA_SETS);
  const pods = informers.informer(PODS);
  const setsBy = byController(sets);
  const podsBy = byController(pods);
  const recorder = recorderOf(context, NAME);

  /** The Deployment that a controller reference means, if it still is the same one. */
  function deploymentOf(rs: ReplicaSet): Deployment | undefined {
    const ref = controllerOf(rs);
    const found = ref?.kind === 'Deployment' ? deployments.get(namespaceOf(rs), ref.name) : undefined;
    return found && uidOf(found) === ref?.uid ? found : undefined;
  }
  function setHandler(queue: WorkQueue) {
    const enqueue = (rs: ReplicaSet): void => {
      const owner = deploymentOf(rs);
      if (owner) queue.add(keyOf(owner));
    };
    const enqueueMatching = (rs: ReplicaSet): void => {
      for (const d of deployments.list(namespaceOf(rs))) if (selectorOf(d)?.matches(rs.metadata.labels)) queue.add(keyOf(d));
    };
    return {
      onAdd: (rs: ReplicaSet) => (controllerOf(rs) ? enqueue(rs) : enqueueMatching(rs)),
      onUpdate(old: ReplicaSet, rs: ReplicaSet) {
        const moved = controllerOf(old)?.uid !== controllerOf(rs)?.uid;
        if (moved) enqueue(old);
        if (controllerOf(rs)) enqueue(rs);
        else if (moved || !semanticEqual(old.metadata.labels, rs.metadata.labels)) enqueueMatching(rs);
      },
      onDelete: enqueue,
    };
  }
  /** A Deployment that recreates waits for the last of its old Pods to go. */
  function podGone(queue: WorkQueue, pod: Pod): void {
    const ref = controllerOf(pod);
    const rs = ref?.kind === 'ReplicaSet' ? sets.get(namespaceOf(pod), ref.name) : undefined;
    const owner = rs && deploymentOf(rs);
    if (owner?.spec.strategy?.type === 'Recreate') queue.add(keyOf(owner));
  }
  function selectorOf(deployment: Deployment): LabelMatcher | undefined {
    try {
      return labelMatcherOf(deployment.spec.selector);
    } catch (err) {
      log.error({ key: keyOf(deployment), err }, 'selector is invalid');
      return undefined;
    }
  }

  async function refuseEmptySelector(deployment: Deployment, signal: AbortSignal): Promise<undefined> {
    recorder.event(deployment, 'Warning', 'SelectingAll', 'This deployment is selecting all pods. A non-empty selector is required.');
    const { generation } = deployment.metadata;
    if ((deployment.status?.observedGeneration ?? 0) >= (generation ?? 0)) return;
    await client.of(DEPLOYMENTS).updateStatus({ ...deployment, status: { ...deployment.status, observedGeneration: generation } }, { signal });
  }
  async function sync(deployment: Deployment, selector: LabelMatcher, signal: AbortSignal): Promise<ReconcileResult> {
    const claimed = await claimObjects(setsBy.claimable(deployment), {
      owner: deployment, ownerKind: DEPLOYMENTS, kind: 'ReplicaSet', client: client.of(REPLICA_SETS), signal, matches: (rs) => selector.matches(rs.metadata.labels),
      liveOwner: () => client.of(DEPLOYMENTS).get(namespaceOf(deployment), nameOf(deployment), signal),
    });
    const rollout = new Rollout(deployment, claimed, { client, recorder, clock, signal, podsOf: podsBy.owned });
    await rollout.run();
    return afterDeadline(rollout.deployment);
  }
  function afterDeadline(deployment: Deployment): ReconcileResult {
    const status = deployment.status ?? {};
    if (deployment.spec.paused || isComplete(deployment, status) || conditionOf(status.conditions, 'Progressing')?.reason === TIMED_OUT) return undefined;
    const left = untilDeadline(deployment, status, clock.now());
    return left === undefined ? undefined : { afterMs: Math.max(0, left) + AFTER_DEADLINE_MS };
  }

  return newController({
    name: NAME,
    context,
    workers: 5,
    sources: (queue) => [
      source(context, queue, DEPLOYMENTS, (d) => [keyOf(d)]),
      sourceWith(context, REPLICA_SETS, setHandler(queue)),
      sourceWith(context, PODS, { onDelete: (pod) => podGone(queue, pod) }),
    ],
    async reconcile(key, signal) {
      const deployment = deployments.getByKey(key);
      const selector = deployment && selectorOf(deployment);
      if (!selector) return undefined;
      if (selector.empty) return await refuseEmptySelector(deployment, signal);
      try {
        return await untilCaughtUp(() => sync(deployment, selector, signal));
      } catch (err) {
        // Gone while it was worked on.
        if (isReason(err, 'NotFound')) return undefined;
        throw err;
      }
    },
  });
}
