import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { duplexPair, type Duplex, type Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { test, type TestContext } from 'node:test';
import { createDeflate, constants } from 'node:zlib';
import * as fc from 'fast-check';
import { FakeClock } from '#base/fake-clock.ts';
import { SpdyConnection, type SpdyConnectionOptions } from './spdy-connection.ts';
import { SPDY3_DICTIONARY, SPDY3_DICTIONARY_ID } from './spdy-dictionary.ts';
import { controlFrame, dataFrameHead, FrameReader, GOAWAY, MAX_CONTROL_FRAME_BYTES, PING, SYN_STREAM, words, type Frame } from './spdy-frames.ts';
import { HeaderDecoder, HeaderEncoder, MAX_HEADER_BLOCK_BYTES } from './spdy-headers.ts';
import type { SpdyStream } from './spdy-stream.ts';
import { acceptSpdy, dialSpdy } from './spdy.ts';
import { UpgradeRefusedError } from './upgrade.ts';

function adler32(data: Buffer): number {
  let a = 1;
  let b = 0;
  for (const byte of data) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  return ((b << 16) | a) >>> 0;
}

/** Two connected ends in memory. */
function pair(server: Omit<SpdyConnectionOptions, 'side'>, t: TestContext): { client: SpdyConnection; server: SpdyConnection; clientSocket: Duplex; serverSocket: Duplex } {
  const [clientSocket, serverSocket] = duplexPair();
  const ends = { client: new SpdyConnection(clientSocket, { side: 'client' }), server: new SpdyConnection(serverSocket, { ...server, side: 'server' }), clientSocket, serverSocket };
  t.after(() => {
    ends.client.destroy();
    ends.server.destroy();
  });
  return ends;
}

test('SPDY3_DICTIONARY is the dictionary of the specification', () => {
  assert.equal(SPDY3_DICTIONARY.length, 1423);
  assert.equal(adler32(SPDY3_DICTIONARY), SPDY3_DICTIONARY_ID);
});

test('FrameReader finds the same frames however the bytes are cut', () => {
  const bytes = Buffer.concat([
    dataFrameHead(1, 5, false), Buffer.from('hello'), controlFrame(PING, 0, words(7)), controlFrame(99, 0, Buffer.alloc(300)),
    dataFrameHead(3, 0, true), dataFrameHead(1, 3, true), Buffer.from('end'),
  ]);
  const read = (cuts: readonly number[]): string[] => {
    const reader = new FrameReader();
    const seen: string[] = [];
    let open = '';
    const put = (f: Frame): void => {
      if (f.kind === 'control') seen.push(`control ${f.type} ${f.body.toString('hex')}`);
      else {
        open += f.payload.toString();
        if (f.fin) seen.push(`fin ${f.streamId} ${open}`);
        if (f.fin) open = '';
      }
    };
    const points = [0, ...cuts.map((c) => c % bytes.length).toSorted((a, b) => a - b), bytes.length];
    for (let i = 1; i < points.length; i++) {
      reader.feed(bytes.subarray(points[i - 1], points[i]));
      for (let f = reader.next(); f; f = reader.next()) put(f);
      assert.equal(reader.next(), undefined);
    }
    return seen;
  };
  const whole = read([]);
  assert.deepEqual(whole, ['control 6 00000007', 'fin 3 hello', 'fin 1 end']);
  fc.assert(fc.property(fc.array(fc.nat(400), { maxLength: 12 }), (cuts) => assert.deepEqual(read(cuts), whole)));
});

test('FrameReader refuses control frames that are too long or of another version', () => {
  const reader = new FrameReader();
  reader.feed(controlFrame(SYN_STREAM, 0, Buffer.alloc(MAX_CONTROL_FRAME_BYTES + 1)).subarray(0, 8));
  assert.throws(() => reader.next(), /control frame of type 1 has 65537 bytes: must be at most 65536/);
  const other = new FrameReader();
  other.feed(Buffer.from('8002000100000000', 'hex'));
  assert.throws(() => other.next(), /unsupported SPDY version 2: must be 3/);
});

test('HeaderDecoder reads what HeaderEncoder wrote, block after block', () => {
  const encoder = new HeaderEncoder();
  const decoder = new HeaderDecoder();
  const blocks = fc.array(fc.dictionary(fc.stringMatching(/^[a-z-]{1,20}$/), fc.string({ maxLength: 3000 })), { maxLength: 5 });
  fc.assert(
    fc.property(blocks, (list) => {
      for (const headers of list) assert.deepEqual({ ...decoder.decode(encoder.encode(headers)) }, { ...headers });
    }),
    { numRuns: 30 },
  );
});

test('HeaderDecoder reads compressed blocks and refuses one that inflates beyond the limit', async () => {
  const deflate = createDeflate({ dictionary: SPDY3_DICTIONARY, flush: constants.Z_SYNC_FLUSH });
  const compressed = async (raw: Buffer): Promise<Buffer> => {
    deflate.write(raw);
    await new Promise<void>((resolve) => deflate.flush(constants.Z_SYNC_FLUSH, resolve));
    const parts: Buffer[] = [];
    for (let part = deflate.read() as Buffer | null; part; part = deflate.read() as Buffer | null) parts.push(part);
    return Buffer.concat(parts);
  };
  const one = (value: string): Buffer => Buffer.concat([words(1, 10), Buffer.from('Streamtype'), words(value.length), Buffer.from(value)]);
  const decoder = new HeaderDecoder();
  assert.deepEqual({ ...decoder.decode(await compressed(one('stdin'))) }, { streamtype: 'stdin' });
  // What came before is referred to, further back than deflate's window reaches, too.
  const [long, again] = [randomBytes(15_000).toString('hex'), randomBytes(10).toString('hex')];
  for (const value of ['stdin', long, again, long, again, long, 'stdin']) {
    const block = await compressed(one(value));
    assert.deepEqual({ ...decoder.decode(block) }, { streamtype: value });
  }
  const bomb = await compressed(Buffer.alloc(MAX_HEADER_BLOCK_BYTES * 20));
  assert.ok(bomb.length < 5000);
  assert.throws(() => decoder.decode(bomb), /header block is longer than 65536 bytes/);
});

test('HeaderDecoder refuses rubbish', () => {
  const decoder = new HeaderDecoder();
  assert.throws(() => decoder.decode(Buffer.from('not zlib at all')), /header block is not valid/);
  const short = new HeaderDecoder();
  const encoder = new HeaderEncoder();
  const block = encoder.encode({ a: 'b' });
  block.writeUInt32BE(9, 11);
  assert.throws(() => short.decode(block), /ends in the middle of a number/);
});

test('SpdyConnection carries streams both ways, with headers and half-close', async (t) => {
  const { client } = pair({
    onStream(stream) {
      assert.equal(stream.headers['streamtype'], 'echo');
      void pipeline(stream, stream).catch(() => {});
      return true;
    },
  }, t);
  const sent = randomBytes(3_000_000);
  const stream = await client.openStream({ streamtype: 'echo' });
  stream.end(sent);
  const back = await buffer(stream);
  assert.ok(back.equals(sent));
});

test('SpdyConnection refuses streams the server does not want', async (t) => {
  const { client } = pair({ onStream: (s) => s.headers['streamtype'] === 'good' }, t);
  await assert.rejects(client.openStream({ streamtype: 'bad' }), /stream was refused/);
  assert.ok(await client.openStream({ streamtype: 'good' }));
});

test('SpdyConnection refuses more streams than maxStreams', async (t) => {
  const { client } = pair({ maxStreams: 2, onStream: () => true }, t);
  const first = await client.openStream({});
  await client.openStream({});
  await assert.rejects(client.openStream({}), /stream was refused/);
  first.destroy();
  await waitFor(() => client.openStream({}).then(() => true, () => false));
});

async function waitFor(probe: () => Promise<boolean>): Promise<void> {
  while (!(await probe())) await new Promise<void>((resolve) => setImmediate(resolve));
}

test('SpdyConnection does not read on while a stream is not consumed', async (t) => {
  let received: SpdyStream | undefined;
  const { client } = pair({ onStream: (s) => ((received = s), true) }, t);
  const stream = await client.openStream({});
  let sent = 0;
  let blocked = false;
  const chunk = Buffer.alloc(64 * 1024);
  while (sent < 64 << 20 && !blocked) {
    sent += chunk.length;
    if (!stream.write(chunk)) {
      const drained = new Promise<'drained'>((resolve) => stream.once('drain', () => resolve('drained')));
      const idle = (async () => {
        for (let i = 0; i < 50; i++) await new Promise<void>((resolve) => setImmediate(resolve));
        return 'idle' as const;
      })();
      blocked = (await Promise.race([drained, idle])) === 'idle';
    }
  }
  assert.ok(blocked, 'the writer was never stopped');
  assert.ok(sent < 4 << 20, `${sent} bytes were accepted`);
  stream.end();
  assert.equal((await buffer(received!)).length, sent);
});

test('SpdyConnection delivers what came before a reset, then ends the stream', async (t) => {
  let received: SpdyStream | undefined;
  const { client, server } = pair({ onStream: (s) => ((received = s), true) }, t);
  const stream = await client.openStream({});
  received!.write('last words');
  server.close();
  assert.equal(await text(stream), 'last words');
  assert.equal(stream.wasReset, true);
  assert.equal(await client.closed, undefined);
  assert.equal(await server.closed, undefined);
  stream.write('nobody hears');
});

test('SpdyConnection.close gives up on a peer that does not close its side', async (t) => {
  const clock = new FakeClock();
  const [ours, theirs] = duplexPair();
  const connection = new SpdyConnection(ours, { side: 'server', clock });
  t.after(() => theirs.destroy());
  connection.close();
  theirs.resume();
  await clock.advance(9_999);
  assert.equal(ours.destroyed, false);
  await clock.advance(1);
  await connection.closed;
});

test('SpdyConnection answers pings of the peer and not its own', async (t) => {
  const [ours, theirs] = duplexPair();
  const connection = new SpdyConnection(ours, { side: 'server' });
  t.after(() => connection.destroy());
  theirs.write(controlFrame(PING, 0, words(2)));
  theirs.write(controlFrame(PING, 0, words(5)));
  const answer = await new Promise<Buffer>((resolve) => theirs.once('data', resolve));
  assert.deepEqual(answer, controlFrame(PING, 0, words(5)));
});

test('SpdyConnection ends on a protocol error', async (t) => {
  const [ours, theirs] = duplexPair();
  const connection = new SpdyConnection(ours, { side: 'server' });
  t.after(() => theirs.destroy());
  const answer = new Promise<Buffer>((resolve) => theirs.once('data', resolve));
  theirs.write(Buffer.from('8002000100000000', 'hex'));
  assert.match(String(await connection.closed), /unsupported SPDY version/);
  assert.deepEqual(await answer, controlFrame(GOAWAY, 0, words(0, 1)));
});

async function serve(t: TestContext, onUpgrade: (req: IncomingMessage, socket: Duplex, head: Buffer) => void): Promise<URL> {
  const server = createServer((_req, res) => res.writeHead(404).end('no such page\n'));
  server.on('upgrade', onUpgrade);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/exec`);
}
const sha = async (source: Readable): Promise<string> => {
  const hash = createHash('sha256');
  for await (const part of source) hash.update(part as Buffer);
  return hash.digest('hex');
};

test('acceptSpdy and dialSpdy agree on the first protocol of the client that the server knows, and carry 20 MB intact', async (t) => {
  const url = await serve(t, (req, socket, head) => {
    const session = acceptSpdy(req, socket, head, { protocols: ['v4', 'v3'], onStream: (s) => (void pipeline(s, s).catch(() => {}), true) });
    void session?.connection.closed;
  });
  const { connection, protocol } = await dialSpdy(url, { protocols: ['v5', 'v4', 'v3'] });
  assert.equal(protocol, 'v4');
  const data = randomBytes(20 << 20);
  const stream = await connection.openStream({ streamtype: 'data' });
  stream.end(data);
  assert.equal(await sha(stream), createHash('sha256').update(data).digest('hex'));
  connection.close();
  await connection.closed;
});

test('acceptSpdy refuses a client without a common protocol in upstream\'s words', async (t) => {
  const url = await serve(t, (req, socket, head) => void acceptSpdy(req, socket, head, { protocols: ['v4', 'v3'] }));
  const err = await dialSpdy(url, { protocols: ['v9', 'v8'] }).then(() => assert.fail(), (e: unknown) => e as UpgradeRefusedError);
  assert.equal(err.statusCode, 403);
  assert.equal(err.message, 'unable to upgrade connection: unable to upgrade: unable to negotiate protocol: client supports [v9 v8], server accepts [v4 v3]');
});

test('dialSpdy reports an answer that is no upgrade', async (t) => {
  const server = createServer((_req, res) => res.writeHead(404).end('no such page\n'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/x`);
  await assert.rejects(dialSpdy(url, { protocols: ['v4'] }), (err) => err instanceof UpgradeRefusedError && err.statusCode === 404 && err.body === 'no such page\n');
});

test('dialSpdy rejects when nobody listens or the signal aborts', async () => {
  await assert.rejects(dialSpdy(new URL('http://127.0.0.1:1/'), { protocols: ['v4'] }), /ECONNREFUSED/);
  await assert.rejects(dialSpdy(new URL('http://127.0.0.1:1/'), { protocols: ['v4'], signal: AbortSignal.abort() }), /abort/i);
});
