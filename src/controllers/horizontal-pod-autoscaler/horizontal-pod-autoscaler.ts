/**
 * Scales targets by the use of their Pods. Source: tasks/run-application/horizontal-pod-autoscale; upstream's counterpart:
 * horizontal-pod-autoscaler-controller.
 */
import type { Pod } from '#api/gen/core-v1.ts';
import type { Scale } from '#api/gen/autoscaling-v1.ts';
import type { HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition, MetricSpec, MetricStatus } from '#api/gen/autoscaling-v2.ts';
import { keyOf, namespaceOf, splitApiVersion, uidOf } from '#api/object.ts';
import type { ResourceInfo } from '#api/resources.ts';
import { rfc3339 } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { draftOf, type Draft } from '#base/draft.ts';
import { API_SERVICES, HORIZONTAL_POD_AUTOSCALERS, PODS } from '#client/kinds.ts';
import type { ReconcileResult } from '#client/reconciler.ts';
import { parseLabelSelector, type LabelMatcher } from '#machinery/selectors.ts';
import { isReason } from '#machinery/status-error.ts';
import { AdapterMetrics } from './adapter-metrics.ts';
import { newController, recorderOf, source, sourceWith, type ControllerContext } from '../controller.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { untilCaughtUp } from '../workload/stale.ts';
import { limit, longestPeriodMs, lookBackMs, type History, type Timed } from './limits.ts';
import { evaluateMetric, MetricError, type Evaluated } from './metrics.ts';

const PERIOD_MS = 15_000;

interface Remembered extends History {
  recommendations: Timed[];
  ups: Timed[];
  downs: Timed[];
}
type Status = Draft<NonNullable<HorizontalPodAutoscaler['status']>>;
const messageOf = (err: unknown): string => (err instanceof Error ? err.message : String(err));

