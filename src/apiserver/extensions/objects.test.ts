import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { draftOf } from '#base/draft.ts';
import { fieldPath, toAggregate } from '#machinery/field-errors.ts';
import { celValidator } from './cel-validation.ts';
import { Correlation } from './correlation.ts';
import { formatCheck } from './formats.ts';
import { parseJsonPath, pathText } from './json-path.ts';
import { validateListTypes } from './list-types.ts';
import { applyDefaults, dropNulls, prune } from './pruning.ts';
import type { Schema } from './schema.ts';
import { schemaValidator } from './value-validation.ts';

const S: Schema = { type: 'string' };
const object = (properties: Record<string, Schema>, more: Schema = {}): Schema => ({ type: 'object', properties, ...more });
const lines = (errors: readonly Parameters<typeof toAggregate>[0][number][]): string[] => errors.map((e) => `${e.field}: ${e.body}`);

describe('prune', () => {
  const TABLE: readonly (readonly [name: string, schema: Schema, value: object, kept: object, unknown: readonly string[]])[] = [
    ['drops unknown fields at every depth', object({ a: object({ b: S }), l: { type: 'array', items: object({ x: S }) } }), { a: { b: 'x', c: 1 }, l: [{ x: 'y', z: 1 }], q: 1 }, { a: { b: 'x' }, l: [{ x: 'y' }] }, ['a.c', 'l[0].z', 'q']],
    ['keeps everything where it is told to', object({ a: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } }), { a: { any: { x: 1 } } }, { a: { any: { x: 1 } } }, []],
    ['prunes specified parts below what keeps everything', object({ a: object({ b: object({ c: S }) }, { 'x-kubernetes-preserve-unknown-fields': true }) }), { a: { any: 1, b: { c: 'x', d: 1 } } }, { a: { any: 1, b: { c: 'x' } } }, ['a.b.d']],
    ['keeps the keys of maps', object({ m: { type: 'object', additionalProperties: object({ x: S }) } }), { m: { k: { x: '1', y: 2 } } }, { m: { k: { x: '1' } } }, ['m.k.y']],
    ['keeps type and metadata of embedded objects', object({ t: object({ spec: object({}) }, { 'x-kubernetes-embedded-resource': true }) }), { t: { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'x' }, spec: { a: 1 } } }, { t: { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'x' }, spec: {} } }, ['t.spec.a']],
  ];
  for (const [name, schema, value, kept, unknown] of TABLE) {
    it(name, () => {
      const draft = draftOf(value);
      assert.deepEqual(prune(draft, schema).unknown, unknown);
      assert.deepEqual(draft, kept);
    });
  }
});
describe('applyDefaults', () => {
  it('fills in what is absent or a null that may not be', () => {
    const schema = object({ a: { type: 'integer', default: 1 }, b: { type: 'integer', default: 2, nullable: true }, c: object({ d: { ...S, default: 'x' } }, { default: {} }), l: { type: 'array', items: object({ e: { type: 'boolean', default: true } }) } });
    const value = { a: null, b: null, l: [{}, { e: false }] };
    applyDefaults(value, schema);
    assert.deepEqual(value, { a: 1, b: null, c: { d: 'x' }, l: [{ e: true }, { e: false }] });
  });
  it('never shares a default between objects', () => {
    const schema = object({ a: { type: 'object', default: { x: 1 }, 'x-kubernetes-preserve-unknown-fields': true } });
    const [one, two] = [{}, {}] as { a?: { x: number } }[];
    applyDefaults(one, schema);
    applyDefaults(two, schema);
    one!.a!.x = 9;
    assert.equal(two!.a!.x, 1);
  });
  it('leaves nulls without a default to dropNulls', () => {
    const value = { a: null, b: null, m: { k: null } };
    dropNulls(value, object({ a: S, b: { ...S, nullable: true }, m: { type: 'object', additionalProperties: S } }));
    assert.deepEqual(value, { b: null, m: {} });
  });
});

