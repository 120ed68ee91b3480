/**
 * Keeps the status of PodDisruptionBudgets, which evictions ask, and takes back the announcement of disruptions that did not come.
 * Source: concepts/workloads/pods/disruptions; upstream's counterpart: disruption-controller.
 */
import type { Pod } from '#api/gen/core-v1.ts';
import type { PodDisruptionBudget } from '#api/gen/policy-v1.ts';
import { keyOf, nameOf, namespaceOf, uidOf } from '#api/object.ts';
import { rfc3339 } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { DEPLOYMENTS, POD_DISRUPTION_BUDGETS, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS } from '#client/kinds.ts';
import type { ReconcileResult } from '#client/reconciler.ts';
import { labelMatcherOf, labelSelectorText } from '#machinery/selectors.ts';
import { conditionPatch } from '#machinery/condition-patch.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, recorderOf, source, sourceWith, type ControllerContext } from '../controller.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { isPodTerminal } from '../workload/pods.ts';
import { untilCaughtUp } from '../workload/stale.ts';
import { budgetStatus, countHealthy, desiredHealthy, disruptedPods, needsScale, withDisruptionAllowed } from './budget.ts';
import { ScaleFinder } from './expected-scale.ts';

const STALE_MS = 120_000;
/** Prefix of the keys of Pods that were told of a disruption. */
const STALE = 'stale:';
const UNMANAGED = 'were found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set ".spec.minAvailable" field of the PDB to an integer value.';

/** Milliseconds until the Pod's announced disruption is taken back; undefined when there is nothing to take back. */
export function staleInMs(pod: Pod, now: number): number | undefined {
  const condition = pod.status?.conditions?.find((c) => c.type === 'DisruptionTarget' && c.status === 'True');
  // The kubelet may take its time; Pods that have ended keep what they were told.
  if (!condition || condition.reason === 'TerminationByKubelet' || pod.metadata.deletionTimestamp !== undefined || isPodTerminal(pod)) return undefined;
  return Date.parse(condition.lastTransitionTime ?? '') + STALE_MS - now;
}

