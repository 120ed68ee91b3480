/**
 * Between autoscaling/v1 and v2: v1 has one field for CPU; what else v2 says travels in annotations, as upstream's conversion keeps it.
 */
import type * as v1 from '#api/gen/autoscaling-v1.ts';
import type * as v2 from '#api/gen/autoscaling-v2.ts';
import type { KubeObject } from '#api/object.ts';

const PREFIX = 'autoscaling.alpha.kubernetes.io/';
const ANNOTATIONS = { metrics: `${PREFIX}metrics`, currentMetrics: `${PREFIX}current-metrics`, conditions: `${PREFIX}conditions`, behavior: `${PREFIX}behavior` } as const;

const isCpu = (name: string | undefined): boolean => name === 'cpu';

/** Metrics in the form that v1's annotations have: target values as flat fields. */
function metricToV1(metric: v2.MetricSpec): object {
  const { type, resource, containerResource, pods, object, external } = metric;
  return {
    type,
    ...(resource ? { resource: { name: resource.name, targetAverageUtilization: resource.target.averageUtilization, targetAverageValue: resource.target.averageValue } } : {}),
    ...(containerResource ? { containerResource: { name: containerResource.name, container: containerResource.container, targetAverageUtilization: containerResource.target.averageUtilization, targetAverageValue: containerResource.target.averageValue } } : {}),
    ...(pods ? { pods: { metricName: pods.metric.name, selector: pods.metric.selector, targetAverageValue: pods.target.averageValue } } : {}),
    ...(object ? { object: { target: object.describedObject, metricName: object.metric.name, selector: object.metric.selector, targetValue: object.target.value ?? '0', averageValue: object.target.averageValue } } : {}),
    ...(external ? { external: { metricName: external.metric.name, metricSelector: external.metric.selector, targetValue: external.target.value, targetAverageValue: external.target.averageValue } } : {}),
  };
}

interface FlatMetric {
  readonly type: string;
  readonly resource?: { name: string; targetAverageUtilization?: number; targetAverageValue?: string };
  readonly containerResource?: { name: string; container: string; targetAverageUtilization?: number; targetAverageValue?: string };
  readonly pods?: { metricName: string; selector?: v2.MetricIdentifier['selector']; targetAverageValue: string };
  readonly object?: { target: v2.CrossVersionObjectReference; metricName: string; selector?: v2.MetricIdentifier['selector']; targetValue: string; averageValue?: string };
  readonly external?: { metricName: string; metricSelector?: v2.MetricIdentifier['selector']; targetValue?: string; targetAverageValue?: string };
}
function target(value: { utilization?: number | undefined; average?: string | undefined; value?: string | undefined }): v2.MetricTarget {
  if (value.utilization !== undefined) return { type: 'Utilization', averageUtilization: value.utilization };
  return value.average === undefined ? { type: 'Value', value: value.value } : { type: 'AverageValue', averageValue: value.average };
}
function metricFromV1(flat: FlatMetric): v2.MetricSpec {
  const { type, resource, containerResource, pods, object, external } = flat;
  return {
    type,
    ...(resource ? { resource: { name: resource.name, target: target({ utilization: resource.targetAverageUtilization, average: resource.targetAverageValue }) } } : {}),
    ...(containerResource ? { containerResource: { name: containerResource.name, container: containerResource.container, target: target({ utilization: containerResource.targetAverageUtilization, average: containerResource.targetAverageValue }) } } : {}),
    ...(pods ? { pods: { metric: { name: pods.metricName, selector: pods.selector }, target: target({ average: pods.targetAverageValue }) } } : {}),
    ...(object ? { object: { describedObject: object.target, metric: { name: object.metricName, selector: object.selector }, target: target({ average: object.averageValue, value: object.targetValue }) } } : {}),
    ...(external ? { external: { metric: { name: external.metricName, selector: external.metricSelector }, target: target({ average: external.targetAverageValue, value: external.targetValue }) } } : {}),
  };
}

function readAnnotation<T>(annotations: Readonly<Record<string, string>>, name: string): T | undefined {
  const text = annotations[name];
  if (text === undefined || text === '') return undefined;
  try {
    return JSON.parse(text) as T;
  } catch {
    return undefined; // upstream drops what it cannot read, too
  }
}

