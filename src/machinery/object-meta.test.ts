import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ObjectMeta } from '#api/gen/meta-v1.ts';
import { fieldPath, type FieldError } from './field-errors.ts';
import { nameIsDNSLabel } from './names.ts';
import { deepEqual } from './equality.ts';
import { validateFieldManager, validateLabelSelector, validateObjectMeta, validateObjectMetaUpdate } from './object-meta.ts';

const shown = (errors: readonly FieldError[]): string[] => errors.map((e) => `${e.field}: ${e.body}`);
const SUBDOMAIN = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

test('validateObjectMeta checks names and namespaces', () => {
  assert.deepEqual(shown(validateObjectMeta({ name: 'a', namespace: 'b' }, true)), []);
  assert.deepEqual(shown(validateObjectMeta({ name: 'A', namespace: 'b' }, true)), [`metadata.name: Invalid value: "A": ${SUBDOMAIN}`]);
  assert.deepEqual(shown(validateObjectMeta({}, true)), ['metadata.name: Required value: name or generateName is required', 'metadata.namespace: Required value']);
  assert.deepEqual(shown(validateObjectMeta({ name: 'a', namespace: 'b' }, false)), ['metadata.namespace: Forbidden: not allowed on this type']);
  assert.deepEqual(shown(validateObjectMeta({ name: 'a', generateName: 'a-' }, false, nameIsDNSLabel)), []);
  assert.equal(validateObjectMeta({ name: 'a', generateName: 'Ab-' }, false)[0]!.field, 'metadata.generateName');
  assert.deepEqual(shown(validateObjectMeta({ name: 'a', generation: -1 }, false)), ['metadata.generation: Invalid value: -1: must be greater than or equal to 0']);
});

test('validateObjectMeta checks labels, annotations and finalizers', () => {
  const errors = validateObjectMeta({ name: 'a', labels: { '-': '-' }, annotations: { 'Upper.Example.com/Key': 'x'.repeat(256 * 1024) }, finalizers: ['orphan', 'foregroundDeletion'] }, false);
  assert.deepEqual(errors.map((e) => [e.field, e.type]), [['metadata.labels', 'FieldValueInvalid'], ['metadata.labels', 'FieldValueInvalid'], ['metadata.annotations', 'FieldValueTooLong'], ['metadata.finalizers', 'FieldValueInvalid']]);
  assert.equal(errors[2]!.body, 'Too long: may not be more than 262144 bytes');
  assert.equal(errors[3]!.body, 'Invalid value: ["orphan","foregroundDeletion"]: finalizer orphan and foregroundDeletion cannot be both set');
});

test('validateObjectMeta checks owner references', () => {
  const ref = { apiVersion: 'v1', kind: 'Pod', name: 'p', uid: '1', controller: true };
  assert.deepEqual(shown(validateObjectMeta({ name: 'a', ownerReferences: [ref] }, false)), []);
  assert.match(shown(validateObjectMeta({ name: 'a', ownerReferences: [ref, { ...ref, name: 'q' }] }, false))[0]!, /Only one reference can have Controller set to true\. Found "true" in references for Pod\/p and Pod\/q$/);
  assert.deepEqual(shown(validateObjectMeta({ name: 'a', ownerReferences: [{ apiVersion: '', kind: '', name: '', uid: '' }] }, false)), [
    'metadata.ownerReferences.apiVersion: Invalid value: "": version must not be empty',
    ...['kind', 'name', 'uid'].map((f) => `metadata.ownerReferences.${f}: Invalid value: "": must not be empty`),
  ]);
  assert.match(shown(validateObjectMeta({ name: 'a', ownerReferences: [{ apiVersion: 'v1', kind: 'Event', name: 'e', uid: '1' }] }, false))[0]!, /\/v1, Kind=Event is disallowed from being an owner$/);
});

test('validateObjectMeta checks managed fields', () => {
  const errors = validateObjectMeta({ name: 'a', managedFields: [{ operation: 'Patch', fieldsType: 'FieldsV2', manager: 'a\nb' }] }, false);
  assert.deepEqual(shown(errors), [
    'metadata.managedFields[0].operation: Invalid value: "Patch": must be `Apply` or `Update`',
    'metadata.managedFields[0].fieldsType: Invalid value: "FieldsV2": must be `FieldsV1`',
    'metadata.managedFields[0].manager: Invalid value: "a\\nb": invalid character U+000A (at position 1)',
  ]);
  assert.deepEqual(shown(validateFieldManager('x'.repeat(129), fieldPath('fieldManager'))), ['fieldManager: Too long: may not be more than 128 bytes']);
});

test('validateObjectMetaUpdate keeps identity', () => {
  const old: ObjectMeta = { name: 'a', namespace: 'n', uid: '1', resourceVersion: '5', generation: 2, creationTimestamp: '2026-01-01T00:00:00Z' };
  assert.deepEqual(shown(validateObjectMetaUpdate(old, old)), []);
  assert.deepEqual(shown(validateObjectMetaUpdate({ ...old, creationTimestamp: '2026-01-01T01:00:00+01:00' }, old)), []);
  assert.deepEqual(shown(validateObjectMetaUpdate({ name: 'b', namespace: 'm', uid: '2', generation: 1 }, old)), [
    'metadata.resourceVersion: Invalid value: "": must be specified for an update',
    'metadata.generation: Invalid value: 1: must not be decremented',
    'metadata.name: Invalid value: "b": field is immutable',
    'metadata.namespace: Invalid value: "m": field is immutable',
    'metadata.uid: Invalid value: "2": field is immutable',
    'metadata.creationTimestamp: Invalid value: null: field is immutable',
  ]);
});

test('validateObjectMetaUpdate refuses new finalizers on an object that is being deleted', () => {
  const old: ObjectMeta = { name: 'a', resourceVersion: '1', deletionTimestamp: '2026-01-01T00:00:00Z', deletionGracePeriodSeconds: 0, finalizers: ['x.io/a'] };
  assert.deepEqual(shown(validateObjectMetaUpdate({ ...old, finalizers: [] }, old)), []);
  assert.deepEqual(shown(validateObjectMetaUpdate({ ...old, finalizers: ['x.io/a', 'x.io/c', 'x.io/b'] }, old)), [
    'metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"x.io/b", "x.io/c"}',
  ]);
});

test('deepEqual takes nothing and empty as the same', () => {
  assert.equal(deepEqual({ a: [], b: 1 }, { b: 1, c: {} }), true);
  assert.equal(deepEqual({ a: [1, { x: null }] }, { a: [1, {}] }), true);
  assert.equal(deepEqual([1, 2], [2, 1]), false);
  assert.equal(deepEqual('1', 1), false);
  assert.equal(deepEqual({ toString: 1 }, {}), false);
});

test('validateLabelSelector checks operators, keys and values', () => {
  const path = fieldPath('spec', 'selector');
  const errors = validateLabelSelector({ matchLabels: { a: 'b' }, matchExpressions: [{ key: 'a', operator: 'In' }, { key: 'a', operator: 'Exists', values: ['x'] }, { key: 'a', operator: 'Gt', values: ['a b'] }] }, path);
  assert.deepEqual(shown(errors).map((e) => e.replace(/: a valid label must.*/, '')), [
    "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
    "spec.selector.matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
    'spec.selector.matchExpressions[2].operator: Invalid value: "Gt": not a valid selector operator',
    'spec.selector.matchExpressions[2].values[0]: Invalid value: "a b"',
  ]);
  assert.deepEqual(validateLabelSelector(undefined, path), []);
});
