/** How Go prints JSON values in messages: several of the API server's errors carry them. */
import { isArray, isObject } from './json.ts';

/** `%v` of a decoded JSON value: `map[a:1 b:[x y]]`, keys sorted, null as `<nil>`. */
export function goValue(value: unknown): string {
  if (value === null || value === undefined) return '<nil>';
  if (isArray(value)) return `[${value.map(goValue).join(' ')}]`;
  if (!isObject(value)) return String(value as string | number | boolean);
  const parts = Object.keys(value)
    .sort()
    .map((key) => `${key}:${goValue(value[key])}`);
  return `map[${parts.join(' ')}]`;
}

/** The Go type a JSON value decodes to; null has none. */
export function goType(value: unknown): string | undefined {
  if (value === null || value === undefined) return undefined;
  if (isArray(value)) return '[]interface {}';
  if (isObject(value)) return 'map[string]interface {}';
  if (typeof value === 'number') return Number.isInteger(value) ? 'int64' : 'float64';
  if (typeof value === 'bigint') return 'int64';
  return typeof value === 'boolean' ? 'bool' : 'string';
}

/** `%s` of a `reflect.Type`. */
export function goTypeText(value: unknown): string {
  return goType(value) ?? '%!s(<nil>)';
}

/** `%s` of a decoded JSON value: other things than strings show that the verb did not fit. */
export function goString(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value === null || value === undefined) return '%!s(<nil>)';
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') return `%!s(${goType(value)}=${String(value)})`;
  return goValue(value);
}

/** What encoding/json calls a value that it cannot decode into the wanted type: `array`, `object`, `string`, `number`, `bool`. */
export function jsonKind(value: unknown): string {
  if (isArray(value)) return 'array';
  if (isObject(value)) return 'object';
  if (typeof value === 'boolean') return 'bool';
  return value === null ? 'null' : typeof value === 'bigint' ? 'number' : typeof value;
}
