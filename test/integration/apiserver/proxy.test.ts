/** The proxy subresource and the other ways to a node, over real connections to a server that stands for a kubelet. */
import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { newNodeProxy } from '#cluster/node-proxy.ts';
import { dialWebSocket } from '#machinery/httpstream/websocket.ts';
import { startServer, type Fixture } from './fixture.ts';
import { Requests } from './requests.ts';

let fixture: Fixture;
let http: Requests;
let target: Server;
let proxy: ReturnType<typeof newNodeProxy>;
const PROXY = '/api/v1/nodes/up/proxy';
const PAGE = '<html><a href="/rewriteme">test</a></html>';

before(async () => {
  fixture = await startServer({ nodeProxy: { send: (...args) => proxy.send(...args), upgrade: (...args) => proxy.upgrade(...args), forward: (...args) => proxy.forward(...args) } });
  http = new Requests(fixture);
  const { apiServer, ca, clients } = fixture.pki;
  proxy = newNodeProxy({ ca: ca.cert, cert: clients.admin.cert, key: clients.admin.key });
  target = createServer({ cert: apiServer.cert, key: apiServer.key }, (request, response) => {
    const { pathname } = new URL(request.url!, 'https://x');
    if (pathname === '/page') return void response.setHeader('content-type', 'text/html; charset=utf-8').setHeader('access-control-allow-origin', '*').end(PAGE);
    if (pathname === '/packed') return void response.setHeader('content-type', 'text/html').setHeader('content-encoding', 'gzip').end(gzipSync(PAGE));
    if (pathname === '/moved') return void response.writeHead(302, { location: '/page' }).end();
    const { authorization, 'x-forwarded-uri': uri } = request.headers;
    request.setEncoding('utf8');
    let body = '';
    request.on('data', (text: string) => (body += text));
    request.on('end', () => response.end(JSON.stringify({ method: request.method, url: request.url, uri, authorization, body })));
  });
  await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve));
  for (const [name, port] of [['up', (target.address() as AddressInfo).port], ['down', 1]] as const) {
    const status = { addresses: [{ type: 'InternalIP', address: '127.0.0.1' }], daemonEndpoints: { kubeletEndpoint: { Port: port } } };
    await http.post('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name }, status });
  }
  await http.post('/api/v1/namespaces/default/pods', { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'lost' }, spec: { nodeName: 'down', containers: [{ name: 'a', image: 'x' }] } });
});
after(async () => {
  http.close();
  proxy.close();
  target.close();
  target.closeAllConnections();
  await fixture.close();
});

test('every method passes, with its path, query and body', async () => {
  for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
    const sent = method === 'GET' || method === 'OPTIONS' ? {} : { body: 'sent', headers: { 'content-type': 'text/plain', authorization: 'Bearer x' } };
    const answer = await http.call(method, `${PROXY}/some/path?method=${method}`, sent);
    assert.equal(answer.code, 200, answer.text);
    assert.deepEqual(answer.json(), { method, url: `/some/path?method=${method}`, uri: `${PROXY}/some/path`, body: 'body' in sent ? 'sent' : '' });
  }
  assert.equal((await http.call('HEAD', `${PROXY}/some/path`)).code, 200);
});

test('without its slash the proxy is a redirect for reads, and the root for the rest', async () => {
  for (const method of ['GET', 'HEAD']) {
    const answer = await http.call(method, `${PROXY}?a=b`);
    assert.deepEqual([answer.code, answer.headers.location], [301, `${PROXY}/?a=b`]);
  }
  assert.equal((await http.get(`${PROXY}/`)).json<{ url: string }>().url, '/');
  assert.equal((await http.call('DELETE', PROXY)).json<{ url: string }>().url, '/');
});

test('links of pages and redirects lead through the proxy', async () => {
  const seen = PAGE.replace('/rewriteme', `${PROXY}/rewriteme`);
  const page = await http.get(`${PROXY}/page`);
  assert.equal(page.text, seen);
  assert.equal(page.headers['access-control-allow-origin'], undefined);
  assert.equal(gunzipSync((await http.get(`${PROXY}/packed`)).bytes).toString(), seen);
  const moved = await http.get(`${PROXY}/moved`);
  assert.deepEqual([moved.code, moved.headers.location], [302, `${PROXY}/page`]);
});

test('a target that cannot be reached is told of in upstream\'s words', async () => {
  const refused = await http.get('/api/v1/nodes/down/proxy/x');
  assert.deepEqual([refused.code, refused.status.reason, refused.status.message], [503, 'ServiceUnavailable', 'error trying to reach service: dial tcp 127.0.0.1:1: connect: connection refused']);
  const log = await http.get('/api/v1/namespaces/default/pods/lost/log');
  assert.deepEqual([log.code, log.status.reason, log.status.message], [500, undefined, 'Get "https://127.0.0.1:1/containerLogs/default/lost/a": dial tcp 127.0.0.1:1: connect: connection refused']);
  const exec = await http.call('POST', '/api/v1/namespaces/default/pods/lost/exec?command=x&stdout=true', { headers: { connection: 'Upgrade', upgrade: 'SPDY/3.1' } });
  assert.deepEqual([exec.code, exec.status.message], [500, 'error dialing backend: dial tcp 127.0.0.1:1: connect: connection refused']);
});

/** All messages of a WebSocket until it closes, or `count` of them. */
async function messages(path: string, protocols: string[], count = Infinity): Promise<{ protocol: string; text: string[]; binary: boolean[] }> {
  const { ca, cert, key } = http.tls;
  const { ws, protocol } = await dialWebSocket(new URL(`${fixture.url}${path}`), { protocols, tls: { ca, cert, key } });
  const text: string[] = [];
  const binary: boolean[] = [];
  await new Promise<void>((resolve) => {
    ws.on('message', (data: Buffer, isBinary: boolean) => {
      text.push(data.toString());
      binary.push(isBinary);
      if (text.length === count) resolve();
    });
    ws.once('close', () => resolve());
    ws.resume();
  });
  ws.terminate();
  return { protocol, text, binary };
}

test('a log comes over a WebSocket, plain or in base64, after an empty message', async () => {
  const LOG = '/api/v1/namespaces/default/pods/found/log';
  await http.post('/api/v1/namespaces/default/pods', { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'found' }, spec: { nodeName: 'up', containers: [{ name: 'a', image: 'x' }] } });
  const answer = '{"method":"GET","url":"/containerLogs/default/found/a","body":""}';
  assert.deepEqual(await messages(LOG, []), { protocol: '', text: ['', answer], binary: [true, true] });
  assert.deepEqual(await messages(LOG, ['binary.k8s.io']), { protocol: 'binary.k8s.io', text: ['', answer], binary: [true, true] });
  assert.deepEqual(await messages(LOG, ['base64.binary.k8s.io']), { protocol: 'base64.binary.k8s.io', text: ['', Buffer.from(answer).toString('base64')], binary: [false, false] });
});

test('a watch comes over a WebSocket, an event a message', async () => {
  const NODES = '/api/v1/nodes';
  const { text, binary } = await messages(`${NODES}?watch=true`, [], 2);
  assert.deepEqual(binary, [false, false]);
  assert.deepEqual(text.map((line) => (JSON.parse(line) as { object: { metadata: { name: string } } }).object.metadata.name).toSorted(), ['down', 'up']);
});
