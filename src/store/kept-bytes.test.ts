import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { KeptBytes, type Keeper, type Kept } from './kept-bytes.ts';

class Thing implements Keeper {
  kept: Kept | undefined;
  constructor(owner: KeptBytes, bytes: number) {
    this.kept = owner.keep(this, bytes);
  }
  evicted(kept: Kept): void {
    assert.equal(kept, this.kept);
    this.kept = undefined;
  }
}

test('KeptBytes lets the oldest go when there is too much', () => {
  const kept = new KeptBytes(100);
  const [a, b, c] = [new Thing(kept, 60), new Thing(kept, 30), new Thing(kept, 30)];
  assert.deepEqual([a, b, c].map((t) => t.kept?.bytes), [undefined, 30, 30]);
  assert.equal(kept.bytes, 60);
  b.kept!.drop();
  assert.equal(kept.bytes, 30);
  const d = new Thing(kept, 70);
  assert.deepEqual([c.kept?.bytes, d.kept?.bytes], [30, 70]);
});

test('KeptBytes keeps the newest, however large it is, counts right whatever is dropped, and holds nothing that was', () => {
  fc.assert(fc.property(fc.array(fc.record({ bytes: fc.integer({ min: 0, max: 300 }), drop: fc.option(fc.nat(40)) })), (steps) => {
    const kept = new KeptBytes(200);
    const all: { bytes: number; thing: Thing }[] = [];
    for (const { bytes, drop } of steps) {
      const thing = new Thing(kept, bytes);
      all.push({ bytes, thing });
      assert.ok(thing.kept);
      const dropped = drop === null ? undefined : all[drop % all.length]!.thing;
      if (dropped?.kept) {
        dropped.kept.drop();
        assert.deepEqual([dropped.kept.older, dropped.kept.newer], [undefined, undefined]);
        dropped.kept = undefined;
      }
      const held = all.filter((t) => t.thing.kept);
      assert.equal(kept.bytes, held.reduce((sum, t) => sum + t.bytes, 0));
      assert.ok(kept.bytes <= 200 || kept.bytes <= bytes);
      for (const [i, { thing }] of held.entries()) {
        assert.equal(thing.kept!.older, held[i - 1]?.thing.kept);
        assert.equal(thing.kept!.newer, held[i + 1]?.thing.kept);
      }
    }
  }));
});
