import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '#api/object.ts';
import type { ResourceInfo } from '#api/resources.ts';
import { structByKind } from '#api/schema.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { isReason } from '#machinery/status-error.ts';
import { resourcePrefix } from '#store/keys.ts';
import { openMemoryStore } from '#store/memory.ts';
import { Discovery } from './http/discovery.ts';
import { structCodec } from './registry/struct-codec.ts';
import { ApiServer } from './server.ts';
import { genericStrategy } from './strategies/generic.ts';

const info: ResourceInfo = {
  group: 'example.com', version: 'v1', plural: 'widgets', singular: 'widget', kind: 'ConfigMap', listKind: 'WidgetList', namespaced: true,
  verbs: ['create', 'get', 'list', 'watch'], shortNames: ['wd'], categories: [], subresources: [],
};
const me = { user: { name: 'me', groups: [] }, userAgent: 'tester' };

test('resources and delegates come and go while the server runs, and discovery follows', async () => {
  const server = new ApiServer({
    store: openMemoryStore(), clock: new FakeClock(),
    security: () => ({ authenticator: { authenticate: () => undefined }, authorizer: { authorize: () => ({ decision: 'allow', reason: '' }) } }),
    admission: () => [],
  });
  await server.start(new AbortController().signal);
  const discovery = new Discovery(server.resources, () => 'x:6443');
  const groups = () => discovery.groupList().groups.map((g) => g.name);
  const create = () => server.call({ verb: 'create', resource: info, namespace: 'default', body: { metadata: { name: 'w' }, data: { a: 'b' } } }, me) as Promise<KubeObject>;
  await assert.rejects(create(), (err) => isReason(err, 'NotFound'));
  const before = discovery.aggregated(false, 'v2').etag;
  let changes = 0;
  server.resources.onChange(() => void changes++);

  const storage = await server.addStorage(resourcePrefix(info), new AbortController().signal);
  const served = { info, strategy: genericStrategy(info), codec: structCodec(structByKind('', 'v1', 'ConfigMap')!), storage, subresources: new Map() };
  server.resources.add({ ...served, unannounced: true });
  assert.equal((await create()).apiVersion, 'example.com/v1');
  assert.ok(!groups().includes('example.com'), 'served before it is announced');
  server.resources.add(served);
  assert.ok(groups().includes('example.com'));
  assert.notEqual(discovery.aggregated(false, 'v2').etag, before);
  await assert.rejects(server.call({ verb: 'delete', resource: info, namespace: 'default', name: 'w' }, me), (err) => isReason(err, 'MethodNotAllowed'));

  server.resources.remove(info);
  await server.removeStorage(resourcePrefix(info));
  await assert.rejects(create(), (err) => isReason(err, 'NotFound'));
  assert.ok(!groups().includes('example.com'));

  server.resources.setDelegate({ group: 'metrics.k8s.io', version: 'v1beta1', priority: { group: 100, version: 100 }, handle: ({ info: asked }) => ({ kind: 'object', code: 200, object: { kind: 'Told', metadata: { name: asked.resource } } }) });
  const told = (await server.call({ verb: 'list', resource: { group: 'metrics.k8s.io', version: 'v1beta1', plural: 'pods', namespaced: true } }, me)) as KubeObject;
  assert.equal(told.metadata.name, 'pods');
  assert.ok(groups().includes('metrics.k8s.io'));
  assert.match(discovery.aggregated(false, 'v2').body.toString(), /"version":"v1beta1","resources":\[\],"freshness":"Stale"/);
  server.resources.setDelegate({ group: 'metrics.k8s.io', version: 'v1beta1', priority: { group: 100, version: 100 }, handle: () => ({ kind: 'raw', code: 503, headers: {}, body: Buffer.from('service unavailable') }) });
  await assert.rejects(server.call({ verb: 'list', resource: { group: 'metrics.k8s.io', version: 'v1beta1', plural: 'pods', namespaced: true } }, me), { message: 'the server is currently unable to handle the request' });
  server.resources.removeDelegate('metrics.k8s.io', 'v1beta1');
  assert.ok(!groups().includes('metrics.k8s.io'));
  assert.equal(changes, 6);
  await server.stop();
});
