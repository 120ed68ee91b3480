/**
 * Maps whose keys come from outside, held in plain objects: what every JavaScript object inherits (`constructor`, `__proto__`, …) is no entry of
 * theirs, and such a name is a key like any other.
 */

/** The value of an own key; undefined when there is none (never something of the prototype's). */
export function getOwn<V>(map: Readonly<Record<string, V>> | undefined, key: string): V | undefined {
  return map !== undefined && Object.hasOwn(map, key) ? map[key] : undefined;
}
/** Sets an own key. Plain assignment of `__proto__` would change the prototype instead. */
export function setOwn<V>(map: Record<string, V>, key: string, value: NoInfer<V>): void {
  if (key === '__proto__') Object.defineProperty(map, key, { value, enumerable: true, configurable: true, writable: true });
  else map[key] = value;
}
/** Sets a key that is not there, or is undefined. */
export function setOwnDefault<V>(map: Record<string, V>, key: string, value: NoInfer<V>): void {
  if (getOwn(map, key) === undefined) setOwn(map, key, value);
}
