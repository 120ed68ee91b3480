import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { decode, encode } from 'dns-packet';
import { FakeClock } from '#base/fake-clock.ts';
import { systemClock } from '#base/clock.ts';
import { Forwarder } from './forwarder.ts';
import { parseResolvConf, ResolvConfFile } from './resolv-conf.ts';
import { Responder } from './responder.ts';
import { DnsServer } from './server.ts';
import { query, service, shortly, viewOf } from './testing.ts';
import { Zone } from './zone.ts';

const signal = new AbortController().signal;

/** A resolver on loopback; `answer` gives undefined for silence. */
async function resolver(answer: (message: Buffer, count: number) => Buffer | undefined) {
  const socket = createSocket('udp4');
  const seen: Buffer[] = [];
  socket.on('message', (message, from) => {
    seen.push(message);
    const reply = answer(message, seen.length);
    if (reply) socket.send(reply, from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return { seen, server: { address: '127.0.0.1', port: socket.address().port }, [Symbol.asyncDispose]: async () => void (await new Promise<void>((r) => socket.close(() => r()))) };
}
const reply = (message: Buffer, data: string, ttl: number, id = message.readUInt16BE(0)) => {
  const { questions } = decode(message);
  return encode({ type: 'response', id, questions: questions!, answers: [{ type: 'A', name: questions![0]!.name, data, ttl }] });
};

test('Forwarder asks the next resolver when one is silent, and keeps answers while they age', async () => {
  const clock = new FakeClock();
  await using silent = await resolver(() => {
    queueMicrotask(() => void clock.advance(2_000));
    return undefined;
  });
  await using good = await resolver((m) => reply(m, '198.51.100.7', 300));
  const forwarder = new Forwarder({ clock, servers: () => Promise.resolve([silent.server, good.server]) });
  const first = await forwarder.ask('k', query('a.example', 'A', { id: 1 }), signal);
  assert.deepEqual([first!.readUInt16BE(0), shortly(first!).answers], [1, ['a.example A 198.51.100.7']]);
  await clock.advance(10_000);
  const second = await forwarder.ask('k', query('a.example', 'A', { id: 2 }), signal);
  assert.deepEqual([second!.readUInt16BE(0), (decode(second!).answers![0] as { ttl: number }).ttl, good.seen.length], [2, 290, 1]);
  await clock.advance(21_000);
  await forwarder.ask('k', query('a.example', 'A'), signal);
  assert.equal(good.seen.length, 2, 'nothing is kept longer than 30 s');
});
test('Forwarder takes no answer with a wrong id, and gives none when nobody answers', async () => {
  const clock = new FakeClock();
  await using forger = await resolver((m) => {
    queueMicrotask(() => queueMicrotask(() => setImmediate(() => void clock.advance(2_000))));
    return reply(m, '203.0.113.66', 300, m.readUInt16BE(0) ^ 1);
  });
  const forwarder = new Forwarder({ clock, servers: () => Promise.resolve([forger.server]) });
  assert.equal(await forwarder.ask('k', query('a.example', 'A'), signal), undefined);
});
test('Forwarder asks once for many that want the same, and refuses what is too much', async () => {
  const clock = new FakeClock();
  await using good = await resolver((m) => reply(m, '198.51.100.7', 300));
  const forwarder = new Forwarder({ clock, servers: () => Promise.resolve([good.server]), maxConcurrent: 1 });
  const same = Array.from({ length: 5 }, (_, i) => forwarder.ask('k', query('a.example', 'A', { id: i }), signal));
  assert.equal(await forwarder.ask('other', query('b.example', 'A'), signal), undefined);
  assert.deepEqual((await Promise.all(same)).map((m) => m!.readUInt16BE(0)), [0, 1, 2, 3, 4]);
  assert.equal(good.seen.length, 1);
});

const view = viewOf({ namespaces: ['default'], services: [service('web', { clusterIP: '10.96.1.1', clusterIPs: ['10.96.1.1'] })] });
const responder = new Responder({
  view, zone: new Zone({ domain: 'cluster.local', dnsIP: '10.96.0.10', ttl: 5, random: () => 0, serial: () => 1 }, view),
  forwarder: new Forwarder({ clock: systemClock, servers: () => Promise.resolve([]) }), hostSearch: () => Promise.resolve([]),
});
test('DnsServer answers over UDP and TCP on one port, several questions of a connection too', async () => {
  const server = new DnsServer({ host: '127.0.0.1', port: 0, clients: '10.244.0.0/16', responder });
  const port = await server.start();
  try {
    const udp = createSocket('udp4');
    udp.send(query('web.default.svc.cluster.local', 'A'), port, '127.0.0.1');
    const [message] = (await once(udp, 'message')) as [Buffer];
    udp.close();
    assert.deepEqual(shortly(message).answers, ['web.default.svc.cluster.local A 10.96.1.1']);
    const tcp = connect(port, '127.0.0.1');
    const framed = [1, 2].map((id) => query('web.default.svc.cluster.local', 'A', { id })).map((q) => Buffer.concat([Buffer.from([q.length >> 8, q.length & 255]), q]));
    // In pieces that do not end where messages do.
    const bytes = Buffer.concat(framed);
    tcp.write(bytes.subarray(0, 5));
    tcp.write(bytes.subarray(5));
    let got = Buffer.alloc(0);
    while (got.length < 2 || got.length < 2 * (got.readUInt16BE(0) + 2)) got = Buffer.concat([got, ((await once(tcp, 'data')) as [Buffer])[0]]);
    tcp.destroy();
    const length = got.readUInt16BE(0);
    assert.deepEqual([got.readUInt16BE(2), got.readUInt16BE(length + 4)].toSorted(), [1, 2]);
  } finally {
    await server.stop();
  }
});
test('DnsServer takes another port when its own is in use', async () => {
  const one = new DnsServer({ host: '127.0.0.1', port: 0, clients: '10.244.0.0/16', responder });
  const port = await one.start();
  const two = new DnsServer({ host: '127.0.0.1', port, clients: '10.244.0.0/16', responder });
  assert.notEqual(await two.start(), port);
  await Promise.all([one.stop(), two.stop()]);
});

test('parseResolvConf reads servers and the last search list', () => {
  const text = '# a comment\ndomain old.example\nnameserver 192.0.2.1\nnameserver fe80::1%eth0 ; why not\nnameserver nonsense\nsearch Corp.Example. lab.example\noptions ndots:2\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n';
  assert.deepEqual(parseResolvConf(text), { nameservers: ['192.0.2.1', 'fe80::1%eth0', '192.0.2.2'], search: ['corp.example', 'lab.example'] });
});
test('ResolvConfFile follows the file, and does without it', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'podyard-dns-'));
  try {
    let now = 0;
    const file = new ResolvConfFile(join(dir, 'resolv.conf'), () => now);
    assert.deepEqual(await file.current(), { nameservers: [], search: [] });
    await writeFile(join(dir, 'resolv.conf'), 'nameserver 192.0.2.1\n');
    assert.deepEqual((await file.current()).nameservers, []);
    now = 5_000;
    assert.deepEqual((await file.current()).nameservers, ['192.0.2.1']);
  } finally {
    await rm(dir, { recursive: true });
  }
});
