import type * as v1 from '#api/gen/autoscaling-v1.ts';
import type { CrossVersionObjectReference, HorizontalPodAutoscaler, HPAScalingPolicy, HPAScalingRules } from '#api/gen/autoscaling-v2.ts';
import type { Draft } from '#base/draft.ts';
import { fieldPath, invalidValue, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { hpaV2FromV1 } from '../../registry/hpa-conversion.ts';
import type { Cell } from '../../registry/strategy.ts';
import { defineStrategy, emptyStatus } from '../define.ts';
import { each, nonNegative, oneOf, positive, quantityErrors } from '../field-checks.ts';
import { AGE, age, fieldDoc, NAME, text, UNSET } from '../printing.ts';
import { validateMetrics, validateTargetReference, type GroupRule } from './metrics.ts';
import { targetsText } from './targets-text.ts';

const SPEC = fieldPath('spec');
const STATUS = fieldPath('status');
const MAX_WINDOW = 3600;
const MAX_PERIOD = 1800;
const DEFAULT_CPU = 80;
const METRICS_ANNOTATION = 'autoscaling.alpha.kubernetes.io/metrics';

/** As fast as four Pods or double every 15 seconds, at once; down without a limit but the controller's window. */
const UP_POLICIES: readonly HPAScalingPolicy[] = [{ type: 'Pods', value: 4, periodSeconds: 15 }, { type: 'Percent', value: 100, periodSeconds: 15 }];
const DOWN_POLICIES: readonly HPAScalingPolicy[] = [{ type: 'Percent', value: 100, periodSeconds: 15 }];
function defaultRules(rules: Draft<HPAScalingRules> | undefined, policies: readonly HPAScalingPolicy[], window?: number): Draft<HPAScalingRules> {
  const filled = rules ?? {};
  if (window !== undefined) filled.stabilizationWindowSeconds ??= window;
  filled.selectPolicy ??= 'Max';
  // An empty list is given: it is for validation to refuse.
  filled.policies ??= policies.map((policy) => ({ ...policy }));
  return filled;
}

function validatePolicy({ type, value = 0, periodSeconds: period = 0 }: HPAScalingPolicy, path: FieldPath): FieldError[] {
  const at = path.child('periodSeconds');
  const errors = [...oneOf(type, ['Percent', 'Pods'], path.child('type')), ...positive(value, path.child('value')), ...positive(period, at)];
  return period > MAX_PERIOD ? [...errors, invalidValue(at, period, `must be less than or equal to ${MAX_PERIOD}`)] : errors;
}
function validateRules(rules: HPAScalingRules | undefined, path: FieldPath): FieldError[] {
  if (!rules) return [];
  const { stabilizationWindowSeconds: window, selectPolicy, policies, tolerance } = rules;
  const errors: FieldError[] = [];
  const at = path.child('stabilizationWindowSeconds');
  if (window !== undefined && window < 0) errors.push(invalidValue(at, window, 'must be greater than or equal to zero'));
  if (window !== undefined && window > MAX_WINDOW) errors.push(invalidValue(at, window, `must be less than or equal to ${MAX_WINDOW}`));
  if (selectPolicy !== undefined) errors.push(...oneOf(selectPolicy, ['Disabled', 'Max', 'Min'], path.child('selectPolicy')));
  if (!policies?.length) errors.push(required(path.child('policies'), 'must specify at least one Policy'));
  errors.push(...each(policies, path.child('policies'), validatePolicy));
  return tolerance === undefined ? errors : [...errors, ...quantityErrors(tolerance, path.child('tolerance'))];
}
/** A target that was there stays, whatever its version; only ReplicationControllers have no group. */
function targetRule(now: CrossVersionObjectReference | undefined, old: CrossVersionObjectReference | undefined): GroupRule {
  if (old && old.apiVersion === now?.apiVersion && old.kind === now?.kind) return 'any';
  return now?.kind === 'ReplicationController' ? 'optional' : 'required';
}
function validate({ spec }: HorizontalPodAutoscaler, old?: HorizontalPodAutoscaler): FieldError[] {
  const { minReplicas: min, maxReplicas: max = 0, scaleTargetRef, metrics, behavior } = spec;
  const errors: FieldError[] = [];
  if (min !== undefined && min < 1) errors.push(invalidValue(SPEC.child('minReplicas'), min, 'must be greater than or equal to 1'));
  const at = SPEC.child('maxReplicas');
  if (max === 0) errors.push(required(at, 'must be set and greater than 0'));
  if (max < 0) errors.push(invalidValue(at, max, 'must be greater than or equal to 1'));
  if (min !== undefined && max < min) errors.push(invalidValue(at, max, 'must be greater than or equal to `minReplicas`'));
  return [
    ...errors, ...validateTargetReference(scaleTargetRef, SPEC.child('scaleTargetRef'), targetRule(scaleTargetRef, old?.spec.scaleTargetRef)), ...validateMetrics(metrics, min, SPEC.child('metrics')),
    ...validateRules(behavior?.scaleUp, SPEC.child('behavior', 'scaleUp')), ...validateRules(behavior?.scaleDown, SPEC.child('behavior', 'scaleDown')),
  ];
}
interface Counted {
  readonly status?: { readonly currentReplicas?: number | undefined; readonly desiredReplicas?: number | undefined } | undefined;
}
function validateStatus({ status }: Counted): FieldError[] {
  return [...nonNegative(status?.currentReplicas, STATUS.child('currentReplicas')), ...nonNegative(status?.desiredReplicas, STATUS.child('desiredReplicas'))];
}

const COLUMNS = [
  NAME,
  text('Reference', 'scaleTargetRef points to the target resource to scale, and is used to the pods for which metrics should be collected, as well as to actually change the replica count.'),
  text('Targets', fieldDoc('api/autoscaling/v2.HorizontalPodAutoscalerSpec', 'metrics')),
  text('MinPods', fieldDoc('api/autoscaling/v2.HorizontalPodAutoscalerSpec', 'minReplicas')),
  text('MaxPods', fieldDoc('api/autoscaling/v2.HorizontalPodAutoscalerSpec', 'maxReplicas')),
  text('Replicas', fieldDoc('api/autoscaling/v2.HorizontalPodAutoscalerStatus', 'currentReplicas')),
  AGE,
];
function row(hpa: HorizontalPodAutoscaler, now: number): Cell[] {
  const { metadata, spec, status } = hpa;
  const min = spec.minReplicas === undefined ? UNSET : String(spec.minReplicas);
  return [
    metadata.name ?? '', `${spec.scaleTargetRef?.kind ?? ''}/${spec.scaleTargetRef?.name ?? ''}`, targetsText(hpa), min, spec.maxReplicas ?? 0, status?.currentReplicas ?? 0, age(metadata, now),
  ];
}
const asV2 = (hpa: v1.HorizontalPodAutoscaler): HorizontalPodAutoscaler => hpaV2FromV1(hpa) as HorizontalPodAutoscaler;

export const horizontalpodautoscalers = defineStrategy<HorizontalPodAutoscaler>('autoscaling', 'v2', 'horizontalpodautoscalers', {
  givenEmpty: ['spec.behavior.scaleUp.policies', 'spec.behavior.scaleDown.policies'],
  default({ spec }) {
    if (!spec) return;
    spec.minReplicas ??= 1;
    if (!spec.metrics?.length) spec.metrics = [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: DEFAULT_CPU } } }];
    if (!spec.behavior) return;
    spec.behavior.scaleUp = defaultRules(spec.behavior.scaleUp, UP_POLICIES, 0);
    spec.behavior.scaleDown = defaultRules(spec.behavior.scaleDown, DOWN_POLICIES);
  },
  prepareForCreate(hpa) {
    hpa.status = emptyStatus('autoscaling', 'v2', 'HorizontalPodAutoscaler');
  },
  validate: (hpa) => validate(hpa),
  validateUpdate: (hpa, old) => validate(hpa, old),
  validateStatusUpdate: validateStatus,
  columns: COLUMNS,
  row,
});

/** The first version: one number for CPU; what else the second has stands in annotations. It is checked and printed as the second. */
export const horizontalpodautoscalersV1 = defineStrategy<v1.HorizontalPodAutoscaler>('autoscaling', 'v1', 'horizontalpodautoscalers', {
  default({ metadata, spec }) {
    if (!spec) return;
    spec.minReplicas ??= 1;
    if (!metadata.annotations?.[METRICS_ANNOTATION]) spec.targetCPUUtilizationPercentage ??= DEFAULT_CPU;
  },
  prepareForCreate(hpa) {
    hpa.status = emptyStatus('autoscaling', 'v1', 'HorizontalPodAutoscaler');
  },
  validate: (hpa) => validate(asV2(hpa)),
  validateUpdate: (hpa, old) => validate(asV2(hpa), asV2(old)),
  validateStatusUpdate: validateStatus,
  columns: COLUMNS,
  row: (hpa, now) => row(asV2(hpa), now),
});
