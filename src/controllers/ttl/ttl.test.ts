import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stepFor } from './ttl.ts';

test('stepFor goes up beyond a size and comes down only below a smaller one', () => {
  assert.deepEqual([stepFor(100, 0), stepFor(101, 0), stepFor(95, 1), stepFor(89, 1), stepFor(5000, 0), stepFor(0, 4)], [0, 1, 1, 0, 4, 0]);
});
