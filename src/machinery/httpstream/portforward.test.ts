import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { connect, createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { describe, test, type TestContext } from 'node:test';
import { acceptPortForward, forwardTo, PORT_FORWARD_PROTOCOL, PORT_FORWARD_TUNNEL_PROTOCOL, portsOf } from './portforward.ts';
import { SpdyConnection } from './spdy-connection.ts';
import { dialSpdy } from './spdy.ts';
import { dialWebSocket } from './websocket.ts';
import { WebSocketChannels } from './websocket-channels.ts';
import { WebSocketTunnel } from './websocket-tunnel.ts';

async function listening(t: TestContext, server: ReturnType<typeof createTcpServer>): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}
function open(port: number): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => resolve(socket));
    socket.once('error', reject);
  });
}
/** A server that forwards to this machine. */
async function forwarder(t: TestContext, ports: readonly number[] = []): Promise<URL> {
  const server = createServer();
  server.on('upgrade', (req, socket, head) => {
    const session = acceptPortForward(req, socket, head, { ports });
    if (!session) return;
    void (async () => {
      for await (const stream of session.streams) void forwardTo(stream, () => open(stream.port), (err) => `error forwarding port ${stream.port}: ${(err as Error).message}`);
    })();
  });
  return new URL(`http://127.0.0.1:${await listening(t, server)}/`);
}
/** Answers what it got, once the client has sent all. */
const echoServer = (): ReturnType<typeof createTcpServer> => createTcpServer({ allowHalfOpen: true }, (socket) => void socket.pipe(socket).on('error', () => {}));

const SPDY_DIALS: Readonly<Record<string, (url: URL) => Promise<SpdyConnection>>> = {
  'SPDY/3.1': async (url) => (await dialSpdy(url, { protocols: [PORT_FORWARD_PROTOCOL] })).connection,
  'the WebSocket tunnel': async (url) => {
    const { ws, protocol } = await dialWebSocket(url, { protocols: [PORT_FORWARD_TUNNEL_PROTOCOL] });
    assert.equal(protocol, PORT_FORWARD_TUNNEL_PROTOCOL);
    return new SpdyConnection(new WebSocketTunnel(ws), { side: 'client' });
  },
};
for (const [name, dial] of Object.entries(SPDY_DIALS)) {
  describe(`acceptPortForward over ${name}`, () => {
    const connectTo = async (connection: SpdyConnection, id: number, port: number): Promise<{ data: Duplex; error: Duplex }> => {
      const headers = { port: String(port), requestid: String(id) };
      const error = await connection.openStream({ ...headers, streamtype: 'error' });
      const data = await connection.openStream({ ...headers, streamtype: 'data' });
      error.end();
      return { data, error };
    };

    test('carries several connections at a time, each with its own half-close', async (t) => {
      const port = await listening(t, echoServer());
      const connection = await dial(await forwarder(t));
      const sums = await Promise.all([0, 1, 2].map(async (id) => {
        const { data, error } = await connectTo(connection, id, port);
        const sent = randomBytes(2 << 20);
        data.end(sent);
        const [back, message] = await Promise.all([buffer(data), text(error)]);
        assert.equal(message, '');
        return createHash('sha256').update(back).digest('hex') === createHash('sha256').update(sent).digest('hex');
      }));
      assert.deepEqual(sums, [true, true, true]);
      connection.close();
      assert.equal(await connection.closed, undefined);
    });

    test('tells why a connection failed', async (t) => {
      const connection = await dial(await forwarder(t));
      const { data, error } = await connectTo(connection, 1, 1);
      assert.match(await text(error), /^error forwarding port 1: connect ECONNREFUSED/);
      assert.equal(await text(data), '');
      connection.close();
      await connection.closed;
    });

    test('closes the target when the client goes away', async (t) => {
      const closed = Promise.withResolvers<void>();
      const port = await listening(t, createTcpServer((socket) => void socket.on('error', () => {}).on('close', () => closed.resolve()).resume()));
      const connection = await dial(await forwarder(t));
      const { data } = await connectTo(connection, 1, port);
      data.write('x');
      data.resume();
      connection.close();
      await closed.promise;
    });

    test('refuses streams without a port or of another type', async (t) => {
      const connection = await dial(await forwarder(t));
      await assert.rejects(connection.openStream({ streamtype: 'data', port: '0' }), /refused/);
      await assert.rejects(connection.openStream({ streamtype: 'stdin', port: '80' }), /refused/);
      connection.close();
      await connection.closed;
    });
  });
}

test('acceptPortForward over WebSocket channels starts each channel with its port and carries data', async (t) => {
  const port = await listening(t, createTcpServer((socket) => void socket.once('data', (d: Buffer) => socket.end(`got ${d.toString()}`))));
  const url = await forwarder(t, [port, 1]);
  const { ws } = await dialWebSocket(url, { protocols: ['v4.channel.k8s.io'] });
  const channels = new WebSocketChannels(ws, { count: 4, base64: false, closable: false, side: 'client' });
  channels.channel(0).write('ping');
  const [data, error, data2, error2] = await Promise.all([0, 1, 2, 3].map((i) => buffer(channels.channel(i))));
  const prefix = Buffer.alloc(2);
  prefix.writeUInt16LE(port);
  assert.deepEqual(data, Buffer.concat([prefix, Buffer.from('got ping')]));
  assert.deepEqual(error, prefix);
  assert.deepEqual(data2, Buffer.of(1, 0));
  assert.match(error2!.toString('utf8', 2), /error forwarding port 1/);
  await channels.closed;
});

test('portsOf reads the query and refuses what is no port in upstream\'s words', () => {
  assert.deepEqual(portsOf(new URLSearchParams('port=80&port=443,8080')), [80, 443, 8080]);
  assert.throws(() => portsOf(new URLSearchParams('')), { message: 'query parameter "port" is required' });
  assert.throws(() => portsOf(new URLSearchParams('port=x')), { message: 'unable to parse "x" as a port: strconv.ParseUint: parsing "x": invalid syntax' });
  assert.throws(() => portsOf(new URLSearchParams('port=70000')), { message: 'unable to parse "70000" as a port: strconv.ParseUint: parsing "70000": value out of range' });
  assert.throws(() => portsOf(new URLSearchParams('ports=0'), 'ports'), { message: 'port "0" must be > 0' });
});
