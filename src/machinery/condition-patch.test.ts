import assert from 'node:assert/strict';
import { test } from 'node:test';
import { conditionPatch } from './condition-patch.ts';

test('conditionPatch keeps the order of what is there, and puts a new condition last', () => {
  const before = [{ type: 'A' }, { type: 'B' }];
  assert.deepEqual(conditionPatch(before, { type: 'C', status: 'True' }), { conditions: [{ type: 'C', status: 'True' }], '$setElementOrder/conditions': [{ type: 'A' }, { type: 'B' }, { type: 'C' }] });
  assert.deepEqual(conditionPatch(before, { type: 'A' })['$setElementOrder/conditions'], before);
  assert.deepEqual(conditionPatch(undefined, { type: 'A' })['$setElementOrder/conditions'], [{ type: 'A' }]);
});
