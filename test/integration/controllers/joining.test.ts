/** What a joining machine does before it has a certificate, against the real server: HTTPS, anonymous or with its token. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { Client } from '#client/client.ts';
import { HttpTransport } from '#client/http-transport.ts';
import { CONFIG_MAPS, ENDPOINT_SLICES, SECRETS, SERVICES } from '#client/kinds.ts';
import { ensureJoining } from '#cluster/bootstrap/bootstrap.ts';
import { startInProcessCluster, type InProcessCluster } from '#cluster/in-process-cluster.ts';
import { componentUser, inProcessTransport } from '#cluster/in-process-transport.ts';
import { caHash, discoverCluster, type BootstrapToken } from '#cluster/join/discovery.ts';
import { createToken, deleteToken } from '#cluster/join/tokens.ts';
import { createAuthority } from '#cluster/pki.ts';
import { isReason } from '#machinery/status-error.ts';
import { eventually } from './eventually.ts';

describe('joining', () => {
  let cluster: InProcessCluster;
  let options: Parameters<typeof ensureJoining>[1];
  let server: string;
  before(async () => {
    cluster = await startInProcessCluster({ nodes: [], http: true });
    server = `127.0.0.1:${cluster.server.port}`;
    options = { server: `https://${server}`, ca: cluster.pki.ca.cert, clusterCIDR: '10.244.0.0/16', dnsIP: '10.96.0.10', clusterDomain: 'cluster.local', podNetwork: 'routes' };
    await ensureJoining(cluster.client.transport, options);
  });
  after(() => cluster.stop());
  const made = (ttlMs: number) => createToken(cluster.client, { ttlMs }, systemClock);
  const discover = (token: BootstrapToken, hash = caHash(cluster.pki.ca.cert), signal = AbortSignal.timeout(60_000)) => discoverCluster({ server, token, caHashes: [hash], signal });
  const isForbidden = (err: unknown): boolean => isReason(err, 'Forbidden');

  test('a token and a hash are enough to trust the cluster', async () => {
    assert.deepEqual(await discover(await made(3_600_000)), { server: options.server, ca: cluster.pki.ca.cert });
  });
  test('the signer signs again when the address changes', async () => {
    const token = await made(0);
    await discover(token);
    await ensureJoining(cluster.client.transport, { ...options, server: 'https://192.0.2.7:6443' });
    assert.equal((await discover(token)).server, 'https://192.0.2.7:6443');
    await ensureJoining(cluster.client.transport, options);
  });
  test('nothing is believed with a wrong secret or a wrong hash', async () => {
    const token = await made(0);
    await discover(token);
    await assert.rejects(discover({ ...token, secret: 'wrongwrongwrongw' }), /^Error: the secret of token id/);
    await assert.rejects(discover(token, caHash((await createAuthority('kubernetes', systemClock)).cert)), /^Error: the hash of the authority/);
  });
  test('a token that has expired, or was deleted, is not known any more', async () => {
    const deleted = await made(0);
    const expired = await made(1000);
    await discover(deleted);
    await deleteToken(cluster.client, deleted.id);
    const signatureOf = async (id: string) => (await cluster.client.of(CONFIG_MAPS).get('kube-public', 'cluster-info')).data?.[`jws-kubeconfig-${id}`];
    for (const token of [deleted, expired]) {
      await eventually('its signature goes', async () => (await signatureOf(token.id)) === undefined);
      const over = new AbortController();
      const clock = { ...systemClock, after: (ms: number, fn: () => void) => (ms === 1000 && over.abort(new Error('over')), systemClock.after(ms, fn)) };
      await assert.rejects(discoverCluster({ server, token, caHashes: [caHash(cluster.pki.ca.cert)], signal: over.signal, clock }), { message: `token id "${token.id}" is not (or no longer) known to the cluster: make one with "podyard token create"` });
    }
  });
  test('with a token one reads what a node must know, and no more', async () => {
    const { id, secret } = await made(0);
    const transport = new HttpTransport({ server: options.server, ca: cluster.pki.ca.cert, token: () => `${id}.${secret}` });
    const client = new Client(transport);
    try {
      assert.deepEqual((await client.of(CONFIG_MAPS).get('kube-system', 'podyard-node')).data, { clusterCIDR: '10.244.0.0/16', clusterDNS: '10.96.0.10', clusterDomain: 'cluster.local', podNetwork: 'routes' });
      await assert.rejects(client.of(CONFIG_MAPS).get('kube-system', 'extension-apiserver-authentication'), isForbidden);
      await assert.rejects(client.of(CONFIG_MAPS).list({ namespace: 'kube-system' }), isForbidden);
      await assert.rejects(client.of(SECRETS).list({ namespace: 'kube-system' }), isForbidden);
    } finally {
      transport.close();
    }
  });
  test('a node reads it too, and what its proxy needs', async () => {
    const node = new Client(inProcessTransport(cluster.server, componentUser('system:node:joined', 'system:nodes'), 'test'), 'test');
    assert.equal((await node.of(CONFIG_MAPS).get('kube-system', 'podyard-node')).data?.['clusterDNS'], '10.96.0.10');
    assert.ok((await node.of(SERVICES).list()).items.length > 0);
    assert.ok((await node.of(ENDPOINT_SLICES).list()).items.length > 0);
    await assert.rejects(node.of(SECRETS).list(), isForbidden);
  });
  test('anonymous requests read cluster-info alone', async () => {
    const transport = new HttpTransport({ server: options.server, ca: cluster.pki.ca.cert });
    const client = new Client(transport);
    try {
      assert.equal((await client.of(CONFIG_MAPS).get('kube-public', 'cluster-info')).metadata.name, 'cluster-info');
      await assert.rejects(client.of(CONFIG_MAPS).list({ namespace: 'kube-public' }), isForbidden);
      await assert.rejects(client.of(CONFIG_MAPS).get('kube-system', 'podyard-node'), isForbidden);
    } finally {
      transport.close();
    }
  });
});
