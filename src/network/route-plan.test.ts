import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node } from '#api/gen/core-v1.ts';
import { planRoutes, routeArguments, routeChanges, routeFacts, type KernelRoute, type PodRoute } from './route-plan.ts';

const place = { nodeName: 'a', nodeIP: '172.30.0.1', clusterCIDR: '10.244.0.0/16', podCIDR: '10.244.0.0/24' };
const node = (name: string, podCIDR: string | undefined, address: string | undefined, day = 1): Node => ({
  metadata: { name, creationTimestamp: `2026-01-0${day}T00:00:00Z` }, spec: podCIDR === undefined ? {} : { podCIDR },
  status: { addresses: [{ type: 'Hostname', address: name }, ...(address === undefined ? [] : [{ type: 'InternalIP', address }])] },
});
const OUTSIDE = "its podCIDR must be a range inside of the cluster's, 10.244.0.0/16";
const OWN = "its podCIDR must not overlap with this node's, 10.244.0.0/24";

const plans: readonly { name: string; nodes: readonly Node[]; routes: Record<string, string>; refused?: Record<string, string> }[] = [
  { name: 'a route for each other node', nodes: [node('a', '10.244.0.0/24', '172.30.0.1'), node('b', '10.244.1.0/24', '172.30.0.2'), node('c', '10.244.2.0/24', '172.30.0.3')], routes: { '10.244.1.0/24': 'b 172.30.0.2', '10.244.2.0/24': 'c 172.30.0.3' } },
  { name: 'none for a node without a range or an IPv4 address', nodes: [node('b', undefined, '172.30.0.2'), node('c', '10.244.2.0/24', undefined), node('d', '10.244.3.0/24', 'fd00::1'), { metadata: { name: 'e' }, spec: { podCIDR: '10.244.4.0/24' } }], routes: {} },
  { name: 'the range of a bridge that is written with host bits', nodes: [node('b', '10.244.1.7/24', '172.30.0.2')], routes: { '10.244.1.0/24': 'b 172.30.0.2' } },
  ...['0.0.0.0/0', '172.30.0.0/24', '10.0.0.0/8', '10.245.0.0/24', 'fd00::/64', 'all'].map((range) => ({ name: `no route to ${range}`, nodes: [node('b', range, '172.30.0.2')], routes: {}, refused: { b: `No route to the Pods of node "b" (${range}): ${OUTSIDE}` } })),
  ...['10.244.0.0/24', '10.244.0.128/25', '10.244.0.0/16', '10.244.0.9/32'].map((range) => ({ name: `no route to ${range}, which is this node's`, nodes: [node('b', range, '172.30.0.2')], routes: {}, refused: { b: `No route to the Pods of node "b" (${range}): ${OWN}` } })),
  { name: 'the older of two that claim a range', nodes: [node('b', '10.244.1.0/24', '172.30.0.2', 2), node('c', '10.244.1.0/24', '172.30.0.3', 1)], routes: { '10.244.1.0/24': 'c 172.30.0.3' }, refused: { b: 'No route to the Pods of node "b" (10.244.1.0/24): its podCIDR overlaps with 10.244.1.0/24 of the older node "c"' } },
  { name: 'the older of two ranges that overlap, by name if they are of one age', nodes: [node('c', '10.244.1.128/25', '172.30.0.3'), node('b', '10.244.1.0/24', '172.30.0.2')], routes: { '10.244.1.0/24': 'b 172.30.0.2' }, refused: { c: 'No route to the Pods of node "c" (10.244.1.128/25): its podCIDR overlaps with 10.244.1.0/24 of the older node "b"' } },
  { name: 'a range is claimed also by a node whose address is not known yet', nodes: [node('b', '10.244.1.0/24', undefined), node('c', '10.244.1.0/24', '172.30.0.3', 2)], routes: {}, refused: { c: 'No route to the Pods of node "c" (10.244.1.0/24): its podCIDR overlaps with 10.244.1.0/24 of the older node "b"' } },
  { name: "no route by this node's own address", nodes: [node('b', '10.244.1.0/24', '172.30.0.1')], routes: {}, refused: { b: 'No route to the Pods of node "b" (10.244.1.0/24): its address 172.30.0.1 is this node\'s own' } },
  ...['127.0.0.1', '10.244.0.7'].map((address) => ({ name: `no route by ${address}`, nodes: [node('b', '10.244.1.0/24', address)], routes: {}, refused: { b: `No route to the Pods of node "b" (10.244.1.0/24): its address ${address} is none of a node's` } })),
];
for (const { name, nodes, routes, refused = {} } of plans) {
  test(`planRoutes: ${name}`, () => {
    const plan = planRoutes(nodes, place);
    assert.deepEqual(Object.fromEntries(Array.from(plan.routes, ([range, r]) => [range, `${r.node} ${r.via}`])), routes);
    assert.deepEqual(Object.fromEntries(plan.refused), refused);
  });
}

