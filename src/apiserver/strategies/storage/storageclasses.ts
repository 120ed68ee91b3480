import type { TopologySelectorTerm } from '#api/gen/core-v1.ts';
import type { StorageClass } from '#api/gen/storage-v1.ts';
import { duplicate, fieldPath, forbiddenField, notSupported, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { validateLabelName } from '#machinery/object-meta.ts';
import { defineStrategy } from '../define.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { each, immutable, oneOf } from '../field-checks.ts';
import { AGE, age, boolean, NAME, text } from '../printing.ts';
import { validateParameters, validateProvisioner } from './parameters.ts';

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
function sortedTerm(term: TopologySelectorTerm): unknown {
  return (term.matchLabelExpressions ?? []).map(({ key, values }) => [key, (values ?? []).toSorted()]).toSorted((a, b) => (String(a[0]) < String(b[0]) ? -1 : 1));
}
function validateTopologies(terms: readonly TopologySelectorTerm[] | undefined, path: FieldPath): FieldError[] {
  return each(terms, path, (term, at, i) => {
    const repeated = terms!.slice(0, i).some((other) => semanticEqual(sortedTerm(other), sortedTerm(term)));
    return [...validateTerm(term, at), ...(repeated ? [duplicate(at.child('matchLabelExpressions'), '')] : [])];
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
    const frozen = (field: 'parameters' | 'provisioner' | 'reclaimPolicy') =>
      semanticEqual(storageClass[field], old[field]) ? [] : [forbiddenField(fieldPath(field), `updates to ${field} are forbidden.`)];
    return [
      ...validate(storageClass), ...frozen('parameters'), ...frozen('provisioner'), ...frozen('reclaimPolicy'), ...immutable(storageClass.volumeBindingMode, old.volumeBindingMode, MODE),
    ];
  },
  columns: [NAME, text('Provisioner'), text('ReclaimPolicy'), text('VolumeBindingMode'), boolean('AllowVolumeExpansion'), AGE],
  row(c, now) {
    const isDefault = DEFAULT_CLASS.some((annotation) => c.metadata.annotations?.[annotation] === 'true');
    const name = c.metadata.name ?? '';
    return [
      isDefault ? `${name} (default)` : name, c.provisioner, c.reclaimPolicy ?? 'Delete', c.volumeBindingMode ?? 'Immediate', c.allowVolumeExpansion ?? false, age(c.metadata, now),
    ];
  },
});
