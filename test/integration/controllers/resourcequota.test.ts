import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Pod, ResourceQuotaSpec } from '#api/gen/core-v1.ts';
import type { ResourceClaim } from '#api/gen/resource-v1.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { Registry } from '#base/metrics.ts';
import { Client } from '#client/client.ts';
import { EventSender } from '#client/event-sender.ts';
import { InformerFactory } from '#client/informer.ts';
import { CONFIG_MAPS, DEPLOYMENTS, kind, NAMESPACES, PERSISTENT_VOLUME_CLAIMS, PODS, RESOURCE_QUOTAS, SERVICES, SERVICE_ACCOUNTS } from '#client/kinds.ts';
import { startInProcessCluster, type InProcessCluster } from '#cluster/in-process-cluster.ts';
import { componentUser, inProcessTransport } from '#cluster/in-process-transport.ts';
import { newResourceQuotaController } from '#controllers/resourcequota/resourcequota.ts';
import { isReason } from '#machinery/status-error.ts';
import { eventually } from './eventually.ts';

describe('resource quotas', () => {
  let cluster: InProcessCluster;
  before(async () => {
    cluster = await startInProcessCluster();
  });
  after(() => cluster.stop());
  async function namespace(name: string): Promise<void> {
    await cluster.client.of(NAMESPACES).create({ metadata: { name }, spec: {} });
    await eventually('Pods may be created', () => cluster.client.of(SERVICE_ACCOUNTS).get(name, 'default').catch(() => undefined));
  }
  const quota = (ns: string, spec: ResourceQuotaSpec, name = 'q') => cluster.client.of(RESOURCE_QUOTAS).create({ metadata: { name, namespace: ns }, spec });
  const used = async (ns: string, name = 'q') => (await cluster.client.of(RESOURCE_QUOTAS).get(ns, name)).status?.used;
  const becomes = (ns: string, expected: Readonly<Record<string, string>>, name = 'q') => eventually(`${ns}/${name} uses ${JSON.stringify(expected)}`, async () => JSON.stringify(await used(ns, name), Object.keys(expected)) === JSON.stringify(expected));
  const pod = (ns: string, name: string, cpu?: string): Pod => ({
    metadata: { name, namespace: ns }, spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: 'x', ...(cpu ? { resources: { requests: { cpu }, limits: { cpu } } } : {}) }] },
  });

  test('count what is there when they come, and what goes', async () => {
    await namespace('old');
    await cluster.client.of(PODS).create(pod('old', 'a', '250m'));
    await cluster.client.of(CONFIG_MAPS).create({ metadata: { name: 'c', namespace: 'old' } });
    await cluster.client.of(SERVICES).create({ metadata: { name: 's', namespace: 'old' }, spec: { type: 'NodePort', ports: [{ port: 80 }, { name: 'b', port: 81 }].map((p, i) => ({ ...p, name: `p${i}` })) } });
    await cluster.client.of(PERSISTENT_VOLUME_CLAIMS).create({ metadata: { name: 'v', namespace: 'old' }, spec: { accessModes: ['ReadWriteOnce'], storageClassName: 'none', resources: { requests: { storage: '1Gi' } } } });
    const devices: ResourceClaim['spec']['devices'] = { requests: [{ name: 'd', exactly: { deviceClassName: 'gold', allocationMode: 'ExactCount', count: 2 } }] };
    await cluster.client.of(kind<ResourceClaim>('resource.k8s.io', 'v1', 'resourceclaims')).create({ metadata: { name: 'd', namespace: 'old' }, spec: { devices } });
    await quota('old', {
      hard: { 'gold.deviceclass.resource.k8s.io/devices': '9', 'pods': '5', 'requests.cpu': '2', 'limits.cpu': '2', 'configmaps': '9', 'services.nodeports': '4', 'requests.storage': '5Gi', 'none.storageclass.storage.k8s.io/persistentvolumeclaims': '3', 'count/jobs.batch': '1', 'count/things.example.com': '1' },
    });
    // kube-root-ca.crt counts too; a resource that is not served does not.
    await becomes('old', { 'configmaps': '2', 'count/jobs.batch': '0', 'gold.deviceclass.resource.k8s.io/devices': '2', 'limits.cpu': '250m', 'none.storageclass.storage.k8s.io/persistentvolumeclaims': '1', 'pods': '1', 'requests.cpu': '250m', 'requests.storage': '1Gi', 'services.nodeports': '2' });
    assert.equal((await used('old'))?.['count/things.example.com'], undefined);
    await cluster.client.of(PODS).delete('old', 'a');
    await cluster.client.of(CONFIG_MAPS).delete('old', 'c');
    await cluster.client.of(SERVICES).patch('old', 's', 'application/merge-patch+json', { spec: { type: 'ClusterIP', ports: [{ name: 'p0', port: 80, protocol: 'TCP' }] } });
    await becomes('old', { 'configmaps': '1', 'limits.cpu': '0', 'pods': '0', 'requests.cpu': '0', 'services.nodeports': '0' });
  });
  test('hold under many creations at once, and let Deployments in when there is room again', async () => {
    await namespace('tight');
    await quota('tight', { hard: { pods: '3' } });
    await becomes('tight', { pods: '0' });
    const results = await Promise.allSettled(Array.from({ length: 10 }, (_, i) => cluster.client.of(PODS).create(pod('tight', `p${i}`))));
    assert.equal(results.filter((r) => r.status === 'fulfilled').length, 3);
    assert.ok(results.every((r) => r.status === 'fulfilled' || (isReason(r.reason, 'Forbidden') && /exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3/.test(String(r.reason)))));
    assert.equal((await used('tight'))?.['pods'], '3');
    for (const { metadata } of (await cluster.client.of(PODS).list({ namespace: 'tight' })).items) await cluster.client.of(PODS).delete('tight', metadata.name!);
    await becomes('tight', { pods: '0' });
    await cluster.client.of(DEPLOYMENTS).create({
      metadata: { name: 'd', namespace: 'tight' },
      spec: { replicas: 2, selector: { matchLabels: { a: 'd' } }, template: { metadata: { labels: { a: 'd' } }, spec: { containers: [{ name: 'c', image: 'x' }] } } },
    });
    await eventually('the Deployment is there', async () => (await cluster.client.of(DEPLOYMENTS).get('tight', 'd')).status?.availableReplicas === 2);
    await becomes('tight', { pods: '2' });
  });
  test('scopes choose Pods; ended Pods free their place; changed limits show at once', async () => {
    await namespace('scoped');
    await quota('scoped', { hard: { pods: '1' }, scopes: ['BestEffort'] }, 'best');
    await quota('scoped', { hard: { pods: '4' }, scopes: ['NotBestEffort'] }, 'rest');
    await becomes('scoped', { pods: '0' }, 'best');
    await becomes('scoped', { pods: '0' }, 'rest');
    await cluster.client.of(PODS).create(pod('scoped', 'b'));
    await cluster.client.of(PODS).create(pod('scoped', 'g', '10m'));
    await becomes('scoped', { pods: '1' }, 'best');
    await becomes('scoped', { pods: '1' }, 'rest');
    await cluster.client.of(RESOURCE_QUOTAS).patch('scoped', 'rest', 'application/merge-patch+json', { spec: { hard: { pods: '7' } } });
    await eventually('the limit is taken over', async () => (await cluster.client.of(RESOURCE_QUOTAS).get('scoped', 'rest')).status?.hard?.['pods'] === '7');
    await cluster.client.of(PODS).patch('scoped', 'b', 'application/merge-patch+json', { spec: { activeDeadlineSeconds: 1 } });
    await becomes('scoped', { pods: '0' }, 'best');
  });

  test('what others write into the status is put right with the next full count', async () => {
    const clock = new FakeClock(Date.now());
    const client = new Client(inProcessTransport(cluster.server, componentUser('test', 'system:masters'), 'test'), 'test');
    const informers = new InformerFactory(client, clock);
    const controller = newResourceQuotaController({ client, informers, clock, events: new EventSender({ clock }), resources: { list: () => [], onChange: () => () => {} }, metrics: new Registry() });
    await namespace('meddled');
    await quota('meddled', { hard: { pods: '5' } });
    await becomes('meddled', { pods: '0' });
    await controller.start(new AbortController().signal);
    try {
      const hard = async (): Promise<string | undefined> => (await cluster.client.of(RESOURCE_QUOTAS).get('meddled', 'q')).status?.hard?.['pods'];
      // Again where one of the two controllers was first.
      await eventually('another has written', async () => {
        const live = await cluster.client.of(RESOURCE_QUOTAS).get('meddled', 'q');
        return cluster.client.of(RESOURCE_QUOTAS).updateStatus({ ...live, status: { hard: { pods: '9' }, used: { pods: '0' } } }).catch(() => undefined);
      });
      await eventually('the controller has seen it', () => Promise.resolve(informers.informer(RESOURCE_QUOTAS).get('meddled', 'q')?.status?.hard?.['pods'] === '9'));
      await eventually('the status is put right', async () => {
        await clock.advance(5 * 60_000);
        return (await hard()) === '5';
      });
    } finally {
      await controller.stop();
      await informers.stop();
    }
  });
});
