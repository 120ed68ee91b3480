import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { NOTHING, RuleSet, type Rendered } from './nft-rule-set.ts';

const T = 'ip t';
function rendered(parts: { chains?: Record<string, string[]>; sets?: Record<string, string>; entries?: [string, string, string][]; members?: [string, string][] }): Rendered {
  return {
    chains: new Map(Object.entries(parts.chains ?? {})), sets: new Map(Object.entries(parts.sets ?? {})),
    entries: (parts.entries ?? []).map(([map, key, value]) => ({ map, key, value })), members: (parts.members ?? []).map(([set, value]) => ({ set, value })),
  };
}
const change = (set: RuleSet, states: Record<string, Rendered>) => set.change(new Map(Object.entries(states)));
const lines = (script: string) => script.split('\n').filter((l) => l !== '');

test('RuleSet makes chains before what leads to them, and takes them away after', () => {
  const set = new RuleSet(T);
  const a = rendered({ chains: { c: ['goto d'], d: ['drop'] }, sets: { s: 'type ipv4_addr;' }, entries: [['m', 'k', 'goto c']], members: [['ips', '10.0.0.1']] });
  assert.deepEqual(lines(change(set, { a }).script), [
    'add set ip t s { type ipv4_addr; }', 'add chain ip t c', 'add chain ip t d', 'add rule ip t c goto d', 'add rule ip t d drop', 'add element ip t m { k : goto c }', 'add element ip t ips { 10.0.0.1 }',
  ]);
  assert.deepEqual(lines(change(set, { a: NOTHING }).script), [
    'delete element ip t m { k }', 'delete element ip t ips { 10.0.0.1 }', 'flush chain ip t c', 'flush chain ip t d', 'delete chain ip t c', 'delete chain ip t d', 'delete set ip t s',
  ]);
  assert.equal(set.size, 0);
});
test('RuleSet lets rules of one owner lead to chains of another', () => {
  const set = new RuleSet(T);
  const [a, b] = [rendered({ chains: { c: ['jump d'] } }), rendered({ chains: { d: ['drop'] }, sets: { s: 'type ipv4_addr;' } })];
  assert.deepEqual(lines(change(set, { a, b }).script), ['add chain ip t c', 'add set ip t s { type ipv4_addr; }', 'add chain ip t d', 'add rule ip t c jump d', 'add rule ip t d drop']);
  assert.deepEqual(lines(change(set, { b: NOTHING, a: NOTHING }).script), ['flush chain ip t d', 'flush chain ip t c', 'delete chain ip t d', 'delete set ip t s', 'delete chain ip t c']);
});
test('RuleSet writes only what has changed', () => {
  const set = new RuleSet(T);
  const with1 = rendered({ chains: { c: ['one'], d: ['same'] }, entries: [['m', 'k', 'v']] });
  change(set, { a: with1 });
  assert.equal(change(set, { a: with1 }).script, '');
  assert.deepEqual(lines(change(set, { a: rendered({ chains: { c: ['two'], d: ['same'] }, entries: [['m', 'k', 'w']] }) }).script), [
    'flush chain ip t c', 'add rule ip t c two', 'delete element ip t m { k }', 'add element ip t m { k : w }',
  ]);
});
test('RuleSet keeps an entry with who had it first, and tells when it becomes free', () => {
  const set = new RuleSet(T);
  change(set, { a: rendered({ entries: [['m', 'k', 'a']] }) });
  const b = rendered({ entries: [['m', 'k', 'b']] });
  assert.equal(change(set, { b }).script, '');
  const freed = change(set, { a: NOTHING });
  assert.deepEqual([lines(freed.script), [...freed.again]], [['delete element ip t m { k }'], ['b']]);
  assert.deepEqual(lines(change(set, { b }).script), ['add element ip t m { k : b }']);
});
test('RuleSet passes an entry on within one step', () => {
  const set = new RuleSet(T);
  change(set, { a: rendered({ entries: [['m', 'k', 'a']] }) });
  assert.deepEqual(lines(change(set, { b: rendered({ entries: [['m', 'k', 'b']] }), a: NOTHING }).script), ['delete element ip t m { k }', 'add element ip t m { k : b }']);
});
test('RuleSet keeps a shared member until its last owner lets go', () => {
  const set = new RuleSet(T);
  const one = rendered({ members: [['s', 'v']] });
  change(set, { a: one, b: one });
  assert.equal(change(set, { a: NOTHING }).script, '');
  assert.deepEqual(lines(change(set, { b: NOTHING }).script), ['delete element ip t s { v }']);
});

