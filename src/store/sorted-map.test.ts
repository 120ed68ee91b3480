import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { SortedMap } from './sorted-map.ts';

interface Item {
  readonly key: string;
  readonly n: number;
}
const all = (map: SortedMap<Item>, from = ''): Item[] => {
  const out: Item[] = [];
  map.scan(from, (v) => out.push(v) > 0);
  return out;
};

test('SortedMap agrees with a plain Map under random changes, over many chunks', () => {
  const key = fc.integer({ min: 0, max: 3_000 }).map((n) => n.toString(36));
  const step = fc.record({ key, del: fc.integer({ min: 0, max: 3 }).map((n) => n === 0) });
  fc.assert(
    fc.property(fc.array(step, { minLength: 2_000, maxLength: 4_000 }), fc.boolean(), key, (steps, sortedFirst, probe) => {
      const model = new Map<string, Item>();
      const start: Item[] = sortedFirst ? Array.from({ length: 1_500 }, (_, n) => ({ key: n.toString(36), n })).sort((a, b) => (a.key < b.key ? -1 : 1)) : [];
      for (const item of start) model.set(item.key, item);
      const map = SortedMap.fromSorted(start);
      for (const [n, { key, del }] of steps.entries()) {
        const before = model.get(key);
        if (del) {
          assert.equal(map.delete(key), before);
          model.delete(key);
        } else {
          assert.equal(map.set({ key, n }), before);
          model.set(key, map.get(key)!);
        }
      }
      const expected = [...model.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
      assert.deepEqual(all(map), expected);
      assert.equal(map.size, expected.length);
      assert.deepEqual(all(map, probe), expected.filter((v) => v.key >= probe));
      assert.equal(map.rank(probe), expected.filter((v) => v.key < probe).length);
    }),
    { numRuns: 15 },
  );
});

test('SortedMap.scan stops where the visitor says so, and an empty map has nothing to scan', () => {
  assert.deepEqual(all(new SortedMap<Item>()), []);
  const map = SortedMap.fromSorted(['a', 'b', 'c'].map((key, n) => ({ key, n })));
  const seen: string[] = [];
  map.scan('b', (v) => seen.push(v.key) < 1);
  assert.deepEqual(seen, ['b']);
  assert.deepEqual([map.rank(''), map.rank('b'), map.rank('zz')], [0, 1, 3]);
});
