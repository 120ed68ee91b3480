import assert from 'node:assert/strict';
import { test } from 'node:test';
import { goPrint } from './go-text.ts';

test('goPrint prints JSON values as Go does', () => {
  const cases: [unknown, string][] = [
    [{ status: { capacity: { cpu: 'x' } } }, 'map[status:map[capacity:map[cpu:x]]]'], [{ b: [1, 'y z', null, true], a: {} }, 'map[a:map[] b:[1 y z <nil> true]]'], [[], '[]'], [1.5, '1.5'], [1e30, '1e+30'], [0.00001, '1e-05'], ['', ''],
  ];
  for (const [value, text] of cases) assert.equal(goPrint(value), text);
});
