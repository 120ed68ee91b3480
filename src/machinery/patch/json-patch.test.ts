import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { deepFreeze } from '#base/draft.ts';
import { StatusError } from '../status-error.ts';
import { applyJsonPatch, MAX_JSON_PATCH_OPERATIONS, unknownJsonPatchFields } from './json-patch.ts';

const doc = deepFreeze({ a: { b: [1, 2, 3], 'x/y': 'slash', 'm~n': 'tilde' }, n: null as null });

const applies: [name: string, patch: unknown[], want: unknown][] = [
  ['add sets a key', [{ op: 'add', path: '/c', value: 1 }], { ...doc, c: 1 }],
  ['add replaces a key', [{ op: 'add', path: '/a', value: 1 }], { a: 1, n: null }],
  ['add without a value sets null', [{ op: 'add', path: '/c' }], { ...doc, c: null }],
  ['add inserts into a list', [{ op: 'add', path: '/a/b/1', value: 9 }], { ...doc, a: { ...doc.a, b: [1, 9, 2, 3] } }],
  ['add appends at the end', [{ op: 'add', path: '/a/b/3', value: 9 }], { ...doc, a: { ...doc.a, b: [1, 2, 3, 9] } }],
  ['add appends with a dash', [{ op: 'add', path: '/a/b/-', value: 9 }], { ...doc, a: { ...doc.a, b: [1, 2, 3, 9] } }],
  ['add at a negative index counts from behind the end', [{ op: 'add', path: '/a/b/-1', value: 9 }], { ...doc, a: { ...doc.a, b: [1, 2, 3, 9] } }],
  ['remove takes a list item', [{ op: 'remove', path: '/a/b/0' }], { ...doc, a: { ...doc.a, b: [2, 3] } }],
  ['remove at a negative index counts from the end', [{ op: 'remove', path: '/a/b/-1' }], { ...doc, a: { ...doc.a, b: [1, 2] } }],
  ['an escaped slash names a key', [{ op: 'remove', path: '/a/x~1y' }], { a: { b: [1, 2, 3], 'm~n': 'tilde' }, n: null }],
  ['an escaped tilde names a key', [{ op: 'replace', path: '/a/m~0n', value: 't' }], { ...doc, a: { ...doc.a, 'm~n': 't' } }],
  ['replace of an absent object key adds it', [{ op: 'replace', path: '/c', value: 1 }], { ...doc, c: 1 }],
  ['replace of the whole document', [{ op: 'replace', path: '', value: { z: 1 } }], { z: 1 }],
  ['move', [{ op: 'move', from: '/a/b/0', path: '/c' }], { a: { ...doc.a, b: [2, 3] }, n: null, c: 1 }],
  ['copy', [{ op: 'copy', from: '/a/b', path: '/c' }], { ...doc, c: [1, 2, 3] }],
  ['copy makes an independent value', [{ op: 'copy', from: '/a/b', path: '/c' }, { op: 'add', path: '/c/-', value: 4 }, { op: 'remove', path: '/a/b/0' }], { ...doc, a: { ...doc.a, b: [2, 3] }, c: [1, 2, 3, 4] }],
  ['copy of an absent key copies null', [{ op: 'copy', from: '/none', path: '/c' }], { ...doc, c: null }],
  ['test of an equal value', [{ op: 'test', path: '/a/b', value: [1, 2, 3] }], doc],
  ['test takes an absent key for null', [{ op: 'test', path: '/none', value: null }], doc],
  ['test takes null for no value', [{ op: 'test', path: '/n' }], doc],
  ['test of the whole document', [{ op: 'test', path: '', value: doc }], doc],
  ['__proto__ is an ordinary key', [{ op: 'add', path: '/__proto__', value: { polluted: true } }], JSON.parse('{"a":{"b":[1,2,3],"x/y":"slash","m~n":"tilde"},"n":null,"__proto__":{"polluted":true}}')],
];
for (const [name, patch, want] of applies) {
  test(`applyJsonPatch: ${name}`, () => {
    assert.deepEqual(JSON.stringify(applyJsonPatch(doc, deepFreeze(patch))), JSON.stringify(want));
    assert.equal(({} as { polluted?: boolean }).polluted, undefined);
  });
}

