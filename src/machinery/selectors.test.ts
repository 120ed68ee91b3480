import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { escapeFieldValue, labelMatcherOf, labelMatcherOfSet, parseFieldSelector, parseLabelSelector } from './selectors.ts';

test('parseLabelSelector prints what it read, sorted by key', () => {
  const cases: [string, string][] = [
    ['', ''], ['x=a,y=b,z=c', 'x=a,y=b,z=c'], ['z=c,x==a', 'x==a,z=c'], ['x != a', 'x!=a'], ['x', 'x'], ['!x', '!x'], ['x in (b,a)', 'x in (a,b)'], ['x notin ()', 'x notin ()'], ['x in (foo,,baz)', 'x in (,baz,foo)'],
    ['x=', 'x='], ['x=,y', 'x=,y'], ['x>1', 'x>1'], ['x<5', 'x<5'], ['in in (in)', 'in in (in)'], [' a.b/c = d ', 'a.b/c=d'], ['notin=in', 'notin=in'], ['x in (,a)', 'x in (,a)'], ['x in (a,)', 'x in (,a)'],
  ];
  for (const [text, printed] of cases) assert.equal(parseLabelSelector(text).toString(), printed, text);
});

test('parseLabelSelector refuses in upstream\'s words', () => {
  const name = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
  const value = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
  const cases: [string, string][] = [
    [',', "found ',', expected: !, identifier, or 'end of string'"],
    ['x=a,', "found '', expected: identifier after ','"],
    ['x=a,,', "found ',', expected: identifier after ','"],
    ['x==a==b', "found '==', expected: ',' or 'end of string'"],
    ['!x=a', "found '=', expected: ',' or 'end of string'"],
    ['x a', "unable to parse requirement: found 'a', expected: in, notin, =, ==, !=, gt, lt"],
    ['x in a', "unable to parse requirement: found 'a' expected: '('"],
    ['x in (a', "unable to parse requirement: found '', expected: ',' or ')'"],
    ['x in (a b)', "unable to parse requirement: found 'b', expected: ',' or ')'"],
    ['x in (=)', "unable to parse requirement: found '=', expected: ',', ')' or identifier"],
    ['x in (a,=)', "unable to parse requirement: found '=', expected: ',', or identifier"],
    ['x==!', "unable to parse requirement: found '!', expected: identifier"],
    ['!', "unable to parse requirement: found '', expected: identifier"],
    ['x>a', 'unable to parse requirement: values[0]: Invalid value: "a": for \'Gt\', \'Lt\' operators, the value must be an integer'],
    ['-x', `unable to parse requirement: <nil>: Invalid value: "-x": ${name}`],
    ['x=-a', `unable to parse requirement: values[0][x]: Invalid value: "-a": ${value}`],
  ];
  for (const [text, message] of cases) assert.throws(() => parseLabelSelector(text), { message }, text);
});

test('LabelMatcher matches as upstream does', () => {
  const cases: [string, Record<string, string> | undefined, boolean][] = [
    ['', undefined, true], ['x=a', { x: 'a' }, true], ['x=a', {}, false], ['x!=a', {}, true], ['x!=a', { x: 'b' }, true], ['x', { x: '' }, true], ['!x', undefined, true], ['!x', { x: '' }, false],
    ['x in (a,b)', { x: 'b' }, true], ['x notin (a,b)', { x: 'b' }, false], ['x notin (a)', {}, true], ['x>5', { x: '6' }, true], ['x>5', { x: '5' }, false], ['x<5', { x: '4' }, true], ['x>5', { x: 'z' }, false],
    ['x>5', {}, false], ['toString', {}, false], ['!constructor', {}, true], ['a=b,c', { a: 'b' }, false],
  ];
  for (const [text, labels, expected] of cases) assert.equal(parseLabelSelector(text).matches(labels), expected, `${text} on ${JSON.stringify(labels)}`);
});

test('labelMatcherOf: absent selects nothing, empty everything', () => {
  assert.equal(labelMatcherOf(undefined).matches({}), false);
  assert.equal(labelMatcherOf(undefined).empty, false);
  assert.equal(labelMatcherOf({}).matches({}), true);
  assert.equal(labelMatcherOf({}).empty, true);
  const selector = { matchLabels: { b: '1' }, matchExpressions: [{ key: 'a', operator: 'In', values: ['y', 'x'] }, { key: 'c', operator: 'DoesNotExist' }, { key: 'd', operator: 'Exists' }, { key: 'e', operator: 'NotIn', values: ['q'] }] };
  assert.equal(labelMatcherOf(selector).toString(), 'a in (x,y),b=1,!c,d,e notin (q)');
  assert.equal(labelMatcherOf(selector).matches({ a: 'x', b: '1', d: '' }), true);
  assert.throws(() => labelMatcherOf({ matchExpressions: [{ key: 'a', operator: 'Gt', values: ['1'] }] }), { message: '"Gt" is not a valid label selector operator' });
  assert.throws(() => labelMatcherOf({ matchExpressions: [{ key: 'a', operator: 'In' }] }), { message: "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty" });
  assert.throws(() => labelMatcherOf({ matchExpressions: [{ key: 'a', operator: 'toString' }] }), /not a valid label selector operator/);
});

