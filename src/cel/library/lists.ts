/** Lists: Kubernetes' own functions, cel-go's lists extension (version 3) and its sets. */
import { equals } from '../equality.ts';
import { CelError, noSuchOverload } from '../errors.ts';
import type { Frame } from '../frame.ts';
import { declare, member, plain, type CallCost, type FunctionDeclaration, type Implementation } from '../functions.ts';
import { runtimeName } from '../types.ts';
import { ArrayList, canonicalKey, compare, Duration, isNumber, ListValue, MapValue, sizeOf, typeOf, Uint, type Value } from '../values.ts';

/** What a look at everything in a value costs. */
export function traversal(value: Value): number {
  if (typeof value === 'string' || value instanceof Uint8Array) return Math.floor(value.length * 0.1);
  let cost = 0;
  if (value instanceof ListValue) for (const item of value) cost += traversal(item);
  else if (value instanceof MapValue) for (const key of value.keys()) cost += traversal(key) + traversal(value.get(key)!);
  else return 1;
  return cost;
}
const list = (value: Value): ListValue => {
  if (value instanceof ListValue) return value;
  throw noSuchOverload();
};
function order(a: Value, b: Value): number {
  const result = compare(a, b);
  if (result === undefined) throw isNumber(a) && isNumber(b) ? new CelError('NaN values cannot be ordered') : noSuchOverload();
  return result;
}

const COMPARABLE = ['int', 'uint', 'double', 'bool', 'duration', 'timestamp', 'string', 'bytes'];
const SUMMABLE = ['int', 'uint', 'double', 'duration'];
const isSorted: Implementation = (_f, a) => {
  const items = list(a);
  for (let i = 1; i < items.size; i++) if (order(items.get(i - 1), items.get(i)) > 0) return false;
  return true;
};
function extreme(name: string, sign: number): Implementation {
  return (_f, a) => {
    const items = list(a);
    if (items.size === 0) throw new CelError(`${name} called on empty list`);
    let best = items.get(0);
    for (let i = 1; i < items.size; i++) if (order(items.get(i), best) * sign > 0) best = items.get(i);
    return best;
  };
}
const ZERO: Readonly<Record<string, Value>> = { int: 0n, uint: new Uint(0n), double: 0, duration: new Duration(0n) };
const MAX_INT = 2n ** 63n - 1n;
function plus(a: Value, b: Value): Value {
  if (typeof a === 'number' && typeof b === 'number') return a + b;
  const big = (v: Value): bigint => {
    if (typeof v === 'bigint') return v;
    if (v instanceof Uint) return v.value;
    if (v instanceof Duration) return v.nanos;
    throw noSuchOverload();
  };
  const sum = big(a) + big(b);
  if (a instanceof Uint) {
    if (sum >= 2n ** 64n) throw new CelError('unsigned integer overflow');
    return new Uint(sum);
  }
  if (sum > MAX_INT || sum < -MAX_INT - 1n) throw new CelError('integer overflow');
  return a instanceof Duration ? new Duration(sum) : sum;
}
const sum = (type: string): Implementation => (_f, a) => {
  let total: Value | undefined;
  for (const item of list(a)) total = total === undefined ? item : plus(total, item);
  return total ?? ZERO[type]!;
};
const indexOf: Implementation = (f, a, wanted) => {
  const items = list(a);
  for (let i = 0; i < items.size; i++) if (equals(f, items.get(i), wanted)) return BigInt(i);
  return -1n;
};
const lastIndexOf: Implementation = (f, a, wanted) => {
  const items = list(a);
  for (let i = items.size - 1; i >= 0; i--) if (equals(f, items.get(i), wanted)) return BigInt(i);
  return -1n;
};

