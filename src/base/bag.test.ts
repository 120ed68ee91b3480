import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Bag, type BagMember } from './bag.ts';

interface Thing extends BagMember {
  readonly id: number;
}
const thing = (id: number): Thing => ({ id, bagIndex: -1 });

test('Bag holds what a Set would hold', () => {
  fc.assert(fc.property(fc.array(fc.nat(9), { maxLength: 100 }), (toggles) => {
    const things = Array.from({ length: 10 }, (_, id) => thing(id));
    const [bag, set] = [new Bag<Thing>(), new Set<Thing>()];
    for (const id of toggles) {
      const one = things[id]!;
      assert.equal(bag.delete(one), set.delete(one));
      if (id % 3 === 0 || set.size < 5) {
        bag.add(one);
        set.add(one);
      }
      assert.equal(bag.size, set.size);
      assert.deepEqual([...bag].map((t) => t.id).sort(), [...set].map((t) => t.id).sort());
    }
  }));
});

test('Bag gives every member once also when each is deleted as it comes', () => {
  const bag = new Bag<Thing>();
  for (let id = 0; id < 5; id++) bag.add(thing(id));
  const seen: number[] = [];
  for (const member of bag) {
    seen.push(member.id);
    bag.delete(member);
  }
  assert.deepEqual(seen.sort(), [0, 1, 2, 3, 4]);
  assert.equal(bag.size, 0);
});