const fails: [name: string, patch: unknown, code: number, message: string][] = [
  ['a path through a missing object', [{ op: 'add', path: '/none/x', value: 1 }], 422, 'the server rejected our request due to an error in our request'],
  ['a path through the prototype', [{ op: 'add', path: '/constructor/prototype/x', value: 1 }], 422, 'the server rejected our request due to an error in our request'],
  ['remove of a missing key', [{ op: 'remove', path: '/none' }], 422, 'the server rejected our request due to an error in our request'],
  ['remove of the whole document', [{ op: 'remove', path: '' }], 422, 'the server rejected our request due to an error in our request'],
  ['an index beyond the end', [{ op: 'replace', path: '/a/b/3', value: 1 }], 422, 'the server rejected our request due to an error in our request'],
  ['an index that is no number', [{ op: 'replace', path: '/a/b/x', value: 1 }], 422, 'the server rejected our request due to an error in our request'],
  ['a failing test', [{ op: 'test', path: '/a/b/0', value: 2 }], 422, 'the server rejected our request due to an error in our request'],
  ['move into itself', [{ op: 'move', from: '/a', path: '/a/c' }], 422, 'the server rejected our request due to an error in our request'],
  ['an unknown operation', [{ op: 'merge', path: '/a' }], 422, 'the server rejected our request due to an error in our request'],
  ['no path', [{ op: 'remove' }], 422, 'the server rejected our request due to an error in our request'],
  ['an object instead of a list', { op: 'remove', path: '/a' }, 400, 'error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp'],
  ['a path that is no text', [{ op: 'remove', path: 1 }], 400, 'error decoding patch: json: cannot unmarshal number into Go struct field jsonPatchOp.path of type string'],
  ['too many operations', Array.from({ length: MAX_JSON_PATCH_OPERATIONS + 1 }, () => ({ op: 'test', path: '/n' })), 413, 'The allowed maximum operations in a JSON patch is 10000, got 10001'],
];
for (const [name, patch, code, message] of fails) {
  test(`applyJsonPatch refuses ${name}`, () => {
    assert.throws(() => applyJsonPatch(doc, patch), (err) => err instanceof StatusError && err.code === code && err.message === message);
  });
}

test('applyJsonPatch answers 422 with reason Invalid and keeps why as the cause', () => {
  try {
    applyJsonPatch(doc, [{ op: 'test', path: '/n', value: 1 }]);
    assert.fail('no error');
  } catch (err) {
    assert.ok(err instanceof StatusError);
    assert.equal(err.reason, 'Invalid');
    assert.deepEqual(err.status.details, {});
    assert.equal((err.cause as Error).message, 'testing value /n failed: test failed');
  }
});

test('applyJsonPatch bounds what copies add up to', () => {
  const double = [{ op: 'copy', from: '/a', path: '/b' }, { op: 'copy', from: '/b', path: '/c' }];
  assert.throws(() => applyJsonPatch({ a: 'x'.repeat(60) }, double, 100), (err) => err instanceof StatusError && err.code === 422);
  assert.equal(Object.keys(applyJsonPatch({ a: 'x'.repeat(60) }, double, 200) as object).length, 3);
});

test('unknownJsonPatchFields words strict validation', () => {
  assert.deepEqual(unknownJsonPatchFields([{ op: 'add', path: '/a', value: 1 }, { op: 'add', foo: 1 }]), ['json patch unknown field "[1].foo"']);
});

