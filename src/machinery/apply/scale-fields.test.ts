import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ManagedFieldsEntry } from '#api/gen/meta-v1.ts';
import { parentManagedFields, scaleManagedFields, type ScaleMapping } from './scale-fields.ts';

const mapping: ScaleMapping = { apiVersion: 'apps/v1', replicasPaths: { 'apps/v1': ['spec', 'replicas'], 'apps/v1beta1': ['spec', 'the-replicas'] } };
const entry = (manager: string, operation: string, fieldsV1: object, more: object = {}) =>
  ({ manager, operation, apiVersion: 'apps/v1', fieldsType: 'FieldsV1', fieldsV1, ...more }) as unknown as ManagedFieldsEntry;
const replicas = { 'f:spec': { 'f:replicas': {} } };
const scale = { apiVersion: 'autoscaling/v1' };

test('scaleManagedFields keeps the owners of replicas, at the version of the Scale', () => {
  const parent = [
    entry('a', 'Apply', { 'f:spec': { 'f:paused': {}, 'f:replicas': {} } }),
    entry('old', 'Apply', { 'f:spec': { 'f:the-replicas': {} } }, { apiVersion: 'apps/v1beta1' }),
    entry('lost', 'Apply', replicas, { apiVersion: 'apps/v0' }),
    entry('b', 'Update', { 'f:spec': { 'f:paused': {} } }),
  ];
  assert.deepEqual(scaleManagedFields(parent, mapping), [entry('a', 'Apply', replicas, scale), entry('old', 'Apply', replicas, scale)]);
});

test('parentManagedFields takes replicas from managers that lost them and gives them to new ones', () => {
  const parent = [entry('a', 'Apply', { 'f:spec': { 'f:paused': {}, 'f:replicas': {} } }), entry('b', 'Update', replicas)];
  const after = parentManagedFields(parent, [entry('hpa', 'Update', replicas, { ...scale, subresource: 'scale' })], mapping);
  assert.deepEqual(after, [entry('a', 'Apply', { 'f:spec': { 'f:paused': {} } }), entry('hpa', 'Update', replicas, { subresource: 'scale' })]);
});

test('parentManagedFields keeps the entries of managers that still own the replicas, and forgets unknown versions', () => {
  const parent = [entry('a', 'Apply', { 'f:spec': { 'f:paused': {}, 'f:replicas': {} } }), entry('lost', 'Apply', replicas, { apiVersion: 'apps/v0' }), entry('b', 'Update', replicas)];
  const after = parentManagedFields(parent, scaleManagedFields(parent, mapping), mapping)!;
  assert.deepEqual(after.map((e) => e.manager), ['a', 'b']);
  assert.equal(after[0], parent[0]);
  assert.equal(after[1], parent[2]);
});
