import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { describe, test, type TestContext } from 'node:test';
import { FakeClock } from '#base/fake-clock.ts';
import { dialRemoteCommand, remoteCommandErrorText, type DialRemoteCommandOptions, type RemoteCommand } from './remotecommand-client.ts';
import { acceptRemoteCommand, exitCodeOf, exitStatus, failedStatus, remoteCommandStreamsOf, type RemoteCommandSession, type RemoteCommandStreams, type TerminalSize } from './remotecommand.ts';
import { dialSpdy } from './spdy.ts';
import { UpgradeRefusedError } from './upgrade.ts';
import { acceptWebSocket, bearerFromProtocols, dialWebSocket } from './websocket.ts';

const ALL: RemoteCommandStreams = { stdin: true, stdout: true, stderr: true, tty: false };

/** A server that gives every session to `run`. */
async function serve(t: TestContext, streams: RemoteCommandStreams, run: (session: RemoteCommandSession) => Promise<void>): Promise<URL> {
  const server = createServer();
  server.on('upgrade', (req, socket, head) => {
    void acceptRemoteCommand(req, socket, head, streams).then((session) => session && run(session));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/exec`);
}

/** Echoes stdin to stdout, writes its length to stderr and ends with code 3. */
async function echo(session: RemoteCommandSession): Promise<void> {
  let size = 0;
  const count = async function* (source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const part of source) {
      size += part.length;
      yield part;
    }
  };
  await pipeline(session.stdin!, count, session.stdout!);
  session.stderr!.write(`${size} bytes`);
  await session.finish(exitStatus(3));
}

interface Transport {
  readonly name: string;
  readonly dial: Pick<DialRemoteCommandOptions, 'transport' | 'protocols'>;
  readonly halfClose: boolean;
  readonly json: boolean;
}
const TRANSPORTS: readonly Transport[] = [
  { name: 'SPDY v4', dial: { transport: 'spdy' }, halfClose: true, json: true },
  { name: 'SPDY v1', dial: { transport: 'spdy', protocols: ['channel.k8s.io'] }, halfClose: true, json: false },
  { name: 'SPDY v2', dial: { transport: 'spdy', protocols: ['v2.channel.k8s.io'] }, halfClose: true, json: false },
  { name: 'WebSocket v5', dial: { transport: 'websocket' }, halfClose: true, json: true },
  { name: 'WebSocket v4', dial: { transport: 'websocket', protocols: ['v4.channel.k8s.io'] }, halfClose: false, json: true },
  { name: 'WebSocket v4 base64', dial: { transport: 'websocket', protocols: ['v4.base64.channel.k8s.io'] }, halfClose: false, json: true },
  { name: 'WebSocket v1', dial: { transport: 'websocket', protocols: ['channel.k8s.io'] }, halfClose: false, json: false },
  { name: 'WebSocket v1 base64', dial: { transport: 'websocket', protocols: ['base64.channel.k8s.io'] }, halfClose: false, json: false },
  { name: 'WebSocket without a subprotocol', dial: { transport: 'websocket', protocols: [] }, halfClose: false, json: false },
];
const dialAll = (url: URL, transport: Transport, streams = ALL): Promise<RemoteCommand> => dialRemoteCommand(url, { ...streams, ...transport.dial });

for (const transport of TRANSPORTS) {
  describe(`acceptRemoteCommand over ${transport.name}`, () => {
    test('gives output and the status, after all output', async (t) => {
      const out = randomBytes(1_500_000);
      const url = await serve(t, ALL, async (session) => {
        session.stdin!.resume();
        session.stderr!.end('warning');
        await pipeline(Readable.from([out]), session.stdout!);
        await session.finish(exitStatus(3));
      });
      const command = await dialAll(url, transport);
      const [stdout, stderr, status] = await Promise.all([buffer(command.stdout!), text(command.stderr!), command.status]);
      assert.ok(stdout.equals(out));
      assert.equal(stderr, 'warning');
      if (transport.json) assert.deepEqual(status, exitStatus(3));
      else assert.equal(status?.message, 'command terminated with non-zero exit code: command terminated with exit code 3');
      await command.closed;
    });

    test('gives stdin to the command', async (t) => {
      const url = await serve(t, ALL, async (session) => {
        for await (const part of session.stdin!) {
          session.stdout!.write(String(part).toUpperCase());
          if (String(part).includes('!')) break;
        }
        await session.finish(exitStatus(0));
      });
      const command = await dialAll(url, transport);
      command.stderr!.resume();
      command.stdin!.write('hello');
      command.stdin!.write(' world!');
      assert.equal(await text(command.stdout!), 'HELLO WORLD!');
      const status = await command.status;
      assert.equal(transport.json ? exitCodeOf(status!) : status, transport.json ? 0 : undefined);
    });

    test('ends stdin and aborts when the client goes away', async (t) => {
      const gone = Promise.withResolvers<string>();
      const url = await serve(t, ALL, async (session) => {
        const read = await text(session.stdin!);
        if (!session.signal.aborted) await new Promise<void>((resolve) => session.signal.addEventListener('abort', () => resolve(), { once: true }));
        gone.resolve(read);
        await session.finish(exitStatus(0));
      });
      const command = await dialAll(url, transport);
      command.stdout!.resume();
      command.stderr!.resume();
      command.stdin!.write('bye');
      command.close();
      await gone.promise;
    });

    test('closes in the middle of being given output', async (t) => {
      const gone = Promise.withResolvers<void>();
      const url = await serve(t, ALL, async (session) => {
        session.stdin!.resume();
        session.signal.addEventListener('abort', () => gone.resolve(), { once: true });
        session.stdout!.write('running');
      });
      const command = await dialAll(url, transport);
      command.stderr!.resume();
      command.stdout!.once('data', () => command.close());
      await gone.promise;
      await command.closed;
    });

    if (transport.halfClose) {
      test('ends stdin while output goes on, 8 MB intact', async (t) => {
        const url = await serve(t, ALL, echo);
        const command = await dialAll(url, transport);
        const sent = randomBytes(8 << 20);
        command.stdin!.end(sent);
        const [stdout, stderr] = await Promise.all([buffer(command.stdout!), text(command.stderr!)]);
        assert.equal(createHash('sha256').update(stdout).digest('hex'), createHash('sha256').update(sent).digest('hex'));
        assert.equal(stderr, `${sent.length} bytes`);
        await command.status;
      });
    }

    test('gives the terminal\'s sizes, and no stderr with a terminal', async (t) => {
      if (transport.name === 'SPDY v1' || transport.name === 'SPDY v2') return t.skip('sizes came with version 3');
      const sizes: TerminalSize[] = [];
      const tty = { stdin: true, stdout: true, stderr: true, tty: true };
      const url = await serve(t, tty, async (session) => {
        assert.equal(session.stderr, undefined);
        const second = new Promise<void>((resolve) => session.onResize((size) => sizes.push(size) === 2 && resolve()));
        session.stdin!.resume();
        session.stdout!.write('ready');
        await second;
        await session.finish(exitStatus(0));
      });
      const command = await dialAll(url, transport, tty);
      assert.equal(command.stderr, undefined);
      command.resize({ width: 80, height: 24 });
      command.stdout!.once('data', () => command.resize({ width: 120, height: 40 }));
      await command.status;
      assert.deepEqual(sizes, [{ width: 80, height: 24 }, { width: 120, height: 40 }]);
    });
  });
}

test('dialRemoteCommand connects at once and begins the command when it may', async (t) => {
  const connected = Promise.withResolvers<void>();
  let begun = 0;
  let ended = Promise.withResolvers<void>();
  const server = createServer();
  server.on('upgrade', (req, socket, head) => {
    connected.resolve();
    socket.once('close', () => ended.resolve());
    void acceptRemoteCommand(req, socket, head, ALL).then(async (session) => {
      if (session) begun++;
      await session?.finish(exitStatus(0));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/exec`);
  const ready = Promise.withResolvers<void>();
  const dialled = dialRemoteCommand(url, { ...ALL, transport: 'spdy', ready: ready.promise });
  await connected.promise;
  assert.equal(begun, 0);
  ready.resolve();
  const command = await dialled;
  assert.equal((await command.status)?.status, 'Success');
  assert.equal(begun, 1);
  ended = Promise.withResolvers<void>();
  await assert.rejects(dialRemoteCommand(url, { ...ALL, transport: 'spdy', ready: Promise.reject(new Error('the client is gone')) }), /the client is gone/);
  await ended.promise;
  assert.equal(begun, 1, 'the connection is given up, the command never begins');
});

