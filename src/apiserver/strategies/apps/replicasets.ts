import type { ReplicaSet } from '#api/gen/apps-v1.ts';
import { fieldPath, type FieldError } from '#machinery/field-errors.ts';
import { defaultPodTemplate } from '../core/pod/defaults.ts';
import { workloadWarnings } from '../core/pod/warnings.ts';
import { defineStrategy, emptyStatus } from '../define.ts';
import { immutable, nonNegative } from '../field-checks.ts';
import { AGE, age, containerCells, CONTAINERS, fieldDoc, IMAGES, integer, NAME, selectorText, wide } from '../printing.ts';
import { validateAvailable, validateCounts, validateWithinReplicas } from './rolling-update.ts';
import { validateReplicaTemplate, validateSelector } from './template.ts';

const SPEC = fieldPath('spec');
const STATUS = fieldPath('status');

function validate({ spec }: ReplicaSet): FieldError[] {
  return [
    ...nonNegative(spec.replicas, SPEC.child('replicas')),
    ...nonNegative(spec.minReadySeconds, SPEC.child('minReadySeconds')),
    // Upstream's word here is the Deployment's.
    ...validateSelector(spec.selector, 'deployment', SPEC.child('selector')),
    ...validateReplicaTemplate(spec.template, spec.selector, SPEC),
  ];
}

export const replicasets = defineStrategy<ReplicaSet>('apps', 'v1', 'replicasets', {
  givenEmpty: ['spec.template.spec.resources.claims'],
  default({ spec }) {
    if (!spec) return;
    spec.replicas ??= 1;
    defaultPodTemplate((spec.template ??= {}));
  },
  prepareForCreate(rs) {
    rs.status = emptyStatus('apps', 'v1', 'ReplicaSet');
    rs.metadata.generation = 1;
  },
  validate,
  validateUpdate: (rs, old) => [...validate(rs), ...immutable(rs.spec.selector, old.spec.selector, SPEC.child('selector'))],
  warnings: workloadWarnings(SPEC.child('template'), ({ spec }) => spec?.template),
  validateStatusUpdate({ status }) {
    const counts = status ?? { replicas: 0 };
    return [
      ...validateCounts(counts, ['replicas', 'fullyLabeledReplicas', 'readyReplicas', 'availableReplicas', 'observedGeneration', 'terminatingReplicas'], STATUS),
      ...validateWithinReplicas(counts, ['fullyLabeledReplicas', 'readyReplicas', 'availableReplicas'], STATUS),
      ...validateAvailable(counts, 'readyReplicas', STATUS),
    ];
  },
  generationFields: ['spec'],
  columns: [
    NAME,
    integer('Desired', fieldDoc('api/apps/v1.ReplicaSetSpec', 'replicas')),
    integer('Current', fieldDoc('api/apps/v1.ReplicaSetStatus', 'replicas')),
    integer('Ready', fieldDoc('api/apps/v1.ReplicaSetStatus', 'readyReplicas')),
    AGE,
    CONTAINERS,
    IMAGES,
    wide('Selector', "Selector is a label query over pods that should match the replica count. Label keys and values that must match in order to be controlled by this replica set. It must match the pod template's labels. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors"),
  ],
  row({ metadata, spec, status }, now) {
    const [names, images] = containerCells(spec.template?.spec?.containers);
    return [metadata.name ?? '', spec.replicas ?? 0, status?.replicas ?? 0, status?.readyReplicas ?? 0, age(metadata, now), names, images, selectorText(spec.selector)];
  },
});
