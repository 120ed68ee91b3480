import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node } from '#api/gen/core-v1.ts';
import type { Endpoint, EndpointSlice } from '#api/gen/discovery-v1.ts';
import type { SlicePlan } from './plan.ts';
import { isOverloaded, withTopologyHints, zoneRatios, type Hinted } from './topology-hints.ts';

const node = (name: string, zone: string | undefined, cpu: string, ready = 'True', labels = {}): Node => ({
  metadata: { name, labels: { ...(zone ? { 'topology.kubernetes.io/zone': zone } : {}), ...labels } }, spec: {}, status: { allocatable: { cpu }, conditions: [{ type: 'Ready', status: ready }] },
});
const endpoints = (counts: Record<string, number>): Endpoint[] => Object.entries(counts).flatMap(([zone, n]) => Array.from({ length: n }, (_, i) => ({ addresses: [`${zone}${i}`], conditions: { ready: true }, zone })));
const plan = (list: readonly Endpoint[]): SlicePlan => ({ create: [{ addressType: 'IPv4', ports: [], endpoints: list }], update: [], delete: [] });
const hintsOf = ({ plan: { create, update } }: Hinted) => [...create, ...update].flatMap((s) => s.endpoints ?? []).map((e) => `${e.addresses[0]}→${e.hints?.forZones?.[0]?.name ?? ''}`).join(' ');

test('zoneRatios shares the CPUs of ready nodes among their zones', () => {
  assert.deepEqual(zoneRatios([node('a', 'x', '3'), node('b', 'y', '500m'), node('d', 'y', '500m'), node('e', 'z', '9', 'False'), node('f', 'z', '9', 'True', { 'node-role.kubernetes.io/control-plane': '' })]), new Map([['x', 0.75], ['y', 0.25]]));
  assert.equal(zoneRatios([node('a', 'x', '1'), node('b', undefined, '1')]), undefined);
  assert.equal(zoneRatios([node('a', 'x', '1'), node('b', 'x', '1')]), undefined);
});
test('withTopologyHints keeps endpoints in their zones where that is fair', () => {
  const even = new Map([['x', 0.5], ['y', 0.5]]);
  const result = withTopologyHints(plan(endpoints({ x: 2, y: 2 })), [], even);
  assert.equal(hintsOf(result), 'x0→x x1→x y0→y y1→y');
  assert.deepEqual(result.zones, new Map([['x', 2], ['y', 2]]));
});
test('withTopologyHints gives a zone what another has too much of', () => {
  assert.equal(hintsOf(withTopologyHints(plan(endpoints({ x: 4 })), [], new Map([['x', 0.5], ['y', 0.5]]))), 'x0→y x1→y x2→x x3→x');
});
test('withTopologyHints says why there are none, and takes those away that are there', () => {
  const stale: EndpointSlice = { metadata: { name: 's' }, addressType: 'IPv4', endpoints: [{ addresses: ['a'], conditions: { ready: true }, zone: 'x', hints: { forZones: [{ name: 'x' }] } }] };
  const few = withTopologyHints({ create: [], update: [], delete: [] }, [stale], new Map([['x', 0.5], ['y', 0.5]]));
  assert.deepEqual([few.zones, few.reason, few.plan.update[0]?.endpoints?.[0]?.hints], [undefined, 'Insufficient number of endpoints (1 endpoints, 2 zones)', undefined]);
  const reasons = [withTopologyHints(plan(endpoints({ x: 2 })), [], new Map([['x', 2 / 3], ['y', 1 / 3]])), withTopologyHints(plan([]), [], undefined), withTopologyHints(plan([...endpoints({ x: 1 }), { addresses: ['q'], conditions: { ready: true } }]), [], new Map([['x', 0.5], ['y', 0.5]]))].map((r) => r.reason);
  assert.deepEqual(reasons, [
    'Unable to allocate minimum required endpoints to each zone without exceeding overload threshold (2 endpoints, 2 zones)',
    'Insufficient Node information: allocatable CPU or zone not specified on one or more nodes', 'One or more endpoints do not have a zone specified',
  ]);
});
test('withTopologyHints leaves slices alone whose hints still do', () => {
  const even = new Map([['x', 0.5], ['y', 0.5]]);
  const first = withTopologyHints(plan(endpoints({ x: 1, y: 1 })), [], even);
  const there: EndpointSlice = { metadata: { name: 's' }, ...first.plan.create[0]! };
  assert.deepEqual(withTopologyHints({ create: [], update: [], delete: [] }, [there], even).plan.update, []);
  assert.equal(isOverloaded(first.zones!, even), false);
  assert.equal(isOverloaded(first.zones!, new Map([['x', 0.4], ['y', 0.4], ['z', 0.2]])), true);
});
