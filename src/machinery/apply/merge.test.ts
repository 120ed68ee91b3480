import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { deepFreeze } from '#base/draft.ts';
import type { JsonObject } from '../patch/json.ts';
import { fieldSetOf } from './compare.ts';
import { forEachPath, intersectSets, pathSet, unionSets, EMPTY, type FieldSet } from './field-set.ts';
import { extractItems, mergeApplied, removeItems } from './merge.ts';
import { scalarSchema, type ApplySchema, type ListSchema, type MapSchema } from './schema.ts';

const STRING = scalarSchema('string');
const list = (relationship: ListSchema['relationship'], element: ApplySchema): ListSchema => ({ kind: 'list', relationship, keys: relationship === 'map' ? ['name'] : [], keyDefaults: {}, element });
const struct = (fields: Record<string, ApplySchema>, atomic = false): MapSchema => ({ kind: 'map', atomic, fields: new Map(Object.entries(fields)), element: undefined });
const SCHEMA = struct({ text: STRING, set: list('set', STRING), plain: list('atomic', STRING), items: list('map', struct({ name: STRING, value: STRING })), whole: struct({ a: STRING }, true) });

const sets: [live: string, config: string, merged: string][] = [
  ['abc', 'ab', 'abc'], ['ab', 'abc', 'abc'], ['abc', '', 'abc'], ['', 'abc', 'abc'], ['ab', 'ba', 'ba'], ['abc', 'def', 'abcdef'],
  ['cdef', 'ace', 'acdef'], ['abcxyz', 'defxyz', 'abcdefxyz'], ['abcd', 'defa', 'bcdefa'],
  ['abb', 'c', 'abbc'], ['abb', 'b', 'ab'], ['aabb', 'bcd', 'aabcd'],
];
for (const [live, config, merged] of sets) {
  test(`mergeApplied orders the set ${live || 'of nothing'} with ${config || 'nothing'} applied`, () => {
    assert.deepEqual(mergeApplied({ set: [...live] }, { set: [...config] }, SCHEMA), { set: [...merged] });
  });
}

test('removeItems takes members out, and leaves null where nothing is left', () => {
  const value = deepFreeze({ text: 'x', set: ['a'], items: [{ name: 'a', value: 'v' }, { name: 'b' }] });
  assert.deepEqual(removeItems(value, { 'f:text': {}, 'f:set': { 'v:"a"': {} }, 'f:items': { 'k:{"name":"a"}': { 'f:value': {} }, 'k:{"name":"b"}': {} } }, SCHEMA), { set: null, items: [{ name: 'a' }] });
  assert.equal(removeItems(value, { 'f:plain': {} }, SCHEMA), value);
});

test('extractItems keeps members, items whole where nothing under them is one', () => {
  const value = deepFreeze({ text: 'x', set: ['a', 'b'], plain: ['p'], whole: { a: '1' }, items: [{ name: 'a', value: 'v' }, { name: 'b', value: 'w' }] });
  assert.deepEqual(extractItems(value, { 'f:set': { 'v:"b"': {} }, 'f:whole': {}, 'f:items': { 'k:{"name":"a"}': {}, 'k:{"name":"b"}': { 'f:name': {} } } }, SCHEMA), {
    set: ['b'], whole: { a: '1' }, items: [{ name: 'a', value: 'v' }, { name: 'b' }],
  });
  assert.equal(extractItems(value, EMPTY, SCHEMA), null);
});

const letter = fc.constantFrom('a', 'b', 'c');
const object = fc.record({
  text: letter, plain: fc.array(letter, { maxLength: 2 }), set: fc.uniqueArray(letter, { minLength: 1, maxLength: 3 }), whole: fc.record({ a: letter }),
  items: fc.uniqueArray(fc.record({ name: letter, value: letter }, { requiredKeys: ['name'] }), { selector: (i) => i.name, minLength: 1, maxLength: 3 }),
}, { requiredKeys: [] }) as fc.Arbitrary<JsonObject>;
const paths = (set: FieldSet): Set<string> => {
  const out = new Set<string>();
  forEachPath(set, (p) => out.add(p.join(' ')));
  return out;
};

test('mergeApplied holds the fields of both sides, with the values of the configuration', () => {
  fc.assert(fc.property(object, object, (live, config) => {
    const merged = mergeApplied(deepFreeze(live), deepFreeze(config), SCHEMA) as JsonObject;
    const all = fieldSetOf(merged, SCHEMA);
    assert.deepEqual(paths(all), paths(unionSets(fieldSetOf(live, SCHEMA), fieldSetOf(config, SCHEMA))));
    assert.equal(mergeApplied(merged, config, SCHEMA), merged, 'again changes nothing');
    for (const key of ['text', 'plain', 'whole']) if (key in config) assert.deepEqual(merged[key], config[key]);
  }), { numRuns: 300 });
});

test('extractItems and removeItems split an object between them', () => {
  fc.assert(fc.property(object, fc.array(fc.nat(), { maxLength: 4 }), (value, picks) => {
    const all = fieldSetOf(deepFreeze(value), SCHEMA);
    const list: (readonly string[])[] = [];
    forEachPath(all, (p) => list.push(p));
    // Items go whole: a key without its item would leave an item that nothing identifies.
    const tops = list.filter((p) => !p.some((e, i) => e.startsWith('k:') && i < p.length - 1));
    const picked = tops.length === 0 ? EMPTY : picks.reduce<FieldSet>((set, n) => unionSets(set, pathSet(tops[n % tops.length]!)), EMPTY);
    const left = fieldSetOf(removeItems(value, picked, SCHEMA) ?? {}, SCHEMA);
    assert.deepEqual(paths(intersectSets(left, picked)), new Set());
    const taken = fieldSetOf(extractItems(value, picked, SCHEMA) ?? {}, SCHEMA);
    assert.deepEqual(paths(intersectSets(taken, picked)), paths(picked));
  }), { numRuns: 300 });
});
