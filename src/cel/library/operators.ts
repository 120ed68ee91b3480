/** Operators and `size`. Source: the CEL language definition, "List of Standard Definitions". */
import { equals, identity } from '../equality.ts';
import { CelError, noSuchKey, noSuchOverload } from '../errors.ts';
import type { Frame } from '../frame.ts';
import { declare, member, plain, type CallCost, type FunctionDeclaration, type Implementation, type Overload } from '../functions.ts';
import { checkedNanos } from '../timestamps.ts';
import { runtimeName } from '../types.ts';
import { ArrayList, canonicalKey, compare, Duration, isNumber, ListValue, MapValue, OptionalValue, sizeOf, Timestamp, typeOf, Uint, type Value } from '../values.ts';

const MAX_INT = 2n ** 63n - 1n;
const MIN_INT = -(2n ** 63n);
const MAX_UINT = 2n ** 64n - 1n;

function int(value: bigint): bigint {
  if (value > MAX_INT || value < MIN_INT) throw new CelError('integer overflow');
  return value;
}
function uint(value: bigint): Uint {
  if (value > MAX_UINT || value < 0n) throw new CelError('unsigned integer overflow');
  return new Uint(value);
}
function duration(nanos: bigint): Duration {
  if (nanos > MAX_INT || nanos < MIN_INT) throw new CelError('integer overflow');
  return new Duration(nanos);
}
const timestamp = (nanos: bigint, like: Value): Timestamp => new Timestamp(checkedNanos(nanos), (like as Timestamp).offset);
function nonZero(value: bigint, what: string): bigint {
  if (value === 0n) throw new CelError(what);
  return value;
}

type Math = (a: bigint, b: bigint) => bigint;
const ints = (math: Math): Implementation => (_f, a, b) => int(math(a as bigint, b as bigint));
const uints = (math: Math): Implementation => (_f, a, b) => uint(math((a as Uint).value, (b as Uint).value));
const doubles = (math: (a: number, b: number) => number): Implementation => (_f, a, b) => math(a as number, b as number);
/** The overloads of an operator on numbers: `add_int64`, … */
function arithmetic(name: string, math: Math, real?: (a: number, b: number) => number): Overload[] {
  return [
    plain(`${name}_int64`, 'int, int -> int', ints(math)),
    plain(`${name}_uint64`, 'uint, uint -> uint', uints(math)),
    ...(real ? [plain(`${name}_double`, 'double, double -> double', doubles(real))] : []),
  ];
}
const bothSizes: CallCost = (a, b) => Math.ceil((sizeOf(a) + sizeOf(b)) * 0.1);

/** Lists of a set or map type merge by identity, as their fields do. */
function concat(f: Frame, a: Value, b: Value): ListValue {
  const [x, y] = [a as ListValue, b as ListValue];
  f.labour(x.size + y.size);
  const { type } = x;
  if (type.kind !== 'list' || !type.semantics) return new ArrayList([...x, ...y]);
  const { keys } = type.semantics;
  const merged = new Map<string, Value>();
  for (const item of x) merged.set(identity(item, keys), item);
  for (const item of y) merged.set(identity(item, keys), item);
  return new ArrayList([...merged.values()]);
}
const add: FunctionDeclaration = declare('_+_',
  ...arithmetic('add', (a, b) => a + b, (a, b) => a + b),
  plain('add_string', 'string, string -> string', (_f, a, b) => (a as string) + (b as string), bothSizes),
  plain('add_bytes', 'bytes, bytes -> bytes', (_f, a, b) => Buffer.concat([a as Uint8Array, b as Uint8Array]), bothSizes),
  plain('add_list', 'list<A>, list<A> -> list<A>', concat),
  plain('add_timestamp_duration', 'timestamp, duration -> timestamp', (_f, a, b) => timestamp((a as Timestamp).nanos + (b as Duration).nanos, a)),
  plain('add_duration_timestamp', 'duration, timestamp -> timestamp', (_f, a, b) => timestamp((a as Duration).nanos + (b as Timestamp).nanos, b)),
  plain('add_duration_duration', 'duration, duration -> duration', (_f, a, b) => duration((a as Duration).nanos + (b as Duration).nanos)),
);
const subtract: FunctionDeclaration = declare('_-_',
  ...arithmetic('subtract', (a, b) => a - b, (a, b) => a - b),
  plain('subtract_timestamp_timestamp', 'timestamp, timestamp -> duration', (_f, a, b) => duration((a as Timestamp).nanos - (b as Timestamp).nanos)),
  plain('subtract_timestamp_duration', 'timestamp, duration -> timestamp', (_f, a, b) => timestamp((a as Timestamp).nanos - (b as Duration).nanos, a)),
  plain('subtract_duration_duration', 'duration, duration -> duration', (_f, a, b) => duration((a as Duration).nanos - (b as Duration).nanos)),
);
const negate: FunctionDeclaration = declare('-_',
  plain('negate_int64', 'int -> int', (_f, a) => int(-(a as bigint))),
  plain('negate_double', 'double -> double', (_f, a) => -(a as number)),
);
const not: FunctionDeclaration = declare('!_', plain('logical_not', 'bool -> bool', (_f, a) => !(a as boolean)));

