import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { CertificateSigningRequest } from '#api/gen/certificates-v1.ts';
import { dueAt } from './cleaning.ts';
import { signingProblem, type RequestContents } from './signer-rules.ts';
import { lifetimeMs } from './signing.ts';

const node: RequestContents = { commonName: 'system:node:n', organizations: ['system:nodes'], dnsNames: [], ipAddresses: [], emails: [], uris: [] };
const client = ['digital signature', 'client auth'];
const serving = ['digital signature', 'server auth'];
describe('signingProblem', () => {
  const table: readonly (readonly [signer: string, request: Partial<RequestContents>, usages: readonly string[], problem: string | undefined])[] = [
    ['kube-apiserver-client-kubelet', {}, client, undefined],
    ['kube-apiserver-client-kubelet', {}, ['key encipherment', ...client], undefined],
    ['kube-apiserver-client-kubelet', {}, serving, 'usages did not match [client auth digital signature key encipherment]'],
    ['kube-apiserver-client-kubelet', { organizations: ['system:nodes', 'x'] }, client, 'subject organization is not system:nodes'],
    ['kube-apiserver-client-kubelet', { commonName: 'n' }, client, 'subject common name does not begin with system:node:'],
    ['kube-apiserver-client-kubelet', { dnsNames: ['n'] }, client, 'DNS subjectAltNames are not allowed'],
    ['kubelet-serving', { ipAddresses: ['192.0.2.1'] }, serving, undefined],
    ['kubelet-serving', {}, serving, 'DNS or IP subjectAltName is required'],
    ['kubelet-serving', { dnsNames: ['n'], uris: ['spiffe://x'] }, serving, 'URI subjectAltNames are not allowed'],
    ['kube-apiserver-client', { commonName: 'jane', organizations: [] }, ['client auth'], undefined],
    ['kube-apiserver-client', {}, ['digital signature'], 'missing required usage for client certificate: client auth'],
    ['kube-apiserver-client', {}, ['client auth', 'server auth'], 'invalid usage for client certificate: server auth'],
    ['legacy-unknown', {}, ['server auth'], undefined],
  ];
  for (const [signer, request, usages, problem] of table) {
    test(`${signer} with ${JSON.stringify(request)} for ${usages.join(', ')}: ${problem ?? 'signs'}`, () => assert.equal(signingProblem(`kubernetes.io/${signer}`, { ...node, ...request }, usages), problem));
  }
});
test('lifetimeMs keeps between ten minutes and a year', () => {
  assert.deepEqual([undefined, 1, 3600, 1e9].map(lifetimeMs), [31_536_000_000, 600_000, 3_600_000, 31_536_000_000]);
});
describe('dueAt', () => {
  const at = (text: string): number => Date.parse(text);
  const request = (type?: string, certificate?: string): CertificateSigningRequest => ({
    metadata: { name: 'r', creationTimestamp: '2026-01-01T00:00:00Z' }, spec: { request: '', signerName: 's' },
    status: { ...(type ? { conditions: [{ type, status: 'True', lastUpdateTime: '2026-01-01T10:00:00Z' }] } : {}), ...(certificate ? { certificate } : {}) },
  });
  test('a day for what is undecided, an hour for what is settled, never for what waits for its signer', () => {
    assert.equal(dueAt(request()), at('2026-01-02T00:00:00Z'));
    assert.equal(dueAt(request('Denied')), at('2026-01-01T11:00:00Z'));
    assert.equal(dueAt(request('Failed')), at('2026-01-01T11:00:00Z'));
    assert.equal(dueAt(request('Approved')), undefined);
    assert.equal(dueAt(request('Approved', 'bm90IGEgY2VydGlmaWNhdGU=')), at('2026-01-01T11:00:00Z'));
  });
});
