const isNothing = (value: unknown): boolean => value === undefined || value === null || (Array.isArray(value) && value.length === 0);

/** Equality of API values as upstream's `equality.Semantic`: absent and empty lists are one. */
export function semanticEqual(a: unknown, b: unknown): boolean {
  if (a === b || (isNothing(a) && isNothing(b))) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, i) => semanticEqual(item, b[i]));
  const left = a as Readonly<Record<string, unknown>>;
  const right = b as Readonly<Record<string, unknown>>;
  for (const key in left) if (!semanticEqual(left[key], right[key])) return false;
  for (const key in right) if (!(key in left) && !isNothing(right[key])) return false;
  return true;
}
/** Without the entries that are 0: how the server keeps counts, so that what was written compares equal to what is read. */
export function withoutZeros<T extends Readonly<Record<string, number>>>(counts: T): Partial<T> {
  return Object.fromEntries(Object.entries(counts).filter(([, n]) => n !== 0)) as Partial<T>;
}
/** Whether two statuses say the same: a count of 0 and an absent one are one. */
export function equalStatus(a: object | undefined, b: object | undefined): boolean {
  const strip = (status: object = {}) => Object.fromEntries(Object.entries(status).filter(([, v]) => v !== 0));
  return semanticEqual(strip(a), strip(b));
}
