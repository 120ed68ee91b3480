import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compile } from './compile.ts';
import { estimateCost, type SizeEstimator } from './cost-estimate.ts';
import { kubernetesEnvironment } from './kubernetes.ts';
import { INT, listOf, mapOf, objectType, STRING } from './types.ts';

const self = objectType('self', { name: STRING, n: INT, list: listOf(STRING), big: listOf(listOf(INT)), map: mapOf(STRING, STRING) });
const env = kubernetesEnvironment().withVariables({ self });
const SIZES: Readonly<Record<string, number>> = { 'self.name': 40, 'self.list': 10, 'self.list.@items': 20, 'self.big': 1000, 'self.big.@items': 1000, 'self.map': 5, 'self.map.@keys': 8, 'self.map.@values': 30 };
const sizes: SizeEstimator = (path) => {
  const max = path && SIZES[path.join('.')];
  return max === undefined ? undefined : { min: 0, max };
};
function most(text: string): number {
  const compiled = compile(text, env);
  if ('errors' in compiled) assert.fail(compiled.text);
  return estimateCost(compiled.program.checked, sizes).max;
}

describe('estimateCost', () => {
  const TABLE: readonly (readonly [string, number])[] = [
    ['self.n', 2], ['self.n > 1', 3], ["self.name == 'abc'", 3], ['has(self.name)', 1], ["self.name.startsWith('abcdefghijkl')", 4], ["self.name.contains('abcdefghijklmnopq')", 10],
    ["self.name.matches('^[a-z]+$')", 12], ['self.list.size() > 3', 4], ["'a' in self.list", 12], ['true && self.n > 1', 3], ['self.n > 1 ? self.n : self.n + self.n', 8],
    ["self.list.all(x, x == 'a')", 42 + 11], ['[self.n, 2]', 12], ["self.map.all(k, self.map[k] == '')", 5 * 7 + 3], ['self.big.all(x, x.all(y, y > 0))', 1000 * (1000 * 5 + 5) + 3],
  ];
  for (const [text, cost] of TABLE) it(`${text} costs at most ${cost}`, () => assert.equal(most(text), cost));
  it('multiplies loops in loops', () => {
    assert.ok(most('self.big.all(x, x.all(y, self.big.all(z, true)))') > 1e9);
  });
  it('takes unknown sizes for endless', () => {
    assert.ok(most("self.list.map(x, x + x).exists(y, y.matches('a'))") < 1e6);
    assert.ok(most("self.name.split('').all(x, self.name.split(x).all(y, y.matches(x)))") >= 1e6);
  });
});
