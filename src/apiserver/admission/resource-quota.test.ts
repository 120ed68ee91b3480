import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type * as coreV1 from '#api/gen/core-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { resourceOf } from '#api/resources.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { conflict, MODIFIED, StatusError } from '#machinery/status-error.ts';
import { FakeReader, resourceOfObject } from '../authentication/testing/fakes.ts';
import type { ApiCallLike } from '../interfaces.ts';
import { ResourceQuota } from './resource-quota.ts';
import { inScopes, usageOf } from '#machinery/quota-usage.ts';
import { attributes, type TestAttributes } from './testing/attributes.ts';

const QUOTAS = resourceOf('', 'v1', 'resourcequotas');
const quota = (name: string, hard: Record<string, string>, used: Record<string, string> = {}, spec: object = {}): KubeObject => ({
  apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name, namespace: 'default', resourceVersion: '1' }, spec: { hard, ...spec },
  status: { hard, used: { ...Object.fromEntries(Object.keys(hard).map((k) => [k, '0'])), ...used } },
}) as KubeObject;
const pod = (name: string, resources: object = {}, spec: object = {}): KubeObject => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'default' }, spec: { containers: [{ name: 'c', resources }], ...spec } }) as unknown as KubeObject;

/** A server whose quota status can be written, guarded by its revision; `lag`: the reader sees writes only when told. */
function setUp(options: { readonly lag?: boolean } = {}, ...quotas: KubeObject[]) {
  const reader = new FakeReader(...quotas);
  const stored = new Map(quotas.map((q) => [q.metadata.name, q]));
  let revision = 1;
  const writes: string[] = [];
  const write = (next: KubeObject): KubeObject => {
    const saved = { ...next, metadata: { ...next.metadata, resourceVersion: String(++revision) } };
    stored.set(saved.metadata.name, saved);
    if (!options.lag) reader.put(saved);
    return saved;
  };
  const loopback = {
    async call(call: ApiCallLike): Promise<unknown> {
      await new Promise((resolve) => setImmediate(resolve));
      if (call.verb === 'get') return stored.get(call.name);
      assert.deepEqual([call.verb, call.resource.plural, call.subresource], ['update', 'resourcequotas', 'status']);
      const body = call.body as coreV1.ResourceQuota;
      if (body.metadata.resourceVersion !== stored.get(call.name)!.metadata.resourceVersion) throw conflict({ group: '', resource: 'resourcequotas' }, call.name!, MODIFIED);
      writes.push(JSON.stringify(body.status!.used));
      return write(body as KubeObject);
    },
  };
  const plugin = new ResourceQuota({ reader, loopback, clock: new FakeClock() });
  const attempt = async (a: TestAttributes): Promise<string> => {
    try {
      await plugin.validate(a);
      return '';
    } catch (err) {
      assert.ok(err instanceof StatusError, String(err));
      return err.message;
    }
  };
  const used = (name = 'q'): unknown => (stored.get(name) as coreV1.ResourceQuota).status!.used;
  return { reader, attempt, used, writes, write };
}

