import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { structByKind } from '#api/schema.ts';
import { deepFreeze } from '#base/draft.ts';
import type { JsonObject } from '../patch/json.ts';
import { compareObjects, fieldSetOf, reconcileWithSchema, withNamedFields } from './compare.ts';
import { forEachPath, sortSet, type FieldSet } from './field-set.ts';
import { mapOf, UNTYPED } from './schema.ts';
import { structSchema, zeroObject } from './struct-schema.ts';
import { customResourceSchema } from './structural-schema.ts';

const POD = structSchema(structByKind('', 'v1', 'Pod')!);
const PV = structSchema(structByKind('', 'v1', 'PersistentVolume')!);
const port = (containerPort: number, more = {}) => ({ containerPort, ...more });
const containers = (...list: unknown[]) => ({ spec: { containers: list } });

const comparisons: [name: string, before: JsonObject, after: JsonObject, changed: unknown, removed: unknown, schema?: typeof POD][] = [
  ['nothing', { spec: { nodeName: 'a' } }, { spec: { nodeName: 'a' } }, {}, {}],
  ['a changed leaf', { spec: { nodeName: 'a' } }, { spec: { nodeName: 'b' } }, { 'f:spec': { 'f:nodeName': {} } }, {}],
  ['a new leaf', { spec: {} }, { spec: { nodeName: 'b' } }, { 'f:spec': { 'f:nodeName': {} } }, {}],
  ['a removed leaf', { spec: { nodeName: 'a' } }, { spec: {} }, {}, { 'f:spec': { 'f:nodeName': {} } }],
  ['null is a value', { spec: { nodeName: null } }, { spec: { nodeName: 'b' } }, { 'f:spec': { 'f:nodeName': {} } }, {}],
  ['a new map and what is in it', { metadata: {} }, { metadata: { labels: { a: 'b' } } }, { 'f:metadata': { 'f:labels': { '.': {}, 'f:a': {} } } }, {}],
  ['a new key of a map', { metadata: { labels: { a: 'b' } } }, { metadata: { labels: { a: 'b', c: 'd' } } }, { 'f:metadata': { 'f:labels': { 'f:c': {} } } }, {}],
  ['an empty map', { spec: {} }, { spec: { securityContext: {} } }, { 'f:spec': { 'f:securityContext': {} } }, {}],
  ['a new list item by its key', containers({ name: 'a' }), containers({ name: 'a' }, { name: 'b', image: 'i' }), { 'f:spec': { 'f:containers': { 'k:{"name":"b"}': { '.': {}, 'f:name': {}, 'f:image': {} } } } }, {}],
  ['a moved list item is none', containers({ name: 'a' }, { name: 'b' }), containers({ name: 'b' }, { name: 'a' }), {}, {}],
  ['a removed list item', containers({ name: 'a' }, { name: 'b' }), containers({ name: 'b' }), {}, { 'f:spec': { 'f:containers': { 'k:{"name":"a"}': { '.': {}, 'f:name': {} } } } }],
  [
    'a key with its default', containers({ name: 'a', ports: [port(80)] }), containers({ name: 'a', ports: [port(80, { protocol: 'TCP' }), port(80, { protocol: 'UDP' })] }),
    { 'f:spec': { 'f:containers': { 'k:{"name":"a"}': { 'f:ports': { 'k:{"containerPort":80,"protocol":"TCP"}': { 'f:protocol': {} }, 'k:{"containerPort":80,"protocol":"UDP"}': { '.': {}, 'f:containerPort': {}, 'f:protocol': {} } } } } } }, {},
  ],
  ['an atomic list', containers({ name: 'a', args: ['1'] }), containers({ name: 'a', args: ['2'] }), { 'f:spec': { 'f:containers': { 'k:{"name":"a"}': { 'f:args': {} } } } }, {}],
  ['a set', { metadata: { finalizers: ['a', 'b'] } }, { metadata: { finalizers: ['b', 'c'] } }, { 'f:metadata': { 'f:finalizers': { 'v:"c"': {} } } }, { 'f:metadata': { 'f:finalizers': { 'v:"a"': {} } } }],
  ['an atomic map', { spec: { nodeSelector: { a: 'b' } } }, { spec: { nodeSelector: { a: 'c' } } }, { 'f:spec': { 'f:nodeSelector': {} } }, {}],
  ['an atomic struct', { spec: { imagePullSecrets: [{ name: 'a' }] } }, { spec: { imagePullSecrets: [{ name: 'b' }] } }, { 'f:spec': { 'f:imagePullSecrets': { 'k:{"name":"b"}': {} } } }, { 'f:spec': { 'f:imagePullSecrets': { 'k:{"name":"a"}': {} } } }],
  ['a struct that its field makes granular', { spec: { claimRef: { name: 'a', uid: '1' } } }, { spec: { claimRef: { name: 'a', uid: '2' } } }, { 'f:spec': { 'f:claimRef': { 'f:uid': {} } } }, {}, PV],
  ['new duplicates', containers({ name: 'a' }), containers({ name: 'a' }, { name: 'a', image: 'x' }), { 'f:spec': { 'f:containers': { 'k:{"name":"a"}': {} } } }, { 'f:spec': { 'f:containers': { 'k:{"name":"a"}': { '.': {}, 'f:name': {} } } } }],
  ['changed duplicates', containers({ name: 'a' }, { name: 'a' }), containers({ name: 'a' }, { name: 'a', image: 'x' }), { 'f:spec': { 'f:containers': { 'k:{"name":"a"}': {} } } }, {}],
];
for (const [name, before, after, changed, removed, schema = POD] of comparisons) {
  test(`compareObjects finds ${name}`, () => {
    assert.deepEqual(compareObjects(deepFreeze(before), deepFreeze(after), schema), { changed, removed });
  });
}

