/** A second API server behind the first, as extension servers are: over TLS, believing the front proxy. */
import assert from 'node:assert/strict';
import { createServer, get, type Server } from 'node:https';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import type { APIService, APIServiceList } from '#api/gen/apiregistration-v1.ts';
import type { KubeList } from '#api/object.ts';
import { systemClock } from '#base/clock.ts';
import { createAuthority, issueLeaf, type KeyPair } from '#cluster/pki.ts';
import { startServer, type Fixture } from './fixture.ts';
import { Requests } from './requests.ts';

const SERVICES = '/apis/apiregistration.k8s.io/v1/apiservices';
const MERGE = { 'content-type': 'application/merge-patch+json' };
const FLUNDERS = { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: 'wardle.example.com/v1', resources: [{ name: 'flunders', singularName: 'flunder', namespaced: true, kind: 'Flunder', verbs: ['get', 'list'], shortNames: ['fl'] }, { name: 'flunders/status', singularName: '', namespaced: true, kind: 'Flunder', verbs: ['get'] }] };

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly commonName: string;
  readonly body: string;
}
let fixture: Fixture;
let http: Requests;
let backend: Server;
let authority: KeyPair;
let port = 0;
const seen: Seen[] = [];
let broken = false;

before(async () => {
  authority = await createAuthority('extension-ca', systemClock);
  const { cert, key } = await issueLeaf(authority, { commonName: 'extension', dnsNames: ['wardle.default.svc'], usages: ['server auth'] }, systemClock);
  fixture = await startServer({ aggregation: (pki) => ({ identity: () => pki.frontProxyClient, resolver: () => ({ resolve: () => ({ host: '127.0.0.1', port }) }) }) });
  http = new Requests(fixture);
  backend = createServer({ cert, key, requestCert: true, ca: fixture.pki.frontProxyCa.cert, rejectUnauthorized: false }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const socket = request.socket as TLSSocket;
      const peer = socket.authorized ? String(socket.getPeerCertificate().subject.CN) : '';
      const url = request.url!;
      seen.push({ method: request.method!, url, headers: request.headers, commonName: peer, body: Buffer.concat(chunks).toString() });
      const json = (code: number, value: unknown): void => void response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(value));
      if (broken) return json(500, {});
      if (url === '/apis/wardle.example.com/v1') return json(200, FLUNDERS);
      if (url === '/openapi/v3/apis/wardle.example.com/v1') return json(200, { openapi: '3.0.0', info: { title: 'wardle', version: '1' }, paths: {} });
      if (url === '/openapi/v2') return json(200, { swagger: '2.0', paths: { '/apis/wardle.example.com/v1/flunders': {}, '/version': {} }, definitions: { 'com.example.Flunder': {} } });
      if (url.startsWith('/apis/wardle.example.com/v1/namespaces/default/flunders')) {
        return json(request.method === 'POST' ? 201 : 200, { kind: 'FlunderList', apiVersion: 'wardle.example.com/v1', metadata: {}, items: [{ metadata: { name: 'f' } }] });
      }
      return json(404, { kind: 'Status', status: 'Failure', code: 404, reason: 'NotFound', message: 'not here' });
    });
  });
  await new Promise<void>((resolve) => void backend.listen(0, '127.0.0.1', resolve));
  port = (backend.address() as AddressInfo).port;
});
after(async () => {
  http.close();
  await fixture.close();
  backend.closeAllConnections();
  await new Promise((resolve) => backend.close(resolve));
});

