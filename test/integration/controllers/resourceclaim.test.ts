import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EVENTS, PODS, RESOURCE_CLAIM_TEMPLATES as TEMPLATES, RESOURCE_CLAIMS as CLAIMS } from '#client/kinds.ts';
import { startInProcessCluster } from '#cluster/in-process-cluster.ts';
import { eventually, isGone } from './eventually.ts';

const DEVICES = { devices: { requests: [{ name: 'r', exactly: { deviceClassName: 'gpu' } }] } };
const FINALIZER = 'resource.kubernetes.io/delete-protection';

test('a claim is made of a template, and goes when its Pod is done', async () => {
  await using cluster = await startInProcessCluster({ nodes: [] });
  const { client } = cluster;
  await client.of(PODS).create({
    metadata: { name: 'p', namespace: 'default' },
    spec: { resourceClaims: [{ name: 'g', resourceClaimTemplateName: 't' }], containers: [{ name: 'c', image: 'x', resources: { claims: [{ name: 'g' }] } }] },
  });
  const said = await eventually('the missing template is told of', async () => (await client.of(EVENTS).list({ namespace: 'default' })).items.find((e) => e.reason === 'FailedResourceClaimCreation'));
  assert.equal(said.message, 'PodResourceClaim g: resource claim template "t": resourceclaimtemplate.resource.k8s.io "t" not found');
  await client.of(TEMPLATES).create({ metadata: { name: 't', namespace: 'default' }, spec: { metadata: { labels: { a: 'b' } }, spec: DEVICES } });
  const pod = await eventually('the Pod names its claim', async () => {
    const now = await client.of(PODS).get('default', 'p');
    return now.status?.resourceClaimStatuses && now;
  });
  const { items } = await client.of(CLAIMS).list({ namespace: 'default' });
  assert.equal(items.length, 1);
  const { metadata } = items[0]!;
  assert.deepEqual(pod.status?.resourceClaimStatuses, [{ name: 'g', resourceClaimName: metadata.name }]);
  assert.deepEqual([metadata.generateName, metadata.labels, metadata.annotations], ['p-g-', { a: 'b' }, { 'resource.kubernetes.io/pod-claim-name': 'g' }]);
  assert.deepEqual(metadata.ownerReferences, [{ apiVersion: 'v1', kind: 'Pod', name: 'p', uid: pod.metadata.uid, controller: true }]);
  const counted = (await cluster.server.metrics.text()).split('\n');
  assert.ok(counted.includes('resourceclaim_controller_creates_total{status="success",admin_access="false"} 1'));
  await eventually('the claim is counted', async () => (await cluster.server.metrics.text()).includes('\nresourceclaim_controller_resource_claims{allocated="false",admin_access="false",source="resource_claim_template"} 1\n'));
  await client.of(PODS).patch('default', 'p', 'application/merge-patch+json', { status: { phase: 'Failed' } }, { subresource: 'status' });
  await eventually('the claim goes', () => isGone(client.of(CLAIMS).get('default', metadata.name!)));
  // Whatever changes in a Pod that has ended, it gets no other claim. The second claim is the sign that the Pod has been looked at.
  await client.of(PODS).patch('default', 'p', 'application/merge-patch+json', { metadata: { labels: { looked: 'at' } } });
  await client.of(PODS).create({ metadata: { name: 'q', namespace: 'default' }, spec: { resourceClaims: [{ name: 'g', resourceClaimTemplateName: 't' }], containers: [{ name: 'c', image: 'x' }] } });
  await eventually('the next Pod names its claim', async () => (await client.of(PODS).get('default', 'q')).status?.resourceClaimStatuses);
  assert.deepEqual((await client.of(CLAIMS).list({ namespace: 'default' })).items.map((c) => c.metadata.generateName), ['q-g-']);
});

test('a claim is freed when the last Pod that uses it has gone', async () => {
  await using cluster = await startInProcessCluster({ nodes: [] });
  const { client } = cluster;
  const pod = await client.of(PODS).create({
    metadata: { name: 'p', namespace: 'default', finalizers: ['example.com/hold'] },
    spec: { resourceClaims: [{ name: 'g', resourceClaimName: 'own' }], containers: [{ name: 'c', image: 'x' }] },
  });
  const claim = await client.of(CLAIMS).create({ metadata: { name: 'own', namespace: 'default', finalizers: [FINALIZER] }, spec: DEVICES });
  const reservedFor = [{ resource: 'pods', name: 'p', uid: pod.metadata.uid! }];
  await client.of(CLAIMS).updateStatus({ ...claim, status: { allocation: { devices: { results: [{ request: 'r', driver: 'gpu.example.com', pool: 'n', device: 'd' }] } }, reservedFor } });
  await client.of(CLAIMS).delete('default', 'own', {});
  await client.of(PODS).patch('default', 'p', 'application/merge-patch+json', { metadata: { labels: { seen: 'yes' } } });
  assert.deepEqual((await client.of(CLAIMS).get('default', 'own')).status?.reservedFor, reservedFor);
  await client.of(PODS).patch('default', 'p', 'application/merge-patch+json', { metadata: { finalizers: null } });
  await client.of(PODS).delete('default', 'p', {});
  await eventually('the claim goes', () => isGone(client.of(CLAIMS).get('default', 'own')));
});
