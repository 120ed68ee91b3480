/** The path elements of list items, as apply identifies them: by their keys or by their value. */
import { isArray, isObject } from '../patch/json.ts';
import { keyElement, valueElement } from './path-element.ts';
import type { ListSchema } from './schema.ts';

/** The element of an item of a set or map list. Throws an Error in upstream's words for an item that cannot be identified. */
export function itemElement(schema: ListSchema, item: unknown): string {
  if (schema.relationship !== 'map') return setElement(item);
  if (item === null || item === undefined) throw new Error('associative list with keys may not have a null element');
  if (!isObject(item)) throw new Error('associative list with keys may not have non-map elements');
  const { keys, keyDefaults } = schema;
  const values: unknown[] = [];
  let found = keys.length === 0;
  for (const key of keys) {
    const own = Object.hasOwn(item, key) ? item[key] : undefined;
    const value = own === undefined ? keyDefaults[key] : own;
    found ||= value !== undefined;
    values.push(value);
  }
  if (!found) {
    const names = `[${keys.map((k) => JSON.stringify(k)).join(' ')}]`;
    throw new Error(`associative list with keys has an element that omits all key fields ${names} (and doesn't have default values for any key fields)`);
  }
  return keyElement(keys, values);
}

function setElement(item: unknown): string {
  if (item === null || item === undefined) throw new Error("associative list without keys has an element that's an explicit null");
  if (isArray(item)) throw new Error('not supported: associative list with lists as elements');
  if (isObject(item)) throw new Error("associative list without keys has an element that's a map type");
  return valueElement(item);
}

/** Items by element, in order of first appearance; several items where an element repeats. Items without identity are left out. */
export function groupItems(schema: ListSchema, list: readonly unknown[]): Map<string, unknown[]> {
  const out = new Map<string, unknown[]>();
  for (const item of list) {
    const element = tryElement(schema, item);
    if (element === undefined) continue;
    const same = out.get(element);
    if (same) same.push(item);
    else out.set(element, [item]);
  }
  return out;
}

/** The element of an item, or undefined where {@link itemElement} would throw. */
export function tryElement(schema: ListSchema, item: unknown): string | undefined {
  try {
    return itemElement(schema, item);
  } catch {
    return undefined;
  }
}
