import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { FakeClock, flushMicrotasks } from '#base/fake-clock.ts';
import { createAuthority, issueLeaf, type KeyPair } from '../pki.ts';
import { nodeUser, type NodeCertificate } from './certificate-request.ts';
import { newJoinedConfig } from './config.ts';
import { NodeCertificates, writeNodeCredentials } from './node-certificates.ts';

const DAY = 86_400_000;

/** A node that has joined, and a cluster that approves what `approve` resolves for. */
async function joined(approve: (wanted: NodeCertificate) => Promise<void> = () => Promise.resolve()) {
  const dataDir = await mkdtemp(join(tmpdir(), 'podyard-node-'));
  const clock = new FakeClock(Date.now());
  const authority = await createAuthority('kubernetes', clock);
  const config = newJoinedConfig({ dataDir, nodeName: 'b' }, { server: 'https://192.0.2.1:6443', clusterCIDR: '10.244.0.0/16', dnsIP: '10.96.0.10', clusterDomain: 'cluster.local' }, '192.0.2.2');
  const issue = ({ usage, nodeName, dnsNames = [], ipAddresses = [] }: NodeCertificate): Promise<KeyPair> =>
    issueLeaf(authority, { commonName: nodeUser(nodeName), organizations: ['system:nodes'], dnsNames, ipAddresses, usages: [usage] }, clock);
  const asked: string[] = [];
  const certificates = new NodeCertificates(config, clock, async (wanted) => {
    asked.push(wanted.usage);
    await approve(wanted);
    return await issue(wanted);
  });
  const first = await issue({ signerName: 'kubernetes.io/kube-apiserver-client-kubelet', usage: 'client auth', nodeName: 'b' });
  return {
    dataDir, clock, config, certificates, asked, first, authority,
    admit: () => writeNodeCredentials(config, authority.cert, first),
    read: (name: string) => readFile(join(dataDir, name), 'utf8'),
    async [Symbol.asyncDispose]() {
      await certificates.stop();
      await rm(dataDir, { recursive: true });
    },
  };
}
/** Lets file and key operations end, which no fake clock drives. */
async function until(what: string, is: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 2000; i++) {
    if (await is()) return;
    await flushMicrotasks();
  }
  assert.fail(`not so: ${what}`);
}

test('a node without a certificate, or with one that has ended, is told to join again', async () => {
  await using node = await joined();
  await assert.rejects(node.certificates.start(), /^Error: there is no certificate for node "b" in .*: join again, with a token that "podyard token create" makes on the server$/);
  await node.admit();
  await node.clock.advance(400 * DAY);
  await assert.rejects(node.certificates.start(), /^Error: the certificate of node "b" ended at \S+: join again/);
  assert.throws(() => node.certificates.transport, /have not been read yet/);
});

test('its files are readable by root alone, and the kubeconfig is the node\'s own', async () => {
  await using node = await joined();
  await node.admit();
  for (const name of ['pki/ca.crt', 'pki/kubelet-client.key', 'pki/kubelet-client.crt', 'kubeconfig.yaml']) assert.equal((await stat(join(node.dataDir, name))).mode & 0o777, 0o600, name);
  assert.match(await node.read('kubeconfig.yaml'), /server: https:\/\/192\.0\.2\.1:6443[^]*name: system:node:b/);
});

test('the client certificate is made anew when four fifths of its time are over, and every time again', async () => {
  await using node = await joined();
  await node.admit();
  await node.certificates.start();
  await node.clock.advance(290 * DAY);
  assert.deepEqual(node.asked, []);
  for (const days of [300, 600]) {
    const before = await node.read('pki/kubelet-client.crt');
    await node.clock.advance(days === 300 ? 10 * DAY : 300 * DAY);
    await until('a new certificate', async () => (await node.read('pki/kubelet-client.crt')) !== before);
    const { validToDate } = new X509Certificate(await node.read('pki/kubelet-client.crt'));
    assert.ok(validToDate.getTime() > node.clock.now() + 300 * DAY);
  }
  assert.deepEqual(node.asked, ['client auth', 'client auth']);
});

test('a refusal is tried again, later each time', async () => {
  let refusals = 2;
  await using node = await joined(() => (refusals-- > 0 ? Promise.reject(new Error('not now')) : Promise.resolve()));
  await node.admit();
  await node.certificates.start();
  await node.clock.advance(300 * DAY);
  await until('the third request', async () => {
    await node.clock.advance(5000);
    return node.asked.length === 3;
  });
});

test('the serving certificate is asked for once, and kept for the next start; a new address wants a new one', async () => {
  await using node = await joined();
  await node.admit();
  await node.certificates.start();
  const serving = await node.certificates.serving(() => {});
  assert.deepEqual([new X509Certificate(serving.cert).checkIP('192.0.2.2'), node.asked], ['192.0.2.2', ['server auth']]);
  const next = new NodeCertificates(node.config, node.clock, () => Promise.reject(new Error('is not asked')));
  const moved = new NodeCertificates({ ...node.config, nodeIP: '192.0.2.3' }, node.clock, () => issueLeaf(node.authority, { commonName: nodeUser('b'), dnsNames: ['b'], ipAddresses: ['192.0.2.3'], usages: ['server auth'] }, node.clock));
  try {
    await Promise.all([next.start(), moved.start()]);
    assert.deepEqual(await next.serving(() => {}), serving);
    assert.ok(new X509Certificate((await moved.serving(() => {})).cert).checkIP('192.0.2.3'));
  } finally {
    await Promise.all([next.stop(), moved.stop()]);
  }
});

test('while nobody approves it the kubelet serves with a certificate that no client trusts; the cluster\'s takes its place', async () => {
  const approval = Promise.withResolvers<void>();
  await using node = await joined(({ usage }) => (usage === 'server auth' ? approval.promise : Promise.resolve()));
  await node.admit();
  await node.certificates.start();
  const used: string[] = [];
  const serving = node.certificates.serving(({ cert }) => used.push(cert));
  await until('the request', () => node.asked.length === 1);
  await node.clock.advance(10_000);
  const meanwhile = new X509Certificate((await serving).cert);
  const ca = new X509Certificate(node.authority.cert);
  assert.equal(meanwhile.verify(ca.publicKey), false);
  assert.deepEqual(used, []);
  approval.resolve();
  await until('the certificate in use', () => used.length === 1);
  assert.equal(new X509Certificate(used[0]!).verify(ca.publicKey), true);
});
