import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Service } from '#api/gen/core-v1.ts';
import type { IPAddress, ServiceCIDR } from '#api/gen/networking-v1.ts';
import type { KubeObject } from '#api/object.ts';
import type { ResourceInfo } from '#api/resources.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { ipText, parseCIDR } from '#machinery/ip.ts';
import type { ApiCallLike, ObjectReader } from '../interfaces.ts';
import { boundsOf, IpAllocator } from './ip-allocator.ts';
import { NodePorts, staticPorts } from './node-ports.ts';
import { ServiceNetwork } from './service-network.ts';

/** Objects by plural, read and written as the server would; what is written is recorded. */
function objects(initial: Record<string, KubeObject[]> = {}) {
  const all = new Map<string, KubeObject[]>(Object.entries(initial));
  const writes: string[] = [];
  const reader: ObjectReader = {
    get: <T extends KubeObject>(r: ResourceInfo, namespace: string, name: string) => all.get(r.plural)?.find((o) => o.metadata.name === name && (o.metadata.namespace ?? '') === namespace) as T | undefined,
    list: <T extends KubeObject>(r: ResourceInfo) => (all.get(r.plural) ?? []) as unknown as T[],
    subscribe: () => () => {},
  };
  const call = (c: ApiCallLike): Promise<unknown> => {
    const list = all.get(c.resource.plural) ?? [];
    all.set(c.resource.plural, list);
    const name = c.name ?? (c.body as KubeObject).metadata.name!;
    writes.push(`${c.verb} ${c.resource.plural}${c.subresource ? `/${c.subresource}` : ''} ${name}`);
    if (c.verb === 'create') list.push(c.body as KubeObject);
    if (c.verb === 'delete') all.set(c.resource.plural, list.filter((o) => o.metadata.name !== name));
    return Promise.resolve(c.body);
  };
  return { reader, loopback: { call }, writes, all };
}
const range = (cidr: string): ServiceCIDR => ({ metadata: { name: cidr }, spec: { cidrs: [cidr] } });
const service = (name: string, spec: Service['spec']): Service => ({ metadata: { name, namespace: 'default' }, spec });

test('boundsOf keeps the first part of a range for those who choose', () => {
  const of = (text: string) => Object.values(boundsOf(parseCIDR(text)!)).map((bits: bigint) => ipText({ version: text.includes(':') ? 6 : 4, bits }));
  assert.deepEqual(of('10.96.0.0/16'), ['10.96.0.1', '10.96.1.1', '10.96.255.254']);
  assert.deepEqual(of('10.96.0.0/24'), ['10.96.0.1', '10.96.0.17', '10.96.0.254']);
  assert.deepEqual(of('10.96.0.0/28'), ['10.96.0.1', '10.96.0.1', '10.96.0.14']);
  assert.deepEqual(of('fd00::/112'), ['fd00::1', 'fd00::101', 'fd00::ffff']);
});
test('IpAllocator takes the upper part first, then the lower, then says that the range is full', async () => {
  const { reader, loopback } = objects({ servicecidrs: [range('10.0.0.0/27')] });
  const ips = new IpAllocator({ reader, loopback, random: () => 0 });
  const got: string[] = [];
  for (let i = 0; i < 30; i++) got.push(await ips.allocateNext(service('a', {}), 4, false));
  assert.deepEqual([got[0], got[13], got[14], got[29]], ['10.0.0.17', '10.0.0.30', '10.0.0.1', '10.0.0.16']);
  await assert.rejects(ips.allocateNext(service('a', {}), 4, false), /range is full/);
  await ips.release('10.0.0.5');
  assert.equal(await ips.allocateNext(service('a', {}), 4, true), '10.0.0.5');
  assert.equal(ips.has('10.0.0.5'), undefined, 'a dry run writes nothing');
});
test('IpAllocator takes nothing of a range that is not ready or goes away', async () => {
  const unready: ServiceCIDR = { ...range('10.0.0.0/24'), status: { conditions: [{ type: 'Ready', status: 'False', reason: 'x', message: '', lastTransitionTime: '' }] } };
  const going: ServiceCIDR = { ...range('10.1.0.0/24'), metadata: { name: 'b', deletionTimestamp: '2026-01-01T00:00:00Z' } };
  const { reader, loopback } = objects({ servicecidrs: [unready, going] });
  const ips = new IpAllocator({ reader, loopback, random: () => 0 });
  await assert.rejects(ips.allocateNext(service('a', {}), 4, false), /range is full/);
  await assert.rejects(ips.allocate(service('a', {}), '10.1.0.5', false), /the provided network does not match the current range/);
});
test('staticPorts is a part of the range as KEP-3668 has it', () => {
  assert.deepEqual([2768, 16, 17, 5000, 100].map((size) => staticPorts({ base: 1, size })), [86, 0, 16, 128, 16]);
});
test('NodePorts gives a port to one write at a time, and frees what was not written', () => {
  const { reader } = objects({ services: [service('a', { ports: [{ port: 80, nodePort: 30_001 }], healthCheckNodePort: 30_002 })] });
  const ports = new NodePorts(reader, { base: 30_000, size: 4 }, () => 0);
  const claim = (name: string) => ports.claim({ namespace: 'default', name });
  const [one, two] = [claim('b'), claim('c')];
  assert.deepEqual([one.takeNext(), two.takeNext()], [30_000, 30_003]);
  assert.throws(() => claim('d').takeNext(), /range is full/);
  assert.throws(() => two.take(30_000), /provided port is already allocated/);
  one.settle();
  assert.equal(claim('d').takeNext(), 30_000);
  claim('a').take(30_001);
  assert.throws(() => claim('e').take(30_002), /already allocated/);
});
test('ServiceNetwork repairs at its start what a crash left', async () => {
  const address = (name: string, managedBy: string): IPAddress => ({ metadata: { name, labels: { 'ipaddress.kubernetes.io/managed-by': managedBy } }, spec: { parentRef: { resource: 'services', name: 'x' } } });
  const { reader, loopback, writes } = objects({
    services: [service('lost', { clusterIP: '10.96.0.5', clusterIPs: ['10.96.0.5'] }), service('fine', { clusterIP: '10.96.0.6', clusterIPs: ['10.96.0.6'] }), service('none', { clusterIP: 'None', clusterIPs: ['None'] })],
    ipaddresses: [address('10.96.0.6', 'ipallocator.k8s.io'), address('10.96.0.7', 'ipallocator.k8s.io'), address('10.96.0.8', 'example.com/gateway')],
  });
  const network = new ServiceNetwork({}, { reader, loopback, clock: new FakeClock(), random: () => 0 });
  await network.start(new AbortController().signal);
  assert.deepEqual(writes, ['create servicecidrs kubernetes', 'update servicecidrs/status kubernetes', 'create ipaddresses 10.96.0.5', 'delete ipaddresses 10.96.0.7']);
});