/** Checked as functions, planned by themselves. */
const unplanned: Implementation = () => {
  throw noSuchOverload();
};
const special: readonly FunctionDeclaration[] = [
  declare('_&&_', plain('logical_and', 'bool, bool -> bool', unplanned)),
  declare('_||_', plain('logical_or', 'bool, bool -> bool', unplanned)),
  declare('_?_:_', plain('conditional', 'bool, A, A -> A', unplanned)),
  declare('_==_', plain('equals', 'A, A -> bool', unplanned)),
  declare('_!=_', plain('not_equals', 'A, A -> bool', unplanned)),
  declare('@not_strictly_false', plain('not_strictly_false', 'bool -> bool', unplanned)),
  declare('cel.@mapInsert', plain('@mapInsert_map_map', 'map<A, B>, map<A, B> -> map<A, B>', unplanned), plain('@mapInsert_map_key_value', 'map<A, B>, A, B -> map<A, B>', unplanned)),
];

const ORDER: Readonly<Record<string, { readonly id: string; readonly holds: (order: number) => boolean }>> = {
  '_<_': { id: 'less', holds: (o) => o < 0 },
  '_<=_': { id: 'less_equals', holds: (o) => o <= 0 },
  '_>_': { id: 'greater', holds: (o) => o > 0 },
  '_>=_': { id: 'greater_equals', holds: (o) => o >= 0 },
};
const NUMBERS = [['int', 'int64'], ['uint', 'uint64'], ['double', 'double']] as const;
const smaller: CallCost = (a, b) => Math.ceil(Math.min(sizeOf(a), sizeOf(b)) * 0.1);
function relation(name: string): FunctionDeclaration {
  const { id, holds } = ORDER[name]!;
  const call: Implementation = (f, a, b) => {
    if (typeof a === 'string') f.labour(a.length >> 6);
    const order = compare(a, b);
    if (order !== undefined) return holds(order);
    throw isNumber(a) && isNumber(b) ? new CelError('NaN values cannot be ordered') : noSuchOverload();
  };
  const numbers = NUMBERS.flatMap(([type, suffix]) => [
    plain(`${id}_${suffix}`, `${type}, ${type} -> bool`, call),
    ...NUMBERS.filter(([other]) => other !== type).map(([other, otherSuffix]) => plain(`${id}_${suffix}_${otherSuffix}`, `${type}, ${other} -> bool`, call)),
  ]);
  return declare(name, plain(`${id}_bool`, 'bool, bool -> bool', call), ...numbers,
    plain(`${id}_string`, 'string, string -> bool', call, smaller), plain(`${id}_bytes`, 'bytes, bytes -> bool', call, smaller),
    plain(`${id}_timestamp`, 'timestamp, timestamp -> bool', call), plain(`${id}_duration`, 'duration, duration -> bool', call));
}

