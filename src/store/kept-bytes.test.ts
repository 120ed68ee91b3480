import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { KeptBytes, type Kept } from './kept-bytes.ts';

test('KeptBytes lets the oldest go when there is too much', () => {
  const kept = new KeptBytes(100);
  const [a, b, c] = [kept.keep({ name: 'a' }, 60), kept.keep({ name: 'b' }, 30), kept.keep({ name: 'c' }, 30)];
  assert.deepEqual([a, b, c].map((k) => k.value?.name), [undefined, 'b', 'c']);
  assert.equal(kept.bytes, 60);
  b.drop();
  b.drop();
  assert.equal(kept.bytes, 30);
  const d = kept.keep({ name: 'd' }, 70);
  assert.deepEqual([c.value?.name, d.value?.name], ['c', 'd']);
});

test('KeptBytes keeps the newest, however large it is, and counts right whatever is dropped', () => {
  fc.assert(fc.property(fc.array(fc.record({ bytes: fc.integer({ min: 0, max: 300 }), drop: fc.option(fc.nat(40)) })), (steps) => {
    const kept = new KeptBytes(200);
    const all: { bytes: number; link: Kept<object> }[] = [];
    for (const { bytes, drop } of steps) {
      all.push({ bytes, link: kept.keep({}, bytes) });
      assert.ok(all.at(-1)!.link.value);
      if (drop !== null) all[drop % all.length]!.link.drop();
      const held = all.filter(({ link }) => link.value).reduce((sum, { bytes }) => sum + bytes, 0);
      assert.equal(kept.bytes, held);
      assert.ok(held <= 200 || held <= all.at(-1)!.bytes);
    }
  }));
});
