import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode, type Packet, type RecordType } from 'dns-packet';
import * as fc from 'fast-check';
import { FakeClock } from '#base/fake-clock.ts';
import { Forwarder } from './forwarder.ts';
import { Responder, reverseAddress } from './responder.ts';
import { query, service, shortly, slice, viewOf } from './testing.ts';
import { Zone } from './zone.ts';

const ready = { ready: true };
const view = viewOf({
  namespaces: ['default', 'other', 'kube-system'],
  services: [
    service('web', { clusterIP: '10.96.1.1', clusterIPs: ['10.96.1.1'], ports: [{ name: 'http', port: 80, protocol: 'TCP' }, { name: 'dns', port: 53, protocol: 'UDP' }] }),
    service('db', { clusterIP: 'None', clusterIPs: ['None'] }),
    service('empty', { clusterIP: 'None', clusterIPs: ['None'] }),
    service('big', { clusterIP: 'None', clusterIPs: ['None'] }),
    service('out', { type: 'ExternalName', externalName: 'www.example.com' }),
    service('alias', { type: 'ExternalName', externalName: 'web.default.svc.cluster.local' }),
    service('loop', { type: 'ExternalName', externalName: 'loop.default.svc.cluster.local' }),
  ],
  slices: [
    slice('db', [{ addresses: ['10.244.0.2'], hostname: 'db-0', conditions: ready }, { addresses: ['10.244.0.3'], conditions: ready }, { addresses: ['10.244.0.4'], conditions: { ready: false } }]),
    slice('web', [{ addresses: ['10.244.0.9'], conditions: ready }]),
    slice('big', Array.from({ length: 60 }, (_, i) => ({ addresses: [`10.244.7.${i}`], conditions: ready }))),
  ],
  pods: { '10.244.0.50': 'default', '10.244.0.51': 'other' },
});
const asked: string[] = [];
const outside: Record<string, Partial<Packet>> = {
  'www.example.com A': { answers: [{ type: 'CNAME', name: 'www.example.com', data: 'edge.example.com', ttl: 60 }, { type: 'A', name: 'edge.example.com', data: '198.51.100.7', ttl: 60 }] },
};
/** Resolvers of the host that know one name. */
class Outside extends Forwarder {
  override ask(key: string, message: Buffer): Promise<Buffer | undefined> {
    asked.push(key.split(' ')[0]!);
    const [name, type] = key.split(' ');
    if (name === 'unreachable.example.com') return Promise.resolve(undefined);
    const known = outside[`${name} ${type === '1' ? 'A' : type}`];
    return Promise.resolve(encode({ type: 'response', id: message.readUInt16BE(0), flags: known ? 0 : 3, questions: [{ name: name!, type: 'A' }], ...known }));
  }
}
const clock = new FakeClock();
const zone = new Zone({ domain: 'cluster.local', dnsIP: '10.96.0.10', ttl: 5, random: () => 0.99, serial: () => 1 }, view);
const responder = new Responder({ zone, view, forwarder: new Outside({ clock, servers: () => Promise.resolve([]) }), hostSearch: () => Promise.resolve(['corp.example']) });
const ask = async (name: string, type: RecordType = 'A', from = '10.244.0.51', options: { tcp?: boolean; udpSize?: number } = {}) =>
  shortly((await responder.respond(query(name, type, options), { address: from, tcp: options.tcp ?? false }, new AbortController().signal))!);
const codes = async (...names: string[]) => Promise.all(names.map(async (n) => (await ask(n)).rcode));

