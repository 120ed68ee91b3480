/** Objects of any kind: made from the table of types, or from a valid one, and bent. */
import { structByKind, type Field, type StructType, type TypeRef } from '#api/schema.ts';
import type { ResourceInfo } from '#api/resources.ts';
import { apiVersionOf } from '#api/object.ts';
import { VALID } from '../valid-objects.ts';
import type { Random } from './random.ts';

type Json = Record<string, unknown>;
const NAMES = ['a', 'b', 'c', 'web', 'x-1', 'kube-root-ca.crt', 'n.example.com'];
const STRINGS = [
  ...NAMES, '', ' ', 'A_B', '*', '10.0.0.1', '10.0.0.0/8', '::1', 'fd00::/64', '0', '-1', '80', '50%', '1Gi', '100m', 'TCP', 'Always', 'ClusterIP', 'None', 'node-1', 'example.com/thing',
  'https://example.com/x', '/var/lib', '../..', '2026-01-02T03:04:05Z', '5s', 'self.spec.x == 1', 'a.b.c[0]', '{{x}}', '"', '\\', '\u0000', '\u202e', 'é', '😀', '\ud800', 'x'.repeat(64), 'y'.repeat(300), '__proto__', 'constructor', 'null',
];
const INTS = [0, 1, -1, 2, 3, 80, 443, 100, 65_535, 65_536, 2_147_483_647, -2_147_483_648, 2_147_483_648, 9_007_199_254_740_992, 1.5, 1e30];
const QUANTITIES = ['0', '1', '100m', '1Gi', '-5', '1e3', '1.5', '1e9999', 'x', '', '0.0000000001', '9999999999999999999999', 7];
export const JUNK: readonly unknown[] = [null, [], {}, '', 'x', 0, -1, true, [null], [[]], [{}], { a: null }, { '': '' }, { a: { b: { c: [] } } }, 1e308, 'y'.repeat(5000), { __proto__x: 1 }];

/** A value of a type: plausible most of the time. */
export function valueOf(type: TypeRef, random: Random, depth: number): unknown {
  if (random.chance(0.01)) return structuredClone(random.pick(JUNK));
  switch (type.kind) {
    case 'string':
      return type.values && random.chance(0.85) ? random.pick(type.values) : random.pick(STRINGS);
    case 'bool':
      return random.chance(0.5);
    case 'int':
    case 'float':
      return random.pick(INTS);
    case 'bytes':
      return random.pick(['', 'eA==', 'AAAA', '!', 'a']);
    case 'quantity':
      return random.pick(QUANTITIES);
    case 'time':
    case 'microTime':
      return random.pick([null, '2026-01-02T03:04:05Z', '2026-01-02T03:04:05.123456Z', '', 'yesterday', '9999-99-99T99:99:99Z']);
    case 'duration':
      return random.pick(['5s', '1h', '-1s', '', 'x', '1e9s']);
    case 'intOrString':
      return random.pick<unknown>([80, 'http', '50%', '101%', -1, '', 'x'.repeat(20)]);
    case 'any':
      return structuredClone(random.pick<unknown>([...JUNK, { apiVersion: 'v1', kind: 'Pod' }, { type: 'object', properties: { a: { type: 'string' } } }]));
    case 'struct':
      return depth > 7 ? {} : structOf(type.type, random, depth + 1);
    case 'list':
      return Array.from({ length: random.pick([0, 1, 1, 1, 2, 3]) }, () => valueOf(type.item, random, depth + 1));
    case 'map':
      return Object.fromEntries(Array.from({ length: random.pick([0, 1, 1, 2]) }, () => [random.pick(STRINGS), valueOf(type.value, random, depth + 1)]));
  }
}
/** Deeper structs have fewer fields, so that objects end. */
function wanted(field: Field, random: Random, depth: number): boolean {
  return field.required ? random.chance(0.9) : random.chance(depth <= 1 ? 0.8 : depth === 2 ? 0.25 : 0.12);
}
function structOf(type: StructType, random: Random, depth: number): Json {
  const out: Json = {};
  for (const [name, field] of type.fields) if (wanted(field, random, depth)) out[name] = valueOf(field.type, random, depth);
  return out;
}

/** An object of the kind, named as the path says or as it likes. */
export function randomObject(info: ResourceInfo, name: string, namespace: string, random: Random): Json {
  const spec = VALID[info.kind];
  const type = structByKind(info.group, info.version, info.kind);
  const object: Json = spec && random.chance(0.85) ? structuredClone(spec) : type ? structOf(type, random, 0) : {};
  const metadata = typeof object['metadata'] === 'object' && object['metadata'] !== null && !Array.isArray(object['metadata']) ? (object['metadata'] as Json) : {};
  if (random.chance(0.95)) Object.assign(object, { apiVersion: apiVersionOf(info.group, info.version), kind: info.kind });
  if (random.chance(0.95)) object['metadata'] = { ...(random.chance(0.2) ? metadata : { name: metadata['name'] }), name: info.kind === 'CustomResourceDefinition' ? 'widgets.fuzz.example' : name, ...(info.namespaced ? { namespace } : {}) };
  for (let i = random.pick([0, 0, 0, 1, 1, 2, 5]); i > 0; i--) bend(object, random);
  return object;
}

/** Changes one place of the object, anywhere. */
export function bend(object: Json, random: Random): void {
  let at: Json | unknown[] = object;
  for (;;) {
    const keys: (string | number)[] = Array.isArray(at) ? [...at.keys()] : Object.keys(at);
    if (keys.length === 0) return;
    const key = random.pick(keys) as never;
    const value: unknown = (at as Json)[key];
    if (typeof value === 'object' && value !== null && random.chance(0.8)) {
      at = value as Json;
      continue;
    }
    switch (random.below(6)) {
      case 0:
        if (Array.isArray(at)) at.splice(Number(key), 1);
        else delete at[key];
        return;
      case 1:
        if (Array.isArray(at)) at.push(structuredClone(value));
        else at[random.pick(STRINGS)] = value;
        return;
      case 2:
        (at as Json)[key] = random.pick(STRINGS);
        return;
      case 3:
        (at as Json)[key] = random.pick(INTS);
        return;
      case 4:
        (at as Json)[key] = [value];
        return;
      default:
        (at as Json)[key] = structuredClone(random.pick(JUNK));
        return;
    }
  }
}
export { NAMES, STRINGS };
