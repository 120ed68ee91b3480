import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import type { PartialObjectMetadataList, Table } from '#api/gen/meta-v1.ts';
import type { KubeList } from '#api/object.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { decodeEnvelope, decodeObject } from '#machinery/protobuf.ts';
import { startServer, type Fixture } from './fixture.ts';
import { openWatch, Requests } from './requests.ts';

let fixture: Fixture;
let http: Requests;
before(async () => {
  fixture = await startServer({ watchCacheCapacity: 64 });
  http = new Requests(fixture);
});
after(async () => {
  http.close();
  await fixture.close();
});

const CMS = '/api/v1/namespaces/default/configmaps';
const cm = (name: string, labels: Record<string, string> = {}, data: Record<string, string> = {}) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels }, data });
const names = (list: KubeList) => list.items.map((i) => i.metadata.name);
async function put(name: string, data: Record<string, string>): Promise<string> {
  const patch = await http.call('PATCH', `${CMS}/${name}`, { body: { data }, headers: { 'content-type': 'application/merge-patch+json' } });
  return patch.json().metadata.resourceVersion!;
}

test('list selects by labels and fields, and refuses selectors that are none', async () => {
  for (const [name, app] of [['l1', 'x'], ['l2', 'x'], ['l3', 'y']] as const) await http.post(CMS, cm(name, { app }));
  const all = (await http.get(CMS)).json<KubeList>();
  assert.equal(all.kind, 'ConfigMapList');
  assert.deepEqual(names(all), ['l1', 'l2', 'l3']);
  assert.match(all.metadata.resourceVersion!, /^\d+$/);
  assert.deepEqual(names((await http.get(`${CMS}?labelSelector=app+in+(x)`)).json()), ['l1', 'l2']);
  assert.deepEqual(names((await http.get(`${CMS}?fieldSelector=metadata.name%3Dl3`)).json()), ['l3']);
  assert.deepEqual(names((await http.get('/api/v1/configmaps?fieldSelector=metadata.name!%3Dl3')).json()), ['l1', 'l2']);
  const field = await http.get(`${CMS}?fieldSelector=data%3Dx`);
  assert.equal(field.code, 400);
  const label = await http.get(`${CMS}?labelSelector=a%3D%3D%3Db`);
  assert.equal(label.code, 400);
  assert.match(label.status.message!, /^unable to parse requirement: /);
});

test('list comes in pages of one state, and tells when that state is gone', async () => {
  for (let i = 0; i < 5; i++) await http.post(CMS, cm(`page-${i}`, { page: 'yes' }));
  const first = (await http.get(`${CMS}?limit=3`)).json<KubeList>();
  assert.deepEqual(names(first), ['l1', 'l2', 'l3']);
  assert.equal(first.metadata.remainingItemCount, 5);
  const token = JSON.parse(Buffer.from(first.metadata.continue!, 'base64url').toString()) as { v: string; rv: number; start: string };
  assert.deepEqual(token, { v: 'meta.k8s.io/v1', rv: Number(first.metadata.resourceVersion), start: 'l3\u0000' });
  await http.call('DELETE', `${CMS}/page-4`);
  const rest = (await http.get(`${CMS}?continue=${first.metadata.continue}`)).json<KubeList>();
  assert.deepEqual(names(rest), ['page-0', 'page-1', 'page-2', 'page-3', 'page-4'], 'the state of the first page');
  assert.equal(rest.metadata.resourceVersion, first.metadata.resourceVersion);
  for (let i = 0; i < 70; i++) await put('l1', { i: String(i) });
  const expired = await http.get(`${CMS}?continue=${first.metadata.continue}`);
  assert.equal(expired.code, 410);
  assert.equal(expired.status.reason, 'Expired');
  assert.match(expired.status.message!, /^The provided continue parameter is too old to display a consistent list result\./);
  const again = (await http.get(`${CMS}?continue=${expired.status.metadata.continue}`)).json<KubeList>();
  assert.deepEqual(names(again), ['page-0', 'page-1', 'page-2', 'page-3']);
  const bad = await http.get(`${CMS}?continue=abc`);
  assert.equal(bad.code, 400);
  assert.match(bad.status.message!, /^invalid continue token: continue key is not valid: /);
});

