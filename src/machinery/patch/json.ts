/** JSON values as the patch functions handle them: never written to, and safe for keys such as `__proto__`. */

export type JsonObject = { readonly [key: string]: unknown };
/** An object under construction. Write to it with {@link setOwn}. */
export type JsonDraft = { [key: string]: unknown };

export function isObject(value: unknown): value is JsonObject {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

export function isArray(value: unknown): value is readonly unknown[] {
  return Array.isArray(value);
}

/** A copy one level deep. */
export function shallowCopy(obj: JsonObject): JsonDraft {
  // Spread defines own properties, so `__proto__` stays an ordinary key.
  return { ...obj };
}

/** Structural equality of JSON values; the order of keys does not matter. Keys whose value is undefined count as absent. */
export function jsonEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object') return false;
  if (isArray(a) || isArray(b)) {
    if (!isArray(a) || !isArray(b) || a.length !== b.length) return false;
    for (let i = 0; i < a.length; i++) if (!jsonEqual(a[i], b[i])) return false;
    return true;
  }
  return objectsEqual(a as JsonObject, b as JsonObject);
}

function objectsEqual(a: JsonObject, b: JsonObject): boolean {
  let left = 0;
  for (const key in a) {
    const value = a[key];
    if (value === undefined) continue;
    left++;
    if (!Object.hasOwn(b, key) || !jsonEqual(value, b[key])) return false;
  }
  let right = 0;
  for (const key in b) if (b[key] !== undefined) right++;
  return left === right;
}