test('applyJsonPatch agrees with a naive model that copies everything at each step', () => {
  const json = fc.letrec((tie) => ({
    v: fc.oneof({ maxDepth: 3 }, fc.integer({ min: 0, max: 5 }), fc.constant('s'), fc.array(tie('v'), { maxLength: 3 }), fc.dictionary(fc.constantFrom('a', 'b', '__proto__'), tie('v'), { noNullPrototype: true })),
  })).v;
  const path = fc.array(fc.constantFrom('a', 'b', '0', '1', '-', '__proto__'), { minLength: 1, maxLength: 3 }).map((p) => `/${p.join('/')}`);
  const op = fc.record({ op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy'), path, from: path, value: json });
  fc.assert(fc.property(fc.dictionary(fc.constantFrom('a', 'b'), json, { noNullPrototype: true }), fc.array(op, { maxLength: 5 }), (start, patch) => {
    const before = JSON.stringify(start);
    const got = attempt(() => applyJsonPatch(start, patch));
    const want = attempt(() => patch.reduce((d, o) => naive(d, o), JSON.parse(before) as unknown));
    assert.equal(got, want);
    assert.equal(JSON.stringify(start), before);
  }), { numRuns: 300 });
});

function attempt(run: () => unknown): string {
  try {
    return JSON.stringify(run());
  } catch {
    return 'fails';
  }
}

/** The model works on entries: lists of [key, value] for objects, so that no key is special. */
function naive(doc: unknown, op: { op: string; path: string; from: string; value: unknown }): unknown {
  const tokens = (p: string) => p.split('/').slice(1);
  const get = (at: unknown, path: string[]): unknown => path.reduce((v, t) => {
    if (v === null || typeof v !== 'object') throw new Error('missing');
    if (Array.isArray(v) && !(t !== '-' && Number(t) < v.length)) throw new Error('missing');
    return Object.entries(v).find(([k]) => k === t)?.[1] as unknown;
  }, at);
  const edit = (at: unknown, path: string[], change: (parent: unknown, key: string) => unknown): unknown => {
    if (at === null || typeof at !== 'object') throw new Error('missing');
    if (path.length === 1) return change(at, path[0]!);
    const inner = edit(get(at, [path[0]!]), path.slice(1), change);
    return Array.isArray(at) ? at.map((v, i) => (String(i) === path[0] ? inner : v)) : Object.fromEntries(Object.entries(at).map(([k, v]) => [k, k === path[0] ? inner : v]));
  };
  const add = (d: unknown, path: string, value: unknown) => edit(d, tokens(path), (parent, key) => {
    if (!Array.isArray(parent)) {
      const entries = Object.entries(parent as object);
      return Object.fromEntries(entries.some(([k]) => k === key) ? entries.map(([k, v]) => [k, k === key ? value : v]) : [...entries, [key, value]]);
    }
    const at = key === '-' ? parent.length : Number(key);
    if (!(at <= parent.length)) throw new Error('index');
    return [...parent.slice(0, at), value, ...parent.slice(at)];
  });
  const remove = (d: unknown, path: string) => edit(d, tokens(path), (parent, key) => {
    if (Array.isArray(parent)) {
      if (!(Number(key) < parent.length)) throw new Error('index');
      return parent.filter((_, i) => String(i) !== key);
    }
    const entries = Object.entries(parent as object);
    if (!entries.some(([k]) => k === key)) throw new Error('missing');
    return Object.fromEntries(entries.filter(([k]) => k !== key));
  });
  const copy = (v: unknown) => (v === undefined ? null : (JSON.parse(JSON.stringify(v)) as unknown));
  switch (op.op) {
    case 'add':
      return add(doc, op.path, copy(op.value));
    case 'remove':
      return remove(doc, op.path);
    case 'copy':
      return add(doc, op.path, copy(get(doc, tokens(op.from))));
    case 'move':
      return add(remove(doc, op.from), op.path, copy(get(doc, tokens(op.from))));
    default:
      return edit(doc, tokens(op.path), (parent, key) => {
        if (!Array.isArray(parent)) return add(parent, `/${key}`, copy(op.value));
        if (!(Number(key) < parent.length)) throw new Error('index');
        return parent.map((v, i) => (String(i) === key ? copy(op.value) : v));
      });
  }
}
