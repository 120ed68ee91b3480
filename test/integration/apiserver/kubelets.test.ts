/** The API server's two ways to a kubelet's server, in its own process and over HTTPS: clients cannot tell them apart. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { connect as connectTcp, createServer as createTcpServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { after, before, describe, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import type { Node, Pod } from '#api/gen/core-v1.ts';
import { systemClock } from '#base/clock.ts';
import { newNodeProxy } from '#cluster/node-proxy.ts';
import { nodeStorage } from '#cluster/node-storage.ts';
import type { KubeletHost, NodeAttributes } from '#kubelet/server/interfaces.ts';
import { KubeletServer } from '#kubelet/server/server.ts';
import { storageDirectories } from '#kubelet/volumes/storage-directories.ts';
import { acceptPortForward, forwardTo, PORT_FORWARD_PROTOCOL, PORT_FORWARD_TUNNEL_PROTOCOL } from '#machinery/httpstream/portforward.ts';
import { dialRemoteCommand } from '#machinery/httpstream/remotecommand-client.ts';
import { acceptRemoteCommand, exitCodeOf, exitStatus, type RemoteCommandStreams } from '#machinery/httpstream/remotecommand.ts';
import { dialSpdy, SpdyConnection } from '#machinery/httpstream/spdy.ts';
import { UpgradeRefusedError } from '#machinery/httpstream/upgrade.ts';
import { WebSocketTunnel } from '#machinery/httpstream/websocket-tunnel.ts';
import { dialWebSocket } from '#machinery/httpstream/websocket.ts';
import { startServer, type Fixture } from './fixture.ts';
import { Requests } from './requests.ts';

const STREAMS: RemoteCommandStreams = { stdin: true, stdout: true, stderr: true, tty: false };
let fixture: Fixture;
let http: Requests;
let kubelet: KubeletServer;
let proxy: ReturnType<typeof newNodeProxy>;
let runtime: Server;
let echo: ReturnType<typeof createTcpServer>;
/** Of the kubelet's files. */
let dir = '';
const asked: NodeAttributes[] = [];
let allowed = true;
/** Resolves when the runtime hears that a client has gone. */
let gone = Promise.withResolvers<void>();

