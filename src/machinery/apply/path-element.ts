/**
 * Path elements of managed fields as they are written in FieldsV1: `f:<name>` a field, `k:<JSON>` an item of a list with
 * keys, `v:<JSON>` an item of a set, `i:<n>` an item by index. Source: meta/v1 FieldsV1 and KEP-555.
 */
import { readJson, writeJson } from '../json.ts';
import { isArray, isObject } from '../patch/json.ts';

/** Text that JSON writes as it is. */
const PLAIN = /^[\w .:/@+=,;~!?*()[\]{}|$%^#'`-]*$/;

/** JSON as Go's encoder writes it inside keys: `<`, `>`, `&` and the line separators escaped. */
function goJson(value: unknown): string {
  if (typeof value === 'string' && PLAIN.test(value)) return `"${value}"`;
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  return writeJson(value);
}

/** Elements of names that are short, as nearly all are: the same few come with every write, and a key that exists already is found sooner. */
const fieldElements = new Map<string, string>();
const MAX_FIELD_ELEMENTS = 8192;
const MAX_FIELD_NAME = 64;

export function fieldElement(name: string): string {
  let element = fieldElements.get(name);
  if (element === undefined) {
    element = `f:${name}`;
    if (name.length <= MAX_FIELD_NAME && fieldElements.size < MAX_FIELD_ELEMENTS) fieldElements.set(name, element);
  }
  return element;
}
export function valueElement(value: unknown): string {
  return `v:${goJson(value)}`;
}
/** The element of a list item; names are those of fields, sorted. A name without a value is left out. */
export function keyElement(names: readonly string[], values: readonly unknown[]): string {
  let out = 'k:{';
  for (let i = 0; i < names.length; i++) {
    const value = values[i];
    if (value === undefined) continue;
    if (out.length > 3) out += ',';
    out += `${goJson(names[i])}:${goJson(value)}`;
  }
  return `${out}}`;
}

const RANK: Readonly<Record<string, number>> = { f: 0, k: 1, v: 2, i: 3 };

/** The order of elements in FieldsV1: fields by name, then items by key, by value, by index. */
export function comparePathElements(a: string, b: string): number {
  const kind = a.charCodeAt(0);
  if (kind !== b.charCodeAt(0)) return (RANK[a[0]!] ?? 4) - (RANK[b[0]!] ?? 4);
  if (kind === 0x66 || a === b) return a < b ? -1 : a > b ? 1 : 0;
  const order = compareFirstText(a, b);
  if (order !== 0) return order;
  const left: unknown = readJson(a.slice(2));
  const right: unknown = readJson(b.slice(2));
  return kind === 0x6b ? compareKeys(left as object, right as object) : compareValues(left, right);
}

/** The order of two keys by their first value, where both are plain text of the same field; 0 where that does not tell. */
function compareFirstText(a: string, b: string): number {
  const start = a.indexOf(':"') + 2;
  if (start < 2 || a.slice(0, start) !== b.slice(0, start)) return 0;
  const left = a.slice(start, a.indexOf('"', start));
  const right = b.slice(start, b.indexOf('"', start));
  if (left === right || left.includes('\\') || right.includes('\\')) return 0;
  return left < right ? -1 : 1;
}

function compareKeys(a: object, b: object): number {
  const left = Object.entries(a);
  const right = Object.entries(b);
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const [l, r] = [left[i], right[i]];
    if (!l || !r) return l ? 1 : -1;
    const order = l[0] < r[0] ? -1 : l[0] > r[0] ? 1 : compareValues(l[1], r[1]);
    if (order !== 0) return order;
  }
  return 0;
}

/** Numbers first, then text, booleans, lists, objects, null. */
function compareValues(a: unknown, b: unknown): number {
  const rank = (v: unknown) => (typeof v === 'number' || typeof v === 'bigint' ? 0 : typeof v === 'string' ? 1 : typeof v === 'boolean' ? 2 : isArray(v) ? 3 : v === null ? 5 : 4);
  if (rank(a) !== rank(b)) return rank(a) - rank(b);
  const [l, r] = rank(a) > 2 ? [JSON.stringify(a), JSON.stringify(b)] : [a as string, b as string];
  return l < r ? -1 : l > r ? 1 : 0;
}

/** An element in the one form that this module writes; undefined for a kind of a later version. Throws when it is malformed. */
export function canonicalElement(text: string): string | undefined {
  if (text.length < 2) throw new Error('key must be 2 characters long:');
  if (text[1] !== ':') throw new Error(`missing colon: ${text}`);
  const rest = text.slice(2);
  switch (text[0]) {
    case 'f':
      return text;
    case 'v':
      return valueElement(readJson(rest));
    case 'k': {
      const key: unknown = readJson(rest);
      if (!isObject(key)) throw new Error(`expect { or n, but found ${rest[0] ?? ''}`);
      const names = Object.keys(key).sort();
      return keyElement(names, names.map((n) => key[n]));
    }
    case 'i':
      if (!/^[+-]?\d+$/.test(rest)) throw new Error(`strconv.Atoi: parsing ${JSON.stringify(rest)}: invalid syntax`);
      return `i:${Number(rest)}`;
    default:
      return undefined;
  }
}

/** An element as paths in messages show it: `.spec`, `[name="a"]`, `[="v"]`, `[3]`. */
export function printElement(element: string): string {
  const rest = element.slice(2);
  if (element[0] === 'f') return `.${rest}`;
  if (element[0] === 'i') return `[${rest}]`;
  const value: unknown = readJson(rest);
  if (element[0] === 'v') return `[=${printValue(value)}]`;
  return `[${Object.entries(value as object).map(([name, v]) => `${name}=${printValue(v)}`).join(',')}]`;
}

function printValue(value: unknown): string {
  if (isArray(value)) return `[${value.map(printValue).join(',')}]`;
  if (isObject(value)) return Object.keys(value).map((k) => `${k}=${printValue(value[k])}`).join('');
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}

/** `.spec.containers[name="a"].image` */
export function printPath(path: readonly string[]): string {
  return path.map(printElement).join('');
}
