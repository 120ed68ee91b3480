/** The official JavaScript client, unmodified: requests, patches of each type, watches and informers. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ApiException, AppsV1Api, CoreV1Api, KubeConfig, makeInformer, PatchStrategy, setHeaderOptions, Watch, type V1ConfigMap } from '@kubernetes/client-node';
import { startServer, type Fixture } from './fixture.ts';

let fixture: Fixture;
const config = new KubeConfig();
let core: CoreV1Api;
const namespace = 'default';
before(async () => {
  fixture = await startServer();
  config.loadFromFile(fixture.kubeconfig);
  core = config.makeApiClient(CoreV1Api);
  await core.createNamespace({ body: { metadata: { name: namespace } } });
});
after(() => fixture.close());

const make = (name: string, data: Record<string, string> = {}, labels: Record<string, string> = {}) => core.createNamespacedConfigMap({ namespace, body: { metadata: { name, labels }, data } });

test('the client creates, reads, lists in pages, replaces and deletes', async () => {
  for (const n of ['a', 'b', 'c']) await make(`crud-${n}`, { n }, { of: 'crud' });
  assert.deepEqual((await core.readNamespacedConfigMap({ name: 'crud-a', namespace })).data, { n: 'a' });
  const first = await core.listNamespacedConfigMap({ namespace, labelSelector: 'of=crud', limit: 2 });
  const second = await core.listNamespacedConfigMap({ namespace, labelSelector: 'of=crud', limit: 2, _continue: first.metadata!._continue! });
  assert.deepEqual([...first.items, ...second.items].map((c) => c.metadata?.name), ['crud-a', 'crud-b', 'crud-c']);
  const replaced = await core.replaceNamespacedConfigMap({ name: 'crud-a', namespace, body: { ...first.items[0]!, data: { n: 'z' } } });
  assert.deepEqual(replaced.data, { n: 'z' });
  await assert.rejects(core.replaceNamespacedConfigMap({ name: 'crud-a', namespace, body: first.items[0]! }), (err) => err instanceof ApiException && err.code === 409);
  assert.equal((await core.deleteNamespacedConfigMap({ name: 'crud-a', namespace })).status, 'Success');
  await assert.rejects(core.readNamespacedConfigMap({ name: 'crud-a', namespace }), (err) => err instanceof ApiException && err.code === 404);
  await core.deleteCollectionNamespacedConfigMap({ namespace, labelSelector: 'of=crud' });
  assert.equal((await core.listNamespacedConfigMap({ namespace, labelSelector: 'of=crud' })).items.length, 0);
});

test('the client patches in every way', async () => {
  await make('patched', { a: '1' });
  const patch = (type: PatchStrategy, body: object, more: object = {}) => core.patchNamespacedConfigMap({ name: 'patched', namespace, body, ...more }, setHeaderOptions('Content-Type', type));
  assert.deepEqual((await patch(PatchStrategy.JsonPatch, [{ op: 'add', path: '/data/b', value: '2' }])).data, { a: '1', b: '2' });
  assert.deepEqual((await patch(PatchStrategy.MergePatch, { data: { a: null } })).data, { b: '2' });
  assert.deepEqual((await patch(PatchStrategy.StrategicMergePatch, { data: { c: '3' } })).data, { b: '2', c: '3' });
  const applied = await patch(PatchStrategy.ServerSideApply, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'patched' }, data: { d: '4' } }, { fieldManager: 'me' });
  assert.deepEqual(applied.metadata?.managedFields?.filter((m) => m.operation === 'Apply').map((m) => [m.manager, m.fieldsV1]), [['me', { 'f:data': { 'f:d': {} } }]]);
  const apps = config.makeApiClient(AppsV1Api);
  const labels = { app: 'w' };
  await apps.createNamespacedDeployment({ namespace, body: { metadata: { name: 'w' }, spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } } } } });
  const scaled = await apps.patchNamespacedDeploymentScale({ name: 'w', namespace, body: { spec: { replicas: 3 } } }, setHeaderOptions('Content-Type', PatchStrategy.MergePatch));
  assert.equal(scaled.spec?.replicas, 3);
});

test('the client watches', async () => {
  const { metadata } = await core.listNamespacedConfigMap({ namespace });
  const seen: string[] = [];
  const enough = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<unknown>();
  const abort = await new Watch(config).watch(
    `/api/v1/namespaces/${namespace}/configmaps`, { resourceVersion: metadata!.resourceVersion, labelSelector: 'of=watch' },
    (phase, object) => {
      seen.push(`${phase} ${(object as V1ConfigMap).metadata?.name}`);
      if (seen.length === 3) enough.resolve();
    },
    (err) => ended.resolve(err),
  );
  await make('watched', {}, { of: 'watch' });
  await core.patchNamespacedConfigMap({ name: 'watched', namespace, body: { data: { x: 'y' } } }, setHeaderOptions('Content-Type', PatchStrategy.MergePatch));
  await core.deleteNamespacedConfigMap({ name: 'watched', namespace });
  await enough.promise;
  assert.deepEqual(seen, ['ADDED watched', 'MODIFIED watched', 'DELETED watched']);
  abort.abort();
  await ended.promise;
});

test('an informer lists, follows, and has everything in its cache', async () => {
  await make('cached-0', {}, { of: 'informer' });
  const labelSelector = 'of=informer';
  const informer = makeInformer<V1ConfigMap>(config, `/api/v1/namespaces/${namespace}/configmaps`, () => core.listNamespacedConfigMap({ namespace, labelSelector }), labelSelector);
  const events: string[] = [];
  const waiting: { readonly event: string; resolve(): void }[] = [];
  const note = (what: string) => (object: V1ConfigMap) => {
    events.push(`${what} ${object.metadata?.name}`);
    for (const w of waiting) if (w.event === events.at(-1)) w.resolve();
  };
  const heard = (event: string): Promise<void> => (events.includes(event) ? Promise.resolve() : new Promise((resolve) => void waiting.push({ event, resolve })));
  informer.on('add', note('add'));
  informer.on('update', note('update'));
  informer.on('delete', note('delete'));
  const failed = Promise.withResolvers<never>();
  informer.on('error', (err) => failed.reject(err));
  await informer.start();
  const follow = async (): Promise<void> => {
    await heard('add cached-0');
    await make('cached-1', { v: '1' }, { of: 'informer' });
    await heard('add cached-1');
    await core.patchNamespacedConfigMap({ name: 'cached-1', namespace, body: { data: { v: '2' } } }, setHeaderOptions('Content-Type', PatchStrategy.MergePatch));
    await heard('update cached-1');
    assert.equal(informer.get('cached-1', namespace)?.data?.['v'], '2');
    assert.equal(informer.list(namespace).length, 2);
    // Leaving the selection is a deletion to those who select.
    await core.patchNamespacedConfigMap({ name: 'cached-1', namespace, body: { metadata: { labels: { of: 'nobody' } } } }, setHeaderOptions('Content-Type', PatchStrategy.MergePatch));
    await heard('delete cached-1');
    assert.deepEqual(informer.list(namespace).map((c) => c.metadata?.name), ['cached-0']);
  };
  await Promise.race([follow(), failed.promise]);
  await informer.stop();
});
