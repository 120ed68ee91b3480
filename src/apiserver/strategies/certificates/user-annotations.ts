import { tooLong, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDomainPrefixedKey } from '#machinery/names.ts';

const MAX_BYTES = 256 * 1024;

/** What a Pod tells its signer of itself: keys with a domain, which nobody has checked. */
export function validateUserAnnotations(annotations: Readonly<Record<string, string>> | undefined, path: FieldPath): FieldError[] {
  const entries = Object.entries(annotations ?? {});
  const errors = entries.flatMap(([key]) => isDomainPrefixedKey(path, key.toLowerCase()));
  const bytes = entries.reduce((sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value), 0);
  return bytes > MAX_BYTES ? [...errors, tooLong(path, MAX_BYTES)] : errors;
}
