/**
 * Equality of API values as upstream's `equality.Semantic` has it: what Go's JSON leaves out is nothing, however it was written. Quantities and times
 * are canonical text by then.
 */

type Fields = Readonly<Record<string, unknown>>;

const isAbsentOrEmptyList = (value: unknown): boolean => value === undefined || value === null || (Array.isArray(value) && value.length === 0);
const isAbsentOrEmpty = (value: unknown): boolean => isAbsentOrEmptyList(value) || (typeof value === 'object' && Object.keys(value!).length === 0);

/** Absent, null and an empty list are one. An empty map is not absent: as a struct it says something (`emptyDir: {}`). */
export function semanticEqual(a: unknown, b: unknown): boolean {
  return equal(a, b, isAbsentOrEmptyList);
}
/** As {@link semanticEqual}, and an empty map is absent too: for fields that hold no struct whose presence means something. */
export function deepEqual(a: unknown, b: unknown): boolean {
  return equal(a, b, isAbsentOrEmpty);
}

function equal(a: unknown, b: unknown, isNothing: (value: unknown) => boolean): boolean {
  if (a === b || (isNothing(a) && isNothing(b))) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, i) => equal(item, b[i], isNothing));
  const left = a as Fields;
  const right = b as Fields;
  // A key such as "constructor" must not be found on the prototype.
  for (const key of Object.keys(left)) if (!equal(left[key], Object.hasOwn(right, key) ? right[key] : undefined, isNothing)) return false;
  for (const key of Object.keys(right)) if (!Object.hasOwn(left, key) && !isNothing(right[key])) return false;
  return true;
}