test('labelMatcherOfSet selects everything when the set is empty', () => {
  assert.equal(labelMatcherOfSet(undefined).empty, true);
  assert.equal(labelMatcherOfSet({ b: '2', a: '1' }).toString(), 'a=1,b=2');
  assert.equal(labelMatcherOfSet({ a: '1' }).requiresExactMatch('a'), '1');
  assert.equal(parseLabelSelector('a in (1,2)').requiresExactMatch('a'), undefined);
});

test('parseLabelSelector reads back what any matcher prints', () => {
  const word = fc.stringMatching(/^[a-z]([a-z0-9]{0,5})?$/);
  const requirement = fc.oneof(word.map((k) => k), word.map((k) => `!${k}`), fc.tuple(word, word).map(([k, v]) => `${k}=${v}`), fc.tuple(word, fc.array(word, { minLength: 1 })).map(([k, vs]) => `${k} notin (${vs.join(',')})`));
  fc.assert(fc.property(fc.array(requirement), (parts) => {
    const matcher = parseLabelSelector(parts.join(','));
    assert.equal(parseLabelSelector(matcher.toString()).toString(), matcher.toString());
  }));
});

test('parseFieldSelector splits at the first operator and unescapes', () => {
  const matcher = parseFieldSelector('status.phase!=Running,spec.nodeName==n1');
  assert.deepEqual(matcher.requirements, [{ field: 'spec.nodeName', operator: '=', value: 'n1' }, { field: 'status.phase', operator: '!=', value: 'Running' }]);
  assert.equal(matcher.matches((f) => (f === 'spec.nodeName' ? 'n1' : 'Pending')), true);
  assert.equal(matcher.matches(() => undefined), false);
  assert.equal(matcher.requiresExactMatch('spec.nodeName'), 'n1');
  assert.equal(parseFieldSelector('a=b\\,c\\=d\\\\').requirements[0]!.value, 'b,c=d\\');
  assert.equal(parseFieldSelector('').empty, true);
  assert.equal(parseFieldSelector('a=,').toString(), 'a=');
});

test('parseFieldSelector refuses in upstream\'s words', () => {
  const cases: [string, string][] = [
    ['abc', "invalid selector: 'abc'; can't understand 'abc'"], ['a=b=c', 'invalid field selector: unescaped character in value: 61'], ['a=\\x', 'invalid field selector: invalid escape sequence: \\x'], ['a=b\\', 'invalid field selector: invalid escape sequence: \\'],
  ];
  for (const [text, message] of cases) assert.throws(() => parseFieldSelector(text), { message });
});

test('escapeFieldValue makes any value readable', () => {
  fc.assert(fc.property(fc.string(), (value) => assert.equal(parseFieldSelector(`f=${escapeFieldValue(value)}`).requirements[0]!.value, value)));
});

/** What a requirement asks, by its operator alone: the value is undefined where the label is not there. */
const MEANING: Readonly<Record<string, (value: string | undefined, wanted: readonly string[]) => boolean>> = {
  In: (value, wanted) => value !== undefined && wanted.includes(value),
  NotIn: (value, wanted) => value === undefined || !wanted.includes(value),
  Exists: (value) => value !== undefined,
  DoesNotExist: (value) => value === undefined,
  Gt: (value, [bound]) => value !== undefined && /^-?\d+$/.test(value) && Number(value) > Number(bound),
  Lt: (value, [bound]) => value !== undefined && /^-?\d+$/.test(value) && Number(value) < Number(bound),
};
const TEXT: Readonly<Record<string, (key: string, values: readonly string[]) => string>> = {
  In: (k, v) => (v.length === 1 ? `${k} = ${v[0]}` : `${k} in (${v.join(', ')})`), NotIn: (k, v) => (v.length === 1 ? `${k}!=${v[0]}` : `${k} notin (${v.join(',')})`),
  Exists: (k) => k, DoesNotExist: (k) => `!${k}`, Gt: (k, v) => `${k}>${v[0]}`, Lt: (k, v) => `${k} < ${v[0]}`,
};
test('selectors, as text and as objects, select what a model of their operators does', () => {
  const key = fc.constantFrom('a', 'b', 'c.d/e', 'constructor', 'toString');
  const value = fc.constantFrom('x', 'y', '1', '7', '10', '');
  const labels = fc.dictionary(key, value, { noNullPrototype: true });
  const requirement = fc.oneof(
    fc.record({ key, operator: fc.constantFrom('In', 'NotIn'), values: fc.uniqueArray(value, { minLength: 1, maxLength: 3 }) }),
    fc.record({ key, operator: fc.constantFrom('Exists', 'DoesNotExist'), values: fc.constant([] as string[]) }),
    fc.record({ key, operator: fc.constantFrom('Gt', 'Lt'), values: fc.tuple(fc.constantFrom('1', '7', '9')) }),
  );
  fc.assert(fc.property(labels, fc.array(requirement, { maxLength: 4 }), (set, requirements) => {
    const expected = requirements.every((r) => MEANING[r.operator]!(Object.hasOwn(set, r.key) ? set[r.key] : undefined, r.values));
    const text = requirements.map((r) => TEXT[r.operator]!(r.key, r.values)).join(',');
    assert.equal(parseLabelSelector(text).matches(set), expected, text);
    // Objects know no order of numbers.
    const asObject = requirements.filter((r) => r.operator !== 'Gt' && r.operator !== 'Lt');
    if (asObject.length === requirements.length) assert.equal(labelMatcherOf({ matchExpressions: asObject }).matches(set), expected, text);
  }), { numRuns: 1000 });
});
