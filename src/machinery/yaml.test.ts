import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { dumpYaml, parseYaml, parseYamlDocuments, splitYamlDocuments, YamlError, yamlStrictMessage } from './yaml.ts';

test('parseYaml reads scalars as kubectl does', () => {
  const cases: [string, unknown][] = [
    ['yes', true], ['y', true], ['ON', true], ['off', false], ['n', false], ['tRue', 'tRue'], ['~', null], ['Null', null], ['', null], ['0', 0], ['00', 0], ['0644', 420], ['0o644', 420], ['08', 8], ['0o8', '0o8'], ['0b101', 5], ['-0b101', -5],
    ['0x1F', 31], ['-0x1f', -31], ['1_000', 1000], ['_1', '_1'], ['1.', 1], ['.5', 0.5], ['-.5', -0.5], ['1e3', 1000], ['1e400', '1e400'], ['1:30', '1:30'], ['2024-01-01', '2024-01-01'], ['2024-01-01T00:00:00Z', '2024-01-01T00:00:00Z'],
    ['18446744073709551616', 18446744073709552000], ['e1', 'e1'], ['1e', '1e'], ['+', '+'], ['!!str 1', '1'], ["!!int '7'", 7], ['!!float 3', 3], ["!!bool 'true'", true], ['!!binary aGk=', 'hi'], ['!foo bar', 'bar'], ["'on'", 'on'], ['"1"', '1'],
    ["'it''s'", "it's"], ['|\n  x\n  y\n', 'x\ny\n'], ['|-\n  x\n', 'x'], ['|+\n  x\n\n', 'x\n\n'], ['>\n  a\n  b\n\n  c\n', 'a b\nc\n'], ['[1, a, {b: c}]', [1, 'a', { b: 'c' }]], ['&x a', 'a'], ['{a: 1}', { a: 1 }],
  ];
  for (const [text, value] of cases) assert.deepEqual(parseYaml(`k: ${text}`), { k: value }, text);
});

test('parseYaml turns keys into strings, and the last of two wins', () => {
  assert.deepEqual(parseYaml('1: x\ntrue: z2\n1.5: z\n0x10: q\na: 1\na: 2\n'), { 1: 'x', true: 'z2', 1.5: 'z', 16: 'q', a: 2 });
  assert.deepEqual(Object.keys(parseYaml('__proto__: 1\nconstructor: 2') as object), ['__proto__', 'constructor']);
  assert.throws(() => parseYaml('~: 1'), { message: /unsupported map key of type/ });
  assert.throws(() => parseYaml('? [a]\n: 1'), { message: 'yaml: invalid map key: ["a"]' });
});

test('parseYaml follows aliases and merge keys', () => {
  const value = parseYaml('m: &m {a: 1, b: 2}\no: {<<: *m, b: 3}\np: {<<: [*m, {a: 9, z: 8}]}\nal: *m\nq: {"<<": 1}\n') as Record<string, unknown>;
  assert.deepEqual(value, { m: { a: 1, b: 2 }, o: { a: 1, b: 3 }, p: { a: 1, b: 2, z: 8 }, al: { a: 1, b: 2 }, q: { '<<': 1 } });
  assert.notEqual(value['al'], value['m'], 'an alias is a copy');
  assert.throws(() => parseYaml('a: {<<: 1}'), { message: 'yaml: map merge requires map or sequence of maps as the value' });
  assert.throws(() => parseYaml('a: &a [*a]'), { message: "yaml: anchor 'a' value contains itself" });
  assert.throws(() => parseYaml('a: *b'), YamlError);
});

test('parseYaml stands up to bombs', () => {
  const names = 'abcdefghij';
  const laughs = [...names].map((n, i) => `${n}: &${n} [${Array(10).fill(i === 0 ? 'lol' : `*${names[i - 1]}`).join(',')}]`).join('\n');
  assert.throws(() => parseYaml(laughs), { message: 'yaml: document contains excessive aliasing' });
  const merges = [...names].map((n, i) => `${n}: &${n}\n${i === 0 ? '  k: v' : Array(10).fill(`  <<: *${names[i - 1]}`).join('\n')}`).join('\n');
  assert.throws(() => parseYaml(merges), { message: 'yaml: document contains excessive aliasing' });
  assert.throws(() => parseYaml('['.repeat(50_000)), YamlError);
  assert.throws(() => parseYaml(`${'- '.repeat(5000)}a`), YamlError);
});