/** What a kernel would hold after the scripts; throws where it would refuse one. */
class Model {
  readonly chains = new Map<string, string[]>();
  readonly elements = new Map<string, string>();
  run(script: string): void {
    for (const line of lines(script)) {
      const [verb, what, , , name = '', ...rest] = line.split(' ');
      const id = `${name} ${rest[1] ?? ''}`;
      if (verb === 'add' && what === 'chain') this.#fresh(this.chains, name, []);
      else if (verb === 'flush') this.chains.set(name, this.#known(this.chains, name) && []);
      else if (verb === 'add' && what === 'rule') this.#known(this.chains, name).push(rest.join(' '));
      else if (verb === 'delete' && what === 'chain') this.#drop(this.chains, name);
      else if (verb === 'add' && what === 'element') this.#fresh(this.elements, id, rest.slice(3, -1).join(' '));
      else if (verb === 'delete' && what === 'element') this.#drop(this.elements, id);
      else throw new Error(line);
    }
  }
  #known<V>(map: Map<string, V>, key: string): V {
    if (!map.has(key)) throw new Error(`no ${key}`);
    return map.get(key)!;
  }
  #drop<V>(map: Map<string, V>, key: string): void {
    if (!map.delete(key)) throw new Error(`no ${key}`);
  }
  #fresh<V>(map: Map<string, V>, key: string, value: V): void {
    if (map.has(key)) throw new Error(`${key} is there`);
    map.set(key, value);
  }
}
test('RuleSet: any row of changes leads to what a fresh start would give', () => {
  const owner = fc.constantFrom('a', 'b', 'c');
  const state = (o: string) => fc.record({ rule: fc.constantFrom('x', 'y', undefined), key: fc.constantFrom('k1', 'k2', undefined), member: fc.constantFrom('v1', 'v2', undefined) }).map((r) =>
    rendered({ chains: r.rule ? { [`chain-${o}`]: [r.rule] } : {}, entries: r.key ? [['m', r.key, `${o}${r.rule}`]] : [], members: r.member ? [['s', r.member]] : [] }));
  fc.assert(fc.property(fc.array(fc.array(owner, { minLength: 1, maxLength: 3 }).chain((os) => fc.tuple(...[...new Set(os)].map((o) => state(o).map((s) => [o, s] as const)))), { maxLength: 12 }), (steps) => {
    const set = new RuleSet(T);
    const model = new Model();
    const last = new Map<string, Rendered>();
    for (const step of steps) {
      let states = new Map<string, Rendered>(step);
      for (const [o, s] of step) last.set(o, s);
      while (states.size) {
        const { script, again } = set.change(states);
        model.run(script);
        states = new Map(Array.from(again, (o) => [o, last.get(o)!] as const));
      }
      const chains = [...last.values()].flatMap((s) => [...s.chains]);
      assert.deepEqual(Object.fromEntries(model.chains), Object.fromEntries(chains));
      const keys = new Set([...last.values()].flatMap((s) => [...s.entries.map((e) => `m ${e.key}`), ...s.members.map((m) => `s ${m.value}`)]));
      assert.deepEqual(new Set(model.elements.keys()), keys);
      for (const [id, value] of model.elements) if (id.startsWith('m ')) assert.ok([...last.values()].some((s) => s.entries.some((e) => `m ${e.key}` === id && e.value === value)));
    }
  }));
});
