import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request as httpRequest, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect, createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import { Readable, type Duplex } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { FakeClock } from '#base/fake-clock.ts';
import { dialRemoteCommand } from './remotecommand-client.ts';
import { acceptRemoteCommand, exitCodeOf, exitStatus } from './remotecommand.ts';
import { testAuthority } from './testing/certificates.ts';
import { headerValues, UpgradeRefusedError } from './upgrade.ts';
import { joinSockets, proxyRequest, proxyUpgrade, type ProxyTarget } from './upgrade-proxy.ts';

const authority = testAuthority();
const serverCertificate = authority.issue('server', 'node-1');
const clientCertificate = authority.issue('client', 'kube-apiserver-kubelet-client', ['system:masters']);

async function listen(t: TestContext, server: Pick<Server, 'listen' | 'address' | 'close' | 'closeAllConnections'>): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

test('proxyUpgrade carries a remote command to a TLS server, with a client certificate and the headers given', async (t) => {
  const seen: unknown[] = [];
  const upstream = createTlsServer({ ...serverCertificate, ca: authority.cert, requestCert: true, rejectUnauthorized: true });
  upstream.on('upgrade', async (req, socket, head) => {
    seen.push(req.url, (socket as TLSSocket).getPeerCertificate().subject, req.headers['authorization'], req.headers['x-remote'], headerValues(req.headers, 'x-stream-protocol-version').length);
    const session = await acceptRemoteCommand(req, socket, head, { stdin: true, stdout: true, stderr: false, tty: false });
    session!.stdin!.pipe(session!.stdout!);
    session!.stdin!.once('end', () => void session!.finish(exitStatus(7)));
  });
  const target: ProxyTarget = {
    url: new URL(`https://127.0.0.1:${await listen(t, upstream)}/exec/ns/p/c?output=1`),
    tls: { ca: authority.cert, ...clientCertificate },
    headers: { authorization: undefined, 'x-remote': 'yes' },
  };
  const front = createServer();
  front.on('upgrade', (req, socket, head) => void proxyUpgrade(target, { method: req.method!, rawHeaders: req.rawHeaders }, socket, head));
  const url = new URL(`http://127.0.0.1:${await listen(t, front)}/`);
  for (const transport of ['spdy', 'websocket'] as const) {
    const command = await dialRemoteCommand(url, { transport, stdin: true, stdout: true, stderr: false, tty: false, headers: { Authorization: 'Bearer secret' } });
    const sent = randomBytes(3 << 20);
    command.stdin!.end(sent);
    assert.ok((await buffer(command.stdout!)).equals(sent));
    assert.equal(exitCodeOf((await command.status)!), 7);
    await command.closed;
  }
  const subject = { O: 'system:masters', CN: 'kube-apiserver-kubelet-client' };
  assert.deepEqual(JSON.parse(JSON.stringify(seen)), ['/exec/ns/p/c?output=1', subject, null, 'yes', 4, '/exec/ns/p/c?output=1', subject, null, 'yes', 0]);
});

test('proxyUpgrade passes a refusal on and ends the connection', async (t) => {
  const upstream = createServer();
  upstream.on('upgrade', (_req, socket) => socket.resume().end('HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nno pod\r\n0\r\n\r\n'));
  const target = { url: new URL(`http://127.0.0.1:${await listen(t, upstream)}/`) };
  const front = createServer();
  front.on('upgrade', (req, socket, head) => void proxyUpgrade(target, { method: req.method!, rawHeaders: req.rawHeaders }, socket, head));
  const port = await listen(t, front);
  const url = new URL(`http://127.0.0.1:${port}/`);
  const err = await dialRemoteCommand(url, { transport: 'spdy', stdin: true, stdout: true, stderr: false, tty: false }).then(() => assert.fail(), (e: unknown) => e);
  assert.ok(err instanceof UpgradeRefusedError);
  assert.deepEqual([err.statusCode, err.body], [404, 'no pod']);
  const socket = connect(port, '127.0.0.1');
  socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\nGET /other HTTP/1.1\r\nHost: x\r\n\r\n');
  const answer = await text(socket);
  assert.match(answer, /^HTTP\/1.1 404 Not Found\r\nContent-Type: text\/plain\r\nConnection: close\r\n\r\nno pod$/);
});

