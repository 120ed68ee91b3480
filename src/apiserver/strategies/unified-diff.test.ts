import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unifiedDiff } from './unified-diff.ts';

test('unifiedDiff shows a changed line with three lines around it', () => {
  const before = { A: 1, B: 2, C: 3, D: 'x', E: 5, F: 6, G: 7, H: 8 };
  assert.equal(unifiedDiff(before, { ...before, D: 'y' }), '@@ -2,7 +2,7 @@\n  "A": 1,\n  "B": 2,\n  "C": 3,\n- "D": "x",\n+ "D": "y",\n  "E": 5,\n  "F": 6,\n  "G": 7,\n');
});
test('unifiedDiff shows added and removed lines and distant groups apart', () => {
  const list = Array.from({ length: 20 }, (_, i) => i);
  const after = list.filter((i) => i !== 2).concat(99);
  assert.equal(unifiedDiff(list, after), '@@ -1,7 +1,6 @@\n [\n  0,\n  1,\n- 2,\n  3,\n  4,\n  5,\n@@ -18,5 +17,6 @@\n  16,\n  17,\n  18,\n- 19\n+ 19,\n+ 99\n ]\n');
});
test('unifiedDiff of equal values is empty', () => {
  assert.equal(unifiedDiff({ a: [1] }, { a: [1] }), '');
});
test('unifiedDiff matches long texts without their frequent lines', () => {
  const before: (string | number)[] = Array.from({ length: 300 }, (_, i) => (i % 2 === 0 ? 'same' : i));
  const after = before.with(151, 'new');
  assert.equal(unifiedDiff(before, after), '@@ -150,7 +150,7 @@\n  "same",\n  149,\n  "same",\n- 151,\n+ "new",\n  "same",\n  153,\n  "same",\n');
});
