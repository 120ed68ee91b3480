/** A deeply mutable copy's type: what `structuredClone` of a readonly API object gives. */
export type Draft<T> = T extends (...args: never[]) => unknown ? T : T extends object ? { -readonly [K in keyof T]: Draft<T[K]> } : T;

/** A private, mutable copy of an object that came from a cache. JSON values only. */
export function draftOf<T>(value: T): Draft<T> {
  return copy(value) as Draft<T>;
}

function copy(value: unknown): unknown {
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map(copy);
  const out: Record<string, unknown> = {};
  for (const key in value) {
    const child = copy((value as Record<string, unknown>)[key]);
    // `__proto__` must stay an ordinary key: plain assignment would change the prototype.
    if (key === '__proto__') Object.defineProperty(out, key, { value: child, enumerable: true, configurable: true, writable: true });
    else out[key] = child;
  }
  return out;
}

/** Freezes a JSON value all the way down and returns it. Tests and debug builds use it to catch writes to cached objects. */
export function deepFreeze<T>(value: T): T {
  if (value !== null && typeof value === 'object' && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const child of Object.values(value)) deepFreeze(child);
  }
  return value;
}
