import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import type { KubeList, KubeObject } from '#api/object.ts';
import { WebhookClient } from '#apiserver/webhook/client.ts';
import { systemClock } from '#base/clock.ts';
import { openMemoryStore } from '#store/memory.ts';
import { startServer, type Fixture } from './fixture.ts';
import { openWatch, Requests } from './requests.ts';

const store = openMemoryStore();
const resolver = { resolve: () => { throw new Error('there are no services here'); } };
let fixture: Fixture;
let http: Requests;
let webhook: Server;
let reviews = 0;
/** `spec.host` and `spec.port` of v1 are `spec.address` in v2. */
function convert(object: KubeObject & { spec?: Record<string, unknown> }, to: string): object {
  const { host, port, address, ...rest } = object.spec ?? {};
  const spec = to.endsWith('/v2') ? { ...rest, address: `${String(host)}:${String(port)}` } : { ...rest, host: String(address).split(':')[0], port: Number(String(address).split(':')[1]) };
  return { ...object, apiVersion: to, spec };
}
const start = (): Promise<Fixture> => startServer({ store, conversionWebhooks: () => new WebhookClient({ resolver, clock: systemClock }) });
const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const V1 = '/apis/example.com/v1/namespaces/default/endpoints2s';
const V2 = '/apis/example.com/v2/namespaces/default/endpoints2s';
const S = { type: 'string' };
const shape = (properties: object) => ({ openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', properties: { note: S, ...properties } } } } });
const definition = (storage: 'v1' | 'v2') => ({
  apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata: { name: 'endpoints2s.example.com' },
  spec: {
    group: 'example.com', scope: 'Namespaced', names: { plural: 'endpoints2s', kind: 'Endpoint2' },
    versions: [
      { name: 'v1', served: true, storage: storage === 'v1', schema: shape({ host: S, port: { type: 'integer' } }), selectableFields: [{ jsonPath: '.spec.host' }] },
      { name: 'v2', served: true, storage: storage === 'v2', schema: shape({ address: S }), selectableFields: [{ jsonPath: '.spec.address' }] },
    ],
    conversion: {
      strategy: 'Webhook',
      webhook: { conversionReviewVersions: ['v1'], clientConfig: { url: `https://127.0.0.1:${(webhook.address() as AddressInfo).port}/convert`, caBundle: Buffer.from(fixture.pki.ca.cert).toString('base64') } },
    },
  },
});
async function served(path: string): Promise<void> {
  const name = 'endpoints2s.example.com';
  const watch = await openWatch(http, `${CRDS}?watch=true&fieldSelector=metadata.name=${name}`);
  for (;;) {
    const event = await watch.next();
    const { status } = event!.object as unknown as { status?: { conditions?: { type: string; status: string }[] } };
    if (status?.conditions?.some((c) => c.type === 'Established' && c.status === 'True')) break;
  }
  watch.close();
  assert.equal((await http.get(path)).code, 200);
}

before(async () => {
  fixture = await start();
  http = new Requests(fixture);
  webhook = createServer({ cert: fixture.pki.apiServer.cert, key: fixture.pki.apiServer.key }, (req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (c: Buffer) => chunks.push(c));
    req.on('end', () => {
      reviews++;
      const { request, apiVersion } = JSON.parse(Buffer.concat(chunks).toString()) as { apiVersion: string; request: { uid: string; desiredAPIVersion: string; objects: (KubeObject & { spec?: Record<string, unknown> })[] } };
      const bad = request.objects.find((o) => o.spec?.['note'] === 'fail');
      const response = bad ? { uid: request.uid, result: { status: 'Failure', message: 'cannot convert this one' } } : { uid: request.uid, result: { status: 'Success' }, convertedObjects: request.objects.map((o) => convert(o, request.desiredAPIVersion)) };
      res.end(JSON.stringify({ apiVersion, kind: 'ConversionReview', response }));
    });
  });
  await new Promise<void>((resolve) => webhook.listen(0, '127.0.0.1', resolve));
});
after(async () => {
  http.close();
  await fixture.close();
  webhook.closeAllConnections();
  await new Promise((resolve) => webhook.close(resolve));
});

test('a webhook converts what is read, listed, watched and written in another version', async () => {
  assert.equal((await http.post(CRDS, definition('v1'))).code, 201);
  await served(V1);
  const watch = await openWatch(http, `${V2}?watch=true&resourceVersion=${(await http.get(V2)).json<KubeList>().metadata.resourceVersion}`);
  const made = await http.post(V1, { apiVersion: 'example.com/v1', kind: 'Endpoint2', metadata: { name: 'a', labels: { l: '1' } }, spec: { host: 'h', port: 80 } });
  assert.equal(made.code, 201, made.text);
  const event = await watch.next();
  assert.deepEqual([event?.object.apiVersion, event?.object['spec']], ['example.com/v2', { address: 'h:80' }]);
  watch.close();
  const got = await http.get(`${V2}/a`);
  assert.deepEqual([got.json()['spec'], got.json().metadata.uid], [{ address: 'h:80' }, made.json().metadata.uid]);
  assert.equal(reviews, 1, 'a revision is converted once');
  const created = await http.post(V2, { apiVersion: 'example.com/v2', kind: 'Endpoint2', metadata: { name: 'b' }, spec: { address: 'x:1' } });
  assert.deepEqual([created.code, created.json()['spec']], [201, { address: 'x:1' }]);
  assert.deepEqual((await http.get(`${V1}/b`)).json()['spec'], { host: 'x', port: 1 });
  const list = (await http.get(`${V2}?labelSelector=l=1`)).json<KubeList<KubeObject & { spec: object }>>();
  assert.deepEqual(list.items.map((o) => [o.metadata.name, o.spec]), [['a', { address: 'h:80' }]]);
  const patched = await http.call('PATCH', `${V2}/a`, { body: { spec: { address: 'h:81' } }, headers: { 'content-type': 'application/merge-patch+json' } });
  assert.deepEqual([patched.code, (await http.get(`${V1}/a`)).json()['spec']], [200, { host: 'h', port: 81 }]);
});

test('a selection is of the version that is asked for, also where its fields come from the webhook', async () => {
  const list = async (path: string) => (await http.get(path)).json<KubeList>().items.map((o) => o.metadata.name);
  const selected = `${V2}?fieldSelector=spec.address=h:90`;
  const watch = await openWatch(http, `${selected}&watch=true&resourceVersion=${(await http.get(V2)).json<KubeList>().metadata.resourceVersion}`);
  const put = async (name: string, port: number) => {
    const answer = await http.call('PATCH', `${V1}/${name}?fieldManager=t`, { body: { apiVersion: 'example.com/v1', kind: 'Endpoint2', spec: { host: 'h', port } }, headers: { 'content-type': 'application/apply-patch+yaml' } });
    assert.ok(answer.code < 300, answer.text);
  };
  for (const [name, port] of [['s1', 90], ['s2', 91], ['s1', 92], ['s2', 90]] as const) await put(name, port);
  assert.deepEqual(await list(selected), ['s2']);
  assert.deepEqual(await list(`${V1}?fieldSelector=spec.host=h&limit=10`), ['a', 's1', 's2']);
  await http.call('DELETE', `${V1}/s2`);
  await http.call('DELETE', `${V1}/s1`);
  const seen = [];
  for (let i = 0; i < 4; i++) {
    const { type, object } = (await watch.next())!;
    seen.push([type, object.metadata.name, object['spec']]);
  }
  watch.close();
  const spec = { address: 'h:90' };
  assert.deepEqual(seen, [['ADDED', 's1', spec], ['DELETED', 's1', spec], ['ADDED', 's2', spec], ['DELETED', 's2', spec]]);
});

test('a conversion that fails is told', async () => {
  await http.post(V1, { apiVersion: 'example.com/v1', kind: 'Endpoint2', metadata: { name: 'c' }, spec: { host: 'h', port: 80, note: 'fail' } });
  const got = await http.get(`${V2}/c`);
  assert.deepEqual([got.code, got.status.message], [500, 'Internal error occurred: conversion webhook for example.com/v1, Kind=Endpoint2 failed: cannot convert this one']);
  assert.equal((await http.call('DELETE', `${V1}/c`)).code, 200);
});

test('the storage version can change, and a write that changes nothing migrates', async () => {
  const current = (await http.get(`${CRDS}/endpoints2s.example.com`)).json();
  const changed = await http.call('PUT', `${CRDS}/endpoints2s.example.com`, { body: { ...current, spec: { ...(current['spec'] as object), versions: definition('v2').spec.versions } } });
  assert.equal(changed.code, 200, changed.text);
  assert.deepEqual((changed.json()['status'] as { storedVersions: string[] }).storedVersions, ['v1', 'v2']);
  const stored = async (): Promise<string> => (JSON.parse((await store.get('/registry/example.com/endpoints2s/default/a'))!.value.toString()) as KubeObject).apiVersion!;
  assert.equal(await stored(), 'example.com/v1');
  for (;;) {
    const object = (await http.get(`${V2}/a`)).json();
    const put = await http.call('PUT', `${V2}/a`, { body: object });
    assert.equal(put.code, 200, put.text);
    if ((await stored()) === 'example.com/v2') break;
  }
  assert.deepEqual((await http.get(`${V1}/a`)).json()['spec'], { host: 'h', port: 81 });
});

test('custom resources are there again after a restart', async () => {
  http.close();
  await fixture.close();
  fixture = await start();
  http = new Requests(fixture);
  const got = await http.get(`${V2}/a`);
  assert.deepEqual([got.code, got.json()['spec']], [200, { address: 'h:81' }]);
});
