/** Equality of any two values: numbers by amount, lists and maps by content, different kinds are unequal. Source: the CEL language definition, "Equality". */
import type { Frame } from './frame.ts';
import { compare, Duration, isNumber, ListValue, MapValue, OpaqueValue, OptionalValue, Timestamp, TypeValue, type Value } from './values.ts';

export function equals(f: Frame, a: Value, b: Value): boolean {
  if (typeof a === 'string') {
    if (typeof b !== 'string') return false;
    if (a.length === b.length) f.scribble(a.length >> 2);
    return a === b;
  }
  f.labour(1);
  if (a === null || typeof a === 'boolean' || (typeof a === 'bigint' && typeof b === 'bigint')) return a === b;
  if (isNumber(a)) return isNumber(b) && compare(a, b) === 0;
  if (a instanceof ListValue) return b instanceof ListValue && listsEqual(f, a, b);
  if (a instanceof MapValue) return b instanceof MapValue && mapsEqual(f, a, b);
  if (a instanceof OpaqueValue) return b instanceof OpaqueValue && a.equals(b);
  if (a instanceof OptionalValue) {
    if (!(b instanceof OptionalValue)) return false;
    return a.value === undefined || b.value === undefined ? a.value === b.value : equals(f, a.value, b.value);
  }
  if (a instanceof TypeValue) return b instanceof TypeValue && a.name === b.name;
  if (a instanceof Duration || a instanceof Timestamp || a instanceof Uint8Array) return compare(a, b) === 0;
  return false;
}
function listsEqual(f: Frame, a: ListValue, b: ListValue): boolean {
  if (a.size !== b.size) return false;
  const { type } = a;
  if (type.kind === 'list' && type.semantics) return sameSet(f, a, b, type.semantics.keys);
  for (let i = 0; i < a.size; i++) if (!equals(f, a.get(i), b.get(i))) return false;
  return true;
}
function mapsEqual(f: Frame, a: MapValue, b: MapValue): boolean {
  if (a.size !== b.size) return false;
  for (const key of a.keys()) {
    const [x, y] = [a.get(key), b.get(key)];
    if (x === undefined || y === undefined || !equals(f, x, y)) return false;
  }
  return true;
}
/** What tells an item of a set or map list from the others, as text. */
export function identity(item: Value, keys: readonly string[]): string {
  if (keys.length === 0) return typeof item === 'string' ? `"${item}` : String(item instanceof MapValue || item instanceof ListValue ? JSON.stringify([...flatten(item)]) : item);
  return JSON.stringify(keys.map((key) => (item instanceof MapValue ? String(item.get(key) ?? '') : '')));
}
function* flatten(value: Value): Generator<string> {
  if (value instanceof ListValue) {
    yield '[';
    for (const item of value) yield* flatten(item);
    yield ']';
  } else if (value instanceof MapValue) {
    yield '{';
    for (const key of [...value.keys()].toSorted()) {
      yield String(key);
      yield* flatten(value.get(key)!);
    }
    yield '}';
  } else yield `${typeof value}${String(value)}`;
}
function sameSet(f: Frame, a: ListValue, b: ListValue, keys: readonly string[]): boolean {
  const byId = new Map<string, Value>();
  for (const item of b) byId.set(identity(item, keys), item);
  for (const item of a) {
    const other = byId.get(identity(item, keys));
    if (other === undefined || !equals(f, item, other)) return false;
  }
  return true;
}