describe('ResourceQuota', () => {
  it('charges what it allows and refuses with upstream\'s sentence', async () => {
    const { attempt, used } = setUp({}, quota('q', { pods: '2' }));
    assert.equal(await attempt(attributes(pod('a'))), '');
    assert.equal(await attempt(attributes(pod('b'))), '');
    assert.equal(await attempt(attributes(pod('c'))), 'pods "c" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2');
    assert.deepEqual(used(), { pods: '2' });
  });
  it('lets no more through than it has when many come at once, in few writes', async () => {
    const { attempt, used, writes } = setUp({}, quota('q', { pods: '10', 'requests.cpu': '7' }));
    const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => attempt(attributes(pod(`p${i}`, { requests: { cpu: '500m' } })))));
    assert.equal(answers.filter((a) => a === '').length, 10);
    assert.ok(answers.filter((a) => a !== '').every((a) => /exceeded quota: q, requested: pods=1, used: pods=10, limited: pods=10/.test(a)));
    assert.deepEqual(used(), { pods: '10', 'requests.cpu': '5' });
    assert.ok(writes.length <= 3, `${writes.length} writes`);
  });
  it('does not trust a reader that lags behind its own writes', async () => {
    const { attempt, used } = setUp({ lag: true }, quota('q', { pods: '3' }));
    const answers: string[] = [];
    for (let i = 0; i < 5; i++) answers.push(await attempt(attributes(pod(`p${i}`))));
    assert.deepEqual(answers.map((a) => a === ''), [true, true, true, false, false]);
    assert.deepEqual(used(), { pods: '3' });
  });
  it('judges again when another server was faster', async () => {
    const first = quota('q', { pods: '3' });
    const { attempt, used, write } = setUp({ lag: true }, first);
    write(quota('q', { pods: '3' }, { pods: '2' }));
    assert.equal(await attempt(attributes(pod('a'))), '');
    assert.match(await attempt(attributes(pod('b'))), /used: pods=3, limited: pods=3/);
    assert.deepEqual(used(), { pods: '3' });
  });
  it('charges all quotas or none', async () => {
    const { attempt, used } = setUp({}, quota('wide', { pods: '5' }), quota('narrow', { 'count/pods': '0' }));
    assert.match(await attempt(attributes(pod('a'))), /exceeded quota: narrow, requested: count\/pods=1, used: count\/pods=0, limited: count\/pods=0/);
    assert.deepEqual(used('wide'), { pods: '0' });
  });
  it('wants figures where a quota counts them', async () => {
    const { attempt } = setUp({}, quota('q', { 'requests.cpu': '1', 'limits.memory': '1Gi' }));
    assert.equal(await attempt(attributes(pod('a'))), 'pods "a" is forbidden: failed quota: q: must specify limits.memory for: c; requests.cpu for: c');
    assert.equal(await attempt(attributes(pod('a', { requests: { cpu: '2' }, limits: { memory: '1Gi' } }))), 'pods "a" is forbidden: exceeded quota: q, requested: requests.cpu=2, used: requests.cpu=0, limited: requests.cpu=1');
  });
  it('writes nothing for a dry run', async () => {
    const { attempt, writes } = setUp({}, quota('q', { pods: '1' }, { pods: '1' }));
    assert.match(await attempt(attributes(pod('a'), { dryRun: true })), /exceeded quota/);
    assert.equal(await attempt(attributes({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c', namespace: 'default' } }, { dryRun: true })), '');
    assert.deepEqual(writes, []);
  });
  it('keeps to the scopes', async () => {
    const { attempt } = setUp({}, quota('q', { pods: '0' }, {}, { scopes: ['BestEffort'] }), quota('r', { pods: '0' }, {}, { scopeSelector: { matchExpressions: [{ scopeName: 'PriorityClass', operator: 'In', values: ['high'] }] } }));
    assert.match(await attempt(attributes(pod('a'))), /exceeded quota: q/);
    assert.equal(await attempt(attributes(pod('a', { requests: { cpu: '1' } }))), '');
    assert.match(await attempt(attributes(pod('a', { requests: { cpu: '1' } }, { priorityClassName: 'high' }))), /exceeded quota: r/);
  });
  it('charges the growth of claims', async () => {
    const { attempt, used } = setUp({}, quota('q', { 'requests.storage': '5Gi', persistentvolumeclaims: '1' }, { 'requests.storage': '2Gi', persistentvolumeclaims: '1' }));
    const claim = (size: string): KubeObject => ({ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'd', namespace: 'default' }, spec: { resources: { requests: { storage: size } } } }) as unknown as KubeObject;
    assert.equal(await attempt(attributes(claim('4Gi'), { oldObject: claim('2Gi') })), '');
    assert.deepEqual(used(), { 'requests.storage': '4Gi', persistentvolumeclaims: '1' });
    assert.match(await attempt(attributes(claim('8Gi'), { oldObject: claim('4Gi') })), /requested: requests.storage=4Gi, used: requests.storage=4Gi, limited: requests.storage=5Gi/);
  });
  it('leaves other resources and its own status writes alone', async () => {
    const { attempt, writes } = setUp({}, quota('q', { pods: '0' }));
    assert.equal(await attempt(attributes({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c', namespace: 'default' } })), '');
    assert.equal(await attempt(attributes(quota('q', {}), { oldObject: quota('q', {}), resource: QUOTAS, subresource: 'status' })), '');
    assert.deepEqual(writes, []);
  });
});

describe('usageOf', () => {
  const of = (o: object): Record<string, string> => Object.fromEntries([...usageOf(resourceOfObject(o as KubeObject), o as KubeObject, 0)].map(([k, q]) => [k, q.toString()]));
  it('counts Pods with sidecars, the largest init container and overhead, and nothing of ended ones', () => {
    const p = {
      apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' },
      spec: {
        containers: [{ name: 'a', resources: { requests: { cpu: '1', 'example.com/gpu': '1' }, limits: { memory: '1Gi' } } }], overhead: { cpu: '100m' },
        initContainers: [{ name: 's', restartPolicy: 'Always', resources: { requests: { cpu: '200m' } } }, { name: 'i', resources: { requests: { cpu: '2' } } }],
      },
    };
    assert.deepEqual(of(p), { 'count/pods': '1', pods: '1', cpu: '2300m', 'requests.cpu': '2300m', 'requests.example.com/gpu': '1', 'limits.memory': '1Gi' });
    assert.deepEqual(of({ ...p, status: { phase: 'Failed' } }), { 'count/pods': '1' });
  });
  it('counts Services by their type and claims by their class', () => {
    assert.deepEqual(of({ apiVersion: 'v1', kind: 'Service', metadata: { name: 's' }, spec: { type: 'LoadBalancer', ports: [{ port: 1 }, { port: 2 }] } }), { 'count/services': '1', services: '1', 'services.loadbalancers': '1', 'services.nodeports': '2' });
    assert.deepEqual(of({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd' } }), { 'count/deployments.apps': '1' });
    assert.deepEqual(of({ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'c' }, spec: { storageClassName: 'fast', resources: { requests: { storage: '1Gi' } } } }),
      { 'count/persistentvolumeclaims': '1', persistentvolumeclaims: '1', 'requests.storage': '1Gi', 'fast.storageclass.storage.k8s.io/requests.storage': '1Gi', 'fast.storageclass.storage.k8s.io/persistentvolumeclaims': '1' });
  });
  it('counts a claim in the attributes class that it has, and in the one that it is to have', () => {
    const claim = { metadata: { name: 'c' }, spec: { volumeAttributesClassName: 'silver' }, status: { currentVolumeAttributesClassName: 'gold' } };
    const counts = (operator: 'DoesNotExist' | 'Exists' | 'In', ...values: string[]) => inScopes({ metadata: { name: 'q' }, spec: { scopeSelector: { matchExpressions: [{ scopeName: 'VolumeAttributesClass', operator, values }] } } }, resourceOf('', 'v1', 'persistentvolumeclaims'), claim);
    assert.deepEqual([counts('In', 'gold'), counts('In', 'silver'), counts('In', 'tin'), counts('Exists'), counts('DoesNotExist')], [true, true, false, true, false]);
  });
  it('counts the devices of claims by their class: the most of what may be chosen from', () => {
    const claim = (...requests: object[]) => of({ apiVersion: 'resource.k8s.io/v1', kind: 'ResourceClaim', metadata: { name: 'c' }, spec: { devices: { requests } } });
    const exact = (deviceClassName: string, count: number) => ({ deviceClassName, allocationMode: 'ExactCount', count });
    assert.deepEqual(claim({ name: 'a', exactly: exact('gold', 2) }, { name: 'b', exactly: { deviceClassName: 'gold', allocationMode: 'All' } }), { 'count/resourceclaims.resource.k8s.io': '1', 'gold.deviceclass.resource.k8s.io/devices': '34' });
    assert.deepEqual(claim({ name: 'a', firstAvailable: [exact('gold', 1), exact('tin', 4), exact('gold', 3)] }),
      { 'count/resourceclaims.resource.k8s.io': '1', 'gold.deviceclass.resource.k8s.io/devices': '3', 'tin.deviceclass.resource.k8s.io/devices': '4' });
  });
});