export function hpaV1FromV2(object: KubeObject): KubeObject {
  const { metadata, spec, status } = object as v2.HorizontalPodAutoscaler;
  const annotations: Record<string, string> = { ...metadata.annotations };
  const cpu = spec.metrics?.find((m) => isCpu(m.resource?.name) && m.resource?.target.averageUtilization !== undefined);
  const others = (spec.metrics ?? []).filter((m) => m !== cpu);
  const currentCpu = status?.currentMetrics?.find((m) => isCpu(m.resource?.name) && m.resource?.current.averageUtilization !== undefined);
  const otherCurrent = (status?.currentMetrics ?? []).filter((m) => m !== currentCpu);
  if (others.length) annotations[ANNOTATIONS.metrics] = JSON.stringify(others.map(metricToV1));
  if (otherCurrent.length) annotations[ANNOTATIONS.currentMetrics] = JSON.stringify(otherCurrent);
  if (status?.conditions?.length) annotations[ANNOTATIONS.conditions] = JSON.stringify(status.conditions);
  if (spec.behavior) annotations[ANNOTATIONS.behavior] = JSON.stringify(spec.behavior);
  const converted: v1.HorizontalPodAutoscaler = {
    kind: 'HorizontalPodAutoscaler',
    apiVersion: 'autoscaling/v1',
    metadata: { ...metadata, ...(Object.keys(annotations).length ? { annotations } : {}) },
    spec: { scaleTargetRef: spec.scaleTargetRef, minReplicas: spec.minReplicas, maxReplicas: spec.maxReplicas, targetCPUUtilizationPercentage: cpu?.resource?.target.averageUtilization },
    status: {
      observedGeneration: status?.observedGeneration,
      lastScaleTime: status?.lastScaleTime,
      currentReplicas: status?.currentReplicas ?? 0,
      desiredReplicas: status?.desiredReplicas ?? 0,
      currentCPUUtilizationPercentage: currentCpu?.resource?.current.averageUtilization,
    },
  };
  return converted;
}

export function hpaV2FromV1(object: KubeObject): KubeObject {
  const { metadata, spec, status } = object as v1.HorizontalPodAutoscaler;
  const annotations: Record<string, string> = { ...metadata.annotations };
  const metrics = (readAnnotation<FlatMetric[]>(annotations, ANNOTATIONS.metrics) ?? []).map(metricFromV1);
  const current = readAnnotation<v2.MetricStatus[]>(annotations, ANNOTATIONS.currentMetrics) ?? [];
  const conditions = readAnnotation<v2.HorizontalPodAutoscalerCondition[]>(annotations, ANNOTATIONS.conditions);
  const behavior = readAnnotation<v2.HorizontalPodAutoscalerBehavior>(annotations, ANNOTATIONS.behavior);
  for (const name of Object.values(ANNOTATIONS)) delete annotations[name];
  const percentage = spec.targetCPUUtilizationPercentage;
  if (percentage !== undefined) metrics.push({ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: percentage } } });
  const currentPercentage = status?.currentCPUUtilizationPercentage;
  if (currentPercentage !== undefined) current.push({ type: 'Resource', resource: { name: 'cpu', current: { averageUtilization: currentPercentage } } });
  const { annotations: _, ...others } = metadata;
  const converted: v2.HorizontalPodAutoscaler = {
    kind: 'HorizontalPodAutoscaler',
    apiVersion: 'autoscaling/v2',
    metadata: Object.keys(annotations).length ? { ...others, annotations } : others,
    spec: { scaleTargetRef: spec.scaleTargetRef, minReplicas: spec.minReplicas, maxReplicas: spec.maxReplicas, ...(metrics.length ? { metrics } : {}), ...(behavior ? { behavior } : {}) },
    status: {
      observedGeneration: status?.observedGeneration,
      lastScaleTime: status?.lastScaleTime,
      currentReplicas: status?.currentReplicas,
      desiredReplicas: status?.desiredReplicas ?? 0,
      ...(current.length ? { currentMetrics: current } : {}),
      ...(conditions ? { conditions } : {}),
    },
  };
  return converted;
}
