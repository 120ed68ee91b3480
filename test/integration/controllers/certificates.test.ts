import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type { CertificateSigningRequestSpec } from '#api/gen/certificates-v1.ts';
import { Client } from '#client/client.ts';
import { CERTIFICATE_SIGNING_REQUESTS } from '#client/kinds.ts';
import { componentUser, inProcessTransport } from '#cluster/in-process-transport.ts';
import { startInProcessCluster, type InProcessCluster } from '#cluster/in-process-cluster.ts';
import { createCsr } from '#cluster/pki.ts';
import { eventually } from './eventually.ts';

describe('certificate signing requests', () => {
  let cluster: InProcessCluster;
  before(async () => {
    cluster = await startInProcessCluster();
  });
  after(() => cluster.stop());
  const requests = () => cluster.client.of(CERTIFICATE_SIGNING_REQUESTS);
  const as = (name: string, ...groups: string[]) => new Client(inProcessTransport(cluster.server, componentUser(name, ...groups), 'test'), 'test');
  async function request(client: Client, name: string, subject: Parameters<typeof createCsr>[0], spec: Omit<CertificateSigningRequestSpec, 'request'>) {
    const { csr } = await createCsr(subject);
    return await client.of(CERTIFICATE_SIGNING_REQUESTS).create({ metadata: { name }, spec: { request: Buffer.from(csr).toString('base64'), ...spec } });
  }
  async function approve(name: string): Promise<void> {
    const found = await requests().get('', name);
    await requests().update({ ...found, status: { conditions: [{ type: 'Approved', status: 'True', reason: 'KubectlApprove', message: 'This CSR was approved by kubectl certificate approve.' }] } }, { subresource: 'approval' });
  }
  const issued = (name: string) => eventually(`${name} is issued`, async () => (await requests().get('', name)).status?.certificate);
  const condition = (name: string, type: string) => eventually(`${name} is ${type}`, async () => (await requests().get('', name)).status?.conditions?.find((c) => c.type === type));

  test('an approved client request is signed by the cluster authority, for as long as asked', async () => {
    await request(cluster.client, 'jane', { commonName: 'jane', organizations: ['dev'] }, { signerName: 'kubernetes.io/kube-apiserver-client', usages: ['client auth', 'digital signature'], expirationSeconds: 3600 });
    await approve('jane');
    const cert = new X509Certificate(Buffer.from(await issued('jane'), 'base64'));
    assert.ok(cert.verify(new X509Certificate(cluster.pki.ca.cert).publicKey));
    assert.equal(cert.subject, 'O=dev\nCN=jane');
    assert.deepEqual(cert.keyUsage, ['1.3.6.1.5.5.7.3.2']);
    assert.ok(Math.abs(cert.validToDate.getTime() - Date.now() - 3_600_000) < 60_000);
  });
  test('a kubelet may renew its own client certificate unasked', async () => {
    await request(as('system:node:node-1', 'system:nodes', 'system:authenticated'), 'own', { commonName: 'system:node:node-1', organizations: ['system:nodes'] }, { signerName: 'kubernetes.io/kube-apiserver-client-kubelet', usages: ['client auth', 'digital signature'] });
    const approved = await condition('own', 'Approved');
    assert.deepEqual([approved.reason, approved.message], ['AutoApproved', 'Auto approving self kubelet client certificate after SubjectAccessReview.']);
    await issued('own');
  });
  test('what a signer does not sign fails, in words', async () => {
    await request(cluster.client, 'bare', { commonName: 'system:node:n', organizations: ['system:nodes'] }, { signerName: 'kubernetes.io/kubelet-serving', usages: ['server auth', 'digital signature'] });
    await approve('bare');
    const failed = await condition('bare', 'Failed');
    assert.deepEqual([failed.reason, failed.message], ['SignerValidationFailure', 'DNS or IP subjectAltName is required']);
  });
  test('requests of other signers are left alone', async () => {
    await request(cluster.client, 'other', { commonName: 'x' }, { signerName: 'example.com/other', usages: ['client auth'] });
    await approve('other');
    await request(cluster.client, 'after', { commonName: 'system:node:n', organizations: ['system:nodes'], dnsNames: ['n'] }, { signerName: 'kubernetes.io/kubelet-serving', usages: ['server auth', 'digital signature', 'key encipherment'] });
    await approve('after');
    await issued('after');
    assert.equal((await requests().get('', 'other')).status?.certificate, undefined);
  });
});