test('parseYaml in strict mode names keys that come twice', () => {
  assert.throws(() => parseYaml('a: 1\nb:\n  c: 1\n  c: 2\na: 3\n', { strict: true }), { message: 'yaml: unmarshal errors:\n  line 4: key "c" already set in map\n  line 5: key "a" already set in map' });
  assert.equal(yamlStrictMessage('a: 1\na: 2\n'), 'yaml: unmarshal errors:\n  line 2: key "a" already set in map');
  assert.equal(yamlStrictMessage('a: 1\n'), undefined);
  assert.deepEqual(parseYaml('a: {b: 1}\nc: {b: 1}\n', { strict: true }), { a: { b: 1 }, c: { b: 1 } });
});

test('parseYaml words mistakes as kubectl does', () => {
  const cases: [string, string][] = [
    ['a: "x\n', "line 2: found unexpected end of stream"], ['a: [1\n', "line 1: did not find expected ',' or ']'"], ['a: {b\n', "line 1: did not find expected ',' or '}'"], ['a: {b: 1 c: 2}', "did not find expected ',' or '}'"],
    ['a\nb: 1', 'line 2: mapping values are not allowed in this context'], ['a: 1\n b: 2', 'line 2: mapping values are not allowed in this context'], ['a: b: c', 'mapping values are not allowed in this context'],
    ['\ta: 1', 'found character that cannot start any token'], ['a:\n\t- b', 'line 2: found character that cannot start any token'], ['a: @b', 'found character that cannot start any token'], ['a: *x', "unknown anchor 'x' referenced"],
    ['- a\nb: 1', "line 1: did not find expected '-' indicator"], ['a: 1\n- b', 'line 1: did not find expected key'], ['a:\n  b: 1\n c: 2', 'line 2: did not find expected key'], ["a: 'b' c", 'did not find expected key'],
    ['a: |\n x\ny', "line 4: could not find expected ':'"], ['k: v\nfoo\nz: 1', "line 3: could not find expected ':'"], ['a: "\\q"', 'found unknown escape character'], ['a: !!int x', 'cannot decode !!str `x` as a !!int'],
  ];
  for (const [text, message] of cases) assert.throws(() => parseYaml(text), (e) => e instanceof YamlError && e.message === `yaml: ${message}`, text);
  assert.throws(() => parseYaml('a: .inf'), { message: 'json: unsupported value: +Inf' });
});

test('parseYamlDocuments splits as kubectl does', () => {
  const text = '# only a comment\n---\na: 1\n--- # comment\nb: 2\n---\n\n---\nc: |\n  x\n  ---\n---';
  assert.deepEqual(parseYamlDocuments(text), [{ a: 1 }, { b: 2 }, { c: 'x\n---\n' }]);
  assert.deepEqual(parseYamlDocuments('---\na: 1\n'), [{ a: 1 }]);
  assert.deepEqual(parseYamlDocuments('{"a": "\\u00e9"}'), [{ a: 'é' }]);
  assert.equal(splitYamlDocuments('a\n---\nb').length, 2);
  assert.deepEqual(parseYamlDocuments('\ufeffa: 1'), [{ a: 1 }]);
});

