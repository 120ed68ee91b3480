import assert from 'node:assert/strict';
import { test } from 'node:test';
import { publishedV2, publishedV3 } from './published-schema.ts';

test('publishedV2 leaves out what clients that validate by v2 would refuse objects for', () => {
  const schema = {
    type: 'object', required: ['a', 'n'],
    properties: {
      a: { type: 'string', default: 'x', enum: ['x', 'y'] }, n: { type: 'integer', format: 'int32', nullable: true },
      open: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true, properties: { b: { type: 'string' } } },
      openList: { type: 'array', nullable: true, items: { type: 'string' } }, either: { 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }] },
    },
  };
  assert.deepEqual(publishedV2(schema), {
    type: 'object', required: ['a'],
    properties: { a: { type: 'string', enum: ['x', 'y'] }, n: { format: 'int32' }, open: { 'x-kubernetes-preserve-unknown-fields': true }, openList: {}, either: { 'x-kubernetes-int-or-string': true } },
  });
  assert.deepEqual(publishedV3(schema), schema);
});
