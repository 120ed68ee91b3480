import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rowOf } from '../trial.ts';
import { componentstatuses } from './componentstatuses.ts';

test('componentstatuses prints health, message and error', () => {
  const row = (...conditions: object[]) => rowOf(componentstatuses, { metadata: { name: 'scheduler' }, conditions });
  assert.deepEqual(row({ type: 'Healthy', status: 'True', message: 'ok' }), { Name: 'scheduler', Status: 'Healthy', Message: 'ok', Error: '' });
  assert.deepEqual(row({ type: 'Healthy', status: 'False', error: 'down' }), { Name: 'scheduler', Status: 'Unhealthy', Message: '', Error: 'down' });
  assert.equal(row()['Status'], 'Unknown');
});
