import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { HorizontalPodAutoscalerSpec } from '#api/gen/autoscaling-v2.ts';
import type { KubeList, KubeObject } from '#api/object.ts';
import { DEPLOYMENTS, EVENTS, HORIZONTAL_POD_AUTOSCALERS } from '#client/kinds.ts';
import { startInProcessCluster, type InProcessCluster } from '#cluster/in-process-cluster.ts';
import { isReason } from '#machinery/status-error.ts';
import { eventually } from './eventually.ts';

interface Metrics extends KubeObject {
  readonly usage?: Readonly<Record<string, string>>;
  readonly containers?: readonly { readonly name: string; readonly usage: Readonly<Record<string, string>> }[];
}
describe('metrics and autoscaling', () => {
  let cluster: InProcessCluster;
  before(async () => {
    cluster = await startInProcessCluster({ containers: ({ command }) => ({ usage: { nanoCores: Number(command?.[0] ?? 0) * 1e6, memoryBytes: 64 * 1024 * 1024 } }) });
  });
  after(() => cluster.stop());
  const metrics = (plural: string, query: Record<string, string> = {}) => cluster.client.transport.call({ verb: 'list', resource: { group: 'metrics.k8s.io', version: 'v1beta1', plural, namespaced: plural === 'pods' }, query }) as Promise<KubeList<Metrics>>;
  const scalers = () => cluster.client.of(HORIZONTAL_POD_AUTOSCALERS);
  const replicas = async (name: string) => (await cluster.client.of(DEPLOYMENTS).get('default', name)).spec.replicas;
  const deployment = (app: string, count: number, milliCores: number, requests: Record<string, string> | undefined) => cluster.client.of(DEPLOYMENTS).create({
    metadata: { name: app, namespace: 'default' },
    spec: { replicas: count, selector: { matchLabels: { app } }, template: { metadata: { labels: { app } }, spec: { containers: [{ name: 'c', image: 'x', command: [String(milliCores)], ...(requests ? { resources: { requests } } : {}) }] } } },
  });
  const autoscale = (name: string, spec: Partial<HorizontalPodAutoscalerSpec>) => scalers().create({ metadata: { name, namespace: 'default' }, spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name }, maxReplicas: 5, ...spec } });
  const condition = (name: string, type: string) => eventually(`${name} tells ${type}`, async () => (await scalers().get('default', name)).status?.conditions?.find((c) => c.type === type));

  test('metrics.k8s.io tells what nodes and Pods use', async () => {
    await deployment('load', 1, 200, { cpu: '100m' });
    const [pod] = await eventually('the Pod was measured', async () => {
      const { items, kind } = await metrics('pods', { labelSelector: 'app=load' });
      assert.equal(kind, 'PodMetricsList');
      return items.length === 1 && items;
    });
    const [container] = pod!.containers!;
    assert.deepEqual([container!.name, container!.usage['memory']], ['c', '65536Ki']);
    const milli = Number(container!.usage['cpu']!.replace('n', '')) / 1e6;
    assert.ok(milli > 150 && milli < 250, `${milli} is about 200`);
    const nodes = await metrics('nodes');
    assert.deepEqual(nodes.items.map((n) => n.metadata.name), ['node-1']);
    assert.match(nodes.items[0]!.usage!['memory']!, /^\d+Ki$/);
    await assert.rejects(cluster.client.transport.call({ verb: 'get', resource: { group: 'metrics.k8s.io', version: 'v1beta1', plural: 'pods', namespaced: true }, namespace: 'default', name: 'none' }), (err) => isReason(err, 'NotFound') && /podmetrics.metrics.k8s.io "default\/none" not found/.test(String(err)));
    await assert.rejects(cluster.client.transport.call({ verb: 'delete', resource: { group: 'metrics.k8s.io', version: 'v1beta1', plural: 'nodes', namespaced: false }, name: 'node-1' }), (err) => isReason(err, 'MethodNotAllowed'));
  });
  test('a target outside of its bounds is brought into them, and it is told', async () => {
    await deployment('few', 1, 0, { cpu: '100m' });
    await autoscale('few', { minReplicas: 3 });
    await eventually('it has three', async () => (await replicas('few')) === 3);
    assert.equal((await condition('few', 'AbleToScale')).message, 'the HPA controller was able to update the target scale to 3');
    await eventually('it is told', async () => (await cluster.client.of(EVENTS).list({ namespace: 'default', fieldSelector: 'involvedObject.name=few' })).items.some((e) => e.message === 'New size: 3; reason: Current number of replicas below Spec.MinReplicas'));
    assert.equal((await scalers().get('default', 'few')).status?.desiredReplicas, 3);
  });
  test('what cannot be measured or found is told', async () => {
    await deployment('bare', 1, 10, undefined);
    await eventually('it runs', async () => (await metrics('pods', { labelSelector: 'app=bare' })).items.length === 1);
    await autoscale('bare', { metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } } }] });
    const inactive = await condition('bare', 'ScalingActive');
    assert.equal(inactive.reason, 'FailedGetResourceMetric');
    assert.match(inactive.message!, /^the HPA was unable to compute the replica count: failed to get cpu utilization: missing request for cpu in container c of Pod bare-/);
    await autoscale('missing', {});
    assert.deepEqual(await condition('missing', 'AbleToScale').then((c) => [c.status, c.reason, c.message]), ['False', 'FailedGetScale', `the HPA controller was unable to get the target's current scale: deployments.apps "missing" not found`]);
  });
  test('a loaded target grows by its use of memory', async () => {
    await deployment('heavy', 2, 10, { memory: '32Mi' });
    await eventually('both were measured', async () => (await metrics('pods', { labelSelector: 'app=heavy' })).items.length === 2);
    await autoscale('heavy', { metrics: [{ type: 'Resource', resource: { name: 'memory', target: { type: 'Utilization', averageUtilization: 100 } } }] });
    await eventually('it has four', async () => (await replicas('heavy')) === 4);
    const { status } = await eventually('the status follows', async () => {
      const hpa = await scalers().get('default', 'heavy');
      return hpa.status?.currentMetrics?.length ? hpa : undefined;
    });
    assert.deepEqual(status?.currentMetrics, [{ type: 'Resource', resource: { name: 'memory', current: { averageUtilization: 200, averageValue: '67108864' } } }]);
    assert.equal(status?.conditions?.find((c) => c.type === 'ScalingActive')?.message, 'the HPA was able to successfully calculate a replica count from memory resource utilization (percentage of request)');
  });
});
