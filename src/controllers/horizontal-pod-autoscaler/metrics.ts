/** One metric of a HorizontalPodAutoscaler: what it is now, and how many Pods it asks for. */
import type { HorizontalPodAutoscaler, MetricSpec, MetricStatus, MetricTarget } from '#api/gen/autoscaling-v2.ts';
import type { Pod } from '#api/gen/core-v1.ts';
import { namespaceOf } from '#api/object.ts';
import type { Client } from '#client/client.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import { resourceMetrics } from './metrics-client.ts';
import { byAverage, byUtilization, type Proposal } from './replica-calculator.ts';

const TOLERANCE = 0.1;

/** A metric that cannot be had; `reason` is that of the condition and the event. */
export class MetricError extends Error {
  readonly reason: string;
  constructor(reason: string, message: string, cause?: unknown) {
    super(message, { cause });
    this.reason = reason;
  }
}
export interface Evaluated {
  readonly replicas: number;
  /** As rescaling is explained: `cpu resource utilization (percentage of request)`. */
  readonly name: string;
  readonly status: MetricStatus;
}
export interface Evaluation {
  readonly client: Client;
  readonly hpa: HorizontalPodAutoscaler;
  readonly spec: MetricSpec;
  readonly selector: string;
  readonly pods: readonly Pod[];
  readonly currentReplicas: number;
  readonly now: number;
  readonly signal: AbortSignal;
}
/** The metrics of adapters, which are not asked: upstream's words for a cluster that has none. */
const UNSERVED: Readonly<Record<string, readonly [reason: string, api: string]>> = {
  Pods: ['FailedGetPodsMetric', 'custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered'],
  Object: ['FailedGetObjectMetric', 'custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered'],
  External: ['FailedGetExternalMetric', 'external metrics API: the server could not find the requested resource'],
};

const toleranceOf = (text: string | undefined): number => (text === undefined ? TOLERANCE : Number(parseQuantity(text).milliValue()) / 1000);
const quantity = (milli: number): string => parseQuantity(`${milli}m`).toString();

export async function evaluateMetric(e: Evaluation): Promise<Evaluated> {
  const { resource, containerResource, pods, object, external, type } = e.spec;
  if (type === 'Resource' && resource) return await evaluateResource(e, resource.name, resource.target, undefined);
  if (type === 'ContainerResource' && containerResource) return await evaluateResource(e, containerResource.name, containerResource.target, containerResource.container);
  const [reason, api] = UNSERVED[type] ?? [];
  if (reason === undefined) throw new MetricError('InvalidMetricSourceType', `unknown metric source type ${JSON.stringify(type)}`);
  throw new MetricError(reason, `failed to get ${type.toLowerCase()} metric value: unable to get metric ${(pods ?? object ?? external)?.metric.name ?? ''}: unable to fetch metrics from ${api}`);
}
async function evaluateResource(e: Evaluation, resource: string, target: MetricTarget, container: string | undefined): Promise<Evaluated> {
  const reason = container === undefined ? 'FailedGetResourceMetric' : 'FailedGetContainerResourceMetric';
  const what = target.averageValue === undefined ? 'utilization' : 'usage';
  try {
    const proposal = await propose(e, resource, target, container);
    const current = { averageValue: quantity(proposal.average), ...(proposal.utilization === undefined ? {} : { averageUtilization: proposal.utilization }) };
    const kind = container === undefined ? 'resource' : 'container resource';
    return {
      replicas: proposal.replicas,
      name: target.averageValue === undefined ? `${resource} ${kind} utilization (percentage of request)` : `${resource} ${kind}`,
      status: container === undefined ? { type: 'Resource', resource: { name: resource, current } } : { type: 'ContainerResource', containerResource: { name: resource, container, current } },
    };
  } catch (err) {
    if (e.signal.aborted) throw err;
    throw new MetricError(reason, `failed to get ${resource} ${what}: ${err instanceof Error ? err.message : String(err)}`, err);
  }
}
async function propose(e: Evaluation, resource: string, target: MetricTarget, container: string | undefined): Promise<Proposal> {
  const { client, hpa, pods, selector, currentReplicas, now, signal } = e;
  const metrics = await resourceMetrics(client, { namespace: namespaceOf(hpa), selector, resource, container, signal }).catch((err: unknown) => {
    throw new Error(`unable to get metrics for resource ${resource}: ${err instanceof Error ? err.message : String(err)}`, { cause: err });
  });
  if (pods.length === 0) throw new Error('no pods returned by selector while calculating replica count');
  const { scaleUp, scaleDown } = hpa.spec.behavior ?? {};
  const c = { pods, metrics, currentReplicas, resource, tolerance: { up: toleranceOf(scaleUp?.tolerance), down: toleranceOf(scaleDown?.tolerance) }, now };
  if (target.averageValue !== undefined) return byAverage(c, Number(parseQuantity(target.averageValue).milliValue()));
  if (target.averageUtilization !== undefined) return byUtilization(c, target.averageUtilization, container);
  throw new Error('invalid resource metric source: neither an average utilization target nor an average value (usage) target was set');
}