export function newHorizontalPodAutoscaler(context: ControllerContext): Component {
  const { client, informers, clock } = context;
  const scalers = informers.informer(HORIZONTAL_POD_AUTOSCALERS);
  const pods = informers.informer(PODS);
  const recorder = recorderOf(context, 'horizontal-pod-autoscaler');
  const histories = new Map<string, Remembered>();
  const apiServices = informers.informer(API_SERVICES);
  const adapters = new AdapterMetrics({ client, services: () => apiServices.list(), resourceOf: (group, kind) => context.resources.list().find((r) => r.group === group && r.kind === kind) });
  /** By key of the scaler: which Pods its target has. */
  const selectors = new Map<string, LabelMatcher>();

  function setCondition(status: Status, type: string, value: 'True' | 'False', reason: string, message: string): void {
    const conditions = (status.conditions ??= []);
    const old = conditions.find((c) => c.type === type);
    const next: HorizontalPodAutoscalerCondition = { type, status: value, reason, message, lastTransitionTime: old?.status === value ? old.lastTransitionTime : rfc3339(clock.now()) };
    if (old) Object.assign(old, next);
    else conditions.push(draftOf(next));
  }
  function historyOf(hpa: HorizontalPodAutoscaler, current: number): Remembered {
    const now = clock.monotonic();
    const { behavior } = hpa.spec;
    let known = histories.get(uidOf(hpa));
    // What was there before we looked counts as recommended: a restart must not scale down at once.
    if (!known) histories.set(uidOf(hpa), (known = { recommendations: [{ at: now, replicas: current }], ups: [], downs: [] }));
    known.recommendations = known.recommendations.filter((r) => r.at > now - lookBackMs(behavior));
    known.ups = known.ups.filter((r) => r.at > now - Math.max(longestPeriodMs(behavior?.scaleUp), longestPeriodMs(behavior?.scaleDown)));
    known.downs = known.downs.filter((r) => r.at > now - Math.max(longestPeriodMs(behavior?.scaleUp), longestPeriodMs(behavior?.scaleDown)));
    return known;
  }

  /** The resource of the target. Throws when it is not served or cannot be scaled. */
  function targetOf({ spec: { scaleTargetRef: ref } }: HorizontalPodAutoscaler): ResourceInfo {
    const { group, version } = splitApiVersion(ref.apiVersion ?? 'v1');
    const served = context.resources.list().filter((r) => r.group === group && r.kind === ref.kind && r.namespaced);
    const found = served.find((r) => r.version === version && r.subresources.some((s) => s.name === 'scale')) ?? served.find((r) => r.subresources.some((s) => s.name === 'scale'));
    if (found) return found;
    throw new Error(served.length ? 'the server could not find the requested resource' : `no matches for kind ${JSON.stringify(ref.kind)} in group ${JSON.stringify(group)}`);
  }
  async function evaluateAll(hpa: HorizontalPodAutoscaler, scale: Scale, status: Status, signal: AbortSignal): Promise<{ replicas: number; name: string }> {
    const selector = scale.status?.selector ?? '';
    if (selector === '') {
      recorder.event(hpa, 'Warning', 'SelectorRequired', 'selector is required');
      setCondition(status, 'ScalingActive', 'False', 'InvalidSelector', "the HPA target's scale is missing a selector");
      throw new Error('selector is required');
    }
    const matcher = parseLabelSelector(selector);
    const own = pods.list(namespaceOf(hpa)).filter((p) => matcher.matches(p.metadata.labels));
    selectors.set(keyOf(hpa), matcher);
    refuseShared(hpa, selector, own, status);
    const specs: readonly MetricSpec[] = hpa.spec.metrics ?? [];
    const good: Evaluated[] = [];
    const bad: MetricError[] = [];
    const told: MetricStatus[] = [];
    for (const spec of specs) {
      try {
        const { spec: { replicas: currentReplicas = 0 } = {}, status: { replicas: statusReplicas = 0 } = {} } = scale;
        const evaluated = await evaluateMetric({ client, adapters, hpa, spec, selector, pods: own, currentReplicas, statusReplicas, now: clock.now(), signal });
        good.push(evaluated);
        told.push(evaluated.status);
      } catch (err) {
        if (!(err instanceof MetricError)) throw err;
        bad.push(err);
        // A metric that could not be had keeps its place.
        told.push({ type: '' });
        recorder.event(hpa, 'Warning', err.reason, err.message);
      }
    }
    status.currentMetrics = draftOf<readonly MetricStatus[]>(told);
    const best = good.reduce<Evaluated | undefined>((a, b) => (a && a.replicas >= b.replicas ? a : b), undefined);
    const first = bad[0];
    if (!best || (first && best.replicas < (scale.spec?.replicas ?? 0))) {
      setCondition(status, 'ScalingActive', 'False', first?.reason ?? 'InvalidMetricSourceType', `the HPA was unable to compute the replica count: ${first?.message ?? 'no metrics'}`);
      throw new Error(`invalid metrics (${bad.length} invalid out of ${specs.length}), first error is: ${first?.full ?? 'no metrics'}`);
    }
    setCondition(status, 'ScalingActive', 'True', 'ValidMetricFound', `the HPA was able to successfully calculate a replica count from ${best.name}`);
    return { replicas: best.replicas, name: best.name };
  }
  /** Two scalers must not pull at the same Pods. */
  function refuseShared(hpa: HorizontalPodAutoscaler, selector: string, own: readonly Pod[], status: Status): void {
    const sharing = scalers.list(namespaceOf(hpa)).filter((h) => own.some((p) => selectors.get(keyOf(h))?.matches(p.metadata.labels)));
    if (sharing.length <= 1) return;
    const message = `pods by selector ${selector} are controlled by multiple HPAs: [${sharing.map(keyOf).join(' ')}]`;
    recorder.event(hpa, 'Warning', 'AmbiguousSelector', message);
    setCondition(status, 'ScalingActive', 'False', 'AmbiguousSelector', message);
    throw new Error(message);
  }
  /** The wanted size, and why. */
  async function decide(hpa: HorizontalPodAutoscaler, scale: Scale, status: Status, signal: AbortSignal): Promise<{ replicas: number; reason: string }> {
    const { minReplicas: min = 1, maxReplicas: max, behavior } = hpa.spec;
    const current = scale.spec?.replicas ?? 0;
    if (current === 0 && min !== 0) {
      setCondition(status, 'ScalingActive', 'False', 'ScalingDisabled', 'scaling is disabled since the replica count of the target is zero');
      return { replicas: 0, reason: '' };
    }
    if (current > max) return { replicas: max, reason: 'Current number of replicas above Spec.MaxReplicas' };
    if (current < min) return { replicas: min, reason: 'Current number of replicas below Spec.MinReplicas' };
    const history = historyOf(hpa, current);
    const wanted = await evaluateAll(hpa, scale, status, signal);
    const now = clock.monotonic();
    const limited = limit({ current, desired: wanted.replicas, min, max, behavior, history, now });
    history.recommendations.push({ at: now, replicas: wanted.replicas });
    setCondition(status, 'AbleToScale', 'True', limited.able.reason, limited.able.message);
    setCondition(status, 'ScalingLimited', limited.limited.status, limited.limited.reason, limited.limited.message);
    return { replicas: limited.replicas, reason: wanted.replicas > current ? `${wanted.name} above target` : 'All metrics below target' };
  }
  async function rescale(hpa: HorizontalPodAutoscaler, target: ResourceInfo, scale: Scale, to: { replicas: number; reason: string }, status: Status, signal: AbortSignal): Promise<void> {
    const current = scale.spec?.replicas ?? 0;
    const { name } = hpa.spec.scaleTargetRef;
    try {
      await client.transport.call({ verb: 'update', resource: target, namespace: namespaceOf(hpa), name, subresource: 'scale', body: { ...scale, spec: { ...scale.spec, replicas: to.replicas } } }, signal);
    } catch (err) {
      // Somebody wrote to the target meanwhile: the next look is soon enough.
      if (isReason(err, 'Conflict')) throw err;
      recorder.event(hpa, 'Warning', 'FailedRescale', `New size: ${to.replicas}; reason: ${to.reason}; error: ${messageOf(err)}`);
      setCondition(status, 'AbleToScale', 'False', 'FailedUpdateScale', `the HPA controller was unable to update the target scale: ${messageOf(err)}`);
      throw err;
    }
    setCondition(status, 'AbleToScale', 'True', 'SucceededRescale', `the HPA controller was able to update the target scale to ${to.replicas}`);
    recorder.event(hpa, 'Normal', 'SuccessfulRescale', `New size: ${to.replicas}; reason: ${to.reason}`);
    const change = { at: clock.monotonic(), replicas: Math.abs(to.replicas - current) };
    historyOf(hpa, current)[to.replicas > current ? 'ups' : 'downs'].push(change);
    status.lastScaleTime = rfc3339(clock.now());
  }

  async function scaleOf(hpa: HorizontalPodAutoscaler, status: Status, signal: AbortSignal): Promise<{ target: ResourceInfo; scale: Scale } | undefined> {
    try {
      const target = targetOf(hpa);
      const scale = (await client.transport.call({ verb: 'get', resource: target, namespace: namespaceOf(hpa), name: hpa.spec.scaleTargetRef.name, subresource: 'scale' }, signal)) as Scale;
      setCondition(status, 'AbleToScale', 'True', 'SucceededGetScale', "the HPA controller was able to get the target's current scale");
      return { target, scale };
    } catch (err) {
      if (signal.aborted) throw err;
      recorder.event(hpa, 'Warning', 'FailedGetScale', messageOf(err));
      setCondition(status, 'AbleToScale', 'False', 'FailedGetScale', `the HPA controller was unable to get the target's current scale: ${messageOf(err)}`);
      return undefined;
    }
  }
  async function sync(hpa: HorizontalPodAutoscaler, signal: AbortSignal): Promise<ReconcileResult> {
    const status: Status = { desiredReplicas: 0, ...draftOf(hpa.status) };
    const found = await scaleOf(hpa, status, signal);
    if (found) {
      const current = found.scale.spec?.replicas ?? 0;
      status.currentReplicas = current;
      delete status.currentMetrics;
      try {
        const to = await decide(hpa, found.scale, status, signal);
        if (to.replicas !== current) await rescale(hpa, found.target, found.scale, to, status, signal);
        status.desiredReplicas = to.replicas;
      } catch (err) {
        if (signal.aborted || isReason(err, 'Conflict')) throw err;
        recorder.event(hpa, 'Warning', 'FailedComputeMetricsReplicas', messageOf(err));
      }
    }
    if (!semanticEqual(hpa.status, status)) await client.of(HORIZONTAL_POD_AUTOSCALERS).updateStatus({ ...hpa, status }, { signal });
    return { afterMs: PERIOD_MS };
  }

  return newController({
    name: 'horizontal-pod-autoscaler-controller',
    context,
    workers: 5,
    sources: (queue) => [
      sourceWith(context, HORIZONTAL_POD_AUTOSCALERS, {
        onAdd: (h) => queue.add(keyOf(h)),
        // Our own status writes change nothing that we decide by.
        onUpdate: (old, h) => {
          if (old.metadata.generation !== h.metadata.generation || !semanticEqual(old.spec, h.spec)) queue.add(keyOf(h));
        },
        onDelete(h) {
          histories.delete(uidOf(h));
          selectors.delete(keyOf(h));
        },
      }),
      source(context, queue, PODS, () => []),
      source(context, queue, API_SERVICES, () => []),
    ],
    async reconcile(key, signal) {
      const hpa = scalers.getByKey(key);
      return hpa ? await untilCaughtUp(() => sync(hpa, signal)) : undefined;
    },
  });
}
