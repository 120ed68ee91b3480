/**
 * Validation of `metadata`, for every kind. Source: the API reference, ObjectMeta; wording as upstream's
 * `apimachinery/pkg/api/validation` and `apis/meta/v1/validation`.
 */
import type { LabelSelector, LabelSelectorRequirement, ManagedFieldsEntry, ObjectMeta, OwnerReference } from '#api/gen/meta-v1.ts';
import { splitApiVersion } from '#api/object.ts';
import { fieldPath, forbiddenField, invalidValue, required, tooLong, type FieldError, type FieldPath } from './field-errors.ts';
import { goQuote } from './go-text.ts';
import { isQualifiedName, isValidLabelValue, nameIsDNSLabel, nameIsDNSSubdomain, type ValidateName } from './names.ts';

export const FIELD_IMMUTABLE = 'field is immutable';
export const NOT_NEGATIVE = 'must be greater than or equal to 0';
const ANNOTATIONS_MAX_BYTES = 256 * 1024;
const FIELD_MANAGER_MAX_LENGTH = 128;
const SUBRESOURCE_MAX_LENGTH = 256;
const ORPHAN = 'orphan';
const FOREGROUND = 'foregroundDeletion';

/** `meta` of an object that is created. Its name has been generated already. */
export function validateObjectMeta(meta: ObjectMeta, namespaced: boolean, validateName: ValidateName = nameIsDNSSubdomain, path: FieldPath = fieldPath('metadata')): FieldError[] {
  const out: FieldError[] = [];
  const { name = '', generateName = '' } = meta;
  if (generateName !== '') out.push(...validateName(generateName, true).map((m) => invalidValue(path.child('generateName'), generateName, m)));
  if (name === '') out.push(required(path.child('name'), 'name or generateName is required'));
  else out.push(...validateName(name, false).map((m) => invalidValue(path.child('name'), name, m)));
  out.push(...validateNamespaceField(meta.namespace ?? '', namespaced, path.child('namespace')));
  if ((meta.generation ?? 0) < 0) out.push(invalidValue(path.child('generation'), meta.generation, NOT_NEGATIVE));
  out.push(
    ...validateLabels(meta.labels, path.child('labels')),
    ...validateAnnotations(meta.annotations, path.child('annotations')),
    ...validateOwnerReferences(meta.ownerReferences ?? [], path.child('ownerReferences')),
    ...validateFinalizers(meta.finalizers ?? [], path.child('finalizers')),
    ...validateManagedFields(meta.managedFields ?? [], path.child('managedFields')),
  );
  return out;
}

function validateNamespaceField(namespace: string, namespaced: boolean, path: FieldPath): FieldError[] {
  if (!namespaced) return namespace === '' ? [] : [forbiddenField(path, 'not allowed on this type')];
  if (namespace === '') return [required(path)];
  return nameIsDNSLabel(namespace, false).map((m) => invalidValue(path, namespace, m));
}

/** `meta` of an object that replaces the one with `old`. */
export function validateObjectMetaUpdate(meta: ObjectMeta, old: ObjectMeta, path: FieldPath = fieldPath('metadata')): FieldError[] {
  const out: FieldError[] = [];
  if (old.deletionTimestamp !== undefined) out.push(...validateNoNewFinalizers(meta.finalizers ?? [], old.finalizers ?? [], path.child('finalizers')));
  if (!meta.resourceVersion) out.push(invalidValue(path.child('resourceVersion'), '', 'must be specified for an update'));
  if ((meta.generation ?? 0) < (old.generation ?? 0)) out.push(invalidValue(path.child('generation'), meta.generation ?? 0, 'must not be decremented'));
  for (const field of ['name', 'namespace', 'uid'] as const) {
    if ((meta[field] ?? '') !== (old[field] ?? '')) out.push(invalidValue(path.child(field), meta[field] ?? '', FIELD_IMMUTABLE));
  }
  for (const field of ['creationTimestamp', 'deletionTimestamp'] as const) {
    if (!sameTime(meta[field], old[field])) out.push(invalidValue(path.child(field), meta[field] ?? null, FIELD_IMMUTABLE));
  }
  if (meta.deletionGracePeriodSeconds !== old.deletionGracePeriodSeconds) {
    out.push(invalidValue(path.child('deletionGracePeriodSeconds'), meta.deletionGracePeriodSeconds ?? null, FIELD_IMMUTABLE));
  }
  out.push(
    ...validateLabels(meta.labels, path.child('labels')),
    ...validateAnnotations(meta.annotations, path.child('annotations')),
    ...validateOwnerReferences(meta.ownerReferences ?? [], path.child('ownerReferences')),
    ...validateManagedFields(meta.managedFields ?? [], path.child('managedFields')),
  );
  return out;
}