test('acceptRemoteCommand gives up on a client that does not create its streams', async (t) => {
  const clock = new FakeClock();
  const outcome = Promise.withResolvers<RemoteCommandSession | undefined>();
  const server = createServer();
  server.on('upgrade', (req, socket, head) => outcome.resolve(acceptRemoteCommand(req, socket, head, { ...ALL, clock })));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { connection } = await dialSpdy(new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`), { protocols: ['v4.channel.k8s.io'] });
  await connection.openStream({ streamtype: 'error' });
  await assert.rejects(connection.openStream({ streamtype: 'nonsense' }), /refused/);
  await clock.advance(30_000);
  assert.equal(await outcome.promise, undefined);
  await connection.closed;
});

test('acceptRemoteCommand refuses a WebSocket whose subprotocols it does not know', async (t) => {
  const url = await serve(t, ALL, echo);
  await assert.rejects(dialWebSocket(url, { protocols: ['v9.channel.k8s.io'] }), (err) => err instanceof UpgradeRefusedError && err.statusCode === 403);
});

test('acceptWebSocket cuts off a client that does not answer pings', async (t) => {
  const clock = new FakeClock();
  const server = createServer();
  const closed = Promise.withResolvers<void>();
  server.on('upgrade', (req, socket, head) => {
    const session = acceptWebSocket(req, socket, head, { protocols: [''], clock })!;
    session.ws.on('close', () => closed.resolve());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  // Paused: it reads nothing, so it answers nothing.
  const { ws } = await dialWebSocket(new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`), { protocols: [] });
  await clock.advance(100_000);
  await closed.promise;
  ws.terminate();
});

