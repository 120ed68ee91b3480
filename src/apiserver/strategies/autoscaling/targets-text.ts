/** The cell `Targets` of a HorizontalPodAutoscaler: `cpu: 10%/80%, 3/5 + 1 more...`. */
import type { HorizontalPodAutoscaler, MetricSpec, MetricStatus, MetricTarget, MetricValueStatus } from '#api/gen/autoscaling-v2.ts';
import { NONE, UNKNOWN } from '../printing.ts';

const SHOWN = 2;
const AUTO = '<auto>';

function ratio(current: string | undefined, target: string | undefined): string {
  return `${current ?? UNKNOWN}/${target ?? ''}`;
}
/** A metric by its total or, marked so, by its average over Pods. */
function valueText(target: MetricTarget, current: MetricValueStatus | undefined): string {
  return target.averageValue === undefined ? ratio(current?.value, target.value) : `${ratio(current?.averageValue, target.averageValue)} (avg)`;
}
function usageText(name: string, target: MetricTarget, current: MetricValueStatus | undefined): string {
  if (target.averageValue !== undefined) return `${name}: ${ratio(current?.averageValue, target.averageValue)}`;
  const now = current?.averageUtilization === undefined ? undefined : `${current.averageUtilization}%`;
  return `${name}: ${ratio(now, target.averageUtilization === undefined ? AUTO : `${target.averageUtilization}%`)}`;
}
function metricText(metric: MetricSpec, status: MetricStatus | undefined): string {
  if (metric.type === 'External' && metric.external) return valueText(metric.external.target, status?.external?.current);
  if (metric.type === 'Object' && metric.object) return valueText(metric.object.target, status?.object?.current);
  if (metric.type === 'Pods' && metric.pods) return ratio(status?.pods?.current.averageValue, metric.pods.target.averageValue);
  if (metric.type === 'Resource' && metric.resource) return usageText(metric.resource.name, metric.resource.target, status?.resource?.current);
  if (metric.type === 'ContainerResource' && metric.containerResource) return usageText(metric.containerResource.name, metric.containerResource.target, status?.containerResource?.current);
  return '<unknown type>';
}
export function targetsText({ spec, status }: HorizontalPodAutoscaler): string {
  const metrics = spec.metrics ?? [];
  if (metrics.length === 0) return NONE;
  const shown = metrics.slice(0, SHOWN).map((metric, i) => metricText(metric, status?.currentMetrics?.[i])).join(', ');
  return metrics.length > SHOWN ? `${shown} + ${metrics.length - SHOWN} more...` : shown;
}
