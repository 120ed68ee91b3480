import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Endpoint, EndpointSlice } from '#api/gen/discovery-v1.ts';
import { planSlices, portsKey, type PortGroup, type SlicePlan } from './plan.ts';

const template = { labels: { a: 'b' } };
const ports = [{ name: '', port: 80, protocol: 'TCP' as const }];
const endpoint = (n: number, ready = true): Endpoint => ({ addresses: [`10.0.${n >> 8}.${n & 255}`], conditions: { ready } });
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => endpoint(from + i));
const group = (endpoints: readonly Endpoint[]): PortGroup => ({ addressType: 'IPv4', ports, endpoints });
const slice = (name: string, endpoints: readonly Endpoint[], labels = template.labels): EndpointSlice => ({ metadata: { name, labels }, addressType: 'IPv4', ports, endpoints });
const sizes = (plan: SlicePlan) => ({ create: plan.create.map((s) => s.endpoints.length), update: plan.update.map((s) => [s.metadata.name, s.endpoints!.length]), delete: plan.delete.map((s) => s.metadata.name) });

test('planSlices cuts at 100 endpoints', () => {
  assert.deepEqual(sizes(planSlices([], [group(range(0, 250))], template)), { create: [100, 100, 50], update: [], delete: [] });
});
test('planSlices leaves slices alone that say what is wanted', () => {
  assert.deepEqual(sizes(planSlices([slice('x', range(0, 3))], [group(range(0, 3))], template)), { create: [], update: [], delete: [] });
});
test('planSlices adds to the slice that has just room enough', () => {
  const existing = [slice('full', range(0, 100)), slice('most', range(100, 195)), slice('few', range(195, 205))];
  assert.deepEqual(sizes(planSlices(existing, [group(range(0, 208))], template)).update, [['most', 98]]);
});
test('planSlices fills what it changes anyway, and deletes what is empty', () => {
  const existing = [slice('a', range(0, 10)), slice('b', range(10, 20))];
  const plan = planSlices(existing, [group([...range(0, 9), ...range(30, 32)])], template);
  assert.deepEqual(sizes(plan), { create: [], update: [['a', 11]], delete: ['b'] });
});
test('planSlices writes conditions and labels that have changed', () => {
  assert.deepEqual(sizes(planSlices([slice('a', [endpoint(1)])], [group([endpoint(1, false)])], template)).update, [['a', 1]]);
  assert.deepEqual(sizes(planSlices([slice('a', [endpoint(1)], { a: 'old' })], [group([endpoint(1)])], template)).update, [['a', 1]]);
});
test('planSlices keeps one placeholder for nothing, and drops slices of other ports', () => {
  const placeholder = { addressType: 'IPv4' as const, ports: [], endpoints: [] };
  assert.deepEqual(sizes(planSlices([slice('a', range(0, 2))], [placeholder], template)), { create: [], update: [['a', 0]], delete: [] });
  const there = { ...slice('p', []), ports: [] };
  assert.deepEqual(sizes(planSlices([there], [placeholder], template)), { create: [], update: [], delete: [] });
});
test('planSlices makes new slices of those that it would delete', () => {
  const other = { addressType: 'IPv4' as const, ports: [{ name: '', port: 81 }], endpoints: range(0, 1) };
  const plan = planSlices([slice('a', range(0, 2)), slice('b', range(2, 4))], [other], template);
  assert.deepEqual([sizes(plan), plan.update[0]!.ports], [{ create: [], update: [['a', 1]], delete: ['b'] }, other.ports]);
});
test('portsKey does not care for order or what is left out', () => {
  assert.equal(portsKey('IPv4', [{ name: 'a', port: 1 }, { name: 'b', port: 2 }]), portsKey('IPv4', [{ name: 'b', port: 2, protocol: 'TCP' }, { name: 'a', port: 1, protocol: 'TCP' }]));
});
test('planSlices: whatever was there, afterwards each endpoint is told exactly once', () => {
  const some = fc.uniqueArray(fc.integer({ min: 0, max: 40 }), { maxLength: 40 });
  fc.assert(fc.property(fc.array(some, { maxLength: 5 }), some, fc.integer({ min: 1, max: 8 }), (lists, wanted, max) => {
    const seen = new Set<number>();
    const existing = lists.map((list, i) => slice(`s${i}`, list.filter((n) => !seen.has(n) && seen.add(n)).slice(0, max).map((n) => endpoint(n))));
    const plan = planSlices(existing, [group(wanted.map((n) => endpoint(n)))], template, max);
    const gone = new Set([...plan.delete, ...plan.update].map((s) => s.metadata.name));
    const after = [...existing.filter((s) => !gone.has(s.metadata.name)), ...plan.update, ...plan.create];
    assert.ok(after.every((s) => (s.endpoints ?? []).length <= max));
    assert.deepEqual(after.flatMap((s) => (s.endpoints ?? []).map((e) => e.addresses[0])).toSorted(), wanted.map((n) => endpoint(n).addresses[0]).toSorted());
  }));
});
