import type { TopologySelectorTerm } from '#api/gen/core-v1.ts';
import type { StorageClass } from '#api/gen/storage-v1.ts';
import { duplicate, fieldPath, notSupported, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { validateLabelName } from '#machinery/object-meta.ts';
import { defineStrategy } from '../define.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { each, immutable, oneOf } from '../field-checks.ts';
import { AGE, age, fieldDoc, NAME, text } from '../printing.ts';
import { validateParameters, validateProvisioner } from './parameters.ts';
import { DEPRECATED_LABELS } from '../core/deprecated-labels.ts';

const DEFAULT_CLASS = ['storageclass.kubernetes.io/is-default-class', 'storageclass.beta.kubernetes.io/is-default-class'];
const MODE = fieldPath('volumeBindingMode');

function validateTerm(term: TopologySelectorTerm, path: FieldPath): FieldError[] {
  const requirements = term.matchLabelExpressions ?? [];
  return each(requirements, path.child('matchLabelExpressions'), ({ key, values = [] }, at, i) => {
    const list = at.child('values');
    return [
      ...(values.length === 0 ? [required(list)] : []), ...each(values, list, (value, valuePath, j) => (values.indexOf(value) < j ? [duplicate(valuePath, value)] : [])),
      ...validateLabelName(key, at.child('key')), ...(requirements.findIndex((other) => other.key === key) < i ? [duplicate(at.child('key'), key)] : []),
    ];
  });
}
/** What a term selects, whatever the order of its parts. */
function sortedTerm(term: TopologySelectorTerm): readonly unknown[] {
  return (term.matchLabelExpressions ?? []).map(({ key, values }) => [key, (values ?? []).toSorted()]).toSorted((a, b) => (String(a[0]) < String(b[0]) ? -1 : 1));
}
function validateTopologies(terms: readonly TopologySelectorTerm[] | undefined, path: FieldPath): FieldError[] {
  return each(terms, path, (term, at, i) => {
    const mine = sortedTerm(term);
    // Each term is compared with the ones before it and, as upstream has it, with as many empty ones as there are terms.
    const repeats = terms!.slice(0, i).filter((other) => semanticEqual(sortedTerm(other), mine)).length + (mine.length === 0 ? terms!.length : 0);
    return [...validateTerm(term, at), ...Array.from({ length: repeats }, () => duplicate(at.child('matchLabelExpressions'), ''))];
  });
}
function validate(storageClass: StorageClass): FieldError[] {
  const { provisioner = '', parameters, reclaimPolicy = '', volumeBindingMode: mode, allowedTopologies } = storageClass;
  return [
    ...validateProvisioner(provisioner, fieldPath('provisioner')),
    ...validateParameters(parameters, true, fieldPath('parameters')),
    ...(reclaimPolicy && !['Delete', 'Retain'].includes(reclaimPolicy) ? [notSupported(fieldPath('reclaimPolicy'), reclaimPolicy, ['Delete', 'Retain'])] : []),
    ...(mode === undefined ? [required(MODE)] : oneOf(mode, ['Immediate', 'WaitForFirstConsumer'], MODE)),
    ...validateTopologies(allowedTopologies, fieldPath('allowedTopologies')),
  ];
}

export const storageclasses = defineStrategy<StorageClass>('storage.k8s.io', 'v1', 'storageclasses', {
  default(storageClass) {
    storageClass.reclaimPolicy ??= 'Delete';
    storageClass.volumeBindingMode ??= 'Immediate';
  },
  validate,
  validateUpdate(storageClass, old) {
    const frozen = (field: 'parameters' | 'provisioner' | 'reclaimPolicy') => immutable(storageClass[field], old[field], fieldPath(field));
    return [
      ...validate(storageClass), ...frozen('parameters'), ...frozen('provisioner'), ...frozen('reclaimPolicy'), ...immutable(storageClass.volumeBindingMode, old.volumeBindingMode, MODE),
    ];
  },
  warnings: ({ allowedTopologies = [] }) =>
    allowedTopologies.flatMap(({ matchLabelExpressions = [] }, i) =>
      matchLabelExpressions.flatMap(({ key }, j) => (DEPRECATED_LABELS[key] ? [`allowedTopologies[${i}].matchLabelExpressions[${j}].key: ${DEPRECATED_LABELS[key]}`] : []))),
  columns: [
    NAME,
    text('Provisioner', fieldDoc('api/storage/v1.StorageClass', 'provisioner')),
    text('ReclaimPolicy', fieldDoc('api/storage/v1.StorageClass', 'reclaimPolicy')),
    text('VolumeBindingMode', fieldDoc('api/storage/v1.StorageClass', 'volumeBindingMode')),
    text('AllowVolumeExpansion', fieldDoc('api/storage/v1.StorageClass', 'allowVolumeExpansion')),
    AGE,
  ],
  row(c, now) {
    const isDefault = DEFAULT_CLASS.some((annotation) => c.metadata.annotations?.[annotation] === 'true');
    const name = c.metadata.name ?? '';
    return [
      isDefault ? `${name} (default)` : name, c.provisioner, c.reclaimPolicy ?? 'Delete', c.volumeBindingMode ?? 'Immediate', c.allowVolumeExpansion ?? false, age(c.metadata, now),
    ];
  },
});