async function until<T>(what: string, read: () => Promise<T | undefined>): Promise<T> {
  const end = performance.now() + 20_000;
  for (;;) {
    const found = await read();
    if (found !== undefined) return found;
    if (performance.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
const conditionOf = async (reason: string) =>
  until(reason, async () => (await http.get(`${SERVICES}/v1.wardle.example.com`)).json<APIService>().status?.conditions?.find((c) => c.type === 'Available' && c.reason === reason));

test('groups of the server itself have local APIServices, which come back when deleted', async () => {
  const find = async (name: string) => (await http.get(`${SERVICES}/${name}`)).json<APIService>();
  await until('all', async () => ((await http.get(SERVICES)).json<APIServiceList>().items.length > 20 ? true : undefined));
  await until('the health check', async () => ((await http.get('/readyz/autoregister-completion')).text === 'ok' ? true : undefined));
  const apps = await find('v1.apps');
  assert.deepEqual([apps.spec, apps.metadata.labels], [{ group: 'apps', version: 'v1', groupPriorityMinimum: 17800, versionPriority: 15 }, { 'kube-aggregator.kubernetes.io/automanaged': 'onstart' }]);
  assert.deepEqual(apps.status?.conditions?.map(({ type, status, reason, message }) => [type, status, reason, message]), [['Available', 'True', 'Local', 'Local APIServices are always available']]);
  assert.equal((await find('v1.')).spec.groupPriorityMinimum, 18000);
  await http.call('DELETE', `${SERVICES}/v1.apps`);
  await until('its return', async () => ((await http.get(`${SERVICES}/v1.apps`)).code === 200 ? true : undefined));
});

test('an APIService says why its server cannot be reached, step by step', async () => {
  const spec = { group: 'wardle.example.com', version: 'v1', groupPriorityMinimum: 1000, versionPriority: 15, caBundle: Buffer.from(authority.cert).toString('base64'), service: { namespace: 'default', name: 'wardle', port: 443 } };
  assert.equal((await http.post(SERVICES, { apiVersion: 'apiregistration.k8s.io/v1', kind: 'APIService', metadata: { name: 'v1.wardle.example.com' }, spec })).code, 201);
  assert.equal((await conditionOf('ServiceNotFound')).message, 'service/wardle in "default" is not present');
  const refused = await http.get('/apis/wardle.example.com/v1/namespaces/default/flunders');
  assert.deepEqual([refused.code, refused.text], [503, 'service unavailable\n']);
  await http.post('/api/v1/namespaces/default/services', { metadata: { name: 'wardle' }, spec: { clusterIP: '10.96.3.4', ports: [{ name: 'other', port: 80 }] } });
  assert.equal((await conditionOf('ServicePortError')).message, 'service/wardle in "default" is not listening on port 443');
  await http.call('PATCH', '/api/v1/namespaces/default/services/wardle', { body: { spec: { ports: [{ name: 'https', port: 443 }] } }, headers: MERGE });
  assert.equal((await conditionOf('EndpointsNotFound')).message, 'cannot find endpointslices for service/wardle in "default"');
  const slice = { metadata: { name: 'wardle-1', labels: { 'kubernetes.io/service-name': 'wardle' } }, addressType: 'IPv4', ports: [{ name: 'https', port: 443 }], endpoints: [] as unknown[] };
  await http.post('/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', slice);
  assert.match((await http.get('/metrics')).text, /aggregator_unavailable_apiservice\{name="v1\.wardle\.example\.com"\} 1/);
  assert.equal((await conditionOf('MissingEndpoints')).message, 'endpointslices for service/wardle in "default" have no addresses with port name "https"');
  broken = true;
  await http.call('PUT', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/wardle-1', { body: { ...slice, endpoints: [{ addresses: ['10.1.2.3'] }] } });
  const url = `https://127.0.0.1:${port}/apis/wardle.example.com/v1`;
  assert.equal((await conditionOf('FailedDiscoveryCheck')).message, `failing or missing response from ${url}: bad status from ${url}: 500`);
  broken = false;
  await http.call('PATCH', '/api/v1/namespaces/default/services/wardle', { body: { metadata: { labels: { again: '1' } } }, headers: MERGE });
  assert.equal((await conditionOf('Passed')).message, 'all checks passed');
});

/** The path as it is: URL takes dots out. */
function codeOf(path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const { port: to } = new URL(fixture.url);
    get({ host: '127.0.0.1', port: to, path, agent: false, ...http.tls }, (response) => resolve(response.resume().statusCode!)).on('error', reject);
  });
}

test('requests are passed on as they came, with the front proxy saying who asks', async () => {
  seen.length = 0;
  const passed = await http.call('POST', '/apis/wardle.example.com/v1/namespaces/default/flunders?fieldManager=x%20y', { body: { a: 1 }, headers: { authorization: 'Bearer secret', 'x-remote-user': 'somebody', 'x-remote-extra-evil': '1', 'x-custom': 'kept' } });
  assert.equal(passed.code, 201);
  const request = seen.at(-1)!;
  assert.deepEqual([request.method, request.url, request.body, request.commonName], ['POST', '/apis/wardle.example.com/v1/namespaces/default/flunders?fieldManager=x%20y', '{"a":1}', 'front-proxy-client']);
  assert.equal(request.headers['x-remote-user'], 'kubernetes-admin');
  assert.match(String(request.headers['x-remote-group']), /system:masters/);
  assert.deepEqual([request.headers['x-remote-extra-evil'], request.headers['authorization']], [undefined, undefined]);
  assert.equal(request.headers['x-custom'], 'kept');
  for (const dots of ['..', '%2e%2e']) assert.equal(await codeOf(`/apis/wardle.example.com/v1/namespaces/default/${dots}/${dots}/healthz`), 404);
  assert.equal((await http.call('GET', '/apis/wardle.example.com/v1/flunders', { anonymous: true })).code, 403);
});

test('calls of the process get objects, and refusals as what they are', async () => {
  const resource = { group: 'wardle.example.com', version: 'v1', plural: 'flunders', namespaced: true };
  const me = { user: { name: 'system:hpa', groups: ['system:masters'], extra: { 'a/b': ['c'] } }, userAgent: 'hpa' };
  const list = (await fixture.server.call({ verb: 'list', resource, namespace: 'default' }, me)) as KubeList;
  assert.equal(list.items[0]!.metadata.name, 'f');
  assert.deepEqual([seen.at(-1)!.headers['x-remote-user'], seen.at(-1)!.headers['x-remote-extra-a%2fb']], ['system:hpa', 'c']);
  await assert.rejects(fixture.server.call({ verb: 'list', resource, namespace: 'other' }, me), /not here/);
});

test('discovery and OpenAPI show what the other server has', async () => {
  const groups = (await http.get('/apis')).json<{ groups: { name: string }[] }>().groups.map((g) => g.name);
  assert.ok(groups.includes('wardle.example.com'));
  const aggregated = (await http.get('/apis', { accept: 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList' })).json<{ items: { metadata: { name?: string }; versions: unknown[] }[] }>();
  assert.deepEqual(aggregated.items.find((i) => i.metadata.name === 'wardle.example.com')?.versions, [{
    version: 'v1',
    resources: [{ resource: 'flunders', responseKind: { group: 'wardle.example.com', version: 'v1', kind: 'Flunder' }, scope: 'Namespaced', singularResource: 'flunder', verbs: ['get', 'list'], shortNames: ['fl'], subresources: [{ subresource: 'status', responseKind: { group: 'wardle.example.com', version: 'v1', kind: 'Flunder' }, verbs: ['get'] }] }],
    freshness: 'Current',
  }]);
  assert.equal((await http.get('/openapi/v3/apis/wardle.example.com/v1')).json<{ info: { title: string } }>().info.title, 'wardle');
  assert.ok((await http.get('/openapi/v3')).json<{ paths: object }>().paths && 'apis/wardle.example.com/v1' in (await http.get('/openapi/v3')).json<{ paths: object }>().paths);
  const v2 = (await http.get('/openapi/v2')).json<{ paths: object; definitions: object }>();
  assert.ok('/apis/wardle.example.com/v1/flunders' in v2.paths && 'com.example.Flunder' in v2.definitions);
  const protobuf = await http.get('/openapi/v2', { accept: 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf' });
  assert.match(String(protobuf.headers['content-type']), /proto-openapi/);
  assert.ok(['/apis/wardle.example.com/v1/flunders', 'com.example.Flunder', '/api/v1/pods'].every((text) => protobuf.bytes.includes(text)), 'old clients see it in protobuf');
});

test('groups and versions come in the order of their priorities', async () => {
  const namesOf = async (): Promise<string[]> => (await http.get('/apis')).json<{ groups: { name: string }[] }>().groups.map((g) => g.name);
  const around = async (name: string): Promise<(string | undefined)[]> => {
    const names = await namesOf();
    return [names[names.indexOf(name) - 1], names[names.indexOf(name) + 1]];
  };
  assert.deepEqual((await namesOf()).slice(0, 3), ['apiregistration.k8s.io', 'apps', 'events.k8s.io']);
  assert.deepEqual(await around('wardle.example.com'), ['flowcontrol.apiserver.k8s.io', undefined]);
  assert.equal((await http.call('PATCH', `${SERVICES}/v1.wardle.example.com`, { body: { spec: { groupPriorityMinimum: 17790 } }, headers: MERGE })).code, 200);
  await until('its new place', async () => ((await around('wardle.example.com'))[0] === 'apps' ? true : undefined));
  const spec = { group: 'wardle.example.com', version: 'v2', groupPriorityMinimum: 10, versionPriority: 10, insecureSkipTLSVerify: true, service: { namespace: 'default', name: 'nobody' } };
  assert.equal((await http.post(SERVICES, { apiVersion: 'apiregistration.k8s.io/v1', kind: 'APIService', metadata: { name: 'v2.wardle.example.com' }, spec })).code, 201);
  const group = await until('both versions', async () => {
    const found = (await http.get('/apis/wardle.example.com')).json<{ versions: { version: string }[]; preferredVersion: { version: string } }>();
    return found.versions.length === 2 ? found : undefined;
  });
  assert.deepEqual([group.versions.map((v) => v.version), group.preferredVersion.version], [['v1', 'v2'], 'v1'], 'a later version with a lower priority is not preferred');
  await until('both in the aggregated form', async () => {
    const { items } = (await http.get('/apis', { accept: 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList' })).json<{ items: { metadata: { name: string }; versions: { version: string; freshness: string }[] }[] }>();
    const place = items.findIndex((i) => i.metadata.name === 'wardle.example.com');
    assert.equal(items[place - 1]!.metadata.name, 'apps');
    return items[place]!.versions.map((v) => `${v.version} ${v.freshness}`).join() === 'v1 Current,v2 Stale' ? true : undefined;
  });
  await http.call('DELETE', `${SERVICES}/v2.wardle.example.com`);
  await http.call('DELETE', `${SERVICES}/v1.wardle.example.com`);
  await until('its end', async () => ((await http.get('/apis/wardle.example.com/v1')).code === 404 ? true : undefined));
});
