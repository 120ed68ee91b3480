/**
 * Objects against the OpenAPI v3 keywords of a schema, in the words of upstream's kube-openapi. A schema is compiled once to closures.
 * On updates what is wrong but was so before, and did not change, is let through (ratcheting, KEP-4008).
 */
import { RE2JS } from 're2js';
import { codePoints } from '#cel/values.ts';
import { fieldPath, invalidValue, notSupported, required, tooLong, tooMany, typeInvalid, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { goQuote } from '#machinery/go-text.ts';
import type { Correlation } from './correlation.ts';
import { formatCheck } from './formats.ts';
import { isObject, itemsOf, META_FIELDS, sameJson, valuesOf, type Schema } from './schema.ts';

interface Result {
  readonly errors: FieldError[];
  /** How much of the value fitted: picks the alternative whose errors are shown. */
  matches: number;
}
/** `name` is the field as messages name it: `spec.list[0]`, '' for the whole. */
type Check = (value: unknown, name: string, old: Correlation | undefined) => Result;

export interface SchemaValidator {
  /** `old`: what the object was before, for ratcheting. `path`: where the value is, when it is not the whole object. */
  validate(value: unknown, old?: Correlation, path?: FieldPath): FieldError[];
}

export function schemaValidator(schema: Schema): SchemaValidator {
  const checks = new Map<FieldPath, Check>();
  const root = fieldPath();
  return {
    validate(value, old, path = root) {
      let check = checks.get(path);
      if (!check) {
        check = compileSchema(schema, path);
        // One path for whole objects, one for `status`: others are not kept.
        if (checks.size < 4) checks.set(path, check);
      }
      return check(value, '', old).errors;
    },
  };
}

type Keyword = (value: unknown, name: string) => FieldError | undefined;
const jsonType = (value: unknown): string => {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'bigint') return 'integer';
  if (typeof value === 'number') return isInt64(value) ? 'integer' : 'number';
  return typeof value;
};
const isInt64 = (value: number): boolean => Number.isInteger(value) && value >= -(2 ** 63) && value < 2 ** 63;
const MAX_FLOAT = (2 - 2 ** -23) * 2 ** 127;
/** What a number must be for its format, beyond being of its type. */
const RANGES: Readonly<Record<string, (n: number) => boolean>> = {
  'integer ': isInt64,
  'integer int64': isInt64,
  'integer int32': (n) => isInt64(n) && n >= -(2 ** 31) && n < 2 ** 31,
  'number float': (n) => Math.abs(n) <= MAX_FLOAT,
};

