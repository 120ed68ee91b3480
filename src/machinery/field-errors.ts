/**
 * Validation errors that name a field, worded as upstream's `apimachinery/pkg/util/validation/field`.
 * `validate…` functions return arrays of these and never throw.
 */
import { goQuote } from './go-text.ts';
import { writeJson } from './json.ts';

/** The wire values of `StatusCause.reason` for field errors. */
export type FieldErrorType =
  | 'FieldValueNotFound' | 'FieldValueRequired' | 'FieldValueDuplicate' | 'FieldValueInvalid' | 'FieldValueNotSupported'
  | 'FieldValueForbidden' | 'FieldValueTooLong' | 'FieldValueTooMany' | 'InternalError' | 'FieldValueTypeInvalid';

export interface FieldError {
  readonly type: FieldErrorType;
  /** `spec.containers[0].name` */
  readonly field: string;
  /** The message without the field: `Required value`, `Invalid value: "x": must be …`. */
  readonly body: string;
}

/**
 * A path to a field: `root('spec').child('containers').index(0).child('name')`; `key` for map keys: `metadata.labels[a/b]`.
 * Validation makes many paths and shows few: the text is put together when somebody asks for it.
 */
export class FieldPath {
  readonly #parent: FieldPath | undefined;
  readonly #step: string | number;
  readonly #isChild: boolean;
  constructor(parent?: FieldPath, step: string | number = '', isChild = true) {
    this.#parent = parent;
    this.#step = step;
    this.#isChild = isChild;
  }
  child(name = '', ...below: string[]): FieldPath {
    const path = name === '' ? this : new FieldPath(this, name);
    return below.length === 0 ? path : path.child(...below);
  }
  index(i: number): FieldPath {
    return new FieldPath(this, i, false);
  }
  key(k: string): FieldPath {
    return new FieldPath(this, k, false);
  }
  toString(): string {
    return this.#text() || '<nil>';
  }
  #text(): string {
    const before = this.#parent ? this.#parent.#text() : '';
    if (!this.#isChild) return `${before}[${this.#step}]`;
    return before === '' ? String(this.#step) : `${before}.${this.#step}`;
  }
}
const ROOT = new FieldPath();
export function fieldPath(...names: string[]): FieldPath {
  return ROOT.child(...names);
}

/** A value as Go's messages show it: strings quoted, numbers and booleans bare, bytes as Go writes them in its source, the rest as JSON. */
export function showValue(value: unknown): string {
  if (value === undefined || value === null) return 'null';
  if (typeof value === 'string') return goQuote(value);
  if (value instanceof Uint8Array) return `[]byte{${Array.from(value, (b) => `0x${b.toString(16)}`).join(', ')}}`;
  return typeof value === 'object' ? writeJson(value) : String(value);
}
const make = (type: FieldErrorType, path: FieldPath, body: string): FieldError => ({ type, field: path.toString(), body });
const withDetail = (head: string, detail: string): string => (detail === '' ? head : `${head}: ${detail}`);

export function required(path: FieldPath, detail = ''): FieldError {
  return make('FieldValueRequired', path, withDetail('Required value', detail));
}
/** What is nobody's fault but the server's own. */
export function internalFieldError(path: FieldPath, detail: string): FieldError {
  return make('InternalError', path, `Internal error: ${detail}`);
}
export function duplicate(path: FieldPath, value: unknown): FieldError {
  return make('FieldValueDuplicate', path, `Duplicate value: ${showValue(value)}`);
}
export function invalidValue(path: FieldPath, value: unknown, detail: string): FieldError {
  return make('FieldValueInvalid', path, withDetail(`Invalid value: ${showValue(value)}`, detail));
}
/** The same without a value: one that is too long or too secret to be shown. */
export function invalidField(path: FieldPath, detail: string): FieldError {
  return make('FieldValueInvalid', path, withDetail('Invalid value', detail));
}
export function typeInvalid(path: FieldPath, value: unknown, detail: string): FieldError {
  return make('FieldValueTypeInvalid', path, withDetail(`Invalid value: ${showValue(value)}`, detail));
}
/** `supported` is shown quoted. Upstream lists most enums from a set, sorted; `listed` keeps the order of those that it spells out. */
export function notSupported(path: FieldPath, value: unknown, supported: readonly string[], order: 'sorted' | 'listed' = 'sorted'): FieldError {
  const values = order === 'listed' ? supported : supported.toSorted();
  const list = values.length ? `supported values: ${values.map(goQuote).join(', ')}` : '';
  return make('FieldValueNotSupported', path, withDetail(`Unsupported value: ${showValue(value)}`, list));
}
export function forbiddenField(path: FieldPath, detail: string): FieldError {
  return make('FieldValueForbidden', path, withDetail('Forbidden', detail));
}
const count = (n: number, unit: string): string => `${n} ${unit}${n === 1 ? '' : 's'}`;
/** `maxLength` in bytes; negative: the message does not name it. */
export function tooLong(path: FieldPath, maxLength: number): FieldError {
  return make('FieldValueTooLong', path, `Too long: ${maxLength >= 0 ? `may not be more than ${count(maxLength, 'byte')}` : 'value is too long'}`);
}
/** A negative `actual` or `max` is left out of the message. */
export function tooMany(path: FieldPath, actual: number, max: number): FieldError {
  return make('FieldValueTooMany', path, `Too many${actual >= 0 ? `: ${actual}` : ''}: ${max >= 0 ? `must have at most ${count(max, 'item')}` : 'has too many items'}`);
}
export function notFoundField(path: FieldPath, value: unknown): FieldError {
  return make('FieldValueNotFound', path, `Not found: ${showValue(value)}`);
}

/** One message for all: a lone error bare, several in brackets, repeats dropped. */
export function toAggregate(errors: readonly FieldError[]): string {
  const seen = [...new Set(errors.map((e) => `${e.field}: ${e.body}`))];
  return seen.length === 1 ? seen[0]! : `[${seen.join(', ')}]`;
}