function listIndex(list: ListValue, index: Value): number | undefined {
  const id = canonicalKey(index);
  if (typeof index === 'number' && id === undefined) throw new CelError(`unsupported index value ${index} in list`);
  if (typeof id !== 'bigint') throw new CelError(`unsupported index type '${runtimeName(typeOf(index))}' in list`);
  return id >= 0n && id < BigInt(list.size) ? Number(id) : undefined;
}
function lookup(container: Value, key: Value): Value | undefined {
  if (container instanceof ListValue) {
    const index = listIndex(container, key);
    return index === undefined ? undefined : container.get(index);
  }
  if (container instanceof MapValue) return container.get(key);
  // What has no parts has no such part.
  throw noSuchKey(showKey(key));
}
const showKey = (key: Value): string => String(canonicalKey(key));
const at: Implementation = (_f, container, key) => {
  const found = lookup(container, key);
  if (found !== undefined) return found;
  throw container instanceof ListValue ? new CelError(`index out of bounds: ${showKey(key)}`) : noSuchKey(showKey(key));
};
const optionalAt: Implementation = (_f, container, key) => {
  const inner = container instanceof OptionalValue ? container.value : container;
  return inner === undefined ? OptionalValue.NONE : new OptionalValue(lookup(inner, key));
};
/** Indexing of an optional container gives an optional item. */
const throughOptional: Implementation = (f, container, key, c, d) => {
  const { value } = container as OptionalValue;
  return value === undefined ? OptionalValue.NONE : new OptionalValue(at(f, value, key, c, d));
};
/** Indexing of a value whose type shows only now. */
export const indexAny: Implementation = (f, container, key, c, d) => (container instanceof OptionalValue ? throughOptional : at)(f, container, key, c, d);
const index: readonly FunctionDeclaration[] = [
  declare('_[_]', plain('index_list', 'list<A>, int -> A', at), plain('index_map', 'map<A, B>, A -> B', at),
    plain('optional_list_index_int', 'optional_type<list<V>>, int -> optional_type<V>', throughOptional), plain('optional_map_index_value', 'optional_type<map<K, V>>, K -> optional_type<V>', throughOptional)),
  declare('_[?_]', plain('list_optindex_optional_int', 'list<V>, int -> optional_type<V>', optionalAt), plain('optional_list_optindex_optional_int', 'optional_type<list<V>>, int -> optional_type<V>', optionalAt),
    plain('map_optindex_optional_value', 'map<K, V>, K -> optional_type<V>', optionalAt), plain('optional_map_optindex_optional_value', 'optional_type<map<K, V>>, K -> optional_type<V>', optionalAt)),
];

const inList: Implementation = (f, item, list) => {
  for (const other of list as ListValue) if (equals(f, item, other)) return true;
  return false;
};
const inMap: Implementation = (_f, key, map) => (map as MapValue).has(key);
const within: FunctionDeclaration = declare('@in', plain('in_list', 'A, list<A> -> bool', inList, (_a, list) => sizeOf(list)), plain('in_map', 'A, map<A, B> -> bool', inMap));

const size: Implementation = (_f, a) => BigInt(sizeOf(a));
const SIZED = ['string', 'bytes', 'list<A>', 'map<A, B>'];
const sizes: FunctionDeclaration = declare('size', ...SIZED.flatMap((type) => {
  const name = type.replace(/<.*/, '');
  return [plain(`size_${name}`, `${type} -> int`, size), member(`${name}_size`, `${type} -> int`, size)];
}));

export const OPERATORS: readonly FunctionDeclaration[] = [
  ...special, add, subtract, negate, not,
  declare('_*_', ...arithmetic('multiply', (a, b) => a * b, (a, b) => a * b)),
  declare('_/_', ...arithmetic('divide', (a, b) => a / nonZero(b, 'division by zero'), (a, b) => a / b)),
  declare('_%_', ...arithmetic('modulo', (a, b) => a % nonZero(b, 'modulus by zero'))),
  ...Object.keys(ORDER).map(relation), ...index, within, sizes,
];
