import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { APIService } from '#api/gen/apiregistration-v1.ts';
import type { ResourceInfo } from '#api/resources.ts';
import { structByKind } from '#api/schema.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { resourcePrefix } from '#store/keys.ts';
import { openMemoryStore } from '#store/memory.ts';
import { structCodec } from '../registry/struct-codec.ts';
import { ApiServer } from '../server.ts';
import { genericStrategy } from '../strategies/generic.ts';
import { API_SERVICES, AUTO_MANAGED, withAvailability } from './api-services.ts';
import { identityHeaders } from './remote-api.ts';

const widgets: ResourceInfo = {
  group: 'example.com', version: 'v1', plural: 'widgets', singular: 'widget', kind: 'ConfigMap', listKind: 'WidgetList', namespaced: true,
  verbs: ['create', 'get', 'list', 'watch'], shortNames: [], categories: [], subresources: [],
};
const me = { user: { name: 'me', groups: [] }, userAgent: 'tester' };

async function until<T>(find: () => T | undefined): Promise<T> {
  for (let turn = 0; turn < 10_000; turn++) {
    const found = find();
    if (found !== undefined) return found;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error('waited in vain');
}

test('AutoRegister follows the groups that come and go, and leaves alone what is not its own', async () => {
  const server = new ApiServer({
    store: openMemoryStore(), clock: new FakeClock(),
    security: () => ({ authenticator: { authenticate: () => undefined }, authorizer: { authorize: () => ({ decision: 'allow', reason: '' }) } }),
    admission: () => [],
    aggregation: { identity: () => ({ cert: '', key: '' }), resolver: () => ({ resolve: () => { throw new Error('no services here'); } }) },
  });
  await server.start(new AbortController().signal);
  const find = (name: string) => server.reader.get<APIService>(API_SERVICES, '', name);
  assert.equal((await until(() => find('v1.apps'))).metadata.labels?.[AUTO_MANAGED], 'onstart');
  assert.equal(find('v1.apiregistration.k8s.io'), undefined);

  const storage = await server.addStorage(resourcePrefix(widgets), new AbortController().signal);
  server.resources.add({ info: widgets, strategy: genericStrategy(widgets), codec: structCodec(structByKind('', 'v1', 'ConfigMap')!), storage, subresources: new Map() });
  const made = await until(() => find('v1.example.com'));
  assert.deepEqual([made.spec, made.metadata.labels?.[AUTO_MANAGED]], [{ group: 'example.com', version: 'v1', groupPriorityMinimum: 1000, versionPriority: 100 }, 'true']);
  server.resources.remove(widgets);
  await until(() => (find('v1.example.com') ? undefined : true));

  const own: APIService = { metadata: { name: 'v1.example.com' }, spec: { group: 'example.com', version: 'v1', groupPriorityMinimum: 7, versionPriority: 7 } };
  await server.call({ verb: 'create', resource: API_SERVICES, body: own }, me);
  server.resources.add({ info: widgets, strategy: genericStrategy(widgets), codec: structCodec(structByKind('', 'v1', 'ConfigMap')!), storage, subresources: new Map() });
  await server.call({ verb: 'delete', resource: API_SERVICES, name: 'v1.apps' }, me);
  await until(() => find('v1.apps'));
  assert.equal(find('v1.example.com')?.spec.groupPriorityMinimum, 7);
  await server.stop();
});

test('withAvailability tells a change once, and when it was', () => {
  const service: APIService = { metadata: { name: 'v1.x' }, spec: { groupPriorityMinimum: 1, versionPriority: 1 } };
  const down = { status: 'False', reason: 'ServiceNotFound', message: 'm' } as const;
  const first = withAvailability(service, down, 0);
  assert.deepEqual(first.status?.conditions, [{ type: 'Available', lastTransitionTime: '1970-01-01T00:00:00Z', ...down }]);
  assert.equal(withAvailability(first, down, 60_000), first);
  const other = withAvailability(first, { ...down, reason: 'MissingEndpoints' }, 60_000);
  assert.equal(other.status?.conditions?.[0]?.lastTransitionTime, '1970-01-01T00:00:00Z', 'it was down all the time');
  assert.equal(withAvailability(other, { status: 'True', reason: 'Passed', message: '' }, 60_000).status?.conditions?.[0]?.lastTransitionTime, '1970-01-01T00:01:00Z');
});

test('identityHeaders says who asks and takes away what clients say of themselves', () => {
  const user = { name: 'jane', uid: '7', groups: ['a', 'b'], extra: { 'example.com/Scope x': ['1', '2'] } };
  assert.deepEqual(identityHeaders(user, ['accept', 'authorization', 'x-remote-group', 'impersonate-user']), {
    authorization: undefined, 'x-remote-group': ['a', 'b'], 'impersonate-user': undefined,
    'x-remote-user': 'jane', 'x-remote-uid': '7', 'x-remote-extra-example.com%2fscope%20x': ['1', '2'],
  });
});