test('the state of a first page is kept for five to ten minutes, however little changes', async () => {
  const clock = new FakeClock(Date.now());
  const own = await startServer({ clock });
  const requests = new Requests(own);
  try {
    for (const name of ['a', 'b', 'c']) await requests.post(CMS, cm(name));
    const first = (await requests.get(`${CMS}?limit=1`)).json<KubeList>();
    const next = () => requests.get(`${CMS}?limit=1&continue=${first.metadata.continue}`);
    await requests.post(CMS, cm('later'));
    await clock.advance(5 * 60_000);
    assert.equal((await next()).code, 200);
    await clock.advance(5 * 60_000);
    const expired = await next();
    assert.equal(expired.code, 410);
    const rest = (await requests.get(`${CMS}?continue=${expired.status.metadata.continue}`)).json<KubeList>();
    assert.deepEqual(names(rest), ['b', 'c', 'later']);
  } finally {
    requests.close();
    await own.close();
  }
});

test('list takes resourceVersion and resourceVersionMatch as the API concepts page says', async () => {
  const now = (await http.get(CMS)).json<KubeList>().metadata.resourceVersion!;
  await put('l1', { later: 'x' });
  assert.equal((await http.get(`${CMS}?resourceVersion=${now}&resourceVersionMatch=Exact`)).json<KubeList>().metadata.resourceVersion, now);
  assert.ok(Number((await http.get(`${CMS}?resourceVersion=${now}&resourceVersionMatch=NotOlderThan`)).json<KubeList>().metadata.resourceVersion) > Number(now));
  assert.equal((await http.get(`${CMS}?resourceVersion=0`)).code, 200);
  const lone = await http.get(`${CMS}?resourceVersionMatch=Exact`);
  assert.equal(lone.status.message, 'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided');
  assert.equal((await http.get(`${CMS}?resourceVersion=1&resourceVersionMatch=Exact`)).code, 410);
  const nonsense = await http.get(`${CMS}?resourceVersion=x`);
  assert.equal(nonsense.code, 400);
  assert.match(nonsense.status.message!, /^invalid resource version: resourceVersion: Invalid value: "x": /);
  const future = await http.get(`${CMS}?resourceVersion=99999999`);
  assert.equal(future.code, 504);
  assert.match(future.status.message!, /^Timeout: Too large resource version: 99999999, current: \d+$/);
});

test('watch tells of the state first, then of changes; selections see objects come and go', async () => {
  const watch = await openWatch(http, `${CMS}?watch=true&labelSelector=w%3D1&resourceVersion=0`);
  await http.post(CMS, cm('w1', { w: '1' }));
  assert.deepEqual((await watch.next())?.type, 'ADDED');
  await put('w1', { a: 'b' });
  assert.equal((await watch.next())?.type, 'MODIFIED');
  await http.call('PATCH', `${CMS}/w1`, { body: { metadata: { labels: { w: '2' } } }, headers: { 'content-type': 'application/merge-patch+json' } });
  const left = await watch.next();
  assert.equal(left?.type, 'DELETED');
  assert.equal(left?.object.metadata.labels?.['w'], '1');
  assert.equal(left?.object.metadata.resourceVersion, (await http.get(`${CMS}/w1`)).json().metadata.resourceVersion);
  watch.close();
});

test('watch goes on from a resourceVersion and ends by an ERROR event when that is too old', async () => {
  const from = await put('w1', { c: '1' });
  await put('w1', { c: '2' });
  const watch = await openWatch(http, `${CMS}?watch=true&resourceVersion=${from}`);
  const event = await watch.next();
  assert.deepEqual((event!.object as unknown as { data: object }).data, { a: 'b', c: '2' });
  watch.close();
  const old = await openWatch(http, `${CMS}?watch=true&resourceVersion=1`);
  const error = await old.next();
  assert.equal(error?.type, 'ERROR');
  assert.equal(error?.object['code'], 410);
  assert.match(String(error?.object['message']), /^too old resource version: 1 \(\d+\)$/);
  assert.equal(await old.next(), undefined);
});

test('watch with sendInitialEvents marks the end of the state by an annotated bookmark', async () => {
  const watch = await openWatch(http, `${CMS}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&labelSelector=app`);
  const events = [await watch.next(), await watch.next(), await watch.next(), await watch.next()];
  assert.deepEqual(events.map((e) => e?.type), ['ADDED', 'ADDED', 'ADDED', 'BOOKMARK']);
  assert.deepEqual(events[3]?.object.metadata.annotations, { 'k8s.io/initial-events-end': 'true' });
  watch.close();
  const metrics = (await http.get('/metrics')).text;
  assert.match(metrics, /^apiserver_watch_list_duration_seconds_count\{group="",version="v1",resource="configmaps",scope="namespace"\} 1$/m);
  assert.match(metrics, /^apiserver_watch_events_sizes_sum\{group="",version="v1",resource="configmaps"\} [1-9]\d+$/m);
  const bad = await http.get(`${CMS}?watch=true&sendInitialEvents=true`);
  assert.equal(bad.code, 422);
  assert.match(bad.status.message!, /sendInitialEvents requires setting resourceVersionMatch to NotOlderThan/);
});

