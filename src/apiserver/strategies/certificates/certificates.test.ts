import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rowOf, tryCreate, tryUpdate } from '../trial.ts';
import { certificatesigningrequests } from './certificatesigningrequests.ts';

const pem = (type: string) => Buffer.from(`-----BEGIN ${type}-----\n${Buffer.from([0x30, 0x00]).toString('base64')}\n-----END ${type}-----\n`).toString('base64');
const request = (spec: object = {}) => ({ metadata: { name: 'jane' }, spec: { request: pem('CERTIFICATE REQUEST'), signerName: 'example.com/s', usages: ['client auth'], ...spec } });

test('certificatesigningrequests says itself who asks', () => {
  const { object, errors } = tryCreate(certificatesigningrequests, request({ username: 'root', groups: ['system:masters'] }));
  const spec = object['spec'] as { username: string; groups: string[] };
  assert.deepEqual([errors, spec.username, spec.groups], [[], 'jane', ['system:authenticated']]);
});
test('certificatesigningrequests checks request, usages and signer', () => {
  assert.deepEqual(tryCreate(certificatesigningrequests, request({ request: pem('CERTIFICATE'), usages: [], expirationSeconds: 1 })).errors, [
    `spec.request: Invalid value: ${JSON.stringify(pem('CERTIFICATE'))}: PEM block type must be CERTIFICATE REQUEST`,
    'spec.usages: Required value',
    'spec.expirationSeconds: Invalid value: 1: may not specify a duration less than 600 seconds (10 minutes)',
  ]);
});
test('certificatesigningrequests keeps decisions', () => {
  const approve = tryUpdate(certificatesigningrequests, request(), (r) => (r['status'] = { conditions: [{ type: 'Approved', status: 'True' }] }), 'approval');
  assert.deepEqual([approve.errors, (approve.object['status'] as { conditions: { lastUpdateTime: string }[] }).conditions[0]!.lastUpdateTime], [[], '2026-01-02T03:04:05Z']);
  const sneak = tryUpdate(certificatesigningrequests, request(), (r) => (r['status'] = { conditions: [{ type: 'Approved', status: 'True' }] }), 'status');
  assert.deepEqual(sneak.errors, ['status.conditions: Forbidden: updates may not add a condition of type "Approved"']);
});
test('certificatesigningrequests row', () => {
  const status = { conditions: [{ type: 'Approved', status: 'True' }], certificate: pem('CERTIFICATE') };
  assert.deepEqual(rowOf(certificatesigningrequests, { ...request({ username: 'jane', expirationSeconds: 3600 }), status }), {
    Name: 'jane', Age: '<unknown>', SignerName: 'example.com/s', Requestor: 'jane', RequestedDuration: '60m', Condition: 'Approved,Issued',
  });
});
