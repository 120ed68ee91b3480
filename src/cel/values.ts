/**
 * CEL's values at run time. int is a bigint, double a number, string, bool and null are themselves; the rest are the classes here.
 * Nothing is ever changed once it is visible to an expression.
 */
import { CelError } from './errors.ts';
import { BOOL, BYTES, DOUBLE, DURATION, DYN, INT, listOf, mapOf, NULL, opaque, STRING, TIMESTAMP, UINT, type CelType } from './types.ts';

export class Uint {
  readonly value: bigint;
  constructor(value: bigint) {
    this.value = value;
  }
}
export class Duration {
  readonly nanos: bigint;
  constructor(nanos: bigint) {
    this.nanos = nanos;
  }
}
export class Timestamp {
  /** Since the Unix epoch. */
  readonly nanos: bigint;
  /** Minutes east of UTC in which it was written and is printed. */
  readonly offset: number;
  constructor(nanos: bigint, offset = 0) {
    this.nanos = nanos;
    this.offset = offset;
  }
}
export class TypeValue {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}
export class OptionalValue {
  static readonly NONE = new OptionalValue(undefined);
  /** Undefined: there is none. */
  readonly value: Value | undefined;
  constructor(value: Value | undefined) {
    this.value = value;
  }
}
/** A value of a library's own type. */
export abstract class OpaqueValue {
  abstract readonly type: CelType;
  abstract equals(other: OpaqueValue): boolean;
}

export abstract class ListValue {
  abstract readonly size: number;
  /** `index` is in range. */
  abstract get(index: number): Value;
  /** Undefined: items have no identity but their place. */
  get type(): CelType {
    return LIST;
  }
  *[Symbol.iterator](): Generator<Value> {
    for (let i = 0; i < this.size; i++) yield this.get(i);
  }
}
export class ArrayList extends ListValue {
  readonly items: Value[];
  constructor(items: Value[]) {
    super();
    this.items = items;
  }
  get size(): number {
    return this.items.length;
  }
  get(index: number): Value {
    return this.items[index]!;
  }
}
export abstract class MapValue {
  abstract readonly size: number;
  get type(): CelType {
    return MAP;
  }
  /** Undefined: there is no such key. */
  abstract get(key: Value): Value | undefined;
  has(key: Value): boolean {
    return this.get(key) !== undefined;
  }
  abstract keys(): Iterable<Value>;
}
/** The same for keys that are equal: int, uint and whole doubles. */
export function canonicalKey(key: Value): string | boolean | bigint | undefined {
  if (typeof key === 'string' || typeof key === 'boolean' || typeof key === 'bigint') return key;
  if (key instanceof Uint) return key.value;
  if (typeof key === 'number') return Number.isInteger(key) ? BigInt(key) : undefined;
  return undefined;
}
export class EntryMap extends MapValue {
  readonly entries = new Map<string | boolean | bigint, readonly [Value, Value]>();
  get size(): number {
    return this.entries.size;
  }
  get(key: Value): Value | undefined {
    const id = canonicalKey(key);
    return id === undefined ? undefined : this.entries.get(id)?.[1];
  }
  *keys(): Generator<Value> {
    for (const [key] of this.entries.values()) yield key;
  }
  /** Only while the map is built. Throws for a key that is there or cannot be one. */
  insert(key: Value, value: Value): void {
    const id = typeof key === 'number' ? undefined : canonicalKey(key);
    if (id === undefined) throw new CelError('unsupported key type');
    if (this.entries.has(id)) throw new CelError(`insert failed: key ${String(id)} already exists`);
    this.entries.set(id, [key, value]);
  }
  /** As {@link insert}; of a key that is there the last value counts. */
  put(key: Value, value: Value): void {
    const id = typeof key === 'number' ? undefined : canonicalKey(key);
    if (id !== undefined) this.entries.delete(id);
    this.insert(key, value);
  }
}
export type Value = null | boolean | bigint | number | string | Uint8Array | Uint | Duration | Timestamp | TypeValue | OptionalValue | OpaqueValue | ListValue | MapValue;

const LIST = listOf(DYN);
const MAP = mapOf(DYN, DYN);
const OPTIONAL = opaque('optional_type', DYN);
export function typeOf(value: Value): CelType {
  switch (typeof value) {
    case 'boolean':
      return BOOL;
    case 'bigint':
      return INT;
    case 'number':
      return DOUBLE;
    case 'string':
      return STRING;
    default:
      break;
  }
  if (value === null) return NULL;
  if (value instanceof ListValue || value instanceof MapValue || value instanceof OpaqueValue) return value.type;
  if (value instanceof Uint) return UINT;
  if (value instanceof Uint8Array) return BYTES;
  if (value instanceof Duration) return DURATION;
  if (value instanceof Timestamp) return TIMESTAMP;
  if (value instanceof OptionalValue) return OPTIONAL;
  return { kind: 'type', of: DYN };
}

/** Code points of a string, bytes, items, entries; 1 for what has no size. */
export function sizeOf(value: Value): number {
  if (typeof value === 'string') return codePoints(value);
  if (value instanceof ListValue || value instanceof MapValue) return value.size;
  if (value instanceof Uint8Array) return value.length;
  return 1;
}
export function codePoints(text: string): number {
  let count = text.length;
  if (!/[\ud800-\udbff]/.test(text)) return count;
  for (let i = 0; i < text.length - 1; i++) {
    const code = text.charCodeAt(i);
    if (code >= 0xd800 && code <= 0xdbff && text.charCodeAt(i + 1) >> 10 === 0x37) {
      count--;
      i++;
    }
  }
  return count;
}

export const isNumber = (value: Value): value is bigint | number | Uint => typeof value === 'bigint' || typeof value === 'number' || value instanceof Uint;
const plain = (value: bigint | number | Uint): bigint | number => (value instanceof Uint ? value.value : value);

/** Order of numbers of any kind, strings, bytes, bools, durations and timestamps; undefined: they have none. NaN has none either. */
export function compare(a: Value, b: Value): number | undefined {
  if (isNumber(a)) {
    if (!isNumber(b)) return undefined;
    // A double and an integer are compared as doubles.
    const asDoubles = typeof a === 'number' || typeof b === 'number';
    const [x, y] = asDoubles ? [Number(plain(a)), Number(plain(b))] : [plain(a), plain(b)];
    return x < y ? -1 : x > y ? 1 : x == y ? 0 : undefined;
  }
  if (typeof a === 'string') return typeof b === 'string' ? compareText(a, b) : undefined;
  if (typeof a === 'boolean') return typeof b === 'boolean' ? Number(a) - Number(b) : undefined;
  if (a instanceof Duration && b instanceof Duration) return a.nanos < b.nanos ? -1 : Number(a.nanos > b.nanos);
  if (a instanceof Timestamp && b instanceof Timestamp) return a.nanos < b.nanos ? -1 : Number(a.nanos > b.nanos);
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b);
  return undefined;
}
/** By UTF-8 bytes, as Go: UTF-16 order differs for surrogates. */
function compareText(a: string, b: string): number {
  if (a === b) return 0;
  const order = a < b ? -1 : 1;
  return /[\ud800-\uffff]/.test(a) || /[\ud800-\uffff]/.test(b) ? Buffer.compare(Buffer.from(a), Buffer.from(b)) : order;
}
