/** Provisioners' names and parameters, of StorageClasses and VolumeAttributesClasses. */
import { invalidValue, required, tooLong, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isQualifiedName } from '#machinery/names.ts';
import { fromMessages } from '../field-checks.ts';

const MAX_PARAMETERS = 512;
const MAX_SIZE = 256 * 1024;

export function validateProvisioner(name: string, path: FieldPath): FieldError[] {
  return name === '' ? [required(path, name)] : fromMessages(path, name.toLowerCase(), isQualifiedName(name.toLowerCase()));
}
export function validateParameters(parameters: Readonly<Record<string, string>> | undefined, allowEmpty: boolean, path: FieldPath): FieldError[] {
  const entries = Object.entries(parameters ?? {});
  if (entries.length > MAX_PARAMETERS) return [tooLong(path, MAX_PARAMETERS)];
  const errors = entries.filter(([key]) => key === '').map(([key]) => invalidValue(path, key, 'field can not be empty.'));
  const size = entries.reduce((sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value), 0);
  if (size > MAX_SIZE) errors.push(tooLong(path, MAX_SIZE));
  if (!allowEmpty && entries.length === 0) errors.push(required(path, 'must contain at least one key/value pair'));
  return errors;
}
