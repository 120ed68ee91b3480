/** `spec.metrics` of a HorizontalPodAutoscaler. */
import type { CrossVersionObjectReference, MetricIdentifier, MetricSpec, MetricTarget } from '#api/gen/autoscaling-v2.ts';
import { forbiddenField, invalidValue, notSupported, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Label, isPathSegmentName } from '#machinery/names.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import { each, fromMessages } from '../field-checks.ts';
import { validateContainerResourceName } from '../core/resource-names.ts';

const isPositive = (quantity: string) => parseQuantity(quantity).sign() > 0;

/** What the `apiVersion` of a reference must be: anything, a version, a version of a group. */
export type GroupRule = 'any' | 'optional' | 'required';
function validateVersion(version: string, rule: GroupRule, path: FieldPath): FieldError[] {
  const parts = version.split('/');
  if (rule === 'any') return [];
  if (parts.length > 2) return [invalidValue(path, version, `unexpected GroupVersion string: ${version}`)];
  return rule === 'required' && (parts.length === 1 || parts[0] === '') ? [invalidValue(path, version, 'apiVersion must specify API group')] : [];
}
export function validateTargetReference(ref: CrossVersionObjectReference | undefined, path: FieldPath, rule: GroupRule = 'optional'): FieldError[] {
  const { kind, name, apiVersion = '' } = ref ?? {};
  return [
    ...(kind ? fromMessages(path.child('kind'), kind, isPathSegmentName(kind)) : [required(path.child('kind'))]),
    ...(name ? fromMessages(path.child('name'), name, isPathSegmentName(name)) : [required(path.child('name'))]),
    ...validateVersion(apiVersion, rule, path.child('apiVersion')),
  ];
}
function validateIdentifier(metric: MetricIdentifier | undefined, path: FieldPath): FieldError[] {
  const name = metric?.name;
  const at = path.child('name');
  return name ? fromMessages(at, name, isPathSegmentName(name)) : [required(at, 'must specify a metric name')];
}
function validateTarget(target: MetricTarget | undefined, path: FieldPath): FieldError[] {
  const { type = '', value, averageValue, averageUtilization } = target ?? {};
  const errors: FieldError[] = [];
  if (type === '') errors.push(required(path.child('type'), 'must specify a metric target type'));
  if (type !== 'Utilization' && type !== 'Value' && type !== 'AverageValue') errors.push(invalidValue(path.child('type'), type, 'must be either Utilization, Value, or AverageValue'));
  if (value !== undefined && !isPositive(value)) errors.push(invalidValue(path.child('value'), value, 'must be positive'));
  if (averageValue !== undefined && !isPositive(averageValue)) errors.push(invalidValue(path.child('averageValue'), averageValue, 'must be positive'));
  if (averageUtilization !== undefined && averageUtilization < 1) errors.push(invalidValue(path.child('averageUtilization'), averageUtilization, 'must be greater than 0'));
  return errors;
}
/** Metrics of Pods' resources: raw value or utilization, one of them. */
function validateUsage(target: MetricTarget | undefined, path: FieldPath): FieldError[] {
  const errors = validateTarget(target, path);
  const { averageUtilization: utilization, averageValue: value } = target ?? {};
  if (utilization === undefined && value === undefined) errors.push(required(path.child('averageUtilization'), 'must set either a target raw value or a target utilization'));
  if (utilization !== undefined && value !== undefined) errors.push(forbiddenField(path.child('averageValue'), 'may not set both a target raw value and a target utilization'));
  return errors;
}

type SourceField = 'object' | 'external' | 'pods' | 'resource' | 'containerResource';
type Checks = { readonly [K in SourceField]: (source: NonNullable<MetricSpec[K]>, path: FieldPath) => FieldError[] };
const CHECKS: Checks = {
  object({ describedObject, metric, target }, path) {
    const given = target?.value !== undefined || target?.averageValue !== undefined;
    return [
      ...validateTargetReference(describedObject, path.child('describedObject')), ...validateIdentifier(metric, path.child('metric')), ...validateTarget(target, path.child('target')),
      ...(given ? [] : [required(path.child('target', 'averageValue'), 'must set either a target value or averageValue')]),
    ];
  },
  external({ metric, target }, path) {
    const errors = [...validateIdentifier(metric, path.child('metric')), ...validateTarget(target, path.child('target'))];
    const { value, averageValue } = target ?? {};
    if (value === undefined && averageValue === undefined) errors.push(required(path.child('target', 'averageValue'), 'must set either a target value for metric or a per-pod target'));
    if (value !== undefined && averageValue !== undefined) errors.push(forbiddenField(path.child('target', 'value'), 'may not set both a target value for metric and a per-pod target'));
    return errors;
  },
  pods({ metric, target }, path) {
    const errors = [...validateIdentifier(metric, path.child('metric')), ...validateTarget(target, path.child('target'))];
    if (target?.averageValue === undefined) errors.push(required(path.child('target', 'averageValue'), 'must specify a positive target averageValue'));
    return errors;
  },
  resource: ({ name, target }, path) => [...(name ? [] : [required(path.child('name'), 'must specify a resource name')]), ...validateUsage(target, path.child('target'))],
  containerResource: ({ name, container, target }, path) => [
    ...(name ? validateContainerResourceName(name, path.child('name')) : [required(path.child('name'), 'must specify a resource name')]),
    ...(container ? fromMessages(path.child('container'), container, isDNS1123Label(container)) : [required(path.child('container'), 'must specify a container')]),
    ...validateUsage(target, path.child('target')),
  ],
};
const FIELDS = Object.keys(CHECKS) as SourceField[];
/** Type of metric to the field that holds it. */
const TYPES: Readonly<Record<string, SourceField>> = { ContainerResource: 'containerResource', External: 'external', Object: 'object', Pods: 'pods', Resource: 'resource' };

function validateMetric(metric: MetricSpec, path: FieldPath): FieldError[] {
  const { type = '' } = metric;
  const expected = TYPES[type];
  const errors: FieldError[] = [];
  if (type === '') errors.push(required(path.child('type'), 'must specify a metric source type'));
  if (!expected) errors.push(notSupported(path.child('type'), type, Object.keys(TYPES)));
  const present = FIELDS.filter((field) => metric[field] !== undefined);
  const first = present[0];
  if (first) errors.push(...(CHECKS[first] as (source: unknown, path: FieldPath) => FieldError[])(metric[first], path.child(first)));
  if (expected && metric[expected] === undefined) errors.push(required(path.child(expected), 'must populate information for the given metric source'));
  if (!expected) errors.push(notSupported(path.child('type'), type, Object.keys(TYPES)));
  if (present.length === 1) return errors;
  return [...errors, ...present.filter((field) => field !== expected).toSorted().map((field) => forbiddenField(path.child(field), 'must populate the given metric source only'))];
}

export function validateMetrics(metrics: readonly MetricSpec[] | undefined, minReplicas: number | undefined, path: FieldPath): FieldError[] {
  const errors = each(metrics, path, validateMetric);
  const scalesFromZero = (metrics ?? []).some(({ type }) => type === 'Object' || type === 'External');
  return minReplicas === 0 && !scalesFromZero ? [...errors, forbiddenField(path, 'must specify at least one Object or External metric to support scaling to zero replicas')] : errors;
}