describe('schemaValidator', () => {
  const TABLE: readonly (readonly [schema: Schema, value: unknown, ...errors: string[]])[] = [
    [object({ a: { type: 'integer' } }), { a: 1.5 }, 'a: Invalid value: "number": a in body must be of type integer: "number"', '<nil>: Invalid value: "": Checked value must be of type integer (default format) in a'],
    [object({ a: { type: 'integer', format: 'int32' } }), { a: 3_000_000_000 }, '<nil>: Invalid value: "": Checked value must be of type integer with format int32 in a'],
    [object({ a: { type: 'integer', format: 'int32' } }), { a: 1.5 }, 'a: Invalid value: "float64": a in body must be of type int32: "float64"', '<nil>: Invalid value: "": Checked value must be of type integer with format int32 in a'],
    [object({ a: { type: 'integer', format: 'int32' } }), { a: true }, 'a: Invalid value: "": a in body must be of type int32: ""'],
    [object({ a: { type: 'number', format: 'float' } }), { a: 1e39 }, '<nil>: Invalid value: "": Checked value must be of type number with format float in a'],
    [object({ a: { type: 'number' } }), { a: 1 }],
    [object({ a: S }), { a: null }, 'a: Invalid value: "null": a in body must be of type string: "null"'],
    [object({ a: { ...S, nullable: true } }), { a: null }],
    [object({ a: { type: 'array', items: S, minItems: 2 } }), { a: [1] }, 'a[0]: Invalid value: "integer": a[0] in body must be of type string: "integer"', 'a: Invalid value: 1: a in body should have at least 2 items'],
    [object({ a: { ...S, minLength: 2 } }), { a: '😀' }, 'a: Invalid value: "😀": a in body should be at least 2 chars long'],
    [object({ a: { type: 'integer', minimum: 1, exclusiveMinimum: true, multipleOf: 2 } }), { a: 1 }, 'a: Invalid value: 1: a in body should be a multiple of 2', 'a: Invalid value: 1: a in body should be greater than 1'],
    [object({ m: { type: 'object', additionalProperties: S, minProperties: 1, maxProperties: 1 } }), { m: { a: '1', b: 2 } }, 'm: Too many: 2: must have at most 1 item', 'm.b: Invalid value: "integer": m.b in body must be of type string: "integer"'],
    [object({ a: object({ b: S }, { required: ['b'] }) }), { a: {} }, 'a.b: Required value'],
    [object({ a: object({ x: S, y: S }, { oneOf: [{ required: ['x'] }, { required: ['y'] }] }) }), { a: {} }, '<nil>: Invalid value: "": "a" must validate one and only one schema (oneOf). Found none valid', 'a.x: Required value'],
    [object({ a: object({ x: S, y: S }, { oneOf: [{ required: ['x'] }, { required: ['y'] }] }) }), { a: { x: '', y: '' } }, '<nil>: Invalid value: "": "a" must validate one and only one schema (oneOf). Found 2 valid alternatives'],
    [object({ a: { ...S, anyOf: [{ pattern: '^x' }, { pattern: '^y' }] } }), { a: 'z' }, '<nil>: Invalid value: "": "a" must validate at least one schema (anyOf)', "a: Invalid value: \"z\": a in body should match '^x'"],
    [object({ a: { ...S, not: { enum: ['x'] } } }), { a: 'x' }, '<nil>: Invalid value: "": "a" must not validate the schema (not)'],
    [object({ a: { ...S, allOf: [{ minLength: 1 }, { maxLength: 2 }] } }), { a: 'abc' }, 'a: Too long: may not be more than 2 bytes', '<nil>: Invalid value: "": "a" must validate all the schemas (allOf)'],
    [object({ p: { 'x-kubernetes-int-or-string': true } }), { p: '80%' }],
    [object({ a: { ...S, format: 'ipv4' } }), { a: '::1' }, 'a: Invalid value: "::1": a in body must be of type ipv4: "::1"'],
    [object({ a: { ...S, format: 'unheard-of' } }), { a: 'x' }],
  ];
  for (const [schema, value, ...errors] of TABLE) it(`${JSON.stringify(value)} by ${JSON.stringify(schema.properties)}`, () => assert.deepEqual(lines(schemaValidator(schema).validate(value)), errors));
  it('lets through on updates what was wrong before and did not change', () => {
    const schema = object({ a: { ...S, maxLength: 2 }, l: { type: 'array', 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['k'], items: object({ k: S, v: { type: 'integer', maximum: 1 } }) } });
    const old = { a: 'long', l: [{ k: 'x', v: 5 }] };
    const check = (value: object) => lines(schemaValidator(schema).validate(value, new Correlation(value, old, schema)));
    assert.deepEqual(check({ a: 'long', l: [{ k: 'y', v: 1 }, { k: 'x', v: 5 }] }), []);
    assert.deepEqual(check({ a: 'longer', l: [{ k: 'x', v: 6 }] }), ['a: Too long: may not be more than 2 bytes', 'l[0].v: Invalid value: 6: l[0].v in body should be less than or equal to 1']);
  });
  it('is not held up by a pattern', () => {
    const before = performance.now();
    assert.equal(schemaValidator(object({ a: { ...S, pattern: '^(a+)+$' } })).validate({ a: `${'a'.repeat(5000)}b` }).length, 1);
    assert.ok(performance.now() - before < 2000);
  });
});