test('remoteCommandStreamsOf reads the query of the kubelet and of the API', () => {
  assert.deepEqual(remoteCommandStreamsOf(new URLSearchParams('input=1&output=1&error=1&tty=1')), { stdin: true, stdout: true, stderr: false, tty: true });
  assert.deepEqual(remoteCommandStreamsOf(new URLSearchParams('stdout=true&stderr=true'), true), { stdin: false, stdout: true, stderr: true, tty: false });
  assert.throws(() => remoteCommandStreamsOf(new URLSearchParams('error=1&tty=1')), /you must specify at least 1 of stdin, stdout, stderr/);
});

test('exitStatus, failedStatus and remoteCommandErrorText use the words that clients know', () => {
  assert.deepEqual(exitStatus(3).details, { causes: [{ reason: 'ExitCode', message: '3' }] });
  assert.equal(remoteCommandErrorText(exitStatus(3)), 'command terminated with exit code 3');
  const failed = failedStatus(new Error('no such container'));
  assert.equal(failed.message, 'Internal error occurred: error executing command in container: no such container');
  assert.equal(failed.code, 500);
  assert.equal(exitCodeOf(failed), undefined);
});

test('bearerFromProtocols takes the token and leaves the other subprotocols', () => {
  const encoded = Buffer.from('secret.token').toString('base64url');
  const prefix = 'base64url.bearer.authorization.k8s.io.';
  assert.deepEqual(bearerFromProtocols(['v4.channel.k8s.io']), { kind: 'none' });
  assert.deepEqual(bearerFromProtocols(['v5.channel.k8s.io', prefix + encoded, 'v4.channel.k8s.io']), { kind: 'token', token: 'secret.token', protocols: ['v5.channel.k8s.io', 'v4.channel.k8s.io'] });
  const message = (list: string[]): string => {
    const result = bearerFromProtocols(list);
    return result.kind === 'invalid' ? result.message : result.kind;
  };
  assert.equal(message([prefix + encoded]), 'missing additional subprotocol');
  assert.equal(message([prefix + encoded, prefix + encoded, 'x']), 'multiple base64.bearer.authorization tokens specified');
  assert.equal(message([`${prefix}a=`, 'x']), 'invalid base64.bearer.authorization token encoding');
  assert.equal(message([`${prefix}_w`, 'x']), 'invalid base64.bearer.authorization token');
});
