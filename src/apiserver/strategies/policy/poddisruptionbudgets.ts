import type { PodDisruptionBudget } from '#api/gen/policy-v1.ts';
import { structByFactsName } from '#api/schema.ts';
import { fieldPath, invalidValue, type FieldError } from '#machinery/field-errors.ts';
import { validateLabelSelector } from '#machinery/object-meta.ts';
import { atMost100Percent, validateIntOrPercent } from '../apps/rolling-update.ts';
import { validateConditions } from '../conditions.ts';
import { defineStrategy, emptyStatus } from '../define.ts';
import { nonNegative, oneOf } from '../field-checks.ts';
import { internalForm } from '../internal-form.ts';
import { AGE, age, integer, NAME, text } from '../printing.ts';
import { nameIsPathSegment } from '#machinery/names.ts';

const SPEC = fieldPath('spec');
const STATUS = fieldPath('status');
const COUNTS = ['disruptionsAllowed', 'currentHealthy', 'desiredHealthy', 'expectedPods'] as const;

function validate({ spec = {} }: Partial<PodDisruptionBudget>): FieldError[] {
  const { minAvailable, maxUnavailable, selector, unhealthyPodEvictionPolicy: policy } = spec;
  const errors: FieldError[] = [];
  if (minAvailable !== undefined && maxUnavailable !== undefined) {
    const shown = internalForm(structByFactsName('api/policy/v1.PodDisruptionBudgetSpec'), spec);
    errors.push(invalidValue(SPEC, shown, 'minAvailable and maxUnavailable cannot be both set'));
  }
  for (const [field, value] of [['minAvailable', minAvailable], ['maxUnavailable', maxUnavailable]] as const) {
    if (value !== undefined) errors.push(...validateIntOrPercent(value, SPEC.child(field)), ...atMost100Percent(value, SPEC.child(field)));
  }
  errors.push(...validateLabelSelector(selector, SPEC.child('selector')));
  return policy === undefined ? errors : [...errors, ...oneOf(policy, ['AlwaysAllow', 'IfHealthyBudget'], SPEC.child('unhealthyPodEvictionPolicy'))];
}

export const poddisruptionbudgets = defineStrategy<PodDisruptionBudget>('policy', 'v1', 'poddisruptionbudgets', {
  prepareForCreate(budget) {
    budget.status = emptyStatus('policy', 'v1', 'PodDisruptionBudget');
    budget.metadata.generation = 1;
  },
  validateName: nameIsPathSegment,
  validate,
  validateUpdate: validate,
  validateStatusUpdate: ({ status }) => [...validateConditions(status?.conditions, STATUS.child('conditions')), ...COUNTS.flatMap((field) => nonNegative(status?.[field], STATUS.child(field)))],
  generationFields: ['spec'],
  allowUnconditionalUpdate: false,
  columns: [
    NAME,
    text('Min Available', 'The minimum number of pods that must be available.'),
    text('Max Unavailable', 'The maximum number of pods that may be unavailable.'),
    integer('Allowed Disruptions', 'Calculated number of pods that may be disrupted at this time.'),
    AGE,
  ],
  row({ metadata, spec, status }, now) {
    return [metadata.name ?? '', String(spec?.minAvailable ?? 'N/A'), String(spec?.maxUnavailable ?? 'N/A'), status?.disruptionsAllowed ?? 0, age(metadata, now)];
  },
});
