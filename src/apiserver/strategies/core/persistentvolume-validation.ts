/** The spec of a PersistentVolume, of its own or inline in a VolumeAttachment. */
import type { PersistentVolumeSpec } from '#api/gen/core-v1.ts';
import { forbiddenField, invalidValue, notSupported, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Subdomain } from '#machinery/names.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import { eachKey, fromMessages, oneOf, quantityErrors } from '../field-checks.ts';
import { validateNodeSelector } from './node-selector.ts';
import { validateAccessModes, VOLUME_MODES } from './persistentvolumeclaim-validation.ts';
import { validateSources } from './persistentvolume-sources.ts';

const INLINE = 'in the context of inline volumes';

/** Not negative, in the words that volumes have for it. */
export function validateSize(quantity: string, path: FieldPath): FieldError[] {
  const value = parseQuantity(quantity).value();
  return value < 0n ? [invalidValue(path, Number(value), 'must be a valid resource quantity')] : [];
}
function validateCapacity(capacity: PersistentVolumeSpec['capacity'], path: FieldPath): FieldError[] {
  const names = Object.keys(capacity ?? {});
  const errors = names.length === 0 ? [required(path)] : [];
  if (!names.includes('storage') || names.length > 1) errors.push(notSupported(path, capacity ?? null, ['storage']));
  return [...errors, ...eachKey(capacity, path, (_name, value, at) => [...validateSize(value, at), ...quantityErrors(value, at, 'positive')])];
}
function validateAttributesClass(spec: PersistentVolumeSpec, path: FieldPath): FieldError[] {
  const name = spec.volumeAttributesClassName;
  if (name === undefined) return [];
  const at = path.child('volumeAttributesClassName');
  const errors = name === '' ? [required(at, 'an empty string is disallowed')] : fromMessages(at, name, isDNS1123Subdomain(name));
  return spec.csi ? errors : [...errors, required(path.child('csi'), 'has to be specified when using volumeAttributesClassName')];
}
/** `/` in any spelling: `//`, `/./`, `/a/..` do not get this far apart from the last, which has an error of its own. */
function isRoot(path: string): boolean {
  return path.startsWith('/') && path.split('/').every((part) => part === '' || part === '.');
}

export function validateVolumeSpec(spec: PersistentVolumeSpec, name: string, path: FieldPath): FieldError[] {
  const reclaim = spec.persistentVolumeReclaimPolicy ?? '';
  const at = path.child('persistentVolumeReclaimPolicy');
  const affinity = path.child('nodeAffinity', 'required');
  const errors = spec.accessModes?.length ? [] : [required(path.child('accessModes'))];
  errors.push(...validateAccessModes(spec.accessModes, path.child('accessModes')), ...validateCapacity(spec.capacity, path.child('capacity')));
  if (reclaim !== '') errors.push(...oneOf(reclaim, ['Delete', 'Recycle', 'Retain'], at));
  if (spec.nodeAffinity) {
    errors.push(...(spec.nodeAffinity.required ? validateNodeSelector(spec.nodeAffinity.required, false, affinity) : [required(affinity, 'must specify required node constraints')]));
  }
  errors.push(...validateSources(spec, name, path));
  if (reclaim === 'Recycle' && isRoot(spec.hostPath?.path ?? '')) errors.push(forbiddenField(at, "may not be 'recycle' for a hostPath mount of '/'"));
  if (spec.storageClassName) errors.push(...fromMessages(path.child('storageClassName'), spec.storageClassName, isDNS1123Subdomain(spec.storageClassName)));
  if (spec.volumeMode !== undefined) errors.push(...oneOf(spec.volumeMode, VOLUME_MODES, path.child('volumeMode')));
  return [...errors, ...validateAttributesClass(spec, path)];
}

/** A volume that no PersistentVolume stands for: only CSI, and nothing that the claim decides. */
export function validateInlineVolumeSpec(spec: PersistentVolumeSpec, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  const forbid = (field: string, detail = `may not be specified ${INLINE}`) => void errors.push(forbiddenField(path.child(field), detail));
  if (spec.claimRef) forbid('claimRef');
  if (Object.keys(spec.capacity ?? {}).length > 0) forbid('capacity');
  if (!spec.csi) errors.push(required(path.child('csi'), `has to be specified ${INLINE}`));
  if (!spec.accessModes?.length) errors.push(required(path.child('accessModes')));
  errors.push(...validateAccessModes(spec.accessModes, path.child('accessModes')));
  if (spec.persistentVolumeReclaimPolicy && spec.persistentVolumeReclaimPolicy !== 'Retain') forbid('persistentVolumeReclaimPolicy', `may only be Retain ${INLINE}`);
  if (spec.nodeAffinity) forbid('nodeAffinity');
  errors.push(...validateSources(spec, '', path));
  if (spec.storageClassName) forbid('storageClassName');
  if (spec.volumeMode !== undefined && spec.volumeMode !== 'Filesystem') forbid('volumeMode', `may not specify volumeMode other than Filesystem ${INLINE}`);
  return [...errors, ...validateAttributesClass(spec, path)];
}
