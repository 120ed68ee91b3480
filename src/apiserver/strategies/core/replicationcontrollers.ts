import type { ReplicationController } from '#api/gen/core-v1.ts';
import { fieldPath, invalidValue, required, type FieldError } from '#machinery/field-errors.ts';
import { validateAvailable, validateCounts, validateWithinReplicas } from '../apps/rolling-update.ts';
import { validateLongRunning } from '../apps/template.ts';
import { defineStrategy, emptyStatus } from '../define.ts';
import { nonNegative } from '../field-checks.ts';
import { AGE, age, containerCells, CONTAINERS, fieldDoc, IMAGES, integer, labelsText, NAME, wide } from '../printing.ts';
import { defaultPodTemplate } from './pod/defaults.ts';
import { validatePodTemplate } from './pod/spec.ts';
import { workloadWarnings } from './pod/warnings.ts';
import { nameIsLongName } from '#machinery/names.ts';

const SPEC = fieldPath('spec');
const STATUS = fieldPath('status');

function validate(rc: ReplicationController): FieldError[] {
  const { selector = {}, template, replicas, minReadySeconds } = rc.spec ?? {};
  const at = SPEC.child('template');
  const entries = Object.entries(selector);
  const errors = [
    ...nonNegative(minReadySeconds, SPEC.child('minReadySeconds')),
    ...(entries.length === 0 ? [required(SPEC.child('selector'))] : []),
    ...nonNegative(replicas, SPEC.child('replicas')),
  ];
  if (!template) return [...errors, required(at)];
  const labels = template.metadata?.labels ?? {};
  if (entries.some(([key, value]) => labels[key] !== value)) errors.push(invalidValue(at.child('metadata', 'labels'), labels, '`selector` does not match template `labels`'));
  return [...errors, ...validatePodTemplate(template, at), ...validateLongRunning(template, 'ReplicationController', at)];
}

export const replicationcontrollers = defineStrategy<ReplicationController>('', 'v1', 'replicationcontrollers', {
  givenEmpty: ['spec.template.spec.resources.claims'],
  dependents: 'orphan',
  default(rc) {
    const spec = (rc.spec ??= {});
    const labels = spec.template?.metadata?.labels;
    if (labels) {
      if (Object.keys(spec.selector ?? {}).length === 0) spec.selector = { ...labels };
      if (Object.keys(rc.metadata.labels ?? {}).length === 0) rc.metadata.labels = { ...labels };
    }
    spec.replicas ??= 1;
    if (spec.template) defaultPodTemplate(spec.template);
  },
  prepareForCreate(rc) {
    rc.status = emptyStatus('', 'v1', 'ReplicationController');
    rc.metadata.generation = 1;
  },
  validateName: nameIsLongName,
  validate,
  validateUpdate: validate,
  warnings: workloadWarnings(SPEC.child('template'), ({ spec }) => spec?.template),
  validateStatusUpdate({ status }) {
    const counts = status ?? { replicas: 0 };
    return [
      ...validateCounts(counts, ['replicas', 'fullyLabeledReplicas', 'readyReplicas', 'availableReplicas', 'observedGeneration'], STATUS),
      ...validateWithinReplicas(counts, ['fullyLabeledReplicas', 'readyReplicas', 'availableReplicas'], STATUS),
      ...validateAvailable(counts, 'readyReplicas', STATUS),
    ];
  },
  generationFields: ['spec'],
  columns: [
    NAME,
    integer('Desired', fieldDoc('api/core/v1.ReplicationControllerSpec', 'replicas')),
    integer('Current', fieldDoc('api/core/v1.ReplicationControllerStatus', 'replicas')),
    integer('Ready', fieldDoc('api/core/v1.ReplicationControllerStatus', 'readyReplicas')),
    AGE,
    CONTAINERS,
    IMAGES,
    wide('Selector', fieldDoc('api/core/v1.ReplicationControllerSpec', 'selector')),
  ],
  row({ metadata, spec, status }, now) {
    const cells = containerCells(spec?.template?.spec?.containers);
    return [metadata.name ?? '', spec?.replicas ?? 0, status?.replicas ?? 0, status?.readyReplicas ?? 0, age(metadata, now), ...cells, labelsText(spec?.selector)];
  },
  selectableFields: { 'status.replicas': (rc) => String(rc.status?.replicas ?? 0) },
});
