import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isOwnChange, isOwnTable } from './own-tables.ts';

test('tables of clusters are known by their names, and nobody else\'s', () => {
  const own = ['podyard', 'podyard_proxy', 'podyard_forward', 'podyard_policy', 'podyard_1a2b3c4d', 'podyard_1a2b3c4d_policy'];
  assert.deepEqual(own.filter((table) => !isOwnTable('ip', table)), []);
  assert.deepEqual([['inet', 'podyard'], ['ip', 'filter'], ['ip', 'podyard_other'], ['ip', 'my_podyard']].filter(([family, table]) => isOwnTable(family!, table!)), []);
});
test('changes of them in the words of nft monitor', () => {
  for (const line of ['add table ip podyard_policy', 'add rule ip podyard_1a2b3c4d_proxy services ip daddr 10.96.0.1 accept', 'delete element ip podyard_policy peers { 10.244.0.3 }', '# new generation 17 by process 9 (nft)']) assert.equal(isOwnChange(line), true, line);
  for (const line of ['add rule ip filter FORWARD counter drop', 'add table inet firewalld', 'delete chain ip podyards x']) assert.equal(isOwnChange(line), false, line);
});