export function newDisruptionController(context: ControllerContext): Component {
  const { client, informers, clock } = context;
  const budgets = informers.informer(POD_DISRUPTION_BUDGETS);
  const pods = informers.informer(PODS);
  const recorder = recorderOf(context, 'controllermanager');
  const scales = new ScaleFinder(context);

  const budgetsOf = (pod: Pod): PodDisruptionBudget[] => budgets.list(namespaceOf(pod)).filter((b) => labelMatcherOf(b.spec.selector).matches(pod.metadata.labels));
  async function expectedCount(budget: PodDisruptionBudget, own: readonly Pod[], signal: AbortSignal): Promise<number> {
    if (!needsScale(budget)) return own.length;
    try {
      const { expected, unmanaged } = await scales.expected(own, namespaceOf(budget), signal);
      if (unmanaged.length) recorder.event(budget, 'Warning', 'UnmanagedPods', `Pods selected by this PodDisruptionBudget (selector: ${labelSelectorText(budget.spec.selector)}) ${UNMANAGED}`);
      return expected;
    } catch (err) {
      if (!signal.aborted) recorder.event(budget, 'Warning', 'CalculateExpectedPodCountFailed', `Failed to calculate the number of expected pods: ${err instanceof Error ? err.message : String(err)}`);
      throw err;
    }
  }
  async function sync(budget: PodDisruptionBudget, signal: AbortSignal): Promise<ReconcileResult> {
    const matcher = labelMatcherOf(budget.spec.selector);
    const own = pods.list(namespaceOf(budget)).filter((p) => matcher.matches(p.metadata.labels));
    if (own.length === 0) recorder.event(budget, 'Normal', 'NoPods', 'No matching pods found');
    const expected = await expectedCount(budget, own, signal);
    const now = clock.now();
    const disrupted = disruptedPods(budget, own, now);
    for (const pod of disrupted.overdue) recorder.event(pod, 'Warning', 'NotDeleted', `Pod was expected by PDB ${keyOf(budget)} to be deleted but it wasn't`);
    const status = budgetStatus(budget, { healthy: countHealthy(own, disrupted.pods), desired: desiredHealthy(budget, expected), expected }, disrupted.pods, now);
    if (!semanticEqual(budget.status, status)) await client.of(POD_DISRUPTION_BUDGETS).updateStatus({ ...budget, status }, { signal });
    return disrupted.recheckMs === undefined ? undefined : { afterMs: disrupted.recheckMs };
  }
  /** What is not known must not be disrupted. */
  async function forbid(budget: PodDisruptionBudget, err: unknown, signal: AbortSignal): Promise<void> {
    const observedGeneration = budget.metadata.generation;
    const message = err instanceof Error ? err.message : String(err);
    const conditions = withDisruptionAllowed(budget.status?.conditions, { status: 'False', reason: 'SyncFailed', message, observedGeneration }, clock.now());
    const status = { ...budget.status, disruptionsAllowed: 0, observedGeneration, conditions };
    if (!semanticEqual(budget.status, status)) await client.of(POD_DISRUPTION_BUDGETS).updateStatus({ ...budget, status }, { signal });
  }
  async function takeBack(key: string, signal: AbortSignal): Promise<ReconcileResult> {
    const pod = pods.getByKey(key);
    const left = pod && staleInMs(pod, clock.now());
    if (!pod || left === undefined) return undefined;
    if (left > 0) return { afterMs: left };
    const condition = { type: 'DisruptionTarget', status: 'False', reason: null, message: null, observedGeneration: pod.metadata.generation, lastTransitionTime: rfc3339(clock.now()) };
    const patch = { metadata: { uid: uidOf(pod), resourceVersion: pod.metadata.resourceVersion }, status: conditionPatch(pod.status?.conditions, condition) };
    await client.of(PODS).patch(namespaceOf(pod), nameOf(pod), 'application/strategic-merge-patch+json', patch, { subresource: 'status', signal }).catch((err: unknown) => {
      if (!isReason(err, 'NotFound')) throw err;
    });
    return undefined;
  }

  return newController({
    name: 'disruption-controller',
    context,
    workers: 5,
    sources: (queue) => [
      source(context, queue, POD_DISRUPTION_BUDGETS, (b) => [keyOf(b)]),
      source(context, queue, PODS, function* (pod) {
        const mine = budgetsOf(pod);
        if (mine.length > 1) recorder.event(pod, 'Warning', 'MultiplePodDisruptionBudgets', `Pod ${JSON.stringify(namespaceOf(pod))}/${JSON.stringify(nameOf(pod))} matches multiple PodDisruptionBudgets.  Chose ${JSON.stringify(nameOf(mine[0]!))} arbitrarily.`);
        yield* mine.map(keyOf);
        if (staleInMs(pod, 0) !== undefined) yield STALE + keyOf(pod);
      }),
      // Read by the scale finder only; their Pods tell when something changes.
      sourceWith(context, DEPLOYMENTS, {}),
      sourceWith(context, REPLICA_SETS, {}),
      sourceWith(context, REPLICATION_CONTROLLERS, {}),
      sourceWith(context, STATEFUL_SETS, {}),
    ],
    async reconcile(key, signal) {
      if (key.startsWith(STALE)) return await untilCaughtUp(() => takeBack(key.slice(STALE.length), signal));
      const budget = budgets.getByKey(key);
      if (!budget) return undefined;
      return await untilCaughtUp(() => sync(budget, signal).catch(async (err: unknown) => {
        if (!signal.aborted && !isReason(err, 'Conflict') && !isReason(err, 'NotFound')) await forbid(budget, err, signal);
        if (isReason(err, 'NotFound')) return undefined;
        throw err;
      }));
    },
  });
}
