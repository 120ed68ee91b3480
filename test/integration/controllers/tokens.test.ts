import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { CONFIG_MAPS, SECRETS, SERVICE_ACCOUNTS } from '#client/kinds.ts';
import { startInProcessCluster, type InProcessCluster } from '#cluster/in-process-cluster.ts';
import { eventually, isGone } from './eventually.ts';

describe('tokens', () => {
  let cluster: InProcessCluster;
  before(async () => {
    cluster = await startInProcessCluster({ nodes: [] });
  });
  after(() => cluster.stop());
  const secrets = () => cluster.client.of(SECRETS);
  const text = (value: string | undefined): string => Buffer.from(value ?? '', 'base64').toString();
  const tokenSecret = (id: string, more: Record<string, string>) => secrets().create({
    metadata: { name: `bootstrap-token-${id}`, namespace: 'kube-system' }, type: 'bootstrap.kubernetes.io/token',
    stringData: { 'token-id': id, 'token-secret': '0123456789abcdef', 'usage-bootstrap-signing': 'true', ...more },
  });

  const reviewOf = async (token: string): Promise<{ status: { authenticated?: boolean; error?: string; user?: { username: string } } }> =>
    (await cluster.client.transport.call({ verb: 'create', resource: { group: 'authentication.k8s.io', version: 'v1', plural: 'tokenreviews', namespaced: false }, body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } } })) as never;

  test('a secret for a service account is filled, and goes with the account', async () => {
    await cluster.client.of(SERVICE_ACCOUNTS).create({ metadata: { name: 'robot', namespace: 'default' } });
    await secrets().create({ metadata: { name: 'robot-token', namespace: 'default', annotations: { 'kubernetes.io/service-account.name': 'robot' } }, type: 'kubernetes.io/service-account-token' });
    const filled = await eventually('the token is there', async () => {
      const secret = await secrets().get('default', 'robot-token');
      return secret.data?.['token'] ? secret : undefined;
    });
    assert.equal(text(filled.data?.['ca.crt']), cluster.pki.ca.cert);
    assert.equal(text(filled.data?.['namespace']), 'default');
    const since = (await cluster.client.of(CONFIG_MAPS).get('kube-system', 'kube-apiserver-legacy-service-account-token-tracking')).data?.['since'];
    assert.match(since ?? '', /^\d{4}-\d{2}-\d{2}$/);
    const review = await reviewOf(text(filled.data?.['token']));
    assert.deepEqual([review.status.authenticated, review.status.user?.username], [true, 'system:serviceaccount:default:robot']);
    const LAST_USED = 'kubernetes.io/legacy-token-last-used';
    const today = new Date().toISOString().slice(0, 10);
    const noted = await eventually('the use is noted', async () => (await secrets().get('default', 'robot-token')).metadata.labels?.[LAST_USED]);
    assert.ok(noted >= since! && noted <= today);
    await secrets().patch('default', 'robot-token', 'application/merge-patch+json', { metadata: { labels: { 'kubernetes.io/legacy-token-invalid-since': today } } });
    const refused = await reviewOf(text(filled.data?.['token']));
    assert.equal(refused.status.authenticated, undefined);
    assert.match(refused.status.error ?? '', /the token in secret default\/robot-token for service account default\/robot has been marked invalid\./);
    await cluster.client.of(SERVICE_ACCOUNTS).delete('default', 'robot');
    await eventually('the secret goes', () => isGone(secrets().get('default', 'robot-token')));
  });
  test('cluster-info is signed with each token that may sign', async () => {
    await cluster.client.of(CONFIG_MAPS).create({ metadata: { name: 'cluster-info', namespace: 'kube-public' }, data: { kubeconfig: 'apiVersion: v1\n', 'jws-kubeconfig-gone00': 'old' } });
    await tokenSecret('aaaaaa', {});
    await tokenSecret('bbbbbb', { 'usage-bootstrap-signing': 'false' });
    const data = await eventually('it is signed', async () => {
      const map = await cluster.client.of(CONFIG_MAPS).get('kube-public', 'cluster-info');
      return map.data?.['jws-kubeconfig-aaaaaa'] && map.data['jws-kubeconfig-gone00'] === undefined ? map.data : undefined;
    });
    const [header, payload, signature] = data['jws-kubeconfig-aaaaaa']!.split('.');
    assert.deepEqual(JSON.parse(Buffer.from(header!, 'base64url').toString()), { alg: 'HS256', kid: 'aaaaaa' });
    assert.equal(payload, '');
    assert.equal(signature, createHmac('sha256', '0123456789abcdef').update(`${header}.${Buffer.from('apiVersion: v1\n').toString('base64url')}`).digest('base64url'));
    assert.equal(data['jws-kubeconfig-bbbbbb'], undefined);
    await secrets().delete('kube-system', 'bootstrap-token-aaaaaa');
    await eventually('the signature goes', async () => (await cluster.client.of(CONFIG_MAPS).get('kube-public', 'cluster-info')).data?.['jws-kubeconfig-aaaaaa'] === undefined);
  });
  test('a bootstrap token goes when its time is over', async () => {
    await tokenSecret('cccccc', { expiration: new Date(Date.now() + 1500).toISOString().replace(/\.\d+Z/, 'Z') });
    await tokenSecret('dddddd', { expiration: new Date(Date.now() + 3_600_000).toISOString() });
    await eventually('it goes', () => isGone(secrets().get('kube-system', 'bootstrap-token-cccccc')));
    assert.ok(await secrets().get('kube-system', 'bootstrap-token-dddddd'));
  });
});
