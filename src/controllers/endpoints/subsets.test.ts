import assert from 'node:assert/strict';
import { test } from 'node:test';
import { packSubsets, truncateSubsets, type AddressAt } from './subsets.ts';

const at = (ip: string, port: number | undefined, ready = true): AddressAt => ({ address: { ip }, ready, port: port === undefined ? undefined : { port, protocol: 'TCP' } });

test('packSubsets joins ports with the same addresses, and sorts addresses as numbers', () => {
  assert.deepEqual(packSubsets([at('10.0.0.10', 80), at('10.0.0.9', 80), at('10.0.0.9', 81), at('10.0.0.10', 81), at('10.0.0.9', 82)]), [
    { addresses: [{ ip: '10.0.0.9' }, { ip: '10.0.0.10' }], ports: [{ port: 80, protocol: 'TCP' }, { port: 81, protocol: 'TCP' }] },
    { addresses: [{ ip: '10.0.0.9' }], ports: [{ port: 82, protocol: 'TCP' }] },
  ]);
});
test('packSubsets keeps ready from not ready, and Services without ports', () => {
  assert.deepEqual(packSubsets([at('10.0.0.1', undefined), at('10.0.0.2', undefined, false)]), [{ addresses: [{ ip: '10.0.0.1' }], notReadyAddresses: [{ ip: '10.0.0.2' }] }]);
  assert.deepEqual(packSubsets([]), []);
});
test('truncateSubsets lets addresses go that are not ready first', () => {
  const ips = (n: number, third: number) => Array.from({ length: n }, (_, i) => ({ ip: `10.0.${third}.${i}` }));
  const few = truncateSubsets([{ addresses: ips(6, 0), notReadyAddresses: ips(8, 1) }], 10);
  assert.deepEqual([few.truncated, few.subsets[0]!.addresses?.length, few.subsets[0]!.notReadyAddresses?.length], [true, 6, 4]);
  const many = truncateSubsets([{ addresses: ips(15, 0), notReadyAddresses: ips(8, 1) }, { addresses: ips(5, 2) }], 10);
  assert.deepEqual(many.subsets.map((s) => [s.addresses?.length, s.notReadyAddresses?.length]), [[8, undefined], [2, undefined]]);
  assert.equal(truncateSubsets([{ addresses: ips(10, 0) }], 10).truncated, false);
});