test('proxyUpgrade answers 502 when the target cannot be reached', async (t) => {
  const front = createServer();
  front.on('upgrade', (req, socket, head) => void proxyUpgrade({ url: new URL('http://127.0.0.1:1/') }, { method: 'POST', rawHeaders: req.rawHeaders }, socket, head));
  const url = new URL(`http://127.0.0.1:${await listen(t, front)}/`);
  await assert.rejects(
    dialRemoteCommand(url, { transport: 'spdy', stdin: true, stdout: true, stderr: false, tty: false }),
    (e) => e instanceof UpgradeRefusedError && e.statusCode === 502 && /ECONNREFUSED/.test(e.body),
  );
});

test('proxyUpgrade closes the target when the client goes away, and the other way round', async (t) => {
  const upstream = createServer();
  const closed = Promise.withResolvers<void>();
  const target1 = Promise.withResolvers<Duplex>();
  let rounds = 0;
  upstream.on('upgrade', (_req, socket) => {
    socket.on('error', () => {});
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
    if (rounds++ === 0) socket.resume().once('close', () => closed.resolve()).once('end', () => target1.resolve(socket));
    else socket.destroy();
  });
  const target = { url: new URL(`http://127.0.0.1:${await listen(t, upstream)}/`) };
  const front = createServer();
  const clock = new FakeClock();
  const ended = Promise.withResolvers<void>();
  front.on('upgrade', (req, socket, head) => {
    socket.once('end', () => ended.resolve());
    void proxyUpgrade(target, { method: 'GET', rawHeaders: req.rawHeaders }, socket, head, { clock });
  });
  const port = await listen(t, front);
  const open = async (): Promise<ReturnType<typeof connect>> => {
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
    await new Promise((resolve) => socket.once('data', resolve));
    return socket;
  };
  (await open()).destroy();
  await ended.promise;
  // The target goes on as if only the client's sending had ended; after its time, nobody is there any more, and writing to it fails.
  const socket = await target1.promise;
  await clock.advance(9_999);
  assert.equal(clock.timers, 1);
  await clock.advance(1);
  while (!socket.destroyed) {
    socket.write('x');
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  await closed.promise;
  const second = await open();
  await new Promise<void>((resolve) => second.resume().once('close', () => resolve()));
});

test('proxyRequest streams bodies both ways and leaves out the headers of the connection', async (t) => {
  const upstream = createServer((req, res) => {
    res.writeHead(201, 'Made', { 'X-Got': JSON.stringify([req.method, req.url, req.headers['x-hop'] ?? null, req.headers['x-stay'], req.headers['host'], req.headers['x-list']]), Connection: 'keep-alive' });
    req.pipe(res);
  });
  const port = await listen(t, upstream);
  const body = randomBytes(2 << 20);
  const response = await proxyRequest(
    { url: new URL(`http://127.0.0.1:${port}/a/b?c=d`), headers: { 'x-list': ['1', '2'] } },
    { method: 'PUT', rawHeaders: ['Connection', 'X-Hop, keep-alive', 'X-Hop', '1', 'X-Stay', '2', ':path', '/x', 'Host', 'front'], body: Readable.from([body.subarray(0, 1000), body.subarray(1000)]) },
  );
  assert.equal(response.status, 201);
  assert.equal(response.reason, 'Made');
  const headers = new Map(response.headers.map(([k, v]) => [k.toLowerCase(), v]));
  assert.deepEqual(JSON.parse(headers.get('x-got')!), ['PUT', '/a/b?c=d', null, '2', `127.0.0.1:${port}`, '1, 2']);
  assert.equal(headers.has('connection'), false);
  assert.equal(headers.has('transfer-encoding'), false);
  assert.ok((await buffer(response.body)).equals(body));
});

test('proxyRequest gives the body while the target is still sending, and stops the target when aborted', async (t) => {
  const closed = Promise.withResolvers<void>();
  const upstream = createServer((_req, res) => {
    res.write('first');
    res.once('close', () => closed.resolve());
  });
  const abort = new AbortController();
  const response = await proxyRequest({ url: new URL(`http://127.0.0.1:${await listen(t, upstream)}/`) }, { method: 'GET', rawHeaders: [] }, abort.signal);
  response.body.on('error', () => {});
  assert.equal(String(await new Promise((resolve) => response.body.once('data', resolve))), 'first');
  abort.abort();
  await closed.promise;
});

test('proxyRequest does not send a half body as a whole one', async (t) => {
  const outcome = Promise.withResolvers<string>();
  const upstream = createServer((req) => {
    req.resume().once('end', () => outcome.resolve('end')).once('error', () => outcome.resolve('aborted'));
  });
  const target = { url: new URL(`http://127.0.0.1:${await listen(t, upstream)}/`) };
  const front = createServer((req, res) => {
    proxyRequest(target, { method: 'POST', rawHeaders: req.rawHeaders, body: req }).then(() => res.end(), () => res.destroy());
  });
  const client = httpRequest({ port: await listen(t, front), host: '127.0.0.1', method: 'POST' }).on('error', () => {});
  client.write('half');
  upstream.once('request', () => client.destroy());
  assert.equal(await outcome.promise, 'aborted');
});

/** Two ends of one TCP connection. */
async function pair(t: TestContext): Promise<[Socket, Socket]> {
  const accepted = Promise.withResolvers<Socket>();
  const server = createTcpServer({ allowHalfOpen: true }, accepted.resolve).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const dialled = connect({ port: (server.address() as AddressInfo).port, allowHalfOpen: true });
  return [dialled, await accepted.promise];
}
test('joinSockets carries both directions whole past a slow reader, and keeps nothing of what it has carried', async (t) => {
  const [client, a] = await pair(t);
  const [b, server] = await pair(t);
  const carried: Buffer[] = [];
  a.on('data', (chunk: Buffer) => carried.push(chunk));
  const joined = joinSockets(a, b);
  const up = randomBytes(8 << 20);
  const down = randomBytes(1 << 20);
  client.end(up);
  server.end(down);
  // Not by the stream's own iterator, which would destroy the other direction at the end of this one.
  const received = async (from: Socket): Promise<Buffer> => {
    const parts: Buffer[] = [];
    from.on('data', (part: Buffer) => {
      parts.push(part);
      from.pause();
      setImmediate(() => from.resume());
    });
    await once(from, 'end');
    return Buffer.concat(parts);
  };
  const [gotDown, gotUp] = await Promise.all([received(client), received(server)]);
  await joined;
  assert.ok(gotUp.equals(up));
  assert.ok(gotDown.equals(down));
  // Parts of larger buffers are left to the garbage collector.
  const kept = carried.filter((chunk) => chunk.length > 0 && chunk.length === chunk.buffer.byteLength);
  assert.ok(carried.some((chunk) => chunk.length === 0));
  assert.equal(kept.length, 0);
});
test('joinSockets ends a side whose other side has gone, though nobody takes what it still sends', async (t) => {
  const [client, a] = await pair(t);
  const [b, server] = await pair(t);
  const joined = joinSockets(a, b);
  const closed = new Promise((resolve) => client.on('error', () => {}).on('close', resolve).resume());
  client.write(Buffer.alloc(4 << 20));
  server.once('data', () => server.destroy());
  await Promise.all([joined, closed]);
});
