import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { CONFIG_MAPS, NAMESPACES, PODS, SERVICE_ACCOUNTS } from '#client/kinds.ts';
import { startInProcessCluster, type InProcessCluster } from '#cluster/in-process-cluster.ts';
import { isReason } from '#machinery/status-error.ts';
import { eventually, isGone } from './eventually.ts';

describe('namespaces', () => {
  let cluster: InProcessCluster;
  before(async () => {
    cluster = await startInProcessCluster();
  });
  after(() => cluster.stop());
  const namespaces = () => cluster.client.of(NAMESPACES);
  const create = (name: string) => namespaces().create({ metadata: { name }, spec: {} });

  test('a new one gets its service account and the cluster authority', async () => {
    await create('fresh');
    await eventually('the default service account is there', () => cluster.client.of(SERVICE_ACCOUNTS).get('fresh', 'default').catch(() => undefined));
    const ca = await eventually('the authority is there', () => cluster.client.of(CONFIG_MAPS).get('fresh', 'kube-root-ca.crt').catch(() => undefined));
    assert.equal(ca.data?.['ca.crt'], cluster.pki.ca.cert);
    await cluster.client.of(CONFIG_MAPS).patch('fresh', 'kube-root-ca.crt', 'application/merge-patch+json', { data: { 'ca.crt': 'forged' } });
    await eventually('a changed authority is put right', async () => (await cluster.client.of(CONFIG_MAPS).get('fresh', 'kube-root-ca.crt')).data?.['ca.crt'] === cluster.pki.ca.cert);
  });
  test('one that is deleted takes everything with it, Pods first', async () => {
    await create('doomed');
    await eventually('Pods may be created', () => cluster.client.of(SERVICE_ACCOUNTS).get('doomed', 'default').catch(() => undefined));
    const pod = await cluster.client.of(PODS).create({ metadata: { name: 'p', namespace: 'doomed' }, spec: { containers: [{ name: 'c', image: 'x' }], terminationGracePeriodSeconds: 1 } });
    await cluster.client.of(CONFIG_MAPS).create({ metadata: { name: 'c', namespace: 'doomed' } });
    await eventually('the Pod runs', async () => (await cluster.client.of(PODS).get('doomed', 'p')).status?.phase === 'Running');
    assert.equal(pod.metadata.deletionTimestamp, undefined);
    await namespaces().delete('', 'doomed');
    await eventually('the namespace goes', () => isGone(namespaces().get('', 'doomed')));
    assert.equal((await cluster.client.of(CONFIG_MAPS).list({ namespace: 'doomed' })).items.length, 0);
  });
  test('one that waits for a finalizer says so, takes nothing new, and ends when the finalizer goes', async () => {
    await create('held');
    await cluster.client.of(CONFIG_MAPS).create({ metadata: { name: 'c', namespace: 'held', finalizers: ['example.com/hold'] } });
    await namespaces().delete('', 'held');
    const conditions = await eventually('conditions tell what remains', async () => {
      const list = (await namespaces().get('', 'held')).status?.conditions ?? [];
      return list.find((c) => c.type === 'NamespaceFinalizersRemaining' && c.status === 'True') && list;
    });
    const message = (type: string) => conditions.find((c) => c.type === type)?.message;
    assert.equal(message('NamespaceContentRemaining'), 'Some resources are remaining: configmaps. has 1 resource instances');
    assert.equal(message('NamespaceFinalizersRemaining'), 'Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances');
    await assert.rejects(cluster.client.of(CONFIG_MAPS).create({ metadata: { name: 'late', namespace: 'held' } }), (err) => isReason(err, 'Forbidden') && /because it is being terminated/.test((err as Error).message));
    await cluster.client.of(CONFIG_MAPS).patch('held', 'c', 'application/merge-patch+json', { metadata: { finalizers: null } });
    await eventually('the namespace goes', () => isGone(namespaces().get('', 'held')));
  });
});
