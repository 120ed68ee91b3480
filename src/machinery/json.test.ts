import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { checkDepth, duplicateFields, hasRepeatedKeys, jsonInteger, JsonSyntaxError, MAX_DEPTH, parseJson, readJson, type Shape } from './json.ts';

test('parseJson refuses in Go\'s words', () => {
  const cases: [string, string][] = [
    ['', 'unexpected end of JSON input'], ['{', 'unexpected end of JSON input'], ['{"a"', 'unexpected end of JSON input'], ['"abc', 'unexpected end of JSON input'],
    ['a', "invalid character 'a' looking for beginning of value"], ['{a:1}', "invalid character 'a' looking for beginning of object key string"], ['{"a" 1}', "invalid character '1' after object key"],
    ['{"a":1 "b"', "invalid character '\"' after object key:value pair"], ['[1 2]', "invalid character '2' after array element"], ['{"a":1,}', "invalid character '}' looking for beginning of object key string"],
    ['[1,]', "invalid character ']' looking for beginning of value"], ['nul', 'unexpected end of JSON input'], ['nulx', "invalid character 'x' in literal null (expecting 'l')"], ['truth', "invalid character 't' in literal true (expecting 'e')"],
    ['01', "invalid character '1' after top-level value"], ['1.x', "invalid character 'x' after decimal point in numeric literal"], ['1ex', "invalid character 'x' in exponent of numeric literal"], ['-x', "invalid character 'x' in numeric literal"],
    ['"\\x"', "invalid character 'x' in string escape code"], ['"\\u00g0"', "invalid character 'g' in \\u hexadecimal character escape"], ['"a\nb"', "invalid character '\\n' in string literal"], ["'a'", "invalid character '\\'' looking for beginning of value"],
    ['{} {}', "invalid character '{' after top-level value"],
  ];
  for (const [text, message] of cases) assert.throws(() => parseJson(text), (e) => e instanceof JsonSyntaxError && e.message === message, text);
});

test('parseJson reads what JSON.parse reads', () => {
  fc.assert(fc.property(fc.json(), (text) => {
    assert.deepEqual(parseJson(text), JSON.parse(text));
    assert.deepEqual(duplicateFields(text), []);
  }));
});

test('readJson keeps every digit of integers of 64 bits, and JSON.stringify writes them', () => {
  for (const text of ['9007199254740993', '-9007199254740993', '9223372036854775807', '-9223372036854775808', '1234567890123456', '9007199254740992', '10000000000000000', '0', '-1']) {
    const object = `{"a":${text},"b":[${text},"${text}"]}`;
    assert.equal(JSON.stringify(readJson(object)), object);
  }
  assert.deepEqual(readJson('[9007199254740993, 9007199254740992, 1.0000000000000002, 12345678901234567e3, 9223372036854775808]'), [9007199254740993n, 9007199254740992, 1.0000000000000002, 12345678901234567e3, 9223372036854775808]);
  assert.throws(() => parseJson(`${'['.repeat(200_000)}1234567890123456`), { message: 'exceeded max depth' });
});

test('jsonInteger gives one form to each value', () => {
  fc.assert(fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
    const kept = jsonInteger(value);
    assert.equal(JSON.stringify(kept), value.toString());
    assert.ok(readJson(value.toString()) === kept);
  }));
});

test('duplicateFields names each key that comes twice, once', () => {
  assert.deepEqual(duplicateFields('{"a":1,"b":{"c":1,"c":2,"c":3},"a":2,"l":[{"x":1},{"x":1,"x":2}]}'), ['b.c', 'a', 'l[1].x']);
  assert.deepEqual(duplicateFields('{"\\u0061":1,"a":2}'), ['a']);
  assert.deepEqual(duplicateFields('{"a":{"b":1},"c":{"b":1}}'), []);
});

test('hasRepeatedKeys says whether duplicateFields would find any', () => {
  // Objects as lists of members, so that a key may come twice; keys and values full of quotes, colons and backslashes.
  const text = fc.array(fc.constantFrom('"', '\\', ':', '{', 'a', ' ', '\u2028'), { maxLength: 3 }).map((parts) => parts.join(''));
  const { json } = fc.letrec<{ json: string }>((tie) => ({
    json: fc.oneof({ depthSize: 'small' }, text.map((t) => JSON.stringify(t)), fc.integer().map(String),
      fc.array(tie('json'), { maxLength: 4 }).map((items) => `[${items.join(' , ')}]`),
      fc.array(fc.tuple(text, tie('json')), { maxLength: 4 }).map((members) => `{${members.map(([k, v]) => `${JSON.stringify(k)} :\n${v}`).join(',')}}`)),
  }));
  fc.assert(fc.property(json, (t) => assert.equal(hasRepeatedKeys(t, JSON.parse(t)), duplicateFields(t).length > 0)), { numRuns: 500 });
  assert.equal(hasRepeatedKeys('{"__proto__":1,"__proto__":2}', JSON.parse('{"__proto__":1,"__proto__":2}')), true);
});

test('duplicateFields looks only where the shape leads', () => {
  const shape: Shape = { known: (k) => k !== 'no', child: (k) => (k === 'in' ? shape : undefined), item: () => undefined };
  assert.deepEqual(duplicateFields('{"no":1,"no":2,"in":{"x":1,"x":2},"out":{"x":1,"x":2}}', shape), ['in.x']);
});

test('nesting ends at the depth limit', () => {
  const deep = (n: number): string => '['.repeat(n) + ']'.repeat(n);
  checkDepth(JSON.parse(deep(MAX_DEPTH)));
  assert.throws(() => checkDepth(JSON.parse(deep(MAX_DEPTH + 1))), { message: 'exceeded max depth' });
  assert.throws(() => duplicateFields(deep(100_000)), { message: 'exceeded max depth' });
});
