/** One metric of a HorizontalPodAutoscaler: what it is now, and how many Pods it asks for. */
import type { ExternalMetricSource, HorizontalPodAutoscaler, MetricIdentifier, MetricSpec, MetricStatus, MetricTarget, ObjectMetricSource, PodsMetricSource } from '#api/gen/autoscaling-v2.ts';
import type { Pod } from '#api/gen/core-v1.ts';
import { namespaceOf } from '#api/object.ts';
import type { Client } from '#client/client.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import { labelSelectorText } from '#machinery/selectors.ts';
import type { AdapterMetrics, AdapterQuery } from './adapter-metrics.ts';
import { resourceMetrics } from './metrics-client.ts';
import { byAverage, byShare, byUtilization, byValue, type Calculation, type Proposal, type Tolerance } from './replica-calculator.ts';

const TOLERANCE = 0.1;

/** A metric that cannot be had; `reason` and `message` are those of the condition and the event. */
export class MetricError extends Error {
  readonly reason: string;
  /** The message with what was tried in front. */
  readonly full: string;
  constructor(reason: string, message: string, full: string, cause?: unknown) {
    super(message, { cause });
    this.reason = reason;
    this.full = full;
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
  readonly adapters: AdapterMetrics;
  readonly hpa: HorizontalPodAutoscaler;
  readonly spec: MetricSpec;
  readonly selector: string;
  readonly pods: readonly Pod[];
  /** Of the target's spec, and of its status. */
  readonly currentReplicas: number;
  readonly statusReplicas: number;
  readonly now: number;
  readonly signal: AbortSignal;
}

const milliOf = (text: string): number => Number(parseQuantity(text).milliValue());
const toleranceOf = (text: string | undefined): number => (text === undefined ? TOLERANCE : milliOf(text) / 1000);
const quantity = (milli: number): string => parseQuantity(`${milli}m`).toString();
const messageOf = (err: unknown): string => (err instanceof Error ? err.message : String(err));
function tolerance({ spec: { behavior } }: HorizontalPodAutoscaler): Tolerance {
  return { up: toleranceOf(behavior?.scaleUp?.tolerance), down: toleranceOf(behavior?.scaleDown?.tolerance) };
}
function identifier({ name, selector }: MetricIdentifier): MetricIdentifier {
  return { name, ...(selector ? { selector } : {}) };
}

/** Rejects with a {@link MetricError}. */
export async function evaluateMetric(e: Evaluation): Promise<Evaluated> {
  const { resource, containerResource, pods, object, external, type } = e.spec;
  if (type === 'Resource' && resource) {
    return await attempt(e, 'FailedGetResourceMetric', `failed to get ${resource.name} resource metric value: `, () => evaluateResource(e, resource.name, resource.target, undefined));
  }
  if (type === 'ContainerResource' && containerResource) {
    const { name, container, target } = containerResource;
    return await attempt(e, 'FailedGetContainerResourceMetric', `failed to get ${container} container metric value: `, () => evaluateResource(e, name, target, container));
  }
  if (type === 'Pods' && pods) return await attempt(e, 'FailedGetPodsMetric', 'failed to get pods metric value: ', () => evaluatePods(e, pods));
  if (type === 'Object' && object) {
    const more = object.target.type === 'AverageValue' ? `failed to get ${object.metric.name} object metric: ` : '';
    return await attempt(e, 'FailedGetObjectMetric', `failed to get object metric value: ${more}`, () => evaluateObject(e, object));
  }
  if (type === 'External' && external) {
    const { name } = external.metric;
    const more = external.target.averageValue === undefined ? `failed to get external metric ${name}: ` : `failed to get ${name} external metric: `;
    return await attempt(e, 'FailedGetExternalMetric', `failed to get ${name} external metric value: ${more}`, () => evaluateExternal(e, external));
  }
  const message = `unknown metric source type ${JSON.stringify(type)}`;
  throw new MetricError('InvalidMetricSourceType', message, message);
}
async function attempt({ signal }: Evaluation, reason: string, prefix: string, evaluate: () => Promise<Evaluated>): Promise<Evaluated> {
  try {
    return await evaluate();
  } catch (err) {
    if (signal.aborted) throw err;
    throw new MetricError(reason, messageOf(err), prefix + messageOf(err), err);
  }
}
function wrapped<T>(work: Promise<T>, message: (why: string) => string): Promise<T> {
  return work.catch((err: unknown) => {
    throw new Error(message(messageOf(err)), { cause: err });
  });
}

async function evaluateResource(e: Evaluation, resource: string, target: MetricTarget, container: string | undefined): Promise<Evaluated> {
  const what = target.averageValue === undefined ? 'utilization' : 'usage';
  const proposal = await wrapped(propose(e, resource, target, container), (why) => `failed to get ${resource} ${what}: ${why}`);
  const current = { averageValue: quantity(proposal.average), ...(proposal.utilization === undefined ? {} : { averageUtilization: proposal.utilization }) };
  const kind = container === undefined ? 'resource' : 'container resource';
  return {
    replicas: proposal.replicas,
    name: target.averageValue === undefined ? `${resource} ${kind} utilization (percentage of request)` : `${resource} resource`,
    status: container === undefined ? { type: 'Resource', resource: { name: resource, current } } : { type: 'ContainerResource', containerResource: { name: resource, container, current } },
  };
}
function calculation({ hpa, pods, currentReplicas, now }: Evaluation, resource: string, metrics: Calculation['metrics']): Calculation {
  if (pods.length === 0) throw new Error('no pods returned by selector while calculating replica count');
  return { pods, metrics, currentReplicas, resource, tolerance: tolerance(hpa), now };
}
async function propose(e: Evaluation, resource: string, target: MetricTarget, container: string | undefined): Promise<Proposal> {
  const { client, hpa, selector, signal } = e;
  const metrics = await wrapped(resourceMetrics(client, { namespace: namespaceOf(hpa), selector, resource, container, signal }), (why) => `unable to get metrics for resource ${resource}: ${why}`);
  const c = calculation(e, resource, metrics);
  if (target.averageValue !== undefined) return byAverage(c, milliOf(target.averageValue));
  if (target.averageUtilization !== undefined) return byUtilization(c, target.averageUtilization, container);
  throw new Error('invalid resource metric source: neither an average utilization target nor an average value (usage) target was set');
}

function queryOf({ hpa, signal }: Evaluation, metric: MetricIdentifier): AdapterQuery {
  return { metric: metric.name, namespace: namespaceOf(hpa), metricSelector: metric.selector, signal };
}
async function evaluatePods(e: Evaluation, { metric, target }: PodsMetricSource): Promise<Evaluated> {
  const metrics = await wrapped(e.adapters.ofPods(queryOf(e, metric), e.selector), (why) => `unable to get metric ${metric.name}: ${why}`);
  const { replicas, average } = byAverage(calculation(e, '', metrics), milliOf(target.averageValue ?? '0'));
  return { replicas, name: `pods metric ${metric.name}`, status: { type: 'Pods', pods: { metric: identifier(metric), current: { averageValue: quantity(average) } } } };
}
async function evaluateObject(e: Evaluation, { metric, target, describedObject }: ObjectMetricSource): Promise<Evaluated> {
  const { hpa, currentReplicas, statusReplicas, pods } = e;
  const usage = () => wrapped(e.adapters.ofObject(queryOf(e, metric), describedObject), (why) => `unable to get metric ${metric.name}: ${describedObject.kind} on ${namespaceOf(hpa)} ${describedObject.name}/${why}`);
  const status = (current: { value: string } | { averageValue: string }): MetricStatus => ({ type: 'Object', object: { describedObject, metric: identifier(metric), current } });
  if (target.type === 'Value' && target.value !== undefined) {
    const used = await usage();
    return { replicas: byValue(pods, currentReplicas, used, milliOf(target.value), tolerance(hpa)), name: `${describedObject.kind} metric ${metric.name}`, status: status({ value: quantity(used) }) };
  }
  if (target.type === 'AverageValue' && target.averageValue !== undefined) {
    const { replicas, average } = byShare(statusReplicas, await usage(), milliOf(target.averageValue), tolerance(hpa));
    return { replicas, name: `external metric ${metric.name}(${labelSelectorText(metric.selector)})`, status: status({ averageValue: quantity(average) }) };
  }
  throw new Error('invalid object metric source: neither a value target nor an average value target was set');
}
async function evaluateExternal(e: Evaluation, { metric, target }: ExternalMetricSource): Promise<Evaluated> {
  const { hpa, currentReplicas, statusReplicas, pods } = e;
  const selector = labelSelectorText(metric.selector);
  const usage = async () => (await wrapped(e.adapters.external(queryOf(e, metric)), (why) => `unable to get external metric ${namespaceOf(hpa)}/${metric.name}/${selector}: ${why}`)).reduce((a, b) => a + b, 0);
  const name = `external metric ${metric.name}(${selector})`;
  const status = (current: { value: string } | { averageValue: string }): MetricStatus => ({ type: 'External', external: { metric: identifier(metric), current } });
  if (target.averageValue !== undefined) {
    const { replicas, average } = byShare(statusReplicas, await usage(), milliOf(target.averageValue), tolerance(hpa));
    return { replicas, name, status: status({ averageValue: quantity(average) }) };
  }
  if (target.value !== undefined) {
    const used = await usage();
    return { replicas: byValue(pods, currentReplicas, used, milliOf(target.value), tolerance(hpa)), name, status: status({ value: quantity(used) }) };
  }
  throw new Error('invalid external metric source: neither a value target nor an average value target was set');
}
