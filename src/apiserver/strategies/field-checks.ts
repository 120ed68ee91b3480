/** Checks that many kinds share, in the words of upstream's `apimachinery/pkg/api/validation`. */
import { semanticEqual } from '#machinery/equality.ts';
import { invalidValue, notSupported, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { inclusiveRangeError } from '#machinery/names.ts';
import { parseQuantity } from '#machinery/quantity.ts';

export const IMMUTABLE = 'field is immutable';
export const NEGATIVE = 'must be greater than or equal to 0';
export const NOT_POSITIVE = 'must be greater than zero';

/** One error for each message of a `names.ts` check. */
export function fromMessages(path: FieldPath, value: unknown, messages: readonly string[]): FieldError[] {
  return messages.map((m) => invalidValue(path, value, m));
}
export function nonNegative(value: number | undefined, path: FieldPath): FieldError[] {
  return value !== undefined && value < 0 ? [invalidValue(path, value, NEGATIVE)] : [];
}
export function positive(value: number, path: FieldPath): FieldError[] {
  return value <= 0 ? [invalidValue(path, value, NOT_POSITIVE)] : [];
}
export function inRange(value: number, low: number, high: number, path: FieldPath): FieldError[] {
  return value < low || value > high ? [invalidValue(path, value, inclusiveRangeError(low, high))] : [];
}
/** An enum: unsupported values only; absent ones are the caller's. */
export function oneOf(value: string | undefined, supported: readonly string[], path: FieldPath, order?: 'listed'): FieldError[] {
  return supported.includes(value ?? '') ? [] : [notSupported(path, value ?? '', supported, order)];
}
/** An enum that must be given. */
export function requiredOneOf(value: string | undefined, supported: readonly string[], path: FieldPath, order?: 'listed'): FieldError[] {
  return value ? oneOf(value, supported, path, order) : [required(path)];
}
export function immutable(now: unknown, old: unknown, path: FieldPath): FieldError[] {
  return semanticEqual(now, old) ? [] : [invalidValue(path, now, IMMUTABLE)];
}
export function quantityErrors(value: string, path: FieldPath, rule: 'nonNegative' | 'positive' = 'nonNegative'): FieldError[] {
  const sign = parseQuantity(value).sign();
  if (rule === 'positive' ? sign > 0 : sign >= 0) return [];
  return [invalidValue(path, value, rule === 'positive' ? NOT_POSITIVE : NEGATIVE)];
}
/** Errors of every item of a list, each with the item's own path. */
export function each<T>(items: readonly T[] | undefined, path: FieldPath, check: (item: T, path: FieldPath, index: number) => readonly FieldError[]): FieldError[] {
  const errors: FieldError[] = [];
  for (let i = 0; i < (items?.length ?? 0); i++) errors.push(...check(items![i]!, path.index(i), i));
  return errors;
}
/** Errors of every entry of a map in order of keys, each with the entry's own path. */
export function eachKey<T>(map: Readonly<Record<string, T>> | undefined, path: FieldPath, check: (key: string, value: T, path: FieldPath) => readonly FieldError[]): FieldError[] {
  const errors: FieldError[] = [];
  if (map) for (const key of Object.keys(map).sort()) errors.push(...check(key, map[key]!, path.key(key)));
  return errors;
}
