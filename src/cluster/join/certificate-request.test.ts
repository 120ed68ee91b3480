import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CertificateSigningRequest } from '#api/gen/certificates-v1.ts';
import { flushMicrotasks } from '#base/fake-clock.ts';
import { Client } from '#client/client.ts';
import { CERTIFICATE_SIGNING_REQUESTS } from '#client/kinds.ts';
import { FakeApi } from '#kubelet/testing/fake-api.ts';
import { verifyCsr } from '../pki.ts';
import { requestCertificate, type NodeCertificate } from './certificate-request.ts';

const WANTED: NodeCertificate = { signerName: 'kubernetes.io/kubelet-serving', usage: 'server auth', nodeName: 'b', dnsNames: ['b'], ipAddresses: ['192.0.2.2'] };

/** A request that has been made; `answer` is what becomes of it. */
async function asked(answer: (made: CertificateSigningRequest, api: FakeApi) => void): Promise<{ made: CertificateSigningRequest; pair: ReturnType<typeof requestCertificate> }> {
  const api = new FakeApi();
  const pair = requestCertificate(new Client(api), WANTED, AbortSignal.timeout(10_000));
  pair.catch(() => {});
  let made: CertificateSigningRequest | undefined;
  while (!made) {
    await flushMicrotasks();
    [made] = api.list<CertificateSigningRequest>(CERTIFICATE_SIGNING_REQUESTS);
  }
  await flushMicrotasks();
  answer(made, api);
  return { made, pair };
}
const condition = (type: string, message: string) => ({ type, status: 'True' as const, reason: 'Because', message });

test('requestCertificate asks as the node, for its names, and gives what was issued', async () => {
  const { made, pair } = await asked((csr, api) => {
    api.put(CERTIFICATE_SIGNING_REQUESTS, { ...csr, status: { conditions: [condition('Approved', '')] } });
    api.put(CERTIFICATE_SIGNING_REQUESTS, { ...csr, status: { conditions: [condition('Approved', '')], certificate: Buffer.from('the certificate').toString('base64') } });
  });
  assert.equal((await pair).cert, 'the certificate');
  assert.match((await pair).key, /^-----BEGIN PRIVATE KEY-----/);
  assert.deepEqual([made.spec.signerName, made.spec.usages], ['kubernetes.io/kubelet-serving', ['digital signature', 'server auth']]);
  const contents = await verifyCsr(Buffer.from(made.spec.request, 'base64').toString());
  assert.deepEqual([contents.commonName, contents.organizations, contents.dnsNames, contents.ipAddresses], ['system:node:b', ['system:nodes'], ['b'], ['192.0.2.2']]);
});

test('requestCertificate rejects when the request is denied, fails or goes', async () => {
  for (const type of ['Denied', 'Failed']) {
    const { made, pair } = await asked((csr, api) => api.put(CERTIFICATE_SIGNING_REQUESTS, { ...csr, status: { conditions: [condition(type, 'no such node')] } }));
    await assert.rejects(pair, { message: `the certificate signing request "${made.metadata.name}" is ${type}: no such node` });
  }
  const { made, pair } = await asked((csr, api) => api.remove(CERTIFICATE_SIGNING_REQUESTS, csr.metadata.name!));
  await assert.rejects(pair, { message: `the certificate signing request "${made.metadata.name}" was deleted before it was approved` });
});