/** Two wire timestamps that mean the same second; absent equals absent. */
function sameTime(a: string | undefined, b: string | undefined): boolean {
  if (a === b) return true;
  return a !== undefined && b !== undefined && Math.floor(Date.parse(a) / 1000) === Math.floor(Date.parse(b) / 1000);
}

export function validateLabelName(name: string, path: FieldPath): FieldError[] {
  return isQualifiedName(name).map((m) => invalidValue(path, name, m));
}
export function validateLabels(labels: Readonly<Record<string, string>> | undefined, path: FieldPath): FieldError[] {
  const out: FieldError[] = [];
  for (const key in labels) {
    const value = labels[key]!;
    out.push(...validateLabelName(key, path), ...isValidLabelValue(value).map((m) => invalidValue(path, value, m)));
  }
  return out;
}
export function validateAnnotations(annotations: Readonly<Record<string, string>> | undefined, path: FieldPath): FieldError[] {
  const out: FieldError[] = [];
  let size = 0;
  for (const key in annotations) {
    out.push(...isQualifiedName(key.toLowerCase()).map((m) => invalidValue(path, key, m)));
    size += Buffer.byteLength(key) + Buffer.byteLength(annotations[key]!);
  }
  if (size > ANNOTATIONS_MAX_BYTES) out.push(tooLong(path, ANNOTATIONS_MAX_BYTES));
  return out;
}

function validateOwnerReference(ref: OwnerReference, path: FieldPath): FieldError[] {
  const out: FieldError[] = [];
  // A text that is no group and version has neither.
  const { group, version } = ref.apiVersion.split('/').length > 2 ? { group: '', version: '' } : splitApiVersion(ref.apiVersion);
  if (version === '') out.push(invalidValue(path.child('apiVersion'), ref.apiVersion, 'version must not be empty'));
  for (const field of ['kind', 'name', 'uid'] as const) {
    if (ref[field] === '') out.push(invalidValue(path.child(field), '', 'must not be empty'));
  }
  if (group === '' && version === 'v1' && ref.kind === 'Event') out.push(invalidValue(path, ref, '/v1, Kind=Event is disallowed from being an owner'));
  return out;
}
export function validateOwnerReferences(refs: readonly OwnerReference[], path: FieldPath): FieldError[] {
  const out: FieldError[] = [];
  let first = '';
  for (const ref of refs) {
    out.push(...validateOwnerReference(ref, path));
    if (!ref.controller) continue;
    const current = `${ref.kind}/${ref.name}`;
    if (first === '') first = current;
    else out.push(invalidValue(path, refs, `Only one reference can have Controller set to true. Found "true" in references for ${first} and ${current}`));
  }
  return out;
}

