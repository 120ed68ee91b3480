import assert from 'node:assert/strict';
import { test } from 'node:test';
import { routesByLink, vniOf, vtepMac, vxlanCommands, vxlanLinkName, vxlanLinkOf, type KernelLink, type KernelVxlan } from './vxlan-plan.ts';

const place = { nodeName: 'a', nodeIP: '172.30.0.1', clusterCIDR: '10.244.0.0/16', podCIDR: '10.244.0.0/24' };
const plan = (routes: Record<string, string>) => ({ routes: new Map(Object.entries(routes).map(([range, via]) => [range, { node: `at ${via}`, via }])) });

for (const [range, vni] of [['10.244.0.0/16', 0x0af400], ['10.244.7.9/16', 0x0af400], ['10.245.0.0/16', 0x0af500], ['192.168.255.0/24', 0xc0a8ff]] as const) {
  test(`vniOf ${range} is ${vni}`, () => assert.equal(vniOf(range), vni));
}
for (const [address, mac] of [['172.30.0.1', '0a:76:ac:1e:00:01'], ['10.0.0.255', '0a:76:0a:00:00:ff'], ['1.2.3.4', '0a:76:01:02:03:04']] as const) {
  test(`vtepMac of ${address} is ${mac}`, () => assert.equal(vtepMac(address), mac));
}
test('vxlanLinkName follows from the bridge, and fits into a link', () => {
  const names = ['podyard0', 'py1234abcd'].map(vxlanLinkName);
  assert.deepEqual(names, ['podyardx0', 'pyx1234abcd']);
  assert.ok(names.every((name) => name.length <= 15));
});
test('routesByLink leads to each range by its first address', () => {
  assert.deepEqual(Object.fromEntries(routesByLink(plan({ '10.244.1.0/24': '172.30.0.2', '10.244.9.1/32': '172.30.0.3' }), 'x0').routes), {
    '10.244.1.0/24': { node: 'at 172.30.0.2', via: '10.244.1.0', dev: 'x0' }, '10.244.9.1/32': { node: 'at 172.30.0.3', via: '10.244.9.1', dev: 'x0' },
  });
});

const wanted = vxlanLinkOf(place, 'x0', 1500);
const data = { id: 717_824, local: '172.30.0.1', port: 8472, learning: false };
const right: KernelLink = {
  flags: ['BROADCAST', 'UP'], mtu: 1450, address: '0a:76:ac:1e:00:01', linkinfo: { info_kind: 'vxlan', info_data: data },
  addr_info: [{ family: 'inet', local: '10.244.0.0', prefixlen: 32 }, { family: 'inet6', local: 'fe80::1', prefixlen: 64 }],
};
const MAKE = [
  'ip link add x0 address 0a:76:ac:1e:00:01 mtu 1450 type vxlan id 717824 local 172.30.0.1 dstport 8472 nolearning',
  'ip address add 10.244.0.0/32 dev x0', 'ip link set x0 up',
];
const PEER = ['ip neighbour replace 10.244.1.0 lladdr 0a:76:ac:1e:00:02 dev x0 nud permanent', 'bridge fdb replace 0a:76:ac:1e:00:02 dev x0 dst 172.30.0.2 self permanent'];
const neighbour = { dst: '10.244.1.0', lladdr: '0a:76:ac:1e:00:02' };
const entry = { mac: '0a:76:ac:1e:00:02', dst: '172.30.0.2' };
const MOVED = ['ip neighbour replace 10.244.1.0 lladdr 0a:76:ac:1e:00:09 dev x0 nud permanent', 'bridge fdb delete 0a:76:ac:1e:00:02 dev x0 dst 172.30.0.2 self', 'bridge fdb replace 0a:76:ac:1e:00:09 dev x0 dst 172.30.0.9 self permanent'];
const broken = (link: Partial<KernelLink>): Partial<KernelVxlan> => ({ link: { ...right, ...link } });

const cases: readonly { name: string; routes?: Record<string, string>; found?: Partial<KernelVxlan>; commands: readonly string[] }[] = [
  { name: 'all is there', found: {}, commands: [] },
  { name: 'nothing is there', found: { link: undefined, neighbours: [], fdb: [] }, commands: [...MAKE, ...PEER] },
  ...[{ id: 1 }, { local: '172.30.0.9' }, { port: 4789 }, { learning: true }].map((wrong) => ({
    name: `a link of another ${Object.keys(wrong)[0]} is made anew`, found: broken({ linkinfo: { info_kind: 'vxlan', info_data: { ...data, ...wrong } } }), commands: ['ip link delete x0', ...MAKE, ...PEER],
  })),
  { name: 'a link of another kind', found: broken({ linkinfo: { info_kind: 'veth' } }), commands: ['ip link delete x0', ...MAKE, ...PEER] },
  { name: 'a link of another MAC', found: broken({ address: '0a:76:ac:1e:00:09' }), commands: ['ip link delete x0', ...MAKE, ...PEER] },
  { name: 'another MTU', found: broken({ mtu: 1500 }), commands: ['ip link set x0 mtu 1450'] },
  { name: 'a link that is down', found: broken({ flags: ['BROADCAST'] }), commands: ['ip link set x0 up'] },
  { name: 'no address', found: broken({ addr_info: [] }), commands: ['ip address add 10.244.0.0/32 dev x0'] },
  { name: 'the address of another range', found: broken({ addr_info: [{ family: 'inet', local: '10.244.5.0', prefixlen: 32 }] }), commands: ['ip address delete 10.244.5.0/32 dev x0', 'ip address add 10.244.0.0/32 dev x0'] },
  { name: 'a peer that is new', found: { neighbours: [], fdb: [] }, commands: PEER },
  { name: 'a peer at another address', routes: { '10.244.1.0/24': '172.30.0.9' }, commands: MOVED },
  { name: 'a peer that is gone', routes: {}, commands: ['ip neighbour delete 10.244.1.0 dev x0', 'bridge fdb delete 0a:76:ac:1e:00:02 dev x0 dst 172.30.0.2 self'] },
  { name: 'a MAC that leads to another node', found: { fdb: [{ ...entry, dst: '172.30.0.66' }] }, commands: ['bridge fdb delete 0a:76:ac:1e:00:02 dev x0 dst 172.30.0.66 self', PEER[1]!] },
  { name: 'a flood to a node that is not of the plan', found: { fdb: [entry, { mac: '00:00:00:00:00:00', dst: '172.30.0.66' }] }, commands: ['bridge fdb delete 00:00:00:00:00:00 dev x0 dst 172.30.0.66 self'] },
];
for (const { name, routes = { '10.244.1.0/24': '172.30.0.2' }, found, commands } of cases) {
  test(`vxlanCommands: ${name}`, () => {
    const there: KernelVxlan = { link: right, neighbours: [neighbour], fdb: [entry], ...found };
    assert.deepEqual(vxlanCommands(wanted, plan(routes), there).map(({ tool, args }) => [tool, ...args].join(' ')), commands);
  });
}
