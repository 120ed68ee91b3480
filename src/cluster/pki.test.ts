import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { load } from 'js-yaml';
import { FakeClock } from '#base/fake-clock.ts';
import { createAuthority, createCsr, ensureClusterPki, ensureNodePki, renewalDue, signCsr, verifyCsr, writeKubeconfig, type ClusterPki, type Kubeconfig } from './pki.ts';

const DAY = 86_400_000;
describe('ensureClusterPki', () => {
  let dir: string;
  let pki: ClusterPki;
  const clock = new FakeClock();
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'pki-'));
    pki = await ensureClusterPki({ dir, clock, apiServerSans: ['192.0.2.7', 'node-1'] });
  });
  after(() => rm(dir, { recursive: true }));

  it('makes a serving certificate for every name of the API server', () => {
    const cert = new X509Certificate(pki.apiServer.cert);
    const ca = new X509Certificate(pki.ca.cert);
    assert.ok(cert.checkIssued(ca) && cert.verify(ca.publicKey));
    assert.deepEqual(cert.keyUsage, ['1.3.6.1.5.5.7.3.1']);
    for (const name of ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'kubernetes.default.svc.cluster.local', 'localhost', 'node-1']) assert.ok(cert.checkHost(name), name);
    for (const ip of ['10.96.0.1', '127.0.0.1', '192.0.2.7']) assert.ok(cert.checkIP(ip), ip);
    assert.equal(cert.checkHost('example.org'), undefined);
  });
  it('makes client certificates whose subject names the user and the groups', () => {
    const admin = new X509Certificate(pki.clients.admin.cert);
    assert.equal(admin.subject, 'O=system:masters\nCN=kubernetes-admin');
    assert.deepEqual(admin.keyUsage, ['1.3.6.1.5.5.7.3.2']);
    assert.equal(new X509Certificate(pki.frontProxyClient.cert).checkIssued(new X509Certificate(pki.ca.cert)), false);
  });
  it('writes files that only their owner can read', async () => {
    for (const name of ['ca.key', 'ca.crt', 'sa.key', 'sa.pub', 'apiserver.key', 'admin.crt']) assert.equal((await stat(join(dir, name))).mode & 0o777, 0o600, name);
  });
  it('keeps what is there', async () => {
    assert.deepEqual(await ensureClusterPki({ dir, clock, apiServerSans: ['192.0.2.7', 'node-1'] }), pki);
  });
  it('makes the serving certificate anew when an address is missing, and nothing else', async () => {
    const again = await ensureClusterPki({ dir, clock, apiServerSans: ['192.0.2.7', 'node-1', '192.0.2.8'] });
    assert.ok(new X509Certificate(again.apiServer.cert).checkIP('192.0.2.8'));
    assert.deepEqual({ ...again, apiServer: null }, { ...pki, apiServer: null });
  });
  it('renews leaves near expiry and keeps the authorities', async () => {
    const later = new FakeClock(clock.now() + 340 * DAY);
    const again = await ensureClusterPki({ dir, clock: later });
    assert.equal(again.ca.cert, pki.ca.cert);
    assert.notEqual(again.clients.admin.cert, pki.clients.admin.cert);
    assert.ok(new X509Certificate(again.clients.admin.cert).validToDate.getTime() > later.now() + 300 * DAY);
  });
  it('says when the next renewal is due', () => {
    assert.equal(renewalDue([pki.apiServer.cert, pki.ca.cert], clock.now()), 335 * DAY);
    assert.equal(renewalDue([pki.apiServer.cert], clock.now() + 400 * DAY), 0);
  });
  it('refuses to go on with an authority that expired', async () => {
    await assert.rejects(ensureClusterPki({ dir, clock: new FakeClock(clock.now() + 4000 * DAY) }), /certificate authority ".*ca.crt" expired at/);
  });
  it('makes leaves anew that are damaged', async () => {
    await writeFile(join(dir, 'scheduler.crt'), 'nonsense');
    const again = await ensureClusterPki({ dir, clock });
    assert.equal(new X509Certificate(again.clients.scheduler.cert).subject, 'CN=system:kube-scheduler');
  });
  it('gives a node a client and a serving pair', async () => {
    const node = await ensureNodePki(pki, { dir: join(dir, 'n'), nodeName: 'node-1', addresses: ['192.0.2.7'], clock });
    assert.equal(new X509Certificate(node.client.cert).subject, 'O=system:nodes\nCN=system:node:node-1');
    assert.ok(new X509Certificate(node.serving.cert).checkIP('192.0.2.7'));
  });
  it('writes a kubeconfig that YAML readers understand', async () => {
    const path = join(dir, 'kubeconfig.yaml');
    await writeKubeconfig(path, { server: 'https://127.0.0.1:6443', ca: pki.ca.cert, cluster: 'podyard', user: 'kubernetes-admin', context: 'podyard', credentials: pki.clients.admin });
    const config = load(await readFile(path, 'utf8')) as Kubeconfig;
    assert.equal(config['current-context'], 'podyard');
    assert.equal(Buffer.from(config.clusters[0]!.cluster['certificate-authority-data']!, 'base64').toString(), pki.ca.cert);
    assert.equal(Buffer.from(config.users[0]!.user['client-key-data']!, 'base64').toString(), pki.clients.admin.key);
  });
});

describe('signCsr', () => {
  it('signs what the request proves and never beyond the authority', async () => {
    const clock = new FakeClock();
    const ca = await createAuthority('test-ca', clock);
    const { csr } = await createCsr({ commonName: 'system:node:n2', organizations: ['system:nodes'], dnsNames: ['n2'], ipAddresses: ['192.0.2.9', '2001:db8::1'] });
    assert.deepEqual(await verifyCsr(csr), { commonName: 'system:node:n2', organizations: ['system:nodes'], dnsNames: ['n2'], ipAddresses: ['192.0.2.9', '2001:db8::1'], emails: [], uris: [] });
    const cert = new X509Certificate(await signCsr(ca, csr, { usages: ['server auth'], lifetimeMs: 100_000 * DAY }, clock));
    assert.ok(cert.verify(new X509Certificate(ca.cert).publicKey));
    assert.ok(cert.checkIP('192.0.2.9') && cert.checkHost('n2'));
    assert.equal(cert.validToDate.getTime(), new X509Certificate(ca.cert).validToDate.getTime());
    assert.equal(cert.ca, false);
  });
  it('refuses a request whose signature does not match', async () => {
    const { csr } = await createCsr({ commonName: 'x' });
    const der = Buffer.from(csr.replaceAll(/-----.*-----|\s/g, ''), 'base64');
    der[der.length - 1]! ^= 1;
    const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
    await assert.rejects(verifyCsr(forged));
    await assert.rejects(verifyCsr('-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----'), /PEM block type must be CERTIFICATE REQUEST/);
  });
});
