import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as http2Connect } from 'node:http2';
import { connect as tcpConnect } from 'node:net';
import { after, before, test } from 'node:test';
import { connect as tlsConnect } from 'node:tls';
import { startServer, type Fixture } from './fixture.ts';
import { Requests } from './requests.ts';

let fixture: Fixture;
let http: Requests;
before(async () => {
  fixture = await startServer({ bodyTimeoutMs: 500 });
  http = new Requests(fixture);
});
after(async () => {
  http.close();
  await fixture.close();
});
const CMS = '/api/v1/namespaces/default/configmaps';

/** Sends bytes and returns everything that comes back. */
function raw(text: string, options: { end?: boolean } = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = tlsConnect({ host: '127.0.0.1', port: fixture.server.port, ...http.tls, servername: 'localhost' }, () => {
      socket.write(text);
      if (options.end) socket.end();
    });
    let out = '';
    socket.on('data', (chunk: Buffer) => (out += chunk.toString()));
    socket.on('close', () => resolve(out));
    socket.on('error', (err) => (out === '' ? reject(err) : resolve(out)));
  });
}
const head = (method: string, path: string, ...lines: string[]) => `${method} ${path} HTTP/1.1\r\nHost: x\r\n${lines.map((l) => `${l}\r\n`).join('')}\r\n`;

test('a body over the limit is refused with 413, announced or not', async () => {
  const big = Buffer.alloc(3 * 1024 * 1024 + 1, 'x');
  const announced = await raw(head('POST', CMS, 'Content-Type: application/json', `Content-Length: ${big.length}`));
  assert.match(announced, /^HTTP\/1\.1 413 /);
  assert.match(announced, /"message":"Request entity too large: limit is 3145728"/);
  const session = http2Connect(fixture.url, http.tls);
  try {
    const code = await new Promise<number>((resolve, reject) => {
      const stream = session.request({ ':method': 'POST', ':path': CMS, 'content-type': 'application/json' });
      stream.on('response', (headers) => resolve(Number(headers[':status'])));
      stream.on('error', reject);
      stream.resume();
      stream.end(big);
    });
    assert.equal(code, 413);
  } finally {
    session.destroy();
  }
});

test('a client that speaks no TLS is counted', async () => {
  const count = async (): Promise<number> => Number(/^apiserver_tls_handshake_errors_total (\d+)$/m.exec((await http.get('/metrics')).text)?.[1]);
  const before = await count();
  const socket = tcpConnect({ host: '127.0.0.1', port: fixture.server.port });
  socket.on('error', () => {});
  socket.end('GET / HTTP/1.1\r\n\r\n');
  await once(socket.resume(), 'close');
  assert.equal(await count(), before + 1);
});

test('a body that does not come times out, one that is cut short changes nothing', async () => {
  const slow = await raw(head('POST', CMS, 'Content-Type: application/json', 'Content-Length: 100', 'Connection: close') + '{"a":');
  assert.match(slow, /^HTTP\/1\.1 504 /);
  assert.match(slow, /"kind":"Status"/);
  await raw(head('POST', CMS, 'Content-Type: application/json', 'Content-Length: 100') + '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"cut"}}', { end: true }).catch(() => '');
  assert.equal((await http.get(`${CMS}/cut`)).code, 404);
});

test('what is no request of ours gets a Status, or HTTP\'s own 400', async () => {
  assert.equal((await http.post(CMS, 'x', { 'content-type': 'text/plain' })).code, 415);
  assert.equal((await http.post(CMS, Buffer.from([0xff, 0xfe, 0x00]))).code, 400);
  assert.equal((await http.post(CMS, '')).code, 400);
  assert.equal((await http.post(CMS, '[]')).code, 400);
  assert.equal((await http.post(CMS, 'null')).code, 422);
  assert.equal((await http.post(CMS, `{"metadata":${'['.repeat(50_000)}`)).code, 400);
  assert.equal((await http.post(CMS, 'k8s\0broken', { 'content-type': 'application/vnd.kubernetes.protobuf' })).code, 400);
  assert.equal((await http.post(CMS, 'a: [', { 'content-type': 'application/yaml' })).code, 400);
  assert.equal((await http.get('/api/v1/%zz')).code, 400);
  assert.equal((await http.call('BREW' as 'POST', CMS).catch(() => ({ code: 400 }))).code, 400);
  assert.equal((await http.call('OPTIONS', CMS)).code, 405);
  assert.equal((await http.get(`${CMS}?limit=x`)).code, 400);
  assert.equal((await http.get(`${CMS}?timeoutSeconds=x&watch=1`)).code, 400);
  assert.equal((await http.get(`${CMS}?timeout=x`)).code, 400);
  assert.match(await raw('NONSENSE\r\n\r\n'), /^HTTP\/1\.1 400 /);
});

test('HEAD is GET without the body, but not for resources and discovery', async () => {
  for (const path of [CMS, '/api', '/version']) assert.equal((await http.call('HEAD', path)).code, 405, path);
  const answer = await http.call('HEAD', '/healthz');
  assert.equal(answer.code, 200);
  assert.equal(answer.text, '');
  assert.ok(Number(answer.headers['content-length']) > 0);
});