/** What stands for the runtime: a command that echoes its stdin, one that says a word on each stream, one that goes on; ports that echo. */
async function runtimeServer(): Promise<Server> {
  const server = createServer();
  server.on('upgrade', async (req, socket, head) => {
    const { pathname } = new URL(req.url!, 'http://x');
    if (pathname === '/ports') {
      const session = acceptPortForward(req, socket, head, { ports: [] })!;
      for await (const stream of session.streams) void forwardTo(stream, async () => connectTcp({ port: (echo.address() as AddressInfo).port, allowHalfOpen: true }), String);
      return;
    }
    const session = (await acceptRemoteCommand(req, socket, head, pathname === '/cat' ? STREAMS : { ...STREAMS, stdin: false }))!;
    if (pathname === '/cat') await pipeline(session.stdin!, session.stdout!, { end: false });
    else session.stdout!.write('out');
    session.stderr!.write('err');
    if (pathname === '/wait') return session.signal.addEventListener('abort', () => gone.resolve(), { once: true });
    await session.finish(exitStatus(3));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}
const runtimeUrl = (path: string): URL => new URL(`http://127.0.0.1:${(runtime.address() as AddressInfo).port}/${path}`);

before(async () => {
  fixture = await startServer({ nodeProxy: { send: (...args) => proxy.send(...args), upgrade: (...args) => proxy.upgrade(...args), forward: (...args) => proxy.forward(...args) } });
  http = new Requests(fixture);
  runtime = await runtimeServer();
  dir = await mkdtemp(join(tmpdir(), 'podyard-kubelets-'));
  echo = createTcpServer({ allowHalfOpen: true }, (socket) => void socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1');
  const { apiServer, ca, clients } = fixture.pki;
  const pod: Pod = { metadata: { name: 'p', namespace: 'default' }, spec: { containers: [{ name: 'c', image: 'x' }] } };
  const host: Partial<KubeletHost> = {
    pods: () => [pod], podByName: (_, name) => (name.startsWith('missing') ? undefined : pod), metrics: async (kind) => `# ${kind}\n`,
    execUrl: async (_pod, _container, [command = '']) => runtimeUrl(command), portForwardUrl: async () => runtimeUrl('ports'),
    storage: storageDirectories(join(dir, 'storage')), run: async (_pod, _container, command) => Buffer.from(command.join(' ')),
    async *logs(_pod, _container, { follow, previous }, signal) {
      if (previous) throw new Error('previous terminated container "c" in pod "p" not found');
      yield Buffer.from('one\n');
      if (follow) await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true })).then(() => gone.resolve());
      yield Buffer.from('two\n');
    },
  };
  kubelet = new KubeletServer({
    address: '127.0.0.1', port: 0, certificate: { cert: apiServer.cert, key: apiServer.key }, clientCa: ca.cert, host: host as KubeletHost,
    auth: { authenticateToken: async () => undefined, authorize: async (attributes) => (asked.push(attributes), allowed) },
  });
  await kubelet.start(new AbortController().signal);
  const client = clients['apiserver-kubelet-client'];
  proxy = newNodeProxy({ ca: ca.cert, cert: client.cert, key: client.key, local: (node: Node) => (node.metadata.name === 'here' ? kubelet : undefined) });
  // Nobody listens where the node of this process says it does: who gets an answer has not dialled.
  for (const [name, port] of [['here', 1], ['there', kubelet.port]] as const) {
    const status = { addresses: [{ type: 'InternalIP', address: '127.0.0.1' }], daemonEndpoints: { kubeletEndpoint: { Port: port } } };
    await http.post('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name }, status });
    for (const pod of [name, `missing-${name}`]) await http.post('/api/v1/namespaces/default/pods', { apiVersion: 'v1', kind: 'Pod', metadata: { name: pod }, spec: { nodeName: name, containers: [{ name: 'c', image: 'x' }] } });
  }
});
after(async () => {
  http.close();
  proxy.close();
  await fixture.close();
  await kubelet.stop();
  runtime.closeAllConnections();
  runtime.close();
  echo.close();
  await rm(dir, { recursive: true, force: true });
});

for (const node of ['here', 'there'] as const) {
  const POD = `/api/v1/namespaces/default/pods/${node}`;
  const MISSING = `/api/v1/namespaces/default/pods/missing-${node}`;
  const url = (path: string): URL => new URL(`${fixture.url}${path}`);
  const refusal = async (dialled: Promise<unknown>): Promise<string> => {
    const err = await dialled.then(() => assert.fail('not refused'), (e: unknown) => e);
    assert.ok(err instanceof UpgradeRefusedError, String(err));
    return `${err.statusCode} ${err.body}`;
  };

  describe(`the kubelet of the node "${node}"`, () => {
    test('answers with documents, as the API server asks', async () => {
      const get = async (path: string, method = 'GET'): Promise<unknown[]> => {
        const { code, text: body, headers } = await http.call(method, path, method === 'POST' ? { body: 'unread' } : {});
        return [code, body, headers['content-type']];
      };
      asked.length = 0;
      assert.deepEqual(await get(`/api/v1/nodes/${node}/proxy/metrics/probes`), [200, '# probes\n', 'text/plain; version=0.0.4; charset=utf-8']);
      assert.deepEqual(asked, [{ user: { name: 'kube-apiserver-kubelet-client', groups: ['system:masters', 'system:authenticated'] }, verb: 'get', subresource: 'metrics', path: '/metrics/probes' }]);
      assert.deepEqual(await get(`/api/v1/nodes/${node}/proxy/nothing`), [404, '404 page not found\n', 'text/plain; charset=utf-8']);
      assert.deepEqual(await get(`/api/v1/nodes/${node}/proxy/pods`, 'HEAD'), [405, '', 'text/plain; charset=utf-8']);
      assert.deepEqual(await get(`/api/v1/nodes/${node}/proxy/run/default/p/c?cmd=ls%20-l`, 'POST'), [200, 'ls -l', 'application/json']);
      assert.deepEqual(await get(`${POD}/log`), [200, 'one\ntwo\n', 'text/plain']);
      assert.equal((await http.get(`${POD}/log?previous=true`)).status.message, 'previous terminated container "c" in pod "p" not found');
      assert.equal((await http.get(`${MISSING}/log`)).status.message, `pod "missing-${node}" does not exist`);
    });

    test('makes and removes directories for volumes', async () => {
      const storage = nodeStorage(proxy);
      const { signal } = new AbortController();
      const object = (await http.get(`/api/v1/nodes/${node}`)).json<Node>();
      asked.length = 0;
      const path = await storage.create(object, 'pvc-1_default_a b', signal);
      assert.equal(path, join(dir, 'storage', 'pvc-1_default_a b'));
      assert.equal((await stat(path)).mode & 0o777, 0o777);
      await storage.remove(object, path, signal);
      await assert.rejects(stat(path), { code: 'ENOENT' });
      await storage.remove(object, path, signal);
      assert.deepEqual(asked.map((a) => `${a.verb} ${a.subresource} ${a.path}`), ['create proxy /storage', 'delete proxy /storage', 'delete proxy /storage']);
      await assert.rejects(storage.remove(object, dir, signal), { message: `directory "${dir}" is not in "${join(dir, 'storage')}": it is not removed` });
      await assert.rejects(storage.create(object, '..', signal), { message: `directory ".." is not in "${join(dir, 'storage')}": it is not made` });
    });

    test('may refuse the API server', async () => {
      allowed = false;
      try {
        const text403 = 'Forbidden (user=kube-apiserver-kubelet-client, verb=get, resource=nodes, subresource(s)=[proxy])\n';
        assert.equal((await http.get(`${POD}/log`)).status.message, text403);
        assert.equal(await refusal(dialWebSocket(url(`${POD}/exec?command=cat&stdout=true`), { protocols: ['v5.channel.k8s.io'], tls: http.tls })), `403 ${text403}`);
      } finally {
        allowed = true;
      }
    });

    test('stops reading a log when the client goes away', async () => {
      gone = Promise.withResolvers();
      const message = await http.open('GET', `${POD}/log?follow=true`);
      message.on('error', () => {}).once('data', () => message.destroy());
      await gone.promise;
    });

    for (const transport of ['spdy', 'websocket'] as const) {
      test(`runs commands over ${transport}: 2 MB through stdin and back, stderr, exit code`, async () => {
        const command = await dialRemoteCommand(url(`${POD}/exec?command=cat&stdin=true&stdout=true&stderr=true`), { transport, tls: http.tls, ...STREAMS });
        const sent = randomBytes(2 << 20);
        command.stdin!.end(sent);
        const [stdout, stderr, status] = await Promise.all([buffer(command.stdout!), text(command.stderr!), command.status]);
        assert.ok(stdout.equals(sent));
        assert.equal(stderr, 'err');
        assert.equal(exitCodeOf(status!), 3);
        await command.closed;
      });
      test(`tells over ${transport} why a command cannot be run, and hears of a client that has gone`, async () => {
        const dial = (path: string) => dialRemoteCommand(url(path), { transport, tls: http.tls, ...STREAMS, stdin: false });
        assert.equal(await refusal(dial(`${MISSING}/exec?command=cat&stdout=true&stderr=true`)), '404 pod does not exist');
        gone = Promise.withResolvers();
        const command = await dial(`${POD}/exec?command=wait&stdout=true&stderr=true`);
        command.stderr!.resume();
        command.stdout!.once('data', () => command.close());
        await gone.promise;
      });
    }

    test('forwards ports over SPDY, bare and in a WebSocket', async () => {
      const forward = async (connection: SpdyConnection): Promise<void> => {
        const [error, data] = await Promise.all(['error', 'data'].map((streamtype) => connection.openStream({ streamtype, port: '80', requestid: '0' })));
        error!.resume().end();
        const sent = randomBytes(2 << 20);
        data!.end(sent);
        assert.ok((await buffer(data!)).equals(sent));
        connection.close();
        await connection.closed;
      };
      const path = url(`${POD}/portforward`);
      const spdy = await dialSpdy(path, { protocols: [PORT_FORWARD_PROTOCOL], tls: http.tls, clock: systemClock });
      await forward(spdy.connection);
      const { ws } = await dialWebSocket(path, { protocols: [PORT_FORWARD_TUNNEL_PROTOCOL], tls: http.tls });
      await forward(new SpdyConnection(new WebSocketTunnel(ws), { side: 'client' }));
    });
  });
}

test('a node that cannot be reached makes no directories, and the transport says why', async () => {
  const away: Node = { metadata: { name: 'away' }, spec: {}, status: { addresses: [{ type: 'InternalIP', address: '127.0.0.1' }], daemonEndpoints: { kubeletEndpoint: { Port: 1 } } } };
  const storage = nodeStorage(proxy);
  const { signal } = new AbortController();
  const refused = 'dial tcp 127.0.0.1:1: connect: connection refused';
  await assert.rejects(storage.create(away, 'a', signal), { message: `Post "https://127.0.0.1:1/storage?directory=a": ${refused}` });
  await assert.rejects(storage.remove(away, '/d/a', signal), { message: `Delete "https://127.0.0.1:1/storage?path=%2Fd%2Fa": ${refused}` });
});

test('each message of a command\'s WebSocket is a TLS record of its own: clients that poll their socket miss none', async () => {
  const { hostname, port } = new URL(fixture.url);
  const socket = connectTls({ host: hostname, port: Number(port), ...http.tls });
  socket.write('GET /api/v1/namespaces/default/pods/here/exec?command=say&stdout=true&stderr=true HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n');
  const records: Buffer[] = [];
  // OpenSSL gives one record at a time.
  socket.on('data', (record: Buffer) => records.push(record));
  await new Promise<void>((resolve) => socket.on('data', (record: Buffer) => record[0] === 0x88 && resolve()));
  socket.destroy();
  const [, ...messages] = records;
  // A final message has no mask and says its length in one byte, or in two after 126.
  for (const message of messages) assert.equal(message.length, message[1] === 126 ? 4 + message.readUInt16BE(2) : 2 + message[1]!);
  assert.deepEqual(messages.slice(1, 3).map((m) => m.toString('latin1', 2)), ['\x01out', '\x02err']);
});

test('a client\'s connection ends with the API server that gave it away', async () => {
  const other = await startServer({ nodeProxy: proxy });
  const requests = new Requests(other);
  await requests.post('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'here' }, status: { addresses: [{ type: 'InternalIP', address: '127.0.0.1' }] } });
  await requests.post('/api/v1/namespaces/default/pods', { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec: { nodeName: 'here', containers: [{ name: 'c', image: 'x' }] } });
  gone = Promise.withResolvers();
  const command = await dialRemoteCommand(new URL(`${other.url}/api/v1/namespaces/default/pods/p/exec?command=wait&stdout=true&stderr=true`), { transport: 'spdy', tls: requests.tls, ...STREAMS, stdin: false });
  command.stderr!.resume();
  await once(command.stdout!, 'data');
  await other.close();
  await Promise.all([command.closed, gone.promise]);
  requests.close();
});