const outputCost = (size: number): number => size + 11;
/** What comparing everything with everything costs, and a list of it. */
function pairs(get: (index: number) => Value, size: number): number {
  const isText = size > 0 && (typeof get(0) === 'string' || get(0) instanceof Uint8Array);
  return Math.floor((isText ? 2.1 : 2) * size * size) + 11;
}
const slice: Implementation = (f, a, from, to) => {
  const items = list(a);
  const [start, end] = [from as bigint, to as bigint];
  if (start < 0n || end < 0n) throw new CelError(`cannot slice(${start}, ${end}), negative indexes not supported`);
  if (start > end) throw new CelError(`cannot slice(${start}, ${end}), start index must be less than or equal to end index`);
  if (end > BigInt(items.size)) throw new CelError(`cannot slice(${start}, ${end}), list is length ${items.size}`);
  f.charge(outputCost(Number(end - start)));
  return new ArrayList([...items].slice(Number(start), Number(end)));
};
function flattenInto(f: Frame, out: Value[], items: ListValue, depth: bigint): void {
  for (const item of items) {
    f.labour(1);
    if (item instanceof ListValue && depth > 0n) flattenInto(f, out, item, depth - 1n);
    else out.push(item);
  }
}
const flatten: Implementation = (f, a, depth) => {
  const levels = depth === null ? 1n : (depth as bigint);
  if (levels < 0n) throw new CelError('level must be non-negative');
  const out: Value[] = [];
  flattenInto(f, out, list(a), levels);
  f.charge(outputCost(out.length));
  return new ArrayList(out);
};
const range: Implementation = (f, n) => {
  const count = Number(n);
  f.charge(outputCost(Math.max(0, count)));
  return new ArrayList(Array.from({ length: Math.max(0, count) }, (_, i) => BigInt(i)));
};
const reverse: Implementation = (f, a) => {
  f.charge(outputCost(sizeOf(a)));
  return new ArrayList([...list(a)].toReversed());
};
const distinct: Implementation = (f, a) => {
  const items = list(a);
  f.charge(pairs(items.get.bind(items), items.size));
  const seen = new Set<string | boolean | bigint>();
  const out: Value[] = [];
  for (const item of items) {
    const id = canonicalKey(item);
    if (id !== undefined) {
      if (seen.has(id)) continue;
      seen.add(id);
    } else if (out.some((other) => equals(f, item, other))) continue;
    out.push(item);
  }
  return new ArrayList(out);
};
const sort: Implementation = (f, a) => sortedBy(f, list(a), list(a));
const sortBy: Implementation = (f, a, keys) => sortedBy(f, list(a), list(keys));
function sortedBy(f: Frame, items: ListValue, keys: ListValue): Value {
  const byKey = [...keys];
  if (byKey.length !== items.size) throw new CelError('@sortByAssociatedKeys() expected a list of the same size as the associated keys list');
  f.charge(pairs((i) => byKey[i]!, items.size));
  if (byKey.some((key) => runtimeName(typeOf(key)) !== runtimeName(typeOf(byKey[0]!)))) throw new CelError('list elements must have the same type');
  const places = byKey.map((_, i) => i).sort((i, j) => order(byKey[i]!, byKey[j]!) || i - j);
  return new ArrayList(places.map((i) => items.get(i)));
}

const SETS_COST = (factor: number): CallCost => (a, b) => sizeOf(a) * sizeOf(b) * factor + 1;
const includes = (f: Frame, items: ListValue, item: Value): boolean => {
  for (const other of items) if (equals(f, item, other)) return true;
  return false;
};
const contains: Implementation = (f, a, b) => [...list(b)].every((item) => includes(f, list(a), item));
const equivalent: Implementation = (f, a, b) => [...list(b)].every((item) => includes(f, list(a), item)) && [...list(a)].every((item) => includes(f, list(b), item));
const intersects: Implementation = (f, a, b) => [...list(b)].some((item) => includes(f, list(a), item));

const look: CallCost = (a) => traversal(a);
const forAll = (types: readonly string[], make: (type: string) => ReturnType<typeof member>) => types.map(make);
export const LISTS: readonly FunctionDeclaration[] = [
  declare('isSorted', ...forAll(COMPARABLE, (t) => member(`list_${t}_is_sorted_bool`, `list<${t}> -> bool`, isSorted, look))),
  declare('sum', ...forAll(SUMMABLE, (t) => member(`list_${t}_sum_${t}`, `list<${t}> -> ${t}`, sum(t), look))),
  declare('min', ...forAll(COMPARABLE, (t) => member(`list_${t}_min_${t}`, `list<${t}> -> ${t}`, extreme('min', -1), look))),
  declare('max', ...forAll(COMPARABLE, (t) => member(`list_${t}_max_${t}`, `list<${t}> -> ${t}`, extreme('max', 1), look))),
  declare('indexOf', member('list_a_index_of_int', 'list<A>, A -> int', indexOf, look)),
  declare('lastIndexOf', member('list_a_last_index_of_int', 'list<A>, A -> int', lastIndexOf, look)),
  declare('slice', member('list_slice', 'list<T>, int, int -> list<T>', slice, 0)),
  declare('flatten', member('list_flatten', 'list<list<T>> -> list<T>', flatten, 0), member('list_flatten_int', 'list<dyn>, int -> list<dyn>', flatten, 0)),
  declare('lists.range', plain('lists_range', 'int -> list<int>', range, 0)),
  declare('reverse', member('list_reverse', 'list<T> -> list<T>', reverse, 0)),
  declare('distinct', member('list_distinct', 'list<T> -> list<T>', distinct, 0)),
  declare('sort', ...forAll(COMPARABLE, (t) => member(`list_${t}_sort`, `list<${t}> -> list<${t}>`, sort, 0))),
  declare('@sortByAssociatedKeys', ...forAll(COMPARABLE, (t) => member(`list_${t}_sortByAssociatedKeys`, `list<T>, list<${t}> -> list<T>`, sortBy, 0))),
];
export const SETS: readonly FunctionDeclaration[] = [
  declare('sets.contains', plain('list_sets_contains_list', 'list<T>, list<T> -> bool', contains, SETS_COST(1))),
  declare('sets.equivalent', plain('list_sets_equivalent_list', 'list<T>, list<T> -> bool', equivalent, SETS_COST(2))),
  declare('sets.intersects', plain('list_sets_intersects_list', 'list<T>, list<T> -> bool', intersects, SETS_COST(1))),
];
