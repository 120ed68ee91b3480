/** Numbers and percentages of rolling updates, and how many Pods a status counts. */
import { invalidValue, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isValidPercent } from '#machinery/names.ts';
import { fromMessages, nonNegative } from '../field-checks.ts';

export type IntOrPercent = number | string;

/** A number of at least 0, or a percentage. */
export function validateIntOrPercent(value: IntOrPercent, path: FieldPath): FieldError[] {
  return typeof value === 'number' ? nonNegative(value, path) : fromMessages(path, value, isValidPercent(value));
}
function percentOf(value: IntOrPercent | undefined): number | undefined {
  return typeof value === 'string' && isValidPercent(value).length === 0 ? Number(value.slice(0, -1)) : undefined;
}
export function isZero(value: IntOrPercent | undefined): boolean {
  return typeof value === 'string' ? (percentOf(value) ?? 0) === 0 : (value ?? 0) === 0;
}
export function atMost100Percent(value: IntOrPercent, path: FieldPath): FieldError[] {
  return (percentOf(value) ?? 0) > 100 ? [invalidValue(path, value, 'must not be greater than 100%')] : [];
}

type Counts<K extends string> = Readonly<Partial<Record<K, number | undefined>>>;
/** Counters of a status are never negative. */
export function validateCounts<K extends string>(status: Counts<K>, fields: readonly K[], path: FieldPath): FieldError[] {
  return fields.flatMap((field) => nonNegative(status[field], path.child(field)));
}
/** None of the counters is above the number of replicas. */
export function validateWithinReplicas<K extends string>(status: Counts<K | 'replicas'>, fields: readonly K[], path: FieldPath): FieldError[] {
  const total = status.replicas ?? 0;
  return fields.flatMap((field) => {
    const count = (status as Counts<K>)[field] ?? 0;
    return count > total ? [invalidValue(path.child(field), count, 'cannot be greater than status.replicas')] : [];
  });
}
export function validateAvailable(status: { readonly availableReplicas?: number | undefined; readonly readyReplicas?: number | undefined }, limit: string, path: FieldPath): FieldError[] {
  const available = status.availableReplicas ?? 0;
  return available > (status.readyReplicas ?? 0) ? [invalidValue(path.child('availableReplicas'), available, `cannot be greater than ${limit}`)] : [];
}
/** `collisionCount` makes names of children unique: it never goes back. */
export function validateCollisionCount(now: number | undefined, old: number | undefined, path: FieldPath): FieldError[] {
  const decremented = old !== undefined && (now === undefined || now < old);
  return decremented ? [invalidValue(path.child('collisionCount'), now ?? 0, 'cannot be decremented')] : [];
}
