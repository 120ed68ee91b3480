import assert from 'node:assert/strict';
import { test } from 'node:test';
import { array, assert as assertProperty, boolean, constantFrom, nat, property, record } from 'fast-check';
import { Heap } from './heap.ts';

interface Item {
  readonly key: string;
  readonly rank: number;
}
const heap = () => new Heap<Item>((i) => i.key, (a, b) => a.rank < b.rank);

test('Heap gives its items in order, after any sets and deletions', () => {
  const operation = record({ key: constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g'), rank: nat(20), remove: boolean() });
  assertProperty(property(array(operation, { maxLength: 40 }), (operations) => {
    const h = heap();
    const model = new Map<string, number>();
    for (const { key, rank, remove } of operations) {
      if (remove) {
        assert.equal(h.delete(key)?.rank, model.get(key));
        model.delete(key);
      } else {
        h.set({ key, rank });
        model.set(key, rank);
      }
      assert.equal(h.size, model.size);
      assert.equal(h.peek()?.rank, model.size === 0 ? undefined : Math.min(...model.values()));
    }
    const ranks: number[] = [];
    for (let item = h.pop(); item; item = h.pop()) ranks.push(item.rank);
    assert.deepEqual(ranks, [...model.values()].toSorted((a, b) => a - b));
  }));
});
