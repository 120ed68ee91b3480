/** Names and lists that all kinds of the group are made of. */
import { duplicate, invalidValue, required, tooLong, tooMany, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isCIdentifier, isDNS1123Label, isDNS1123Subdomain } from '#machinery/names.ts';
import { validateCSIDriverName } from '../core/volume-sources.ts';
import { each, fromMessages } from '../field-checks.ts';

const MAX_POOL_NAME = 253;
const MAX_IDENTIFIER = 32;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export const validateDriver = (name: string | undefined, path: FieldPath): FieldError[] => validateCSIDriverName(name ?? '', path);
/** Names of requests, devices and counters. */
export const validateShortName = (name: string | undefined, path: FieldPath): FieldError[] => fromMessages(path, name ?? '', isDNS1123Label(name ?? ''));

export function validateDeviceClassName(name: string | undefined, path: FieldPath): FieldError[] {
  return name ? fromMessages(path, name, isDNS1123Subdomain(name)) : [required(path)];
}
export function validatePoolName(name: string | undefined, path: FieldPath): FieldError[] {
  if (!name) return [required(path)];
  const errors = Buffer.byteLength(name) > MAX_POOL_NAME ? [tooLong(path, MAX_POOL_NAME)] : [];
  return [...errors, ...name.split('/').flatMap((part) => fromMessages(path, part, isDNS1123Subdomain(part)))];
}
export function validateShareID(id: string, path: FieldPath): FieldError[] {
  if (UUID.test(id)) return [];
  const normal = 'uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters';
  return [invalidValue(path, id, UUID.test(id.toLowerCase()) ? normal : `error validating uid: invalid UUID length: ${id.length}`)];
}

function validateIdentifier(id: string, path: FieldPath): FieldError[] {
  return [...(id.length > MAX_IDENTIFIER ? [tooLong(path, MAX_IDENTIFIER)] : []), ...fromMessages(path, id, isCIdentifier(id))];
}
/** `model` or `dra.example.com/model`: a C identifier, in the domain of a driver where there is one. */
export function validateQualifiedName(name: string, path: FieldPath): FieldError[] {
  const parts = name.split('/');
  if (parts.length === 1) return validateIdentifier(name, path);
  if (parts.length > 2) return [];
  const [domain = '', id = ''] = parts;
  return [
    ...(domain === '' ? [invalidValue(path, '', 'the domain must not be empty')] : validateDriver(domain, path)),
    ...(id === '' ? [invalidValue(path, '', 'the name must not be empty')] : validateIdentifier(id, path)),
  ];
}
export function validateFullyQualifiedName(name: string, path: FieldPath): FieldError[] {
  const errors = validateQualifiedName(name, path);
  return name.includes('/') ? errors : [...errors, invalidValue(path, name, 'a fully qualified name must be a domain and a name separated by a slash')];
}

type Check<T> = (item: T, path: FieldPath, index: number) => readonly FieldError[];
/** A list of at most so many items. */
export function validateList<T>(items: readonly T[] | undefined, max: number, path: FieldPath, check: Check<T>): FieldError[] {
  const count = items?.length ?? 0;
  return count > max ? [tooMany(path, count, max)] : each(items, path, check);
}
/** A list of at most so many items that differ by a key. */
export function validateSet<T>(items: readonly T[] | undefined, max: number, path: FieldPath, keyOf: (item: T) => string, check: Check<T>): FieldError[] {
  const list = items ?? [];
  if (list.length > max) return [tooMany(path, list.length, max)];
  const keys = list.map(keyOf);
  return [...each(list, path, check), ...each(list, path, (_item, at, i) => (keys.indexOf(keys[i]!) < i ? [duplicate(at, keys[i])] : []))];
}
/** Parameters and data of drivers: any JSON object of limited size. */
export function validateRawObject(value: unknown, max: number, path: FieldPath): FieldError[] {
  if (value === undefined || value === null) return [required(path)];
  if (Buffer.byteLength(JSON.stringify(value)) > max) return [tooLong(path, max)];
  return typeof value === 'object' && !Array.isArray(value) ? [] : [invalidValue(path, '<value omitted>', 'must be a valid JSON object')];
}