test('dumpYaml chooses styles as kubectl does', () => {
  const cases: [unknown, string][] = [
    ['a', 'a'], ['', '""'], ['yes', '"yes"'], ['null', '"null"'], ['~', '"~"'], ['1', '"1"'], ['1e3', '"1e3"'], ['0x1f', '"0x1f"'], ['1:30', '"1:30"'], ['1:60', '1:60'], ['2024-01-01', '"2024-01-01"'], ['2024-13-01', '2024-13-01'], ['.5', '".5"'], ['.', '.'],
    ['a: b', "'a: b'"], ['a:', "'a:'"], ['a:b', 'a:b'], ['a #b', "'a #b'"], ['a#b', 'a#b'], ['- a', "'- a'"], ['-', "'-'"], ['-a', '-a'], ['---', "'---'"], ['...', "'...'"], [' a', "' a'"], ['a ', "'a '"], ["it's", "it's"], ["'a'", "'''a'''"], ['*a', "'*a'"], ['[a', "'[a'"],
    ['?a', '?a'], ['? a', "'? a'"], ['@a', "'@a'"], ['%a', "'%a'"], ['a\tb', '"a\\tb"'], ['😀', '"\\U0001F600"'], ['é', 'é'], ['\u0000', '"\\0"'], ['a\u2028b', '"a\\Lb"'], ['a\rb', '"a\\rb"'], ['1Gi', '1Gi'], ['100m', '100m'], ['::1', '::1'], ['=', '='],
    ['a\nb', '|-\n  a\n  b'], ['a\nb\n', '|\n  a\n  b'], ['a\n\n', '|+\n  a\n'], ['\n', '|2+\n'], [' a\nb', '|2-\n   a\n  b'], ['a \nb', '"a \\nb"'], ['a\n b', '|-\n  a\n   b'], ['a\nb ', '"a\\nb "'],
    [1, '1'], [1.5, '1.5'], [1e20, '1e+20'], [1e-7, '1e-07'], [1234567.5, '1.2345675e+06'], [-3, '-3'], [true, 'true'], [null, 'null'], [[], '[]'], [{}, '{}'], [{ a: undefined }, '{}'],
  ];
  for (const [value, text] of cases) assert.equal(dumpYaml({ k: value }), `k: ${text}\n`, JSON.stringify(value));
});

test('dumpYaml lays out lists and maps as kubectl does', () => {
  const value = { l: [1, [2, [3]], { a: { b: [{ c: 1, d: [] }] }, e: {} }, [{ x: 1, y: 2 }], 'a\nb\n'], k10: 2, k2: 1, K: 3, 'a-b': 4, ab: 6, a1: 7, a01: 8, ['q'.repeat(129)]: { v: ['s'] }, '1': 0, 'multi\nline': 4 };
  assert.equal(dumpYaml(value), [
    '"1": 0', 'K: 3', 'a-b: 4', 'a1: 7', 'a01: 8', 'ab: 6', 'k2: 1', 'k10: 2', 'l:', '- 1', '- - 2', '  - - 3', '- a:', '    b:', '    - c: 1', '      d: []', '  e: {}', '- - x: 1', '    "y": 2', '- |', '  a', '  b',
    '? |-', '  multi', '  line', ': 4', `? ${'q'.repeat(129)}`, ': v:', '  - s', '',
  ].join('\n'));
  assert.equal(dumpYaml([{ a: 1 }, 2]), '- a: 1\n- 2\n');
  assert.equal(dumpYaml('a'), 'a\n');
  // Plain, it would be the key of a merge.
  assert.equal(dumpYaml({ '<<': '<<' }), '"<<": "<<"\n');
});

test('dumpYaml folds past 80 columns', () => {
  assert.equal(dumpYaml({ a: { b: `${'word '.repeat(20)}end` } }), `a:\n  b: ${'word '.repeat(16).trimEnd()}\n    ${'word '.repeat(4)}end\n`);
  assert.equal(dumpYaml({ a: `it's: ${'x '.repeat(60)}`.trim() }).split('\n').length, 3);
  assert.equal(dumpYaml({ a: 'x'.repeat(200) }), `a: ${'x'.repeat(200)}\n`);
});

test('parseYaml reads back what dumpYaml prints', () => {
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.string(), fc.constantFrom('yes', '1', '<<', 'a: b', '- x', '\n', ' \n', 'a\n\n', '#', "'", '"', '\\'), fc.array(fc.constantFrom('word', 'it\'s', 'a:', '#b', '"q"', '\n', ' ', ''), { maxLength: 60 }).map((words) => words.join(' ')));
  const { value } = fc.letrec((tie) => ({ value: fc.oneof({ depthSize: 'small' }, text, fc.integer(), fc.boolean(), fc.constant(null), fc.array(tie('value')), fc.dictionary(text, tie('value'), { noNullPrototype: true })) }));
  fc.assert(fc.property(fc.dictionary(text, value), (object) => assert.deepEqual(parseYaml(dumpYaml(object)), JSON.parse(JSON.stringify(object)))), { numRuns: 300 });
});
