/**
 * Keeps one Pod on every node that a DaemonSet selects. Source: concepts/workloads/controllers/daemonset;
 * upstream's counterpart: daemonset-controller.
 */
import type { DaemonSet } from '#api/gen/apps-v1.ts';
import type { Node, Pod, PodTemplateSpec } from '#api/gen/core-v1.ts';
import { keyOf, nameOf, namespaceOf, uidOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { logger } from '#base/logger.ts';
import { CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS } from '#client/kinds.ts';
import type { ReconcileResult } from '#client/reconciler.ts';
import type { WorkQueue } from '#client/work-queue.ts';
import { labelMatcherOf, type LabelMatcher } from '#machinery/selectors.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, recorderOf, source, sourceWith, type ControllerContext } from '../controller.ts';
import { CONTROLLER_REVISION_HASH, truncateHistory } from '../history/revisions.ts';
import { byController } from '../workload/by-controller.ts';
import { claimObjects } from '../workload/controller-ref.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { equalStatus } from '../workload/equality.ts';
import { Expectations } from '../workload/expectations.ts';
import { ownedPodsHandler } from '../workload/owned-pods.ts';
import { isGone, isNamespaceTerminating, PodControl } from '../workload/pod-control.ts';
import { nextAvailability } from '../workload/pods.ts';
import { slowStart } from '../workload/slow-start.ts';
import { untilCaughtUp } from '../workload/stale.ts';
import { FailedPodsBackoff } from './failed-pods-backoff.ts';
import { findHistory, hashOf } from './history.ts';
import { affinityTo, daemonTolerations, nodeFit } from './node-fit.ts';
import { groupByNode, placement, rollingUpdate, TEMPLATE_GENERATION, TEMPLATE_GENERATION_LABEL, type Observed, type Plan } from './plan.ts';
import { daemonSetStatus } from './status.ts';

const NAME = 'daemonset-controller';
const log = logger(NAME);
/** Pods made or deleted in one reconcile. */
const BURST = 250;

export function newDaemonSetController(context: ControllerContext): Component {
  const { client, informers, clock } = context;
  const sets = informers.informer(DAEMON_SETS);
  const nodes = informers.informer(NODES);
  const podsBy = byController(informers.informer(PODS));
  const revisionsBy = byController(informers.informer(CONTROLLER_REVISIONS));
  const recorder = recorderOf(context, NAME);
  const podControl = new PodControl(client, recorder, DAEMON_SETS);
  /** By UID of the set. */
  const expectations = new Expectations(clock);
  const backoff = new FailedPodsBackoff();

  function selectorOf(ds: DaemonSet): LabelMatcher | undefined {
    try {
      return labelMatcherOf(ds.spec.selector);
    } catch (err) {
      log.error({ key: keyOf(ds), err }, 'selector is invalid');
      return undefined;
    }
  }
  /** Heartbeats change nodes all the time: only what decides about daemons counts. */
  function nodeHandler(queue: WorkQueue) {
    const enqueue = (concerns: (ds: DaemonSet) => boolean): void => {
      for (const ds of sets.list()) if (concerns(ds)) queue.add(keyOf(ds));
    };
    return {
      onAdd: (node: Node) => enqueue((ds) => nodeFit(ds, node).shouldRun),
      onUpdate(old: Node, node: Node) {
        if (semanticEqual(old.metadata.labels, node.metadata.labels) && semanticEqual(old.spec?.taints, node.spec?.taints)) return;
        enqueue((ds) => !semanticEqual(nodeFit(ds, old), nodeFit(ds, node)));
      },
      onDelete: () => enqueue(() => true),
    };
  }

  /** Makes and deletes Pods as planned; rejects with the first failure. */
  async function carryOut(ds: DaemonSet, plan: Plan, hash: string, signal: AbortSignal): Promise<void> {
    const uid = uidOf(ds);
    const targets = plan.create.slice(0, BURST);
    const condemned = plan.delete.slice(0, BURST);
    if (targets.length + condemned.length === 0) return;
    expectations.expect(uid, targets.length, condemned.map(uidOf));
    let tried = 0;
    const { error } = await slowStart(targets.length, async (i) => {
      tried++;
      try {
        await podControl.create(ds, templateFor(ds, targets[i]!, hash), signal);
      } catch (err) {
        expectations.created(uid);
        if (!isNamespaceTerminating(err)) throw err;
      }
    });
    expectations.skipCreations(uid, targets.length - tried);
    const deletions = await Promise.allSettled(condemned.map((pod) => podControl.delete(ds, pod, signal).catch((err: unknown) => {
      expectations.deleted(uid, uidOf(pod));
      if (!isGone(err)) throw err;
    })));
    const failed = deletions.find((d) => d.status === 'rejected');
    if (error !== undefined || failed) throw error ?? failed?.reason;
  }
  /** Notes how long a Pod that failed must stay before its successor comes. */
  function endedPods(ds: DaemonSet, now: number): { decide: (pod: Pod, node: string) => 'delete' | 'keep'; waitMs: () => number | undefined } {
    let shortest: number | undefined;
    const decide = (pod: Pod, node: string): 'delete' | 'keep' => {
      const where = `daemon pod ${namespaceOf(pod)}/${nameOf(pod)} on node ${node}`;
      if (pod.status?.phase === 'Succeeded') {
        recorder.event(ds, 'Normal', 'SucceededDaemonPod', `Found succeeded ${where}, will try to delete it`);
        return 'delete';
      }
      const key = `${uidOf(ds)}/${ds.status?.observedGeneration ?? 0}/${node}`;
      const left = backoff.remaining(key, now);
      if (left > 0) {
        shortest = Math.min(shortest ?? Infinity, left);
        return 'keep';
      }
      backoff.next(key, now);
      recorder.event(ds, 'Warning', 'FailedDaemonPod', `Found failed ${where}, will try to kill it`);
      return 'delete';
    };
    return { decide, waitMs: () => shortest };
  }

  async function sync(ds: DaemonSet, selector: LabelMatcher, signal: AbortSignal): Promise<ReconcileResult> {
    const claim = { owner: ds, ownerKind: DAEMON_SETS, signal, liveOwner: () => client.of(DAEMON_SETS).get(namespaceOf(ds), nameOf(ds), signal) };
    const revisions = await claimObjects(revisionsBy.claimable(ds), { ...claim, kind: 'ControllerRevision', client: client.of(CONTROLLER_REVISIONS), matches: (r) => selector.matches(r.metadata.labels) });
    const { current, old } = await findHistory(client, ds, revisions, signal);
    const hash = hashOf(current);
    const uid = uidOf(ds);
    const observe = async (): Promise<Observed> => {
      const pods = await claimObjects(podsBy.claimable(ds), { ...claim, kind: 'Pod', client: client.of(PODS), matches: (p) => selector.matches(p.metadata.labels) });
      return { ds, nodes: nodes.list(), podsByNode: groupByNode(pods), hash, now: clock.now() };
    };
    const ended = endedPods(ds, clock.now());
    const settled = expectations.waitMs(uid) === 0;
    let failure: unknown;
    if (settled) {
      try {
        await carryOut(ds, placement(await observe(), ended.decide), hash, signal);
        if (expectations.waitMs(uid) === 0 && ds.spec.updateStrategy?.type === 'RollingUpdate') await carryOut(ds, rollingUpdate(await observe()), hash, signal);
      } catch (err) {
        failure = err;
      }
    }
    const observed = await observe();
    await writeStatus(ds, daemonSetStatus(observed, settled ? ds.metadata.generation : ds.status?.observedGeneration), signal);
    if (failure !== undefined) throw failure;
    const used = new Set(podsBy.owned(uid).map((p) => p.metadata.labels?.[CONTROLLER_REVISION_HASH]));
    const isLive = (r: (typeof old)[number]) => used.has(hashOf(r));
    if (settled) await truncateHistory(client, old, isLive, Math.max(0, (ds.spec.revisionHistoryLimit ?? 10) - old.filter(isLive).length), signal);
    const waits = [ended.waitMs(), nextAvailability([...observed.podsByNode.values()].flat(), ds.spec.minReadySeconds ?? 0, observed.now), expectations.waitMs(uid) || undefined].filter((ms) => ms !== undefined);
    return waits.length ? { afterMs: Math.min(...waits) } : undefined;
  }
  async function writeStatus(ds: DaemonSet, status: ReturnType<typeof daemonSetStatus>, signal: AbortSignal): Promise<void> {
    if (!equalStatus(ds.status, status)) await client.of(DAEMON_SETS).updateStatus({ ...ds, status }, { signal });
  }

  return newController({
    name: NAME,
    context,
    workers: 2,
    sources: (queue) => [
      source(context, queue, DAEMON_SETS, (ds) => [keyOf(ds)]),
      sourceWith(context, DAEMON_SETS, { onDelete: (ds) => expectations.forget(uidOf(ds)) }),
      sourceWith(context, PODS, ownedPodsHandler({ kind: DAEMON_SETS, owners: sets, expectations, matches: (ds, pod) => selectorOf(ds)?.matches(pod.metadata.labels) ?? false }, queue)),
      sourceWith(context, NODES, nodeHandler(queue)),
      sourceWith(context, CONTROLLER_REVISIONS, {}),
    ],
    async reconcile(key, signal) {
      const ds = sets.getByKey(key);
      const selector = ds && selectorOf(ds);
      if (!selector || ds.metadata.deletionTimestamp !== undefined) return undefined;
      if (selector.empty) return void recorder.event(ds, 'Warning', 'SelectingAll', 'This daemon set is selecting all pods. A non-empty selector is required.');
      try {
        return await untilCaughtUp(() => sync(ds, selector, signal));
      } catch (err) {
        // Gone while it was worked on.
        if (isReason(err, 'NotFound')) return undefined;
        throw err;
      }
    },
  });
}

/** The template for the Pod of a node: the scheduler gets no choice. */
function templateFor(ds: DaemonSet, node: string, hash: string): PodTemplateSpec {
  const { template } = ds.spec;
  const spec = template.spec ?? { containers: [] };
  const generation = ds.metadata.annotations?.[TEMPLATE_GENERATION];
  const labels = { ...template.metadata?.labels, ...(generation === undefined ? {} : { [TEMPLATE_GENERATION_LABEL]: generation }), [CONTROLLER_REVISION_HASH]: hash };
  return { ...template, metadata: { ...template.metadata, labels }, spec: { ...spec, tolerations: daemonTolerations(spec), affinity: affinityTo(node, spec.affinity) } };
}
