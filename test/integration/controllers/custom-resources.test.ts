import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { CustomResourceDefinition } from '#api/gen/apiextensions-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { CONFIG_MAPS, kind, NAMESPACES } from '#client/kinds.ts';
import { startInProcessCluster, type InProcessCluster } from '#cluster/in-process-cluster.ts';
import { eventually, isGone } from './eventually.ts';

const DEFINITIONS = kind<CustomResourceDefinition>('apiextensions.k8s.io', 'v1', 'customresourcedefinitions');
const REF = { group: 'example.com', version: 'v1', plural: 'widgets', namespaced: true };
const anything = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };

describe('controllers and custom resources', () => {
  let cluster: InProcessCluster;
  const widgets = () => cluster.client.dynamic(REF, 'Widget');
  const make = (name: string, more: object = {}): Promise<KubeObject> => widgets().create({ metadata: { name, namespace: 'default', ...more } });
  const reference = (owner: KubeObject, apiVersion: string, kindName: string) => ({ ownerReferences: [{ apiVersion, kind: kindName, name: owner.metadata.name!, uid: owner.metadata.uid! }] });
  before(async () => {
    cluster = await startInProcessCluster({ nodes: [] });
    await cluster.client.of(DEFINITIONS).create({
      metadata: { name: 'widgets.example.com' },
      spec: {
        group: 'example.com', scope: 'Namespaced', names: { plural: 'widgets', kind: 'Widget' },
        versions: [{ name: 'v1', served: true, storage: true, schema: anything }, { name: 'v1alpha1', served: true, storage: false, schema: anything }],
      },
    });
    await eventually('the definition is established', () => cluster.server.resources.find('example.com', 'v1', 'widgets') !== undefined);
  });
  after(() => cluster.stop());

  test('the garbage collector deletes custom objects with their owners, and what custom objects own', async () => {
    const owner = await cluster.client.of(CONFIG_MAPS).create({ metadata: { name: 'owner', namespace: 'default' } });
    const middle = await make('middle', reference(owner, 'v1', 'ConfigMap'));
    await cluster.client.of(CONFIG_MAPS).create({ metadata: { name: 'owned', namespace: 'default', ...reference(middle, 'example.com/v1', 'Widget') } });
    await cluster.client.of(CONFIG_MAPS).delete('default', 'owner');
    await eventually('both go', async () => (await isGone(widgets().get('default', 'middle'))) && (await isGone(cluster.client.of(CONFIG_MAPS).get('default', 'owned'))));
  });
  test('a namespace takes its custom objects with it', async () => {
    await cluster.client.of(NAMESPACES).create({ metadata: { name: 'own' }, spec: {} });
    await widgets().create({ metadata: { name: 'inside', namespace: 'own' } });
    await cluster.client.of(NAMESPACES).delete('', 'own');
    await eventually('the namespace goes', () => isGone(cluster.client.of(NAMESPACES).get('', 'own')));
    assert.equal((await widgets().list()).items.filter((o) => o.metadata.namespace === 'own').length, 0);
  });
  test('a definition that is deleted and made again serves afresh', async () => {
    await make('before');
    const { spec } = await cluster.client.of(DEFINITIONS).get('', 'widgets.example.com');
    await cluster.client.of(DEFINITIONS).delete('', 'widgets.example.com');
    await eventually('the definition goes', () => isGone(cluster.client.of(DEFINITIONS).get('', 'widgets.example.com')));
    await cluster.client.of(DEFINITIONS).create({ metadata: { name: 'widgets.example.com' }, spec });
    const fresh = await eventually('the definition is there again', () => widgets().list().catch(() => undefined));
    assert.deepEqual(fresh.items, []);
    assert.equal((await make('after')).metadata.name, 'after');
  });
});