class Compiler {
  readonly #base: FieldPath;
  constructor(base: FieldPath) {
    this.#base = base;
  }
  #at(name: string): FieldPath {
    const bare = name.replace(/^\./, '');
    return bare === '' ? this.#base : this.#base.child(bare);
  }
  compile(schema: Schema): Check {
    const types = schema['x-kubernetes-int-or-string'] ? ['integer', 'string'] : schema.type ? [schema.type] : [];
    const type = this.#type(types, schema);
    const keywords = [...this.#string(schema), ...this.#number(schema)];
    const enumeration = this.#enum(schema);
    const operators = this.#operators(schema);
    const items = this.#items(schema);
    const object = this.#object(schema);
    return (value, name, old) => {
      const result: Result = { errors: [], matches: 0 };
      const note = (error: FieldError | undefined): void => {
        if (error) result.errors.push(error);
        else result.matches++;
      };
      note(type(value, name));
      if (value !== null && value !== undefined) {
        operators(value, name, result);
        for (const keyword of keywords) note(keyword(value, name));
        if (Array.isArray(value)) items(value, name, old, result);
      }
      if (enumeration) note(enumeration(value, name));
      if (isObject(value)) object(value, name, old, result);
      if (result.errors.length && old?.unchanged) result.errors.length = 0;
      return result;
    };
  }
  #type(types: readonly string[], schema: Schema): Keyword {
    const shown = types.join(',');
    return (value, name) => {
      const actual = jsonType(value ?? null);
      if (actual === 'null') {
        if (types.length === 0 || schema.nullable) return undefined;
      } else if (types.length === 0 || types.includes(actual) || (actual === 'integer' && types.includes('number'))) return undefined;
      // Of a format the release names Go's type.
      const named = shown === 'integer' && schema.format && (actual === 'number' || actual === 'boolean') ? schema.format : shown;
      const found = named === shown ? actual : actual === 'number' ? 'float64' : '';
      return typeInvalid(this.#at(name), found, `${name} in body must be of type ${named}: ${goQuote(found)}`);
    };
  }
  #string(schema: Schema): Keyword[] {
    const out: Keyword[] = [];
    const add = (test: (text: string) => boolean, error: (text: string, name: string) => FieldError): void => {
      out.push((value, name) => (typeof value === 'string' && !test(value) ? error(value, name) : undefined));
    };
    const { maxLength, minLength, pattern, format, type } = schema;
    if (maxLength !== undefined) add((s) => codePoints(s) <= maxLength, (_s, name) => tooLong(this.#at(name), maxLength));
    if (minLength !== undefined) add((s) => codePoints(s) >= minLength, (s, name) => invalidValue(this.#at(name), s, `${name} in body should be at least ${minLength} chars long`));
    if (pattern) {
      const compiled = patternOf(pattern);
      add((s) => compiled.test(s), (s, name) => invalidValue(this.#at(name), s, `${name} in body should match '${pattern}${compiled.problem}'`));
    }
    const check = format && (type === undefined || type === 'string') ? formatCheck(format) : undefined;
    if (check) add(check, (s, name) => typeInvalid(this.#at(name), s, `${name} in body must be of type ${format}: ${goQuote(s)}`));
    return out;
  }
  #number(schema: Schema): Keyword[] {
    const out: Keyword[] = [];
    const add = (test: (n: number) => boolean, text: string): void => {
      out.push((value, name) => ((typeof value === 'number' || typeof value === 'bigint') && !test(Number(value)) ? invalidValue(this.#at(name), value, `${name} in body should be ${text}`) : undefined));
    };
    const { maximum: max, minimum: min, multipleOf, type = '', format = '' } = schema;
    const range = RANGES[`${type} ${format}`];
    // The release says where in the words alone.
    if (range) out.push((value, name) => (typeof value === 'number' && !range(value) ? { ...invalidValue(this.#base, '', `Checked value must be of type ${type} ${format ? `with format ${format}` : '(default format)'} in ${name}`), field: '<nil>' } : undefined));
    if (multipleOf !== undefined) add((n) => isWhole(n / multipleOf), `a multiple of ${multipleOf}`);
    if (max !== undefined) add((n) => (schema.exclusiveMaximum ? n < max : n <= max), schema.exclusiveMaximum ? `less than ${max}` : `less than or equal to ${max}`);
    if (min !== undefined) add((n) => (schema.exclusiveMinimum ? n > min : n >= min), schema.exclusiveMinimum ? `greater than ${min}` : `greater than or equal to ${min}`);
    return out;
  }
  #enum(schema: Schema): Keyword | undefined {
    const values = schema.enum;
    if (!values?.length) return undefined;
    const shown = values.map((v) => (typeof v === 'string' ? v : JSON.stringify(v)));
    return (value, name) => (values.some((v) => sameJson(v, value)) || (value === null && schema.nullable && values.includes(null)) ? undefined : notSupported(this.#at(name), value, shown, 'listed'));
  }
  #operators(schema: Schema): (value: unknown, name: string, result: Result) => void {
    const compile = (schemas: readonly Schema[] | undefined): Check[] => (schemas ?? []).map((s) => this.compile(s));
    const [any, one, all] = [compile(schema.anyOf), compile(schema.oneOf), compile(schema.allOf)];
    const not = schema.not && this.compile(schema.not);
    const composite = (message: string): FieldError => invalidValue(this.#base, '', message);
    return (value, name, result) => {
      if (any.length) merge(result, anyOf(any, value, name, () => composite(`${goQuote(name)} must validate at least one schema (anyOf)`)));
      if (one.length) merge(result, oneOf(one, value, name, (found) => composite(`${goQuote(name)} must validate one and only one schema (oneOf). ${found}`)));
      if (all.length) {
        const results = all.map((check) => check(value, name, undefined));
        for (const r of results) merge(result, r);
        const valid = results.filter((r) => r.errors.length === 0).length;
        if (valid !== all.length) result.errors.push(composite(`${goQuote(name)} must validate all the schemas (allOf)${valid === 0 ? '. None validated' : ''}`));
      }
      if (not && not(value, name, undefined).errors.length === 0) result.errors.push(composite(`${goQuote(name)} must not validate the schema (not)`));
    };
  }
  #items(schema: Schema): (value: readonly unknown[], name: string, old: Correlation | undefined, result: Result) => void {
    const items = itemsOf(schema);
    const check = items && this.compile(items);
    const { minItems: min, maxItems: max, uniqueItems } = schema;
    return (value, name, old, result) => {
      if (check) for (const [i, item] of value.entries()) merge(result, check(item, `${name}[${i}]`, old?.index(i)));
      if (min !== undefined && value.length < min) result.errors.push(invalidValue(this.#at(name), value.length, `${name} in body should have at least ${min} items`));
      if (max !== undefined && value.length > max) result.errors.push(tooMany(this.#at(name), value.length, max));
      if (uniqueItems && hasRepeats(value)) result.errors.push(invalidValue(this.#at(name), '', `${name} in body shouldn't contain duplicates`));
      result.matches++;
    };
  }
  #object(schema: Schema): (value: Record<string, unknown>, name: string, old: Correlation | undefined, result: Result) => void {
    const properties = new Map(Object.entries(schema.properties ?? {}).map(([key, s]) => [key, this.compile(s)]));
    const values = valuesOf(schema);
    const others = values && this.compile(values);
    const { minProperties: min, maxProperties: max, required: needed = [] } = schema;
    const closed = schema.additionalProperties === false;
    return (value, name, old, result) => {
      const keys = Object.keys(value);
      if (min !== undefined && keys.length < min) result.errors.push(invalidValue(this.#at(name), keys.length, `${name} in body should have at least ${min} properties`));
      if (max !== undefined && keys.length > max) result.errors.push(tooMany(this.#at(name), keys.length, max));
      // The names of type and version are never ratcheted: both states are shown in one version.
      const before = (key: string): Correlation | undefined => (name === '' && META_FIELDS.has(key) && key !== 'metadata' ? undefined : old?.key(key));
      for (const key of keys) {
        if (properties.has(key)) continue;
        if (closed) result.errors.push(invalidValue(this.#at(name), key, `${name}.${key} in body is a forbidden property`));
        else if (others) merge(result, others(value[key], `${name}.${key}`, before(key)));
      }
      for (const [key, check] of properties) if (Object.hasOwn(value, key)) merge(result, check(value[key], name === '' ? key : `${name}.${key}`, before(key)));
      for (const key of needed) if (!Object.hasOwn(value, key)) result.errors.push(required(this.#at(`${name}.${key}`)));
      result.matches++;
    };
  }
}
function compileSchema(schema: Schema, base: FieldPath): Check {
  return new Compiler(base).compile(schema);
}
function merge(into: Result, from: Result): void {
  into.errors.push(...from.errors);
  into.matches += from.matches;
}
function best(results: readonly Result[]): Result | undefined {
  let chosen: Result | undefined;
  for (const r of results) if (!chosen || r.matches > chosen.matches) chosen = r;
  return chosen;
}
function anyOf(checks: readonly Check[], value: unknown, name: string, error: () => FieldError): Result {
  const failed: Result[] = [];
  for (const check of checks) {
    const result = check(value, name, undefined);
    if (result.errors.length === 0) return result;
    failed.push(result);
  }
  const shown = best(failed)!;
  return { errors: [error(), ...shown.errors], matches: shown.matches };
}
function oneOf(checks: readonly Check[], value: unknown, name: string, error: (found: string) => FieldError): Result {
  const results = checks.map((check) => check(value, name, undefined));
  const valid = results.filter((r) => r.errors.length === 0);
  if (valid.length === 1) return valid[0]!;
  if (valid.length > 1) return { errors: [error(`Found ${valid.length} valid alternatives`)], matches: 0 };
  const shown = best(results)!;
  return { errors: [error('Found none valid'), ...shown.errors], matches: shown.matches };
}

interface Pattern {
  readonly problem: string;
  test(text: string): boolean;
}
/** By RE2: no pattern takes more than linear time. */
function patternOf(source: string): Pattern {
  try {
    const compiled = RE2JS.compile(source);
    return { problem: '', test: (text) => compiled.matcher(text).find() };
  } catch (err) {
    return { problem: `, but pattern is invalid: ${err instanceof Error ? err.message : String(err)}`, test: () => false };
  }
}
const isWhole = (n: number): boolean => Number.isInteger(n) || Math.abs(n - Math.round(n)) < 1e-9 * Math.abs(n);
function hasRepeats(items: readonly unknown[]): boolean {
  return new Set(items.map((item) => JSON.stringify(item))).size < items.length;
}
