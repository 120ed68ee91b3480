import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { ConfigMap, Namespace, Pod } from '#api/gen/core-v1.ts';
import type { KubeList, KubeObject } from '#api/object.ts';
import { startServer, type Fixture } from './fixture.ts';
import { Requests } from './requests.ts';

let fixture: Fixture;
let http: Requests;
before(async () => {
  fixture = await startServer();
  http = new Requests(fixture);
});
after(async () => {
  http.close();
  await fixture.close();
});

const CMS = '/api/v1/namespaces/default/configmaps';
const PODS = '/api/v1/namespaces/default/pods';
const cm = (name: string, data: Record<string, string> = { a: '1' }, more: object = {}) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...more }, data });
const pod = (name: string, more: object = {}) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name, ...more }, spec: { containers: [{ name: 'a', image: 'nginx' }] } });

test('create answers 201 with identity, and 409 the second time', async () => {
  const made = await http.post(`${CMS}?fieldManager=tester`, cm('one'));
  assert.equal(made.code, 201);
  const { metadata, data } = made.json<ConfigMap>();
  assert.match(metadata.uid!, /^[0-9a-f-]{36}$/);
  assert.match(metadata.resourceVersion!, /^\d+$/);
  assert.match(metadata.creationTimestamp!, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  assert.equal(metadata.managedFields?.[0]?.manager, 'tester');
  assert.deepEqual(data, { a: '1' });
  const again = await http.post(CMS, cm('one'));
  assert.equal(again.code, 409);
  assert.equal(again.status.reason, 'AlreadyExists');
  assert.equal(again.status.message, 'configmaps "one" already exists');
  assert.deepEqual(again.status.details, { name: 'one', kind: 'configmaps' });
});

test('create makes names from generateName and refuses bad ones with causes', async () => {
  const made = await http.post(CMS, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { generateName: 'gen-' } });
  assert.match(made.json().metadata.name!, /^gen-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
  const bad = await http.post(CMS, cm('Bad_Name'));
  assert.equal(bad.code, 422);
  assert.equal(bad.status.details?.causes?.[0]?.field, 'metadata.name');
  const none = await http.post(CMS, { apiVersion: 'v1', kind: 'ConfigMap', metadata: {} });
  assert.equal(none.status.message, 'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required');
  const foreign = await http.post(CMS, cm('x', {}, { namespace: 'other' }));
  assert.equal(foreign.status.message, 'the namespace of the provided object does not match the namespace sent on the request');
  assert.equal(foreign.code, 400);
});

test('create refuses bodies that are not the kind, or no object at all', async () => {
  const kind = await http.post(CMS, { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'x' } });
  assert.equal(kind.code, 400);
  assert.equal(kind.status.message, 'Secret in version "v1" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion');
  const version = await http.post(CMS, { apiVersion: 'v2', kind: 'ConfigMap', metadata: { name: 'x' } });
  assert.equal(version.status.message, 'ConfigMap in version "v2" cannot be handled as a ConfigMap: no kind "ConfigMap" is registered for version "v2" in scheme "pkg/api/legacyscheme/scheme.go:30"');
  const broken = await http.post(CMS, '{"a":');
  assert.match(broken.status.message!, /^the object provided is unrecognized \(must be of type ConfigMap\): couldn't get version\/kind; json parse error: unexpected end of JSON input \(\{"a":\)$/);
  const type = await http.post(PODS, { ...pod('x'), spec: { containers: 'none' } });
  assert.match(type.status.message!, /^Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal string into Go struct field PodSpec\.spec\.containers of type \[\]v1\.Container$/);
});

test('fieldValidation reports unknown fields as the request asks', async () => {
  const body = { ...cm('fv'), spec: 1 };
  const strict = await http.post(`${CMS}?fieldValidation=Strict&dryRun=All`, body);
  assert.equal(strict.code, 400);
  assert.equal(strict.status.message, 'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "spec"');
  const warn = await http.post(`${CMS}?fieldValidation=Warn&dryRun=All`, body);
  assert.equal(warn.code, 201);
  assert.equal(warn.headers['warning'], '299 - "unknown field \\"spec\\""');
  const ignore = await http.post(`${CMS}?fieldValidation=Ignore&dryRun=All`, body);
  assert.equal(ignore.headers['warning'], undefined);
  const repeated = await http.post(`${CMS}?fieldValidation=Strict&dryRun=All`, '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"d"},"data":{"a":"1","a":"2"}}');
  assert.match(repeated.status.message!, /duplicate field "data\.a"$/);
  const wrong = await http.post(`${CMS}?fieldValidation=Maybe`, body);
  assert.equal(wrong.code, 422);
  assert.match(wrong.status.message!, /^CreateOptions\.meta\.k8s\.io "" is invalid: fieldValidation: Unsupported value: "Maybe"/);
});

test('dryRun changes nothing', async () => {
  assert.equal((await http.post(`${CMS}?dryRun=All`, cm('dry'))).code, 201);
  assert.equal((await http.get(`${CMS}/dry`)).code, 404);
  const bad = await http.post(`${CMS}?dryRun=Some`, cm('dry'));
  assert.equal(bad.code, 422);
  await http.post(CMS, cm('dry2'));
  await http.call('DELETE', `${CMS}/dry2?dryRun=All`);
  await http.call('PUT', `${CMS}/dry2?dryRun=All`, { body: cm('dry2', { b: '2' }) });
  assert.deepEqual((await http.get(`${CMS}/dry2`)).json<ConfigMap>().data, { a: '1' });
});

test('get of something that is not there answers 404 in upstream\'s words', async () => {
  const missing = await http.get(`${CMS}/nothing`);
  assert.equal(missing.code, 404);
  assert.deepEqual(missing.json(), { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message: 'configmaps "nothing" not found', reason: 'NotFound', details: { name: 'nothing', kind: 'configmaps' }, code: 404 });
  for (const path of ['/api/v1/nothings', '/apis/apps/v9/things', '/api/v1/pods/x', '/api/v1/namespaces/default/nodes/x']) {
    const answer = await http.get(path);
    assert.equal(answer.code, 404, path);
    assert.equal(answer.status.message, 'the server could not find the requested resource', path);
  }
  assert.equal((await http.get('/apis/no.such/v1/things')).text, '404 page not found\n');
  const other = await http.get('/no/such/path');
  assert.equal(other.code, 404);
  assert.equal(other.text, '404 page not found\n');
  assert.ok((await http.get('/')).json<{ paths: string[] }>().paths.includes('/api/v1'));
  const method = await http.call('PUT', CMS, { body: cm('x') });
  assert.equal(method.code, 405);
  assert.equal(method.status.message, 'the server does not allow this method on the requested resource');
});

test('update needs the newest resourceVersion, or none', async () => {
  const first = (await http.post(CMS, cm('up'))).json<ConfigMap>();
  const second = await http.call('PUT', `${CMS}/up`, { body: { ...first, data: { a: '2' } } });
  assert.equal(second.code, 200);
  assert.notEqual(second.json().metadata.resourceVersion, first.metadata.resourceVersion);
  const stale = await http.call('PUT', `${CMS}/up`, { body: { ...first, data: { a: '3' } } });
  assert.equal(stale.code, 409);
  assert.equal(stale.status.message, 'Operation cannot be fulfilled on configmaps "up": the object has been modified; please apply your changes to the latest version and try again');
  assert.equal((await http.call('PUT', `${CMS}/up`, { body: cm('up', { a: '4' }) })).code, 200);
  const same = await http.call('PUT', `${CMS}/up`, { body: cm('up', { a: '4' }) });
  assert.equal(same.json().metadata.resourceVersion, (await http.get(`${CMS}/up`)).json().metadata.resourceVersion, 'an update that changes nothing writes nothing');
  const uid = await http.call('PUT', `${CMS}/up`, { body: cm('up', {}, { uid: 'other' }) });
  assert.match(uid.status.message!, /Precondition failed: UID in precondition: other, UID in object meta: /);
  const name = await http.call('PUT', `${CMS}/up`, { body: cm('down') });
  assert.equal(name.status.message, 'the name of the object (down) does not match the name on the URL (up)');
  assert.equal((await http.call('PUT', `${CMS}/absent`, { body: cm('absent') })).code, 404);
});

test('patch works in four forms', async () => {
  await http.post(CMS, cm('pa', { a: '1', b: '2' }));
  const patch = (type: string, body: unknown, query = '') => http.call('PATCH', `${CMS}/pa${query}`, { body, headers: { 'content-type': type } });
  assert.deepEqual((await patch('application/json-patch+json', [{ op: 'replace', path: '/data/a', value: '9' }])).json<ConfigMap>().data, { a: '9', b: '2' });
  assert.deepEqual((await patch('application/merge-patch+json', { data: { b: null } })).json<ConfigMap>().data, { a: '9' });
  assert.deepEqual((await patch('application/strategic-merge-patch+json', { data: { c: '3' } })).json<ConfigMap>().data, { a: '9', c: '3' });
  const applied = await patch('application/apply-patch+yaml', 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: pa\ndata:\n  d: "4"\n', '?fieldManager=me');
  assert.equal(applied.code, 200);
  assert.deepEqual(applied.json<ConfigMap>().data, { a: '9', c: '3', d: '4' });
  const clash = await patch('application/apply-patch+yaml', { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'pa' }, data: { d: '5' } }, '?fieldManager=you');
  assert.equal(clash.code, 409);
  assert.match(clash.status.message!, /^Apply failed with 1 conflict: conflict with "me"/);
  assert.equal((await patch('application/apply-patch+yaml', { apiVersion: 'v1', kind: 'ConfigMap', data: { d: '5' } }, '?fieldManager=you&force=true')).code, 200);
  const noManager = await patch('application/apply-patch+yaml', { apiVersion: 'v1', kind: 'ConfigMap' });
  assert.match(noManager.status.message!, /fieldManager: Required value: is required for apply patch/);
  const type = await patch('text/plain', 'x');
  assert.equal(type.code, 415);
  assert.equal(type.status.message, '415: Unsupported Media Type');
  const renamed = await patch('application/merge-patch+json', { metadata: { name: 'other' } });
  assert.equal(renamed.status.message, 'the name of the object (other) does not match the name on the URL (pa)');
});

test('apply creates what is not there', async () => {
  const made = await http.call('PATCH', `${CMS}/fresh?fieldManager=me`, { body: { apiVersion: 'v1', kind: 'ConfigMap', data: { a: '1' } }, headers: { 'content-type': 'application/apply-patch+yaml' } });
  assert.equal(made.code, 201);
  assert.equal(made.json().metadata.managedFields?.[0]?.operation, 'Apply');
});

test('patches that race all arrive', async () => {
  await http.post(CMS, cm('race', {}));
  const keys = Array.from({ length: 40 }, (_, i) => `k${i}`);
  const answers = await Promise.all(keys.map((k) => http.call('PATCH', `${CMS}/race`, { body: { data: { [k]: 'x' } }, headers: { 'content-type': 'application/merge-patch+json' } })));
  assert.deepEqual([...new Set(answers.map((a) => a.code))], [200]);
  assert.equal(Object.keys((await http.get(`${CMS}/race`)).json<ConfigMap>().data!).length, keys.length);
});

test('delete answers with a Status, honours preconditions and finalizers', async () => {
  const made = (await http.post(CMS, cm('del'))).json();
  const wrong = await http.call('DELETE', `${CMS}/del`, { body: { preconditions: { uid: 'x' } } });
  assert.equal(wrong.code, 409);
  assert.match(wrong.status.message!, /^Operation cannot be fulfilled on ConfigMap "del": the UID in the precondition \(x\) does not match the UID in record /);
  const gone = await http.call('DELETE', `${CMS}/del`);
  assert.deepEqual(gone.json(), { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details: { name: 'del', kind: 'configmaps', uid: made.metadata.uid } });
  await http.post(CMS, cm('held', {}, { finalizers: ['example.com/hold'] }));
  const held = await http.call('DELETE', `${CMS}/held`);
  assert.equal(held.code, 200);
  assert.ok(held.json().metadata.deletionTimestamp);
  assert.equal(held.json().metadata.deletionGracePeriodSeconds, 0);
  const refused = await http.call('PATCH', `${CMS}/held`, { body: { metadata: { finalizers: ['example.com/hold', 'example.com/more'] } }, headers: { 'content-type': 'application/merge-patch+json' } });
  assert.match(refused.status.message!, /no new finalizers can be added if the object is being deleted/);
  assert.equal((await http.call('PATCH', `${CMS}/held`, { body: { metadata: { finalizers: null } }, headers: { 'content-type': 'application/merge-patch+json' } })).code, 200);
  assert.equal((await http.get(`${CMS}/held`)).code, 404);
});

test('delete sets the finalizers of the propagation policy', async () => {
  await http.post(CMS, cm('fg'));
  const foreground = await http.call('DELETE', `${CMS}/fg`, { body: { kind: 'DeleteOptions', apiVersion: 'v1', propagationPolicy: 'Foreground' } });
  assert.deepEqual(foreground.json().metadata.finalizers, ['foregroundDeletion']);
  await http.post(CMS, cm('or'));
  assert.deepEqual((await http.call('DELETE', `${CMS}/or?propagationPolicy=Orphan`)).json().metadata.finalizers, ['orphan']);
  const both = await http.call('DELETE', `${CMS}/or`, { body: { orphanDependents: true, propagationPolicy: 'Orphan' } });
  assert.equal(both.code, 422);
  const bad = await http.call('DELETE', `${CMS}/or?propagationPolicy=Sideways`);
  assert.match(bad.status.message!, /propagationPolicy: Unsupported value: "Sideways"/);
});

test('delete gives a scheduled Pod its grace period, which later deletes may only shorten', async () => {
  await http.post(PODS, { ...pod('graceful'), spec: { nodeName: 'n1', containers: [{ name: 'a', image: 'nginx' }] } });
  const first = (await http.call('DELETE', `${PODS}/graceful`)).json<Pod>();
  assert.equal(first.metadata.deletionGracePeriodSeconds, 30);
  assert.equal((await http.call('DELETE', `${PODS}/graceful?gracePeriodSeconds=60`)).json<Pod>().metadata.deletionGracePeriodSeconds, 30);
  assert.equal((await http.call('DELETE', `${PODS}/graceful?gracePeriodSeconds=5`)).json<Pod>().metadata.deletionGracePeriodSeconds, 5);
  assert.equal((await http.call('DELETE', `${PODS}/graceful`, { body: { gracePeriodSeconds: 0 } })).code, 200);
  assert.equal((await http.get(`${PODS}/graceful`)).code, 404);
});

test('deletecollection deletes what the selector names', async () => {
  for (const [name, app] of [['c1', 'x'], ['c2', 'x'], ['c3', 'y']] as const) await http.post(CMS, cm(name, {}, { labels: { app } }));
  const gone = await http.call('DELETE', `${CMS}?labelSelector=app%3Dx`);
  assert.equal(gone.code, 200);
  assert.equal(gone.json<KubeList>().items.length, 2);
  assert.deepEqual((await http.get(`${CMS}?labelSelector=app`)).json<KubeList>().items.map((i) => i.metadata.name), ['c3']);
});

test('namespaces go through Terminating and finalize', async () => {
  await http.post('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'going' } });
  const deleting = (await http.call('DELETE', '/api/v1/namespaces/going')).json<Namespace>();
  assert.equal(deleting.status?.phase, 'Terminating');
  assert.deepEqual(deleting.spec?.finalizers, ['kubernetes']);
  const finalized = await http.call('PUT', '/api/v1/namespaces/going/finalize', { body: { ...deleting, spec: { finalizers: [] } } });
  assert.equal(finalized.code, 200);
  assert.equal((await http.get('/api/v1/namespaces/going')).code, 404);
});

test('status and the rest of an object are written apart', async () => {
  await http.post(PODS, { ...pod('split'), status: { phase: 'Running' } });
  assert.equal((await http.get(`${PODS}/split`)).json<Pod>().status?.phase, 'Pending');
  const merge = { 'content-type': 'application/merge-patch+json' };
  const status = await http.call('PATCH', `${PODS}/split/status`, { body: { status: { phase: 'Running', podIP: '10.0.0.1' }, spec: { hostNetwork: true } }, headers: merge });
  assert.equal(status.json<Pod>().status?.phase, 'Running');
  assert.equal(status.json<Pod>().spec?.hostNetwork, undefined);
  const main = await http.call('PATCH', `${PODS}/split`, { body: { status: { phase: 'Failed' }, metadata: { labels: { a: 'b' } } }, headers: merge });
  assert.equal(main.json<Pod>().status?.phase, 'Running');
  assert.equal(main.json<Pod>().metadata.labels?.['a'], 'b');
});

test('both groups of events share their objects', async () => {
  const event = { apiVersion: 'v1', kind: 'Event', metadata: { name: 'e1', namespace: 'default' }, involvedObject: { kind: 'Pod', name: 'p', namespace: 'default' }, reason: 'Because', message: 'hello', type: 'Normal' };
  assert.equal((await http.post('/api/v1/namespaces/default/events', event)).code, 201);
  const other = await http.get('/apis/events.k8s.io/v1/namespaces/default/events/e1');
  assert.equal(other.json<KubeObject & { note: string }>().note, 'hello');
  assert.equal(other.json().apiVersion, 'events.k8s.io/v1');
});