test('compareObjects follows values without a schema through a change of shape', () => {
  assert.deepEqual(compareObjects({ a: 1 }, { a: { b: 1 } }, UNTYPED), { changed: { 'f:a': { '.': {}, 'f:b': {} } }, removed: {} });
  assert.deepEqual(compareObjects({ a: { b: 1 } }, { a: 1 }, UNTYPED), { changed: { 'f:a': {} }, removed: { 'f:a': { 'f:b': {} } } });
  assert.deepEqual(compareObjects({ a: [1] }, { a: [2] }, UNTYPED), { changed: { 'f:a': {} }, removed: {} });
});

test('fieldSetOf holds leaves, map keys and items, but no structs and no empty lists', () => {
  const config = { metadata: { labels: { a: 'b' }, finalizers: [] }, spec: { securityContext: {}, containers: [{ name: 'a', args: ['x'], resources: { limits: { cpu: '1' } } }] } };
  assert.deepEqual(sortSet(fieldSetOf(config, POD)), {
    'f:metadata': { 'f:labels': { 'f:a': {} } },
    'f:spec': { 'f:containers': { 'k:{"name":"a"}': { '.': {}, 'f:args': {}, 'f:name': {}, 'f:resources': { 'f:limits': { 'f:cpu': {} } } } }, 'f:securityContext': {} },
  });
});

test('withNamedFields adds structs on the way, not map keys or items', () => {
  assert.deepEqual(withNamedFields({ 'f:spec': { 'f:containers': { 'k:{"name":"a"}': { 'f:resources': { 'f:limits': { 'f:cpu': {} } } } } } }, POD), {
    'f:spec': { '.': {}, 'f:containers': { '.': {}, 'k:{"name":"a"}': { 'f:resources': { '.': {}, 'f:limits': { '.': {}, 'f:cpu': {} } } } } },
  });
});

test('reconcileWithSchema folds fields of what is atomic now, and else returns the very set', () => {
  const set: FieldSet = { 'f:spec': { 'f:nodeSelector': { '.': {}, 'f:a': {} }, 'f:nodeName': {} } };
  assert.deepEqual(reconcileWithSchema(set, POD), { 'f:spec': { 'f:nodeSelector': {}, 'f:nodeName': {} } });
  const fine: FieldSet = { 'f:spec': { 'f:nodeSelector': {}, 'f:containers': { 'k:{"name":"a"}': { 'f:args': {} } } } };
  assert.equal(reconcileWithSchema(fine, POD), fine);
});