test('a Service has its address, in any case of letters', async () => {
  const { rcode, answers, authoritative } = await ask('web.default.svc.cluster.local');
  assert.deepEqual([rcode, answers, authoritative], ['NOERROR', ['web.default.svc.cluster.local A 10.96.1.1'], true]);
  assert.deepEqual((await ask('WeB.default.SVC.cluster.local')).answers, ['WeB.default.SVC.cluster.local A 10.96.1.1']);
});
test('a type that a name lacks is no data, a name that is not there does not exist; both with the SOA', async () => {
  const soa = 'cluster.local SOA {"mname":"ns.dns.cluster.local","rname":"hostmaster.cluster.local","serial":1,"refresh":7200,"retry":1800,"expire":86400,"minimum":5}';
  const v6 = await ask('web.default.svc.cluster.local', 'AAAA');
  assert.deepEqual([v6.rcode, v6.answers, v6.authorities], ['NOERROR', [], [soa]]);
  const missing = await ask('nothing.default.svc.cluster.local');
  assert.deepEqual([missing.rcode, missing.authorities], ['NXDOMAIN', [soa]]);
});
test('names above Services exist without data, as far as their namespace does', async () => {
  assert.deepEqual(await codes('cluster.local', 'svc.cluster.local', 'pod.cluster.local', 'default.svc.cluster.local', 'default.pod.cluster.local'), Array(5).fill('NOERROR'));
  assert.deepEqual(await codes('nowhere.svc.cluster.local', 'web.nowhere.svc.cluster.local', 'x.cluster.local', 'a.b.c.web.default.svc.cluster.local'), Array(4).fill('NXDOMAIN'));
});
test('a headless Service has the addresses of what is ready, each with a name', async () => {
  assert.deepEqual((await ask('db.default.svc.cluster.local')).answers.toSorted(), ['db.default.svc.cluster.local A 10.244.0.2', 'db.default.svc.cluster.local A 10.244.0.3']);
  assert.deepEqual((await ask('db-0.db.default.svc.cluster.local')).answers, ['db-0.db.default.svc.cluster.local A 10.244.0.2']);
  assert.deepEqual((await ask('10-244-0-3.db.default.svc.cluster.local')).answers, ['10-244-0-3.db.default.svc.cluster.local A 10.244.0.3']);
  assert.deepEqual(await codes('10-244-0-2.db.default.svc.cluster.local', '10-244-0-4.db.default.svc.cluster.local', 'empty.default.svc.cluster.local'), Array(3).fill('NXDOMAIN'));
});
test('SRV tells named ports and their targets', async () => {
  const one = await ask('_http._tcp.web.default.svc.cluster.local', 'SRV');
  assert.deepEqual(one.answers, ['_http._tcp.web.default.svc.cluster.local SRV {"priority":0,"weight":100,"port":80,"target":"web.default.svc.cluster.local"}']);
  assert.deepEqual(one.additionals, ['web.default.svc.cluster.local A 10.96.1.1']);
  const headless = await ask('_http._tcp.db.default.svc.cluster.local', 'SRV');
  assert.deepEqual(headless.answers.map((a) => /"weight":50,"port":8080,"target":"([^"]+)"/.exec(a)?.[1]).toSorted(), ['10-244-0-3.db.default.svc.cluster.local', 'db-0.db.default.svc.cluster.local']);
  assert.deepEqual(await codes('_http._udp.web.default.svc.cluster.local', '_x._tcp.web.default.svc.cluster.local'), ['NXDOMAIN', 'NXDOMAIN']);
});
test('an ExternalName is an alias, followed to its addresses, inside and outside, and never in a circle', async () => {
  assert.deepEqual((await ask('out.default.svc.cluster.local')).answers, ['out.default.svc.cluster.local CNAME www.example.com', 'www.example.com CNAME edge.example.com', 'edge.example.com A 198.51.100.7']);
  assert.deepEqual((await ask('out.default.svc.cluster.local', 'CNAME')).answers, ['out.default.svc.cluster.local CNAME www.example.com']);
  assert.deepEqual((await ask('alias.default.svc.cluster.local')).answers, ['alias.default.svc.cluster.local CNAME web.default.svc.cluster.local', 'web.default.svc.cluster.local A 10.96.1.1']);
  assert.equal((await ask('loop.default.svc.cluster.local')).rcode, 'NOERROR');
});
test('Pods have names by their addresses', async () => {
  assert.deepEqual((await ask('10-244-0-9.default.pod.cluster.local')).answers, ['10-244-0-9.default.pod.cluster.local A 10.244.0.9']);
  assert.deepEqual(await codes('10-244-0-999.default.pod.cluster.local', 'x.default.pod.cluster.local', '10-244-0-9.nowhere.pod.cluster.local'), Array(3).fill('NXDOMAIN'));
});
test('addresses lead back to names', async () => {
  const back = async (ip: string) => (await ask(`${ip.split('.').toReversed().join('.')}.in-addr.arpa`, 'PTR')).answers.map((a) => a.split(' ')[2]);
  assert.deepEqual(await back('10.96.1.1'), ['web.default.svc.cluster.local']);
  assert.deepEqual(await back('10.244.0.2'), ['db-0.db.default.svc.cluster.local']);
  asked.length = 0;
  assert.equal((await ask('1.2.0.192.in-addr.arpa', 'PTR')).rcode, 'NXDOMAIN');
  assert.deepEqual(asked, ['1.2.0.192.in-addr.arpa']);
  assert.equal(reverseAddress('1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa'), '2001:db8::1');
});
test('the zone tells of itself', async () => {
  assert.deepEqual((await ask('dns-version.cluster.local', 'TXT')).answers, ['dns-version.cluster.local TXT 1.1.0']);
  assert.deepEqual((await ask('cluster.local', 'NS')).answers, ['cluster.local NS ns.dns.cluster.local']);
  assert.deepEqual((await ask('ns.dns.cluster.local')).answers, ['ns.dns.cluster.local A 10.96.0.10']);
});
test('later tries of a search list are no data where the Pod has the Service, so that no resolver takes them for failure', async () => {
  const here = '10.244.0.50';
  const rcode = async (name: string, from: string) => (await ask(name, 'A', from)).rcode;
  for (const name of ['web.svc.cluster.local', 'web.cluster.local', 'web.corp.example']) {
    assert.equal(await rcode(name, here), 'NOERROR', name);
    assert.equal(await rcode(name, '10.244.0.51'), 'NXDOMAIN', name);
    assert.equal(await rcode(name, '192.0.2.2'), 'NXDOMAIN', name);
  }
  for (const name of ['nothing.svc.cluster.local', 'nothing.cluster.local', 'nothing.corp.example', 'web.other.svc.cluster.local', 'x.web.cluster.local', 'web.example']) assert.equal(await rcode(name, here), 'NXDOMAIN', name);
});
test('a resolver that cannot be reached is SERVFAIL', async () => {
  assert.equal((await ask('unreachable.example.com')).rcode, 'SERVFAIL');
});
test('an answer that is too long for UDP says so, and is whole over TCP or with EDNS', async () => {
  const small = await ask('big.default.svc.cluster.local');
  assert.equal(small.truncated, true);
  assert.ok(small.answers.length > 20 && small.answers.length < 60);
  assert.equal((await ask('big.default.svc.cluster.local', 'A', '', { udpSize: 1232 })).answers.length, 60);
  const tcp = await ask('big.default.svc.cluster.local', 'A', '', { tcp: true });
  assert.deepEqual([tcp.truncated, tcp.answers.length], [false, 60]);
});
test('respond gives no answer to answers, and tells what it does not do', async () => {
  const signal = new AbortController().signal;
  const raw = (message: Buffer) => responder.respond(message, { address: '10.244.0.50', tcp: false }, signal);
  const answer = query('web.default.svc.cluster.local', 'A');
  answer.writeUInt16BE(answer.readUInt16BE(2) | 0x8000, 2);
  assert.equal(await raw(answer), undefined);
  const notify = query('web.default.svc.cluster.local', 'A');
  notify.writeUInt16BE(notify.readUInt16BE(2) | (4 << 11), 2);
  assert.equal((await raw(notify))!.readUInt16BE(2) & 15, 4);
  const none = query('web.default.svc.cluster.local', 'A').subarray(0, 12);
  assert.equal((await raw(none))!.readUInt16BE(2) & 15, 1);
});
test('respond: no bytes make it throw', async () => {
  await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 80 }), async (bytes) => {
    await responder.respond(Buffer.from(bytes), { address: '10.244.0.50', tcp: false }, new AbortController().signal);
  }));
});