export function validateFinalizers(finalizers: readonly string[], path: FieldPath): FieldError[] {
  const out = finalizers.flatMap((f) => isQualifiedName(f).map((m) => invalidValue(path, f, m)));
  if (finalizers.includes(ORPHAN) && finalizers.includes(FOREGROUND)) out.push(invalidValue(path, finalizers, `finalizer ${ORPHAN} and ${FOREGROUND} cannot be both set`));
  return out;
}
/** Nobody may add a finalizer to an object that is being deleted. */
export function validateNoNewFinalizers(finalizers: readonly string[], old: readonly string[], path: FieldPath): FieldError[] {
  const added = [...new Set(finalizers)].filter((f) => !old.includes(f)).toSorted();
  if (added.length === 0) return [];
  const shown = added.map(goQuote).join(', ');
  return [forbiddenField(path, `no new finalizers can be added if the object is being deleted, found new finalizers []string{${shown}}`)];
}

/** The name of a field manager, of a request's options or a managed-fields entry. */
export function validateFieldManager(manager: string, path: FieldPath): FieldError[] {
  const out: FieldError[] = [];
  if (Buffer.byteLength(manager) > FIELD_MANAGER_MAX_LENGTH) out.push(tooLong(path, FIELD_MANAGER_MAX_LENGTH));
  let position = 0;
  for (const char of manager) {
    if (!/^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u.test(char)) out.push(invalidValue(path, manager, `invalid character ${unicodeText(char)} (at position ${position})`));
    position += Buffer.byteLength(char);
  }
  return out;
}
/** A character as Go's `%#U` shows one that cannot be printed. */
function unicodeText(char: string): string {
  return `U+${char.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}`;
}
export function validateManagedFields(entries: readonly ManagedFieldsEntry[], path: FieldPath): FieldError[] {
  return entries.flatMap((entry, i) => {
    const at = path.index(i);
    const out: FieldError[] = [];
    const { operation = '', fieldsType = '', manager = '', subresource = '' } = entry;
    if (operation !== 'Apply' && operation !== 'Update') out.push(invalidValue(at.child('operation'), operation, 'must be `Apply` or `Update`'));
    if (fieldsType !== '' && fieldsType !== 'FieldsV1') out.push(invalidValue(at.child('fieldsType'), fieldsType, 'must be `FieldsV1`'));
    out.push(...validateFieldManager(manager, at.child('manager')));
    if (Buffer.byteLength(subresource) > SUBRESOURCE_MAX_LENGTH) out.push(tooLong(at.child('subresource'), SUBRESOURCE_MAX_LENGTH));
    return out;
  });
}

export interface LabelSelectorOptions {
  /** Values of labels that could never match are let through, for objects that have them already. */
  readonly allowInvalidValues?: boolean;
  readonly allowUnknownOperator?: boolean;
}
/** A `LabelSelector` inside an object. */
export function validateLabelSelector(selector: LabelSelector | undefined, path: FieldPath, options: LabelSelectorOptions = {}): FieldError[] {
  if (selector === undefined) return [];
  const expressions = selector.matchExpressions ?? [];
  return [
    ...validateLabels(selector.matchLabels, path.child('matchLabels')),
    ...expressions.flatMap((e, i) => validateLabelSelectorRequirement(e, path.child('matchExpressions').index(i), options)),
  ];
}
export function validateLabelSelectorRequirement(requirement: LabelSelectorRequirement, path: FieldPath, options: LabelSelectorOptions = {}): FieldError[] {
  const out: FieldError[] = [];
  const { operator, key, values = [] } = requirement;
  if (operator === 'In' || operator === 'NotIn') {
    if (values.length === 0) out.push(required(path.child('values'), "must be specified when `operator` is 'In' or 'NotIn'"));
  } else if (operator === 'Exists' || operator === 'DoesNotExist') {
    if (values.length > 0) out.push(forbiddenField(path.child('values'), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
  } else if (!options.allowUnknownOperator) {
    out.push(invalidValue(path.child('operator'), operator, 'not a valid selector operator'));
  }
  out.push(...validateLabelName(key, path.child('key')));
  if (!options.allowInvalidValues) {
    values.forEach((value, i) => out.push(...isValidLabelValue(value).map((m) => invalidValue(path.child('values').index(i), value, m))));
  }
  return out;
}
