import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rowOf, tryCreate } from '../trial.ts';
import { leases } from './leases.ts';

test('leases last for a time; who is preferred is not asked', () => {
  const lease = (spec: object) => tryCreate(leases, { metadata: { name: 'a' }, spec });
  assert.deepEqual(lease({ holderIdentity: 'n', leaseDurationSeconds: 40 }).errors, []);
  assert.deepEqual(lease({ leaseDurationSeconds: 0, leaseTransitions: -1, preferredHolder: 'b' }).errors, [
    'spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0', 'spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0',
  ]);
  assert.deepEqual(rowOf(leases, lease({ holderIdentity: 'n' }).object), { Name: 'a', Holder: 'n', Age: '<unknown>' });
});