test('nobody gets in without credentials', async () => {
  for (const path of ['/api/v1/pods', '/api/v1/namespaces/default/secrets?watch=true', '/metrics', '/api/v1/namespaces/default/pods/x/log', '/no/such/path']) {
    const answer = await http.call('GET', path, { anonymous: true });
    assert.equal(answer.code, 403, path);
    assert.match(answer.status.message!, /User "system:anonymous" cannot /);
  }
  assert.equal((await http.call('GET', '/api/v1/pods', { anonymous: true, headers: { authorization: 'Bearer nonsense' } })).code, 401);
  const upgrade = await raw(head('GET', '/api/v1/namespaces/default/pods/x/exec?command=ls&stdout=1', 'Connection: Upgrade', 'Upgrade: SPDY/3.1', 'Authorization: Bearer nonsense').replace('Host: x', 'Host: x'));
  // The admin's certificate wins over the token: the request passes and finds no such Pod.
  assert.match(upgrade, /^HTTP\/1\.1 404 /);
  const list = (await http.call('GET', '/api/v1/namespaces/default/configmaps', { anonymous: true })).status;
  assert.equal(list.message, 'configmaps is forbidden: User "system:anonymous" cannot list resource "configmaps" in API group "" in the namespace "default"');
});

test('a client that resets its streams or goes away leaves nothing behind', async () => {
  const session = http2Connect(fixture.url, http.tls);
  await new Promise((resolve) => session.once('connect', resolve));
  const watches = Array.from({ length: 50 }, () => session.request({ ':path': `${CMS}?watch=true` }));
  await Promise.all(watches.map((w) => new Promise((resolve) => w.once('response', resolve))));
  for (const watch of watches.slice(0, 25)) watch.close(8);
  session.destroy();
  assert.equal((await http.get('/healthz')).code, 200);
  for (;;) {
    const open = /apiserver_longrunning_requests\{[^}]*resource="configmaps"[^}]*\} (\d+)/.exec((await http.get('/metrics')).text)?.[1];
    if (open === '0') break;
  }
});

test('a watch that is not read holds nobody up', async () => {
  const stuck = http2Connect(fixture.url, { ...http.tls, settings: { initialWindowSize: 1024 } });
  await new Promise((resolve) => stuck.once('connect', resolve));
  const stream = stuck.request({ ':path': `${CMS}?watch=true` });
  stream.pause();
  for (let i = 0; i < 20; i++) await http.post(CMS, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { generateName: 'noise-' }, data: { x: 'y'.repeat(10_000) } });
  assert.equal((await http.get(`${CMS}?limit=1`)).code, 200);
  stream.destroy();
  stuck.destroy();
});

test('mangled requests are refused and break nothing', async () => {
  const base = JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'fuzz', labels: { a: 'b' } }, spec: { containers: [{ name: 'a', image: 'b', ports: [{ containerPort: 80 }] }] } });
  let seed = 42;
  const random = (n: number) => (seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff) % n;
  const junk = ['null', '[]', '{}', '-1', '1e400', '"x"', 'true', '{"a":{"b":[]}}', '""', '99999999999999999999'];
  const mangle = () => {
    let text = base;
    for (let i = 0; i <= random(3); i++) {
      const at = random(text.length);
      text = random(2) ? text.slice(0, at) + junk[random(junk.length)] + text.slice(at + random(6)) : text.replace(/"[^"]*"(?=[,}\]])|\d+/g, (hit) => (random(4) === 0 ? junk[random(junk.length)]! : hit));
    }
    return text;
  };
  const codes = new Map<number, number>();
  const paths = ['/api/v1/namespaces/default/pods', '/api/v1/namespaces/default/pods?fieldValidation=Strict', '/apis/apps/v1/namespaces/default/deployments', '/api/v1/namespaces/default/services'];
  const types = ['application/json', 'application/yaml', 'application/merge-patch+json', 'application/strategic-merge-patch+json', 'application/json-patch+json', 'application/apply-patch+yaml'];
  await http.post(paths[0]!, JSON.parse(base));
  const worker = async () => {
    for (let i = 0; i < 300; i++) {
      const patch = random(3) === 0;
      const type = patch ? types[2 + random(4)]! : types[random(2)]!;
      const path = patch ? `${paths[0]}/fuzz?fieldManager=f&dryRun=All` : `${paths[random(paths.length)]!}`;
      const answer = await http.call(patch ? 'PATCH' : 'POST', `${path}${path.includes('?') ? '&' : '?'}dryRun=All`, { body: mangle(), headers: { 'content-type': type } });
      codes.set(answer.code, (codes.get(answer.code) ?? 0) + 1);
      if (answer.code >= 500) assert.ok(!/Internal error|is not a function|undefined|Cannot read/.test(answer.text), answer.text);
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  assert.ok((codes.get(400) ?? 0) > 0 && (codes.get(422) ?? 0) > 0);
});

test('several large lists at once come whole over one connection', async () => {
  const data = { x: 'y'.repeat(500_000) };
  for (let i = 0; i < 40; i++) await http.post('/api/v1/namespaces/big/configmaps', { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `b${i}` }, data });
  const session = http2Connect(fixture.url, { ...http.tls, settings: { initialWindowSize: 4 << 20 } });
  try {
    const sizes = await Promise.all(Array.from({ length: 6 }, () => new Promise<number>((resolve, reject) => {
      let size = 0;
      const stream = session.request({ ':path': '/api/v1/namespaces/big/configmaps' });
      stream.on('data', (chunk: Buffer) => (size += chunk.length));
      stream.on('end', () => resolve(size));
      stream.on('error', reject);
    })));
    assert.equal(new Set(sizes).size, 1);
    assert.ok(sizes[0]! > 20_000_000);
  } finally {
    session.destroy();
  }
});

test('headers without end are refused with 431', async () => {
  assert.match(await raw(head('GET', '/version', `X-Long: ${'x'.repeat(70_000)}`)), /^HTTP\/1\.1 431 /);
});