describe('celValidator', () => {
  const rule = (text: string, more: object = {}) => ({ 'x-kubernetes-validations': [{ rule: text, ...more }] });
  const check = (schema: Schema, value: unknown, old?: unknown, ratchet = false) => {
    const warnings: string[] = [];
    const errors = celValidator(schema, true)?.validate(value, old, { path: fieldPath(), ratcheting: ratchet ? new Correlation(value, old, schema) : undefined, warn: (w) => void warnings.push(w) }) ?? [];
    return [...lines(errors), ...warnings.map((w) => `warning ${w}`)];
  };
  it('says which rule failed, where and why', () => {
    const schema = object({ spec: object({ a: { type: 'integer' }, b: { type: 'integer' } }, rule('self.a <= self.b')) });
    assert.deepEqual(check(schema, { spec: { a: 2, b: 1 } }), ['spec: Invalid value: failed rule: self.a <= self.b']);
    assert.deepEqual(check(object({ n: { type: 'integer', ...rule('self > 0', { message: 'must be positive' }) } }), { n: -1 }), ['n: Invalid value: -1: must be positive']);
    assert.deepEqual(check(object({ m: { type: 'object', additionalProperties: { ...S, ...rule("self != 'x'") } } }), { m: { a: 'x' } }), ["m[a]: Invalid value: \"x\": failed rule: self != 'x'"]);
  });
  it('knows type and name at the root, and escaped names', () => {
    assert.deepEqual(check(object({ 'a-b': S, if: S }, rule("self.metadata.name == 'x' && self.kind == 'K' && self.a__dash__b == '1' && self.__if__ == '2'")), { kind: 'K', metadata: { name: 'x' }, 'a-b': '1', if: '2' }), []);
  });
  it('asks transition rules about changes only', () => {
    const schema = object({ v: { ...S, ...rule('self == oldSelf', { message: 'immutable' }) } });
    assert.deepEqual([check(schema, { v: 'b' }), check(schema, { v: 'b' }, { v: 'a' }), check(schema, { v: 'b' }, {})], [[], ['v: Invalid value: "b": immutable'], []]);
    const optional = object({ v: { ...S, ...rule("oldSelf.hasValue() || self == 'first'", { optionalOldSelf: true }) } });
    assert.deepEqual([check(optional, { v: 'first' }), check(optional, { v: 'x' }).length, check(optional, { v: 'x' }, { v: 'y' })], [[], 1, []]);
  });
  it('finds the old items of map lists by their keys', () => {
    const schema = object({ l: { type: 'array', maxItems: 9, 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['k'], items: object({ k: S, v: { type: 'integer', ...rule('self >= oldSelf') } }) } });
    assert.deepEqual(check(schema, { l: [{ k: 'b', v: 1 }, { k: 'a', v: 2 }] }, { l: [{ k: 'a', v: 3 }] }), ['l[1].v: Invalid value: 2: failed rule: self >= oldSelf']);
  });
  it('turns errors of what did not change into warnings', () => {
    const schema = object({ n: { type: 'integer', ...rule('self > 0') }, o: S });
    assert.deepEqual(check(schema, { n: -1, o: 'b' }, { n: -1, o: 'a' }, true), ['warning n: Invalid value: -1: failed rule: self > 0']);
    assert.deepEqual(check(schema, { n: -2 }, { n: -1 }, true), ['n: Invalid value: -2: failed rule: self > 0']);
  });
  it('reports what cannot be computed and stops when it costs too much', () => {
    assert.deepEqual(check(object({ n: { type: 'integer', ...rule('10 / self > 1') } }), { n: 0 }), ['n: Invalid value: "integer": division by zero evaluating rule: 10 / self > 1']);
    assert.deepEqual(check(object({ p: { 'x-kubernetes-int-or-string': true, ...rule('self > 1') } }), { p: 'x' }), ["p: Invalid value: \"\": 'no such overload': call arguments did not match a supported operator, function or macro signature for rule: self > 1"]);
    const big = object({ l: { type: 'array', items: { type: 'integer' }, ...rule('self.all(a, self.all(b, self.all(c, a + b + c >= 0)))') } });
    assert.match(check(big, { l: Array.from({ length: 300 }, (_, i) => i) })[0]!, /^l: Invalid value: "array": 'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost exceeds limit for rule: /);
  });
  it('applies reason, fieldPath and messageExpression', () => {
    const schema = object({ s: object({ a: S }, rule("self.a != 'x'", { reason: 'FieldValueForbidden', fieldPath: '.a', messageExpression: "'no ' + self.a" })) });
    assert.deepEqual(check(schema, { s: { a: 'x' } }), ['s.a: Forbidden: no x']);
  });
});

describe('validateListTypes', () => {
  it('finds repeated items of sets and map lists', () => {
    const schema = object({ s: { type: 'array', items: S, 'x-kubernetes-list-type': 'set' }, m: { type: 'array', 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['a', 'b'], items: object({ a: S, b: S }) } });
    assert.deepEqual(lines(validateListTypes({ s: ['x', 'y', 'x', 'x'], m: [{ a: '1' }, { a: '1', b: '2' }, { a: '1' }] }, schema, fieldPath())), ['s[2]: Duplicate value: "x"', 'm[2]: Duplicate value: {"a":"1"}']);
  });
});
describe('formatCheck', () => {
  const TABLE: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ['date-time', ['2024-02-29T10:00:00Z', '2024-01-01T10:00:00.5+02:00'], ['2024-02-30T10:00:00Z', '2024-01-01', 'x']],
    ['date', ['2024-02-29'], ['2023-02-29', '2024-1-1']], ['duration', ['1h30m', '22 ns', '3 days'], ['x', '']], ['uuid', ['123e4567-e89b-12d3-a456-426614174000'], ['123']],
    ['byte', ['aGk='], ['a', '']], ['email', ['a@b.c'], ['a']], ['hostname', ['a.b-c.example'], ['-a', 'a b']], ['cidr', ['10.0.0.0/8'], ['10.0.0.0']], ['mac', ['00:1a:2b:3c:4d:5e'], ['00:1a']],
    ['isbn', ['0321751043', '978-0321751041'], ['123']], ['creditcard', ['4111 1111 1111 1111'], ['4111111111111112']], ['uri', ['https://a/b'], ['a']], ['ipv6', ['::1'], ['1.2.3.4']], ['k8s-short-name', ['a-b'], ['A']],
  ];
  for (const [format, good, bad] of TABLE) it(`${format}`, () => assert.deepEqual([good.filter((t) => !formatCheck(format)!(t)), bad.filter((t) => formatCheck(format)!(t))], [[], []]));
});
describe('parseJsonPath', () => {
  const value = { a: { 'b.c': 1, d: [{ n: 'x', v: 1 }, { n: 'y', v: 2 }, { n: 'z' }] }, e: null };
  const TABLE: readonly (readonly [string, readonly unknown[]])[] = [
    ['.a.d[0].n', ['x']], ['.a.d[-1].n', ['z']], ["['a']['b.c']", [1]], ['.a.b\\.c', [1]], ['.a.d[*].v', [1, 2]], ['.a.d[?(@.n=="y")].v', [2]], ['.a.d[?(@.v)].n', ['x', 'y']], ['.a.d[?(@.v>1)].n', ['y']], ['.a.d[0:2].n', ['x', 'y']],
    ['.a.d[0,2].n', ['x', 'z']], ['.zzz.b', []], ['.e', [null]], ['$.a.d[1].n', ['y']], ['..n', ['x', 'y', 'z']],
  ];
  for (const [path, found] of TABLE) it(path, () => assert.deepEqual(parseJsonPath(path)(value), found));
  it('refuses what it cannot read', () => assert.throws(() => parseJsonPath('.a[')));
  it('prints objects as JSON', () => assert.deepEqual([pathText({ a: 1 }), pathText('x'), pathText(1.5), pathText(true)], ['{"a":1}', 'x', '1.5', 'true']));
});
