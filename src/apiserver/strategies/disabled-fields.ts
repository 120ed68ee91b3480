/**
 * Fields of features that release 1.36 leaves off by default. A create loses them without a word, and so does an update, but for objects
 * that have the field already.
 */
export function dropDisabled<T extends object>(now: T | undefined, old: T | undefined, ...fields: readonly (keyof T)[]): void {
  for (const field of fields) if (old?.[field] === undefined) delete now?.[field];
}
