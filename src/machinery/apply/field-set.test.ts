import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { deepFreeze } from '#base/draft.ts';
import { differenceSets, forEachPath, hasPath, intersectSets, isEmpty, parseFieldsV1, pathSet, recursiveDifference, setOf, sortSet, unionSets, EMPTY, type FieldSet } from './field-set.ts';
import { canonicalElement, comparePathElements, keyElement, printPath, valueElement } from './path-element.ts';

test('keyElement leaves out names without a value and escapes as Go does', () => {
  assert.equal(keyElement(['containerPort', 'protocol'], [80, 'TCP']), 'k:{"containerPort":80,"protocol":"TCP"}');
  assert.equal(keyElement(['a', 'b'], [undefined, 'x<y&z']), 'k:{"b":"x\\u003cy\\u0026z"}');
  assert.equal(valueElement('a"b'), 'v:"a\\"b"');
  assert.equal(valueElement(1), 'v:1');
  assert.equal(valueElement(true), 'v:true');
});

test('comparePathElements orders fields, keys, values and indices as FieldsV1 does', () => {
  const ordered = ['f:a', 'f:b', 'k:{"containerPort":80,"protocol":"TCP"}', 'k:{"containerPort":443}', 'k:{"containerPort":443,"protocol":"UDP"}', 'k:{"name":"a"}', 'v:9', 'v:10', 'v:"a"', 'v:false', 'v:true', 'i:2'];
  assert.deepEqual(ordered.toReversed().toSorted(comparePathElements), ordered);
});

test('printPath shows paths as messages do', () => {
  assert.equal(printPath(['f:spec', 'f:ports', 'k:{"containerPort":80,"protocol":"TCP"}', 'f:name']), '.spec.ports[containerPort=80,protocol="TCP"].name');
  assert.equal(printPath(['f:finalizers', 'v:"a/b"']), '.finalizers[="a/b"]');
  assert.equal(printPath(['f:a', 'i:3']), '.a[3]');
});

test('canonicalElement rewrites keys, drops unknown kinds and refuses the malformed', () => {
  assert.equal(canonicalElement('k:{ "b": 1, "a": "x" }'), 'k:{"a":"x","b":1}');
  assert.equal(canonicalElement('z:1'), undefined);
  assert.throws(() => canonicalElement('f'), /key must be 2 characters long/);
  assert.throws(() => canonicalElement('fx'), /missing colon: fx/);
  assert.throws(() => canonicalElement('i:x'));
  assert.throws(() => canonicalElement('v:{'));
});

test('parseFieldsV1 gives the canonical form in order', () => {
  const set = parseFieldsV1({ 'f:b': { 'f:x': {}, '.': {} }, 'f:a': { '.': {} }, 'z:later': {}, 'f:l': { 'k:{"n":"b"}': {}, 'k:{ "n": "a" }': { 'f:q': {} } } });
  assert.equal(JSON.stringify(set), '{"f:a":{},"f:b":{".":{},"f:x":{}},"f:l":{"k:{\\"n\\":\\"a\\"}":{"f:q":{}},"k:{\\"n\\":\\"b\\"}":{}}}');
  assert.deepEqual(parseFieldsV1(undefined), {});
  assert.throws(() => parseFieldsV1([]));
});

test('forEachPath lists the members of one level before those below', () => {
  const seen: string[] = [];
  forEachPath({ 'f:a': { '.': {}, 'f:x': {} }, 'f:b': {} }, (p) => seen.push(printPath(p)));
  assert.deepEqual(seen, ['.a', '.b', '.a.x']);
});

/** The model: a set of paths as text. */
const element = fc.constantFrom('f:a', 'f:b', 'f:c', 'k:{"n":1}');
const paths = fc.array(fc.array(element, { minLength: 1, maxLength: 4 }), { maxLength: 8 });
const build = (list: readonly (readonly string[])[]): FieldSet => deepFreeze(list.reduce<FieldSet>((set, p) => unionSets(set, pathSet(p)), EMPTY));
const model = (list: readonly (readonly string[])[]) => new Set(list.map((p) => p.join('/')));
const members = (set: FieldSet): Set<string> => {
  const out = new Set<string>();
  forEachPath(set, (p) => {
    assert.ok(hasPath(set, p));
    out.add(p.join('/'));
  });
  return out;
};

test('set algebra agrees with sets of paths', () => {
  fc.assert(fc.property(paths, paths, (l, r) => {
    const [a, b, ma, mb] = [build(l), build(r), model(l), model(r)];
    assert.deepEqual(members(a), ma);
    assert.deepEqual(members(unionSets(a, b)), ma.union(mb));
    assert.deepEqual(members(intersectSets(a, b)), ma.intersection(mb));
    assert.deepEqual(members(differenceSets(a, b)), ma.difference(mb));
    const under = [...ma].filter((p) => ![...mb].some((q) => p === q || p.startsWith(`${q}/`)));
    assert.deepEqual(members(recursiveDifference(a, b)), new Set(under));
    assert.equal(isEmpty(differenceSets(a, a)), true);
  }), { numRuns: 500 });
});

test('set algebra shares what stays the same', () => {
  fc.assert(fc.property(paths, paths, (l, r) => {
    const a = build(l);
    const b = build(r);
    if (model(r).isSubsetOf(model(l))) assert.equal(unionSets(a, b), a);
    if (model(r).isDisjointFrom(model(l))) assert.equal(differenceSets(a, b), a);
  }));
});

test('sortSet and parseFieldsV1 keep the members of any set', () => {
  fc.assert(fc.property(paths, (l) => {
    const set = build(l);
    assert.deepEqual(members(sortSet(set)), members(set));
    assert.deepEqual(members(parseFieldsV1(JSON.parse(JSON.stringify(set)))), members(set));
    const sorted = sortSet(set);
    assert.equal(sortSet(sorted), sorted);
  }));
});

test('setOf makes a set of names, containers included where they are named', () => {
  assert.deepEqual(setOf(['metadata'], ['metadata', 'name'], ['kind']), { 'f:metadata': { '.': {}, 'f:name': {} }, 'f:kind': {} });
});