/** `172.30.0.2`, or `10.244.1.0 podyardx0` for a route by a link. */
const hop = (text: string): PodRoute => {
  const [via = '', dev] = text.split(' ');
  return { node: 'b', via, dev };
};
const differences: readonly { name: string; wanted: Record<string, string>; found: readonly KernelRoute[]; anew?: boolean; commands: readonly string[] }[] = [
  { name: 'nothing to do', wanted: { '10.244.1.0/24': '172.30.0.2' }, found: [{ dst: '10.244.1.0/24', gateway: '172.30.0.2' }], commands: [] },
  { name: 'a route that is missing', wanted: { '10.244.1.0/24': '172.30.0.2' }, found: [], commands: ['add 10.244.1.0/24 via 172.30.0.2 proto 144'] },
  { name: 'another address', wanted: { '10.244.1.0/24': '172.30.0.9' }, found: [{ dst: '10.244.1.0/24', gateway: '172.30.0.2' }], commands: ['replace 10.244.1.0/24 via 172.30.0.9 proto 144'] },
  { name: 'a route that became one of a link', wanted: { '10.244.1.0/24': '172.30.0.2' }, found: [{ dst: '10.244.1.0/24' }], commands: ['replace 10.244.1.0/24 via 172.30.0.2 proto 144'] },
  { name: 'another range: what is gone goes first', wanted: { '10.244.2.0/24': '172.30.0.2' }, found: [{ dst: '10.244.1.0/24', gateway: '172.30.0.2' }], commands: ['delete 10.244.1.0/24 proto 144', 'add 10.244.2.0/24 via 172.30.0.2 proto 144'] },
  { name: 'a stale route to one address', wanted: {}, found: [{ dst: '10.244.9.1', gateway: '172.30.0.2' }], commands: ['delete 10.244.9.1/32 proto 144'] },
  { name: "another cluster's routes stay", wanted: {}, found: [{ dst: '10.200.1.0/24', gateway: '172.30.0.2' }, { dst: 'default', gateway: '172.30.0.2' }, { dst: '10.0.0.0/8', gateway: '172.30.0.2' }], commands: [] },
  { name: 'nothing to do by a link', wanted: { '10.244.1.0/24': '10.244.1.0 podyardx0' }, found: [{ dst: '10.244.1.0/24', gateway: '10.244.1.0', dev: 'podyardx0' }], commands: [] },
  { name: 'by a link, where the kernel knows nothing of the address', wanted: { '10.244.1.0/24': '10.244.1.0 podyardx0' }, found: [], commands: ['add 10.244.1.0/24 via 10.244.1.0 dev podyardx0 onlink proto 144'] },
  { name: 'by another link than before', wanted: { '10.244.1.0/24': '10.244.1.0 podyardx0' }, found: [{ dst: '10.244.1.0/24', gateway: '10.244.1.0', dev: 'eth0' }], commands: ['replace 10.244.1.0/24 via 10.244.1.0 dev podyardx0 onlink proto 144'] },
  { name: "by a link instead of the node's address", wanted: { '10.244.1.0/24': '10.244.1.0 podyardx0' }, found: [{ dst: '10.244.1.0/24', gateway: '172.30.0.2', dev: 'eth0' }], commands: ['replace 10.244.1.0/24 via 10.244.1.0 dev podyardx0 onlink proto 144'] },
  { name: 'all anew', wanted: { '10.244.1.0/24': '172.30.0.2' }, found: [{ dst: '10.244.1.0/24', gateway: '172.30.0.2' }], anew: true, commands: ['replace 10.244.1.0/24 via 172.30.0.2 proto 144'] },
];
for (const { name, wanted, found, anew, commands } of differences) {
  test(`routeChanges: ${name}`, () => {
    const routes = new Map(Object.entries(wanted).map(([range, gateway]) => [range, hop(gateway)]));
    assert.deepEqual(routeChanges({ routes }, found, place.clusterCIDR, anew).map((c) => routeArguments(c).join(' ')), commands.map((c) => `-4 route ${c}`));
  });
}

test('routeFacts are the same for a Node that only tells of itself anew', () => {
  const b = node('b', '10.244.1.0/24', '172.30.0.2');
  assert.equal(routeFacts(b), routeFacts({ ...b, status: { ...b.status, conditions: [{ type: 'Ready', status: 'False' }] } }));
  assert.notEqual(routeFacts(b), routeFacts(node('b', '10.244.1.0/24', '172.30.0.3')));
  assert.notEqual(routeFacts(b), routeFacts(node('b', '10.244.2.0/24', '172.30.0.2')));
});
