import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { ConfigMap } from '#api/gen/core-v1.ts';
import type { Role } from '#api/gen/rbac-v1.ts';
import type { KubeList } from '#api/object.ts';
import { resourceOf } from '#api/resources.ts';
import { deepFreeze } from '#base/draft.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { isReason } from '#machinery/status-error.ts';
import { openMemoryStore } from '#store/memory.ts';
import type { AdmissionPlugin } from './interfaces.ts';
import { ApiServer } from './server.ts';

const CONFIGMAPS = resourceOf('', 'v1', 'configmaps');
const me = { user: { name: 'me', groups: [] }, userAgent: 'tester/1' };
/** Adds a label in the mutating phase, refuses a name in the validating one. */
const plugin: AdmissionPlugin = {
  name: 'test',
  handles: (operation) => operation === 'CREATE',
  admit: ({ object }) => {
    if (object) object.metadata.labels = { ...object.metadata.labels, admitted: 'yes' };
  },
  validate: ({ name }) => {
    if (name === 'refused') throw new Error('no');
  },
};
const clock = new FakeClock();
let uid = 0;
const server = new ApiServer({
  store: openMemoryStore(),
  clock,
  security: () => ({
    authenticator: { authenticate: () => undefined },
    authorizer: { authorize: ({ user, verb }) => ({ decision: user.name === 'me' && verb !== 'deletecollection' ? 'allow' : 'noOpinion', reason: '' }) },
  }),
  admission: () => [plugin],
  uid: () => `uid-${++uid}`,
});
before(() => server.start(new AbortController().signal));
after(() => server.stop());

const at = (name?: string) => ({ resource: CONFIGMAPS, namespace: 'default', ...(name === undefined ? {} : { name }) });
const create = (name: string, data: Record<string, string> = {}) => server.call({ verb: 'create', ...at(), body: deepFreeze({ metadata: { name }, data }) }, me) as Promise<ConfigMap>;

test('call answers with the very object of the cache', async () => {
  const made = await create('same', { a: 'b' });
  assert.equal(made.metadata.uid, 'uid-1');
  assert.equal(made.metadata.creationTimestamp, '2026-01-02T03:04:05Z');
  assert.deepEqual(made.metadata.labels, { admitted: 'yes' });
  assert.equal(made.metadata.managedFields?.[0]?.manager, 'tester');
  const got = await server.call({ verb: 'get', ...at('same') }, me);
  assert.equal(got, server.reader.get(CONFIGMAPS, 'default', 'same'));
  const list = (await server.call({ verb: 'list', ...at() }, me)) as KubeList;
  assert.equal(list.items[0], got);
});

test('who writes an object back does not come to own its empty lists', async () => {
  const roles = { resource: resourceOf('rbac.authorization.k8s.io', 'v1', 'roles'), namespace: 'default' };
  const made = (await server.call({ verb: 'create', ...roles, body: { metadata: { name: 'empty', labels: { a: 'b' } }, rules: [] } }, me)) as Role;
  const owned = ({ metadata }: Role) => metadata.managedFields?.map(({ manager, fieldsV1 }) => [manager, Object.keys(fieldsV1 ?? {})]);
  assert.deepEqual([made.rules, owned(made)], [[], [['tester', ['f:metadata']]]]);
  const written = (await server.call({ verb: 'update', ...roles, name: 'empty', body: made }, { ...me, userAgent: 'other' })) as Role;
  assert.deepEqual(owned(written), owned(made));
});

test('call rejects with a StatusError for what is refused, and for what breaks', async () => {
  await assert.rejects(server.call({ verb: 'get', ...at('nothing') }, me), (err) => isReason(err, 'NotFound'));
  await assert.rejects(server.call({ verb: 'deletecollection', ...at() }, me), (err) => isReason(err, 'Forbidden'));
  await assert.rejects(server.call({ verb: 'get', ...at('same') }, { ...me, user: { name: 'other', groups: [] } }), (err) => isReason(err, 'Forbidden'));
  await assert.rejects(create('refused'), (err) => isReason(err, 'InternalError'));
  await assert.rejects(server.call({ verb: 'get', ...at('same') }, me, AbortSignal.abort(new Error('gone'))), /gone/);
});

test('watch yields batches of the cache\'s objects until it is aborted', async () => {
  const abort = new AbortController();
  const seen: string[] = [];
  const watching = (async () => {
    for await (const batch of server.watch({ verb: 'list', ...at(), query: { fieldSelector: 'metadata.name=w' } }, me, abort.signal)) {
      for (const event of batch) {
        seen.push(event.type);
        if (event.type === 'MODIFIED') assert.equal(event.object, server.reader.get(CONFIGMAPS, 'default', 'w'));
        if (event.type === 'DELETED') abort.abort();
      }
    }
  })();
  const made = await create('w');
  await server.call({ verb: 'update', ...at('w'), body: { ...made, data: { a: 'b' } } }, me);
  await server.call({ verb: 'delete', ...at('w') }, me);
  await watching;
  assert.deepEqual(seen, ['ADDED', 'MODIFIED', 'DELETED']);
  await assert.rejects(async () => {
    for await (const _ of server.watch({ verb: 'list', ...at() , query: { resourceVersion: 'x' } }, me, new AbortController().signal)) assert.fail('no event');
  }, /resourceVersion: Invalid value: "x"/);
});

test('reader.subscribe tells of changes with the state before', async () => {
  const changes: string[] = [];
  const done = Promise.withResolvers<void>();
  const stop = server.reader.subscribe<ConfigMap>(CONFIGMAPS, ({ type, object, previous }) => {
    changes.push(`${type} ${object.metadata.name} ${previous?.data?.['a'] ?? '-'}`);
    if (type === 'DELETED') done.resolve();
  });
  await create('s', { a: '1' });
  await server.call({ verb: 'patch', ...at('s'), body: { data: { a: '2' } }, patchType: 'application/merge-patch+json' }, me);
  await server.call({ verb: 'delete', ...at('s') }, me);
  await done.promise;
  stop();
  assert.deepEqual(changes, ['ADDED s -', 'MODIFIED s 1', 'DELETED s 2']);
});

test('a call that takes too long ends with a timeout', async () => {
  const slow = new ApiServer({
    store: openMemoryStore(), clock,
    security: () => ({ authenticator: { authenticate: () => undefined }, authorizer: { authorize: (_a, signal) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))) } }),
    admission: () => [],
  });
  await slow.start(new AbortController().signal);
  const outcome = assert.rejects(slow.call({ verb: 'get', ...at('x') }, me), (err) => isReason(err, 'Timeout'));
  await clock.advance(62_000);
  await outcome;
  await slow.stop();
});
