import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HorizontalPodAutoscaler, MetricSpec } from '#api/gen/autoscaling-v2.ts';
import type { Pod } from '#api/gen/core-v1.ts';
import { Client } from '#client/client.ts';
import type { ApiCall, Transport } from '#client/transport.ts';
import { notFound } from '#machinery/status-error.ts';
import { AdapterMetrics } from './adapter-metrics.ts';
import { evaluateMetric, MetricError, type Evaluated } from './metrics.ts';

/** Adapters that answer by path. */
class AdapterTransport implements Transport {
  readonly asked: string[] = [];
  readonly answers: Readonly<Record<string, readonly object[]>>;
  constructor(answers: Readonly<Record<string, readonly object[]>>) {
    this.answers = answers;
  }
  call({ resource: { group, version, plural }, namespace, name, subresource, query }: ApiCall): Promise<unknown> {
    const path = [group, version, namespace, plural, name, subresource].filter((part) => part !== undefined).join('/');
    this.asked.push(`${path} ${Object.entries(query ?? {}).filter(([, v]) => v !== undefined).map(([k, v]) => `${k}=${String(v)}`).join('&')}`.trim());
    const items = this.answers[path];
    return items ? Promise.resolve({ items }) : Promise.reject(notFound({ group, resource: plural }, name ?? ''));
  }
  watch(): AsyncIterable<never> {
    throw new Error('not used');
  }
}
const pod = (name: string): Pod => ({ metadata: { name, namespace: 'default' }, spec: { containers: [] }, status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] } });
const hpa: HorizontalPodAutoscaler = { metadata: { name: 'web', namespace: 'default' }, spec: { scaleTargetRef: { kind: 'Deployment', name: 'web' }, maxReplicas: 10 } };
const registered = [['custom.metrics.k8s.io', 'v1beta2'], ['external.metrics.k8s.io', 'v1beta1']].map(([group, version]) => ({ metadata: { name: `${version}.${group}` }, spec: { group, version, groupPriorityMinimum: 1, versionPriority: 1 } }));

async function evaluate(spec: MetricSpec, answers: Readonly<Record<string, readonly object[]>> = {}, services: typeof registered = registered): Promise<{ result: Evaluated; asked: string[] }> {
  const transport = new AdapterTransport(answers);
  const client = new Client(transport, 'test');
  const adapters = new AdapterMetrics({ client, services: () => services, resourceOf: (group, kind) => (kind === 'Ingress' ? { group, plural: 'ingresses' } : undefined) });
  const result = await evaluateMetric({ client, adapters, hpa, spec, selector: 'app=web', pods: [pod('a'), pod('b')], currentReplicas: 2, statusReplicas: 2, now: 0, signal: new AbortController().signal });
  return { result, asked: transport.asked };
}
const pods = (target: string): MetricSpec => ({ type: 'Pods', pods: { metric: { name: 'qps', selector: { matchLabels: { verb: 'GET' } } }, target: { type: 'AverageValue', averageValue: target } } });
const object = (target: object, describedObject = { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', name: 'main' }): MetricSpec => ({ type: 'Object', object: { metric: { name: 'hits' }, describedObject, target: target as never } });
const external = (target: object): MetricSpec => ({ type: 'External', external: { metric: { name: 'queue' }, target: target as never } });

test('evaluateMetric averages what adapters tell of Pods', async () => {
  const path = 'custom.metrics.k8s.io/v1beta2/default/pods/*/qps';
  const { result, asked } = await evaluate(pods('10'), { [path]: ['a', 'b'].map((name) => ({ describedObject: { name }, value: name === 'a' ? '20' : '40' })) });
  assert.deepEqual(asked, [`${path} labelSelector=app=web&metricLabelSelector=verb=GET`]);
  assert.deepEqual(result, {
    replicas: 6, name: 'pods metric qps', status: { type: 'Pods', pods: { metric: { name: 'qps', selector: { matchLabels: { verb: 'GET' } } }, current: { averageValue: '30' } } },
  });
});
test('evaluateMetric takes the metric of an object, whole or shared among the Pods', async () => {
  const answers = { 'custom.metrics.k8s.io/v1beta2/default/ingresses.networking.k8s.io/main/hits': [{ value: '500' }] };
  const whole = await evaluate(object({ type: 'Value', value: '100' }), answers);
  assert.deepEqual([whole.result.replicas, whole.result.name, whole.result.status.object?.current], [10, 'Ingress metric hits', { value: '500' }]);
  const shared = await evaluate(object({ type: 'AverageValue', averageValue: '100' }), answers);
  assert.deepEqual([shared.result.replicas, shared.result.name, shared.result.status.object?.current], [5, 'external metric hits(nil)', { averageValue: '250' }]);
  const near = await evaluate(object({ type: 'Value', value: '490' }), answers);
  assert.equal(near.result.replicas, 2, 'within the tolerance');
  const { asked } = await evaluate(object({ type: 'Value', value: '1' }, { apiVersion: 'v1', kind: 'Namespace', name: 'x' }), { 'custom.metrics.k8s.io/v1beta2/default/metrics/hits': [{ value: '1' }] });
  assert.deepEqual(asked, ['custom.metrics.k8s.io/v1beta2/default/metrics/hits']);
});
test('evaluateMetric adds the values of an external metric up', async () => {
  const answers = { 'external.metrics.k8s.io/v1beta1/default/queue': [{ value: '30' }, { value: '15500m' }] };
  const shared = await evaluate(external({ type: 'AverageValue', averageValue: '10' }), answers);
  assert.deepEqual([shared.result.replicas, shared.result.status.external?.current], [5, { averageValue: '22750m' }]);
  const whole = await evaluate(external({ type: 'Value', value: '20' }), answers);
  assert.deepEqual([whole.result.replicas, whole.result.status.external?.current], [5, { value: '45500m' }]);
});
test('evaluateMetric says in upstream’s words why a metric cannot be had', async () => {
  const failed = async (spec: MetricSpec, services: typeof registered): Promise<readonly string[]> => {
    const err = await evaluate(spec, {}, services).then(() => undefined, (e: unknown) => e);
    assert.ok(err instanceof MetricError);
    return [err.reason, err.message, err.full];
  };
  const none = 'unable to get metric qps: unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered';
  assert.deepEqual(await failed(pods('1'), []), ['FailedGetPodsMetric', none, `failed to get pods metric value: ${none}`]);
  const unmapped = 'unable to get metric hits: Nothing on default x/unable to fetch metrics from custom metrics API: unable to map kind Nothing to resource: no matches for kind "Nothing" in group ""';
  assert.deepEqual(await failed(object({ type: 'Value', value: '1' }, { apiVersion: 'v9', kind: 'Nothing', name: 'x' }), registered), ['FailedGetObjectMetric', unmapped, `failed to get object metric value: ${unmapped}`]);
  const unserved = 'unable to get external metric default/queue/nil: unable to fetch metrics from external metrics API: the server could not find the requested resource (get queue.external.metrics.k8s.io)';
  assert.deepEqual(await failed(external({ type: 'Value', value: '1' }), []), ['FailedGetExternalMetric', unserved, `failed to get queue external metric value: failed to get external metric queue: ${unserved}`]);
});
