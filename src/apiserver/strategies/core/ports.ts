/** Port numbers and names as containers, Services and their endpoints have them. */
import { type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isValidPortName } from '#machinery/names.ts';
import { fromMessages, inRange } from '../field-checks.ts';

export const PROTOCOLS = ['TCP', 'UDP', 'SCTP'];

export function validatePortNumber(port: number, path: FieldPath): FieldError[] {
  return inRange(port, 1, 65535, path);
}
/** A port by number, or by the name that a container gives it. */
export function validatePortNumberOrName(port: number | string | undefined, path: FieldPath): FieldError[] {
  if (typeof port === 'number' || port === undefined) return validatePortNumber(port ?? 0, path);
  return fromMessages(path, port, isValidPortName(port));
}
