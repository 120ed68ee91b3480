/** The spec of a claim, of its own or as the template of a Pod's or StatefulSet's claims. */
import type { PersistentVolumeClaimSpec, TypedLocalObjectReference, TypedObjectReference } from '#api/gen/core-v1.ts';
import { forbiddenField, invalidValue, notSupported, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Label, isDNS1123Subdomain } from '#machinery/names.ts';
import { validateLabelSelector } from '#machinery/object-meta.ts';
import { fromMessages, oneOf, quantityErrors } from '../field-checks.ts';

export const ACCESS_MODES = ['ReadWriteOnce', 'ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOncePod'];
export const VOLUME_MODES = ['Block', 'Filesystem'];

/** Supported modes; ReadWriteOncePod alone. */
export function validateAccessModes(modes: readonly string[] | undefined, path: FieldPath): FieldError[] {
  const errors = (modes ?? []).filter((mode) => !ACCESS_MODES.includes(mode)).map((mode) => notSupported(path, mode, ACCESS_MODES));
  const exclusive = modes?.includes('ReadWriteOncePod') && modes.some((mode) => mode !== 'ReadWriteOncePod' && ACCESS_MODES.includes(mode));
  return exclusive ? [...errors, forbiddenField(path, 'may not use ReadWriteOncePod with other access modes')] : errors;
}

function validateDataSource(source: TypedLocalObjectReference | TypedObjectReference, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  if (!source.name) errors.push(required(path.child('name')));
  if (!source.kind) errors.push(required(path.child('kind')));
  const group = source.apiGroup ?? '';
  if (group === '' && source.kind !== 'PersistentVolumeClaim') {
    errors.push(invalidValue(path, source.kind ?? '', "must be 'PersistentVolumeClaim' when referencing the default apiGroup"));
  }
  if (group !== '') errors.push(...fromMessages(path.child('apiGroup'), group, isDNS1123Subdomain(group)));
  const namespace = 'namespace' in source ? source.namespace : undefined;
  if (namespace) errors.push(...fromMessages(path.child('namespace'), namespace, isDNS1123Label(namespace)));
  return errors;
}
function validateDataSources({ dataSource, dataSourceRef }: PersistentVolumeClaimSpec, path: FieldPath): FieldError[] {
  const errors = dataSource ? validateDataSource(dataSource, path.child('dataSource')) : [];
  if (dataSourceRef) errors.push(...validateDataSource(dataSourceRef, path.child('dataSourceRef')));
  if (!dataSource || !dataSourceRef) return errors;
  if (dataSourceRef.namespace) return [...errors, invalidValue(path, {}, 'may not be specified when dataSourceRef.namespace is specified')];
  const alike = dataSource.apiGroup === dataSourceRef.apiGroup && dataSource.kind === dataSourceRef.kind && dataSource.name === dataSourceRef.name;
  return alike ? errors : [...errors, invalidValue(path, {}, 'must match dataSourceRef')];
}

export function validateClaimSpec(spec: PersistentVolumeClaimSpec | undefined, path: FieldPath): FieldError[] {
  const { accessModes, selector, resources, storageClassName, volumeMode, volumeAttributesClassName } = spec ?? {};
  const errors = accessModes?.length ? [] : [required(path.child('accessModes'), 'at least 1 access mode is required')];
  errors.push(...validateLabelSelector(selector, path.child('selector')), ...validateAccessModes(accessModes, path.child('accessModes')));
  const storage = resources?.requests?.['storage'];
  const storagePath = path.child('resources').key('storage');
  errors.push(...(storage === undefined ? [required(storagePath)] : quantityErrors(storage, storagePath, 'positive')));
  if (storageClassName) errors.push(...fromMessages(path.child('storageClassName'), storageClassName, isDNS1123Subdomain(storageClassName)));
  if (volumeMode !== undefined) errors.push(...oneOf(volumeMode, VOLUME_MODES, path.child('volumeMode')));
  if (spec) errors.push(...validateDataSources(spec, path));
  if (volumeAttributesClassName) {
    errors.push(...fromMessages(path.child('volumeAttributesClassName'), volumeAttributesClassName, isDNS1123Subdomain(volumeAttributesClassName)));
  }
  return errors;
}
