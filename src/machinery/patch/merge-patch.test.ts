import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { deepFreeze } from '#base/draft.ts';
import { StatusError } from '../status-error.ts';
import type { JsonObject } from './json.ts';
import { applyMergePatch, createMergePatch, createThreeWayMergePatch } from './merge-patch.ts';

const applies: [name: string, doc: unknown, patch: unknown, want: unknown][] = [
  ['sets and replaces', { a: 'b' }, { a: 'c', b: 1 }, { a: 'c', b: 1 }],
  ['deletes with null', { a: 'b', b: 1 }, { a: null }, { b: 1 }],
  ['replaces lists whole', { a: ['b'] }, { a: ['c'] }, { a: ['c'] }],
  ['merges objects', { a: { b: 'c', d: 1 } }, { a: { b: 'd', c: null } }, { a: { b: 'd', d: 1 } }],
  ['replaces a scalar by an object without its nulls', { a: 1 }, { a: { b: { c: null, d: 2 } } }, { a: { b: { d: 2 } } }],
  ['drops nulls inside objects of lists, keeps null items', {}, { a: [{ b: null, c: 1 }, null] }, { a: [{ c: 1 }, null] }],
  ['takes the patch where there is no object', null, { a: null, b: 1 }, { b: 1 }],
  ['keeps __proto__ an ordinary key', JSON.parse('{"__proto__":{"x":1}}'), JSON.parse('{"__proto__":{"y":2}}'), JSON.parse('{"__proto__":{"x":1,"y":2}}')],
];
for (const [name, doc, patch, want] of applies) {
  test(`applyMergePatch ${name}`, () => {
    assert.equal(JSON.stringify(applyMergePatch(deepFreeze(doc), deepFreeze(patch))), JSON.stringify(want));
    assert.equal(({} as { y?: number }).y, undefined);
  });
}

const fails: [unknown, string][] = [
  [null, 'Invalid JSON Patch'],
  [['a'], 'error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}'],
  ['a', 'error decoding patch: json: cannot unmarshal string into Go value of type map[string]interface {}'],
];
for (const [patch, message] of fails) {
  test(`applyMergePatch refuses ${JSON.stringify(patch)}`, () => {
    assert.throws(() => applyMergePatch({}, patch), (err) => err instanceof StatusError && err.code === 400 && err.message === message);
  });
}

test('createThreeWayMergePatch deletes what was applied before and keeps what others set', () => {
  const original = { spec: { a: 1, b: 2, deep: { x: 1 } } };
  const modified = { spec: { a: 5, deep: {} } };
  const current = { spec: { a: 1, b: 2, other: true, deep: { x: 1, y: 1 } } };
  const patch = createThreeWayMergePatch(original, modified, current);
  assert.deepEqual(patch, { spec: { a: 5, b: null, deep: { x: null } } });
  assert.deepEqual(applyMergePatch(current, patch), { spec: { a: 5, other: true, deep: { y: 1 } } });
});

/** RFC 7396's own algorithm over entries, for values without nulls. */
function model(target: unknown, patch: unknown): unknown {
  if (patch === null || typeof patch !== 'object' || Array.isArray(patch)) return patch;
  const out = new Map(target !== null && typeof target === 'object' && !Array.isArray(target) ? Object.entries(target) : []);
  for (const [k, v] of Object.entries(patch)) {
    if (v === null) out.delete(k);
    else out.set(k, model(out.get(k), v));
  }
  return Object.fromEntries(out);
}
const key = fc.constantFrom('a', 'b', 'c', '__proto__', 'constructor');
const tree = (leaf: fc.Arbitrary<unknown>) => fc.letrec((tie) => ({ o: fc.dictionary(key, fc.oneof({ maxDepth: 4 }, leaf, tie('o')), { noNullPrototype: true }) })).o as fc.Arbitrary<JsonObject>;
const scalars = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constant('s'), fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 2 }));

test("applyMergePatch agrees with RFC 7396's algorithm and changes nothing", () => {
  fc.assert(fc.property(tree(scalars), tree(fc.oneof(scalars, fc.constant(null))), (doc, patch) => {
    const before = JSON.stringify([doc, patch]);
    assert.deepEqual(applyMergePatch(doc, patch), model(doc, patch));
    assert.equal(JSON.stringify([doc, patch]), before);
  }), { numRuns: 300 });
});

test('applyMergePatch puts what it touched in the order of its keys', () => {
  assert.equal(JSON.stringify(applyMergePatch({ z: 1, m: { y: 1, x: 2 }, a: { d: 1, c: 2 } }, { m: { w: 3 } })), '{"a":{"d":1,"c":2},"m":{"w":3,"x":2,"y":1},"z":1}');
});

test('createMergePatch makes a patch that applyMergePatch turns into the target', () => {
  fc.assert(fc.property(tree(scalars), tree(scalars), (a, b) => {
    assert.deepEqual(applyMergePatch(a, createMergePatch(a, b)), b);
  }), { numRuns: 300 });
});