test('watch ends after timeoutSeconds', async () => {
  const watch = await openWatch(http, `${CMS}?watch=true&timeoutSeconds=1&resourceVersion=${(await http.get(CMS)).json<KubeList>().metadata.resourceVersion}`);
  assert.equal(await watch.next(), undefined);
});

test('Table and PartialObjectMetadata are other shapes of get, list and watch', async () => {
  const table = (await http.get(`${CMS}?limit=2`, { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json' })).json<Table>();
  assert.equal(table.kind, 'Table');
  assert.deepEqual(table.columnDefinitions.map((c) => c.name), ['Name', 'Data', 'Age']);
  assert.equal((table.rows[0]!.object as { kind: string }).kind, 'PartialObjectMetadata');
  assert.ok(table.metadata.continue);
  const none = (await http.get(`${CMS}/l1?includeObject=None`, { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' })).json<Table>();
  assert.equal(none.rows[0]!.object, null);
  const whole = (await http.get(`${CMS}/l1?includeObject=Object`, { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' })).json<Table>();
  assert.equal((whole.rows[0]!.object as { kind: string }).kind, 'ConfigMap');
  const meta = (await http.get(CMS, { accept: 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io' })).json<PartialObjectMetadataList>();
  assert.equal(meta.kind, 'PartialObjectMetadataList');
  assert.deepEqual(Object.keys(meta.items[0]!), ['kind', 'apiVersion', 'metadata']);
  const watch = await openWatch(http, `${CMS}?watch=true&fieldSelector=metadata.name%3Dl1`, { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' });
  const frame = (await watch.next())?.object as unknown as Table;
  assert.equal(frame.kind, 'Table');
  assert.equal(frame.rows.length, 1);
  watch.close();
});

test('answers come as YAML and protobuf, and 406 when nothing fits', async () => {
  assert.match((await http.get(`${CMS}/l1`, { accept: 'application/yaml' })).text, /^apiVersion: v1\n/);
  const protobuf = await http.get(`${CMS}/l1`, { accept: 'application/vnd.kubernetes.protobuf, application/json' });
  assert.equal(protobuf.headers['content-type'], 'application/vnd.kubernetes.protobuf');
  assert.equal((decodeObject(protobuf.bytes)['metadata'] as { name: string }).name, 'l1');
  for (const [path, kind] of [['/api', 'APIVersions'], ['/apis', 'APIGroupList'], ['/apis/apps', 'APIGroup'], ['/apis/apps/v1', 'APIResourceList']]) {
    const { code, bytes, text } = await http.get(path!, { accept: 'application/vnd.kubernetes.protobuf' });
    assert.equal(code, 200, text);
    assert.equal(decodeEnvelope(bytes).kind, kind);
  }
  const list = decodeObject((await http.get(`${CMS}?limit=2`, { accept: 'application/vnd.kubernetes.protobuf' })).bytes);
  assert.equal((list['items'] as unknown[]).length, 2);
  const no = await http.get(CMS, { accept: 'text/html' });
  assert.equal(no.code, 406);
  assert.equal(no.status.message, '406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/vnd.kubernetes.protobuf, application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch');
  const yaml = await http.post(CMS, 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: from-yaml}\n', { 'content-type': 'application/yaml' });
  assert.equal(yaml.code, 201);
});

test('large answers are compressed for clients that can read it', async () => {
  await http.post(CMS, cm('large', {}, { text: 'x'.repeat(200_000) }));
  const packed = await http.get(`${CMS}/large`, { 'accept-encoding': 'gzip' });
  assert.equal(packed.headers['content-encoding'], 'gzip');
  assert.equal((JSON.parse(gunzipSync(packed.bytes).toString()) as { metadata: { name: string } }).metadata.name, 'large');
  assert.equal((await http.get(`${CMS}/large`)).headers['content-encoding'], undefined);
  assert.equal((await http.get(`${CMS}/l1`, { 'accept-encoding': 'gzip' })).headers['content-encoding'], undefined);
});

test('discovery comes in its old form and aggregated, with an ETag', async () => {
  assert.deepEqual((await http.get('/api')).json<{ versions: string[] }>().versions, ['v1']);
  const groups = (await http.get('/apis')).json<{ groups: { name: string }[] }>().groups.map((g) => g.name);
  assert.ok(groups.includes('apps') && !groups.includes(''));
  const resources = (await http.get('/api/v1')).json<{ resources: { name: string }[] }>().resources.map((r) => r.name);
  assert.ok(resources.includes('pods') && resources.includes('pods/log'));
  assert.equal((await http.get('/apis/apps')).json<{ preferredVersion: { version: string } }>().preferredVersion.version, 'v1');
  const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json';
  const aggregated = await http.get('/apis', { accept });
  assert.equal(aggregated.headers['content-type'], 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList');
  assert.equal((await http.get('/apis', { accept, 'if-none-match': aggregated.headers.etag! })).code, 304);
  const old = await http.get('/api', { accept: 'application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList' });
  assert.equal(old.json<{ apiVersion: string }>().apiVersion, 'apidiscovery.k8s.io/v2beta1');
});

test('the server is ready when every part of its start is done, the cluster\'s own objects too', async () => {
  const own = await startServer({ awaitsBootstrap: true, aggregation: (pki) => ({ identity: () => pki.frontProxyClient, resolver: () => ({ resolve: () => ({ host: '127.0.0.1', port: 1 }) }) }) });
  const requests = new Requests(own);
  try {
    // APIServices of what is served come by and by.
    const path = '/readyz?verbose&exclude=autoregister-completion';
    const before = await requests.get(path);
    assert.equal(before.code, 500);
    assert.deepEqual(before.text.split('\n').filter((line) => line.startsWith('[-]poststarthook/')).length, 6, before.text);
    assert.match(before.text, /^\[-\]poststarthook\/rbac\/bootstrap-roles failed: reason withheld$/m);
    own.server.bootstrapped();
    const ready = await requests.get(path);
    assert.equal(ready.code, 200, ready.text);
    for (const hook of ['rbac/bootstrap-roles', 'generic-apiserver-start-informers', 'crd-informer-synced', 'apiservice-registration-controller']) assert.ok(ready.text.includes(`[+]poststarthook/${hook} ok\n`), hook);
  } finally {
    requests.close();
    await own.close();
  }
});

test('version, health, metrics and OpenAPI are served', async () => {
  assert.equal((await http.get('/version')).json<{ minor: string }>().minor, '36');
  assert.equal((await http.get('/healthz')).text, 'ok');
  assert.match((await http.get('/readyz?verbose')).text, /^\[\+\]ping ok\n[^]*readyz check passed\n$/);
  assert.equal((await http.get('/livez/ping')).text, 'ok');
  assert.equal((await http.get('/livez/nothing')).code, 404);
  const slis = (await http.get('/metrics/slis')).text;
  assert.match(slis, /^kubernetes_healthcheck\{name="etcd",type="readyz"\} 1$/m);
  assert.match(slis, /^kubernetes_healthchecks_total\{name="ping",type="healthz",status="success"\} \d+$/m);
  assert.equal((await http.get('/metrics/nothing')).code, 404);
  const metrics = (await http.get('/metrics')).text;
  assert.match(metrics, /apiserver_request_total\{verb="POST",group="",version="v1",resource="configmaps",subresource="",scope="resource",component="apiserver",dry_run="",code="201",system_client=""\} \d+/);
  assert.match(metrics, /^kubernetes_build_info\{[^}]*git_version="v1\.36[^}]*\} 1$/m);
  assert.match(metrics, /^apiserver_storage_objects\{resource="configmaps"\} \d+$/m);
  assert.match(metrics, /^apiserver_storage_events_received_total\{group="",resource="configmaps"\} [1-9]\d*$/m);
  assert.match((await http.get('/statusz')).text, /^\napiserver statusz\n/);
  assert.match((await http.get('/flagz')).text, /^\napiserver flagz\n/);
  assert.match(metrics, /apiserver_request_duration_seconds_bucket\{verb="GET"/);
  const index = (await http.get('/openapi/v3')).json<{ paths: Record<string, { serverRelativeURL: string }> }>();
  const document = await http.get(index.paths['apis/apps/v1']!.serverRelativeURL);
  assert.match(document.headers['cache-control']!, /immutable/);
  assert.ok('/apis/apps/v1/namespaces/{namespace}/deployments' in document.json<{ paths: object }>().paths);
  assert.equal((await http.get('/openapi/v3/apis/apps/v1?hash=stale')).code, 301);
});