test('zeroObject is what Go encodes for an empty object', () => {
  const pod = zeroObject(structByKind('', 'v1', 'Pod')!);
  assert.deepEqual(pod, { metadata: {}, spec: { containers: null }, status: {} });
});

test('customResourceSchema reads the markers of structural schemas', () => {
  const schema = customResourceSchema(
    {
      type: 'object',
      properties: {
        spec: {
          type: 'object',
          properties: {
            rules: { type: 'array', 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['port', 'name'], items: { type: 'object', properties: { name: { type: 'string' }, port: { type: 'integer', default: 80 }, value: { 'x-kubernetes-int-or-string': true } } } },
            tags: { type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'string' } },
            plain: { type: 'array', items: { type: 'string' } },
            selector: { type: 'object', 'x-kubernetes-map-type': 'atomic', additionalProperties: { type: 'string' } },
            free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
          },
        },
      },
    },
    structSchema(structByKind('', 'v1', 'Pod')!).fields.get('metadata')!,
  );
  const value = { metadata: { labels: { a: '1' } }, spec: { rules: [{ name: 'x', value: 1 }], tags: ['t'], plain: ['p'], selector: { a: 'b' }, free: { deep: { er: 1 }, list: [1] } } };
  assert.deepEqual(sortSet(fieldSetOf(value, schema)), {
    'f:metadata': { 'f:labels': { 'f:a': {} } },
    'f:spec': { 'f:free': { 'f:deep': { '.': {}, 'f:er': {} }, 'f:list': {} }, 'f:plain': {}, 'f:rules': { 'k:{"name":"x","port":80}': { '.': {}, 'f:name': {}, 'f:value': {} } }, 'f:selector': {}, 'f:tags': { 'v:"t"': {} } },
  });
});

test('compareObjects agrees with a comparison of flat paths', () => {
  const key = fc.constantFrom('a', 'b', 'c', '__proto__');
  const tree = fc.letrec((tie) => ({
    o: fc.dictionary(key, fc.oneof({ maxDepth: 3 }, fc.integer({ min: 0, max: 2 }), tie('o')), { noNullPrototype: true, maxKeys: 3 }),
  })).o as fc.Arbitrary<JsonObject>;
  const schema = mapOf(UNTYPED);
  /** Every path to its value; objects with keys count as the same. */
  const flat = (value: unknown, path: readonly string[] = []): [string, unknown][] => {
    const own: [string, unknown][] = path.length ? [[path.join('/'), value !== null && typeof value === 'object' ? (Object.keys(value).length ? 'object' : 'empty') : value]] : [];
    return value !== null && typeof value === 'object' ? [...own, ...Object.entries(value).flatMap(([k, v]) => flat(v, [...path, `f:${k}`]))] : own;
  };
  const list = (set: FieldSet) => {
    const out: string[] = [];
    forEachPath(set, (p) => out.push(p.join('/')));
    return new Set(out);
  };
  fc.assert(fc.property(tree, tree, (before, after) => {
    const [b, a] = [new Map(flat(before)), new Map(flat(after))];
    const { changed, removed } = compareObjects(deepFreeze(before), deepFreeze(after), schema);
    // An object that gets its first key or loses its last one stays what it is: only its keys come and go.
    const differs = (p: string) => b.get(p) !== a.get(p) && !['object', 'empty'].includes(b.get(p) as string) ? true : b.get(p) !== a.get(p) && !['object', 'empty'].includes(a.get(p) as string);
    assert.deepEqual(list(changed), new Set([...a.keys()].filter((p) => !b.has(p) || differs(p))));
    assert.deepEqual(list(removed), new Set([...b.keys()].filter((p) => !a.has(p))));
  }), { numRuns: 500 });
});
