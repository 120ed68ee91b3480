import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as errors from './field-errors.ts';
import { goQuote } from './go-text.ts';
import { writeJson } from './json.ts';

const path = errors.fieldPath('spec').child('list').index(2).child('labels').key('a/b');
const shown = (e: errors.FieldError): string => `${e.field}: ${e.body}`;

test('FieldPath prints as users know it', () => {
  assert.equal(path.toString(), 'spec.list[2].labels[a/b]');
  assert.equal(new errors.FieldPath().toString(), '<nil>');
  assert.equal(new errors.FieldPath().child('a', 'b').toString(), 'a.b');
});

test('field errors are worded as upstream words them', () => {
  const at = errors.fieldPath('a');
  const cases: [errors.FieldError, string][] = [
    [errors.required(at), 'a: Required value'], [errors.required(at, 'why'), 'a: Required value: why'], [errors.duplicate(at, 'x'), 'a: Duplicate value: "x"'], [errors.duplicate(at, { name: 'x', port: 1 }), 'a: Duplicate value: {"name":"x","port":1}'],
    [errors.invalidValue(at, 5, 'why'), 'a: Invalid value: 5: why'], [errors.invalidValue(at, null, 'why'), 'a: Invalid value: null: why'], [errors.invalidValue(at, true, ''), 'a: Invalid value: true'], [errors.typeInvalid(at, 'x', 'why'), 'a: Invalid value: "x": why'],
    [errors.notSupported(at, 'x', ['b', 'a']), 'a: Unsupported value: "x": supported values: "a", "b"'], [errors.notSupported(at, 'x', []), 'a: Unsupported value: "x"'], [errors.forbiddenField(at, 'why'), 'a: Forbidden: why'],
    [errors.tooLong(at, 63), 'a: Too long: may not be more than 63 bytes'], [errors.tooLong(at, 1), 'a: Too long: may not be more than 1 byte'], [errors.tooLong(at, -1), 'a: Too long: value is too long'],
    [errors.tooMany(at, 3, 2), 'a: Too many: 3: must have at most 2 items'], [errors.tooMany(at, 3, 1), 'a: Too many: 3: must have at most 1 item'], [errors.tooMany(at, -1, -1), 'a: Too many: has too many items'], [errors.notFoundField(at, 'x'), 'a: Not found: "x"'],
  ];
  for (const [error, text] of cases) assert.equal(shown(error), text);
});

test('toAggregate puts several in brackets and drops repeats', () => {
  const at = errors.fieldPath('a');
  assert.equal(errors.toAggregate([errors.required(at)]), 'a: Required value');
  assert.equal(errors.toAggregate([errors.required(at), errors.required(at), errors.forbiddenField(at, 'b')]), '[a: Required value, a: Forbidden: b]');
});

test('goQuote and writeJson escape as Go does', () => {
  assert.equal(goQuote('it\'s <b> "x" \\'), '"it\'s <b> \\"x\\" \\\\"');
  assert.equal(goQuote('a\u0007\n\t\u0000\u007f\u00a0é日😀\u200b'), '"a\\a\\n\\t\\x00\\x7f\\u00a0é日😀\\u200b"');
  assert.equal(goQuote('\u{e0001}'), '"\\U000e0001"');
  assert.equal(writeJson({ a: '<&>' }), '{"a":"\\u003c\\u0026\\u003e"}');
});
