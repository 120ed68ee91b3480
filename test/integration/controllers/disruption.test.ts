import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { PodDisruptionBudget, PodDisruptionBudgetSpec } from '#api/gen/policy-v1.ts';
import { nameOf } from '#api/object.ts';
import { DEPLOYMENTS, EVENTS, POD_DISRUPTION_BUDGETS, PODS } from '#client/kinds.ts';
import { startInProcessCluster, type InProcessCluster } from '#cluster/in-process-cluster.ts';
import { isReason } from '#machinery/status-error.ts';
import { eventually } from './eventually.ts';

describe('disruption budgets', () => {
  let cluster: InProcessCluster;
  before(async () => {
    cluster = await startInProcessCluster();
  });
  after(() => cluster.stop());
  const budgets = () => cluster.client.of(POD_DISRUPTION_BUDGETS);
  const budget = (name: string, app: string, spec: Partial<PodDisruptionBudgetSpec>) => budgets().create({ metadata: { name, namespace: 'default' }, spec: { selector: { matchLabels: { app } }, ...spec } });
  const countsOf = ({ status: s }: PodDisruptionBudget) => `${s?.currentHealthy}/${s?.desiredHealthy} of ${s?.expectedPods}, ${s?.disruptionsAllowed} allowed, ${s?.conditions?.[0]?.reason}`;
  const becomes = (name: string, expected: string) => eventually(`${name} is ${expected}`, async () => countsOf(await budgets().get('default', name)) === expected);
  const deployment = (app: string, replicas: number) => cluster.client.of(DEPLOYMENTS).create({
    metadata: { name: app, namespace: 'default' },
    spec: { replicas, selector: { matchLabels: { app } }, template: { metadata: { labels: { app } }, spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: 'x' }] } } },
  });
  const evict = (name: string) => cluster.client.of(PODS).createSubresource('default', name, 'eviction', { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace: 'default' } });

  test('count healthy Pods and let evictions in while they may', async () => {
    await deployment('web', 3);
    await budget('web', 'web', { minAvailable: 2 });
    await budget('share', 'web-none', { maxUnavailable: '30%' });
    await becomes('web', '3/2 of 3, 1 allowed, SufficientPods');
    await becomes('share', '0/0 of 0, 0 allowed, InsufficientPods');
    await eventually('that no Pods match is told', async () => (await cluster.client.of(EVENTS).list({ namespace: 'default', fieldSelector: 'involvedObject.name=share' })).items.some((e) => e.message === 'No matching pods found' && e.source?.component === 'controllermanager'));
    const pods = (await cluster.client.of(PODS).list({ namespace: 'default', labelSelector: 'app=web' })).items;
    const results = await Promise.allSettled(pods.map((p) => evict(nameOf(p))));
    assert.equal(results.filter((r) => r.status === 'fulfilled').length, 1);
    assert.ok(results.every((r) => r.status === 'fulfilled' || isReason(r.reason, 'TooManyRequests')));
    await becomes('web', '3/2 of 3, 1 allowed, SufficientPods');
    assert.equal((await budgets().get('default', 'web')).status?.disruptedPods, undefined);
  });
  test('take shares of what the Deployment wants, rounded up, and follow its scale', async () => {
    await deployment('part', 3);
    await budget('part', 'part', { maxUnavailable: '50%' });
    await becomes('part', '3/1 of 3, 2 allowed, SufficientPods');
    await cluster.client.of(DEPLOYMENTS).patch('default', 'part', 'application/merge-patch+json', { spec: { replicas: 5 } });
    await becomes('part', '5/2 of 5, 3 allowed, SufficientPods');
  });
  test('that overlap, or have Pods that nobody manages, are told of', async () => {
    await budget('twice-a', 'twice', { maxUnavailable: 1 });
    await budget('twice-b', 'twice', { minAvailable: 1 });
    await cluster.client.of(PODS).create({ metadata: { name: 'twice', namespace: 'default', labels: { app: 'twice' } }, spec: { containers: [{ name: 'c', image: 'x' }] } });
    const told = (name: string, text: RegExp) => eventually(`${name} is told of`, async () => (await cluster.client.of(EVENTS).list({ namespace: 'default', fieldSelector: `involvedObject.name=${name}` })).items.some((e) => text.test(`${e.reason}: ${e.message}`)));
    await told('twice', /^MultiplePodDisruptionBudgets: Pod "default"\/"twice" matches multiple PodDisruptionBudgets. {2}Chose "twice-[ab]" arbitrarily\.$/);
    await told('twice-a', /^UnmanagedPods: Pods selected by this PodDisruptionBudget \(selector: &LabelSelector\{MatchLabels:map\[string\]string\{app: twice,\},MatchExpressions:\[\]LabelSelectorRequirement\{\},\}\) were found to be unmanaged/);
  });
  test('allow nothing when what the Pods need cannot be known', async () => {
    await cluster.client.of(PODS).create({ metadata: { name: 'lone', namespace: 'default', labels: { app: 'lone' }, ownerReferences: [{ apiVersion: 'batch/v1', kind: 'Job', name: 'j', uid: 'u', controller: true }] }, spec: { containers: [{ name: 'c', image: 'x' }] } });
    await budget('lone', 'lone', { maxUnavailable: 1 });
    const condition = await eventually('the failure is told', async () => (await budgets().get('default', 'lone')).status?.conditions?.find((c) => c.reason === 'SyncFailed'));
    assert.equal(condition.message, 'jobs.batch does not implement the scale subresource');
  });
});
