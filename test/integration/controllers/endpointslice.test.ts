import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { EndpointSlice } from '#api/gen/discovery-v1.ts';
import { ENDPOINT_SLICES, ENDPOINTS, NODES, PODS, SERVICE_ACCOUNTS, SERVICES } from '#client/kinds.ts';
import { startInProcessCluster, type InProcessCluster } from '#cluster/in-process-cluster.ts';
import { eventually, isGone } from './eventually.ts';

describe('endpoint slices', () => {
  let cluster: InProcessCluster;
  before(async () => {
    cluster = await startInProcessCluster();
    await eventually('Pods may be created', () => cluster.client.of(SERVICE_ACCOUNTS).get('default', 'default').catch(() => undefined));
  });
  after(() => cluster.stop());
  const slicesOf = async (name: string): Promise<EndpointSlice[]> => [...(await cluster.client.of(ENDPOINT_SLICES).list({ namespace: 'default', labelSelector: `kubernetes.io/service-name=${name}` })).items];
  const pod = (name: string, app: string, more: object = {}) =>
    cluster.client.of(PODS).create({ metadata: { name, namespace: 'default', labels: { app } }, spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'c', image: 'x', ports: [{ name: 'web', containerPort: 8080 }] }], ...more } });

  test('a Service without Pods has one empty slice, owned by it', async () => {
    const service = await cluster.client.of(SERVICES).create({ metadata: { name: 'empty', namespace: 'default', labels: { tier: 'x' } }, spec: { selector: { app: 'none' }, ports: [{ port: 80 }] } });
    const [slice] = await eventually('a slice is there', async () => ((await slicesOf('empty')).length ? slicesOf('empty') : undefined));
    assert.match(slice!.metadata.name!, /^empty-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
    assert.deepEqual(slice!.metadata.labels, { tier: 'x', 'kubernetes.io/service-name': 'empty', 'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io' });
    assert.deepEqual(slice!.metadata.ownerReferences, [{ apiVersion: 'v1', kind: 'Service', name: 'empty', uid: service.metadata.uid, controller: true, blockOwnerDeletion: true }]);
    assert.equal(slice!.endpoints?.length ?? 0, 0);
    assert.equal(slice!.metadata.annotations?.['endpoints.kubernetes.io/last-change-trigger-time'], service.metadata.creationTimestamp);
  });
  test('a Service follows its Pods: named ports, readiness, end', async () => {
    await cluster.client.of(NODES).patch('', 'node-1', 'application/merge-patch+json', { metadata: { labels: { 'topology.kubernetes.io/zone': 'z1' } } });
    await cluster.client.of(SERVICES).create({ metadata: { name: 'web', namespace: 'default' }, spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 'web' }], trafficDistribution: 'PreferClose' } });
    const made = await pod('web-1', 'web');
    const ready = await eventually('the endpoint is ready', async () => (await slicesOf('web')).find((s) => s.endpoints?.[0]?.conditions?.ready));
    const running = await cluster.client.of(PODS).get('default', 'web-1');
    assert.deepEqual(ready.ports, [{ name: 'http', port: 8080, protocol: 'TCP' }]);
    assert.deepEqual(ready.endpoints, [{
      addresses: [running.status!.podIP], conditions: { ready: true, serving: true, terminating: false }, nodeName: 'node-1', zone: 'z1',
      targetRef: { kind: 'Pod', namespace: 'default', name: 'web-1', uid: made.metadata.uid }, hints: { forZones: [{ name: 'z1' }] },
    }]);
    await cluster.client.of(PODS).delete('default', 'web-1');
    await eventually('the Pod is gone', () => isGone(cluster.client.of(PODS).get('default', 'web-1')));
    await eventually('no endpoint is left', async () => (await slicesOf('web')).every((s) => !s.endpoints?.length));
  });
  test('Endpoints tell the same, and go with their Service', async () => {
    await cluster.client.of(SERVICES).create({ metadata: { name: 'old', namespace: 'default', labels: { tier: 'x' } }, spec: { clusterIP: 'None', selector: { app: 'old' }, ports: [{ port: 80 }, { name: 'm', port: 81, targetPort: 9 }].map((p, i) => ({ name: `p${i}`, ...p })) } });
    const made = await pod('old-1', 'old');
    const endpoints = await eventually('the address is ready', async () => {
      const found = await cluster.client.of(ENDPOINTS).get('default', 'old').catch(() => undefined);
      return found?.subsets?.[0]?.addresses?.length ? found : undefined;
    });
    const ip = (await cluster.client.of(PODS).get('default', 'old-1')).status!.podIP!;
    assert.deepEqual(endpoints.metadata.labels, { tier: 'x', 'service.kubernetes.io/headless': '', 'endpoints.kubernetes.io/managed-by': 'endpoint-controller' });
    assert.deepEqual(endpoints.subsets, [{
      addresses: [{ ip, nodeName: 'node-1', targetRef: { kind: 'Pod', namespace: 'default', name: 'old-1', uid: made.metadata.uid } }],
      ports: [{ name: 'm', port: 9, protocol: 'TCP' }, { name: 'p0', port: 80, protocol: 'TCP' }],
    }]);
    await cluster.client.of(SERVICES).delete('default', 'old');
    await eventually('the object goes', () => isGone(cluster.client.of(ENDPOINTS).get('default', 'old')));
  });
  test("Endpoints that a user writes are mirrored, as long as the Service has no selector", async () => {
    await cluster.client.of(SERVICES).create({ metadata: { name: 'hand', namespace: 'default' }, spec: { ports: [{ port: 80 }] } });
    await cluster.client.of(ENDPOINTS).create({ metadata: { name: 'hand', namespace: 'default', labels: { a: 'b' } }, subsets: [{ addresses: [{ ip: '192.0.2.7' }], notReadyAddresses: [{ ip: '192.0.2.8' }], ports: [{ port: 8080 }] }] });
    const [slice] = await eventually('a slice is there', async () => ((await slicesOf('hand')).length ? slicesOf('hand') : undefined));
    assert.deepEqual(slice!.metadata.labels, { a: 'b', 'kubernetes.io/service-name': 'hand', 'endpointslice.kubernetes.io/managed-by': 'endpointslicemirroring-controller.k8s.io' });
    assert.equal(slice!.metadata.ownerReferences?.[0]?.kind, 'Endpoints');
    assert.deepEqual(slice!.endpoints, [{ addresses: ['192.0.2.7'], conditions: { ready: true } }, { addresses: ['192.0.2.8'], conditions: { ready: false } }]);
    await cluster.client.of(SERVICES).patch('default', 'hand', 'application/merge-patch+json', { spec: { selector: { app: 'hand' } } });
    await eventually('the mirror goes, a slice by selector comes', async () => (await slicesOf('hand')).map((s) => s.metadata.labels?.['endpointslice.kubernetes.io/managed-by']).join() === 'endpointslice-controller.k8s.io');
  });
  test('100 Pods fit one slice; a deleted Service takes its slices with it', async () => {
    await cluster.client.of(SERVICES).create({ metadata: { name: 'many', namespace: 'default' }, spec: { selector: { app: 'many' }, ports: [{ port: 80 }] } });
    await Promise.all(Array.from({ length: 100 }, (_, i) => pod(`many-${i}`, 'many')));
    await eventually('all are told', async () => (await slicesOf('many')).flatMap((s) => s.endpoints ?? []).filter((e) => e.conditions?.ready).length === 100);
    assert.ok((await slicesOf('many')).every((s) => s.endpoints!.length <= 100));
    await cluster.client.of(SERVICES).delete('default', 'many');
    await eventually('the slices go', async () => (await slicesOf('many')).length === 0);
  });
});
