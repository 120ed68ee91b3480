import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type { CertificateSigningRequestSpec } from '#api/gen/certificates-v1.ts';
import { Client } from '#client/client.ts';
import { CERTIFICATE_SIGNING_REQUESTS, EVENTS, NODES } from '#client/kinds.ts';
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

  describe('serving certificates of nodes', () => {
    const serving: Omit<CertificateSigningRequestSpec, 'request'> = { signerName: 'kubernetes.io/kubelet-serving', usages: ['server auth', 'digital signature'] };
    const setAddress = (node: string, address: string) => cluster.client.of(NODES).patch('', node, 'application/merge-patch+json', { status: { addresses: [{ type: 'InternalIP', address }] } }, { subresource: 'status' });
    const asNode = (node: string) => as(`system:node:${node}`, 'system:nodes');
    const of = (node: string, more: Omit<Parameters<typeof createCsr>[0], 'commonName'>) => ({ commonName: `system:node:${node}`, organizations: ['system:nodes'], ...more });
    const eventsOf = async (name: string) => (await cluster.client.of(EVENTS).list({ fieldSelector: `involvedObject.kind=CertificateSigningRequest,involvedObject.name=${name}` })).items;

    test('are approved for what the Node has', async () => {
      await eventually('the node has an address', async () => (await cluster.client.of(NODES).get('', 'node-1')).status?.addresses?.some((a) => a.address === '192.0.2.1'));
      await request(asNode('node-1'), 'serving', of('node-1', { dnsNames: ['node-1'], ipAddresses: ['192.0.2.1'] }), serving);
      const approved = await condition('serving', 'Approved');
      assert.deepEqual([approved.reason, approved.message], ['AutoApproved', 'Auto approving kubelet serving certificate: the node asks for its own names and addresses.']);
      assert.equal(new X509Certificate(Buffer.from(await issued('serving'), 'base64')).subjectAltName, 'DNS:node-1, IP Address:192.0.2.1');
    });
    test('are approved when the Node gets its address', async () => {
      await request(asNode('late'), 'late', of('late', { ipAddresses: ['192.0.2.200'] }), serving);
      await cluster.client.of(NODES).create({ metadata: { name: 'late' }, spec: {} });
      await setAddress('late', '192.0.2.200');
      await issued('late');
      assert.deepEqual(await eventsOf('late'), []);
    });
    test('stay pending for more, with one event', async () => {
      await request(asNode('node-1'), 'greedy', of('node-1', { dnsNames: ['kubernetes.default.svc'] }), serving);
      const [told] = await eventually('it is told', async () => ((events) => (events.length ? events : undefined))(await eventsOf('greedy')));
      assert.deepEqual([told!.type, told!.reason, told!.message], ['Warning', 'ServingCertificateNotApproved', 'Not approved by itself: the name "kubernetes.default.svc" belongs to the API server. To approve it: kubectl certificate approve greedy']);
      assert.deepEqual([told!.involvedObject.kind, told!.involvedObject.uid], ['CertificateSigningRequest', (await requests().get('', 'greedy')).metadata.uid]);
      // It is looked at again, and told no second time.
      await setAddress('late', '192.0.2.201');
      await request(asNode('node-1'), 'modest', of('node-1', { dnsNames: ['node-1'] }), serving);
      await issued('modest');
      assert.deepEqual((await eventsOf('greedy')).map((e) => e.count), [1]);
      assert.equal((await requests().get('', 'greedy')).status?.conditions, undefined);
      await approve('greedy');
      await issued('greedy');
    });
  });
});
