/** Structural schemas: every field has one type, and logical operators only narrow its values. In the words of upstream's `apiserver/schema`. */
import type { JSONSchemaProps } from '#api/gen/apiextensions-v1.ts';
import { getOwn } from '#base/own.ts';
import { forbiddenField, invalidValue, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';

type Level = 'root' | 'item' | 'field';
const UNTYPED: Readonly<Record<Level, string>> = {
  root: 'must not be empty at the root', item: 'must not be empty for specified array items', field: 'must not be empty for specified object fields',
};
const INT_OR_STRING = 'must be false if x-kubernetes-int-or-string is true';
const EMBEDDED = 'must be object if x-kubernetes-embedded-resource is true';
const NESTED: readonly (readonly [field: keyof JSONSchemaProps, word: string])[] = [
  ['type', 'empty'], ['additionalProperties', 'undefined'], ['default', 'undefined'], ['title', 'empty'], ['description', 'empty'], ['nullable', 'false'],
  ['x-kubernetes-preserve-unknown-fields', 'false'], ['x-kubernetes-embedded-resource', 'false'], ['x-kubernetes-int-or-string', 'false'], ['x-kubernetes-list-map-keys', 'empty'],
  ['x-kubernetes-list-type', 'undefined'], ['x-kubernetes-map-type', 'undefined'],
];

/** A schema where one may stand: `items` and `additionalProperties` can be other things too. */
export function asSchema(value: unknown): JSONSchemaProps | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JSONSchemaProps) : undefined;
}
function isIntOrStringPattern(anyOf: readonly JSONSchemaProps[] | undefined): boolean {
  return anyOf?.length === 2 && anyOf[0]!.type === 'integer' && anyOf[1]!.type === 'string';
}

function validateTypes(schema: JSONSchemaProps, level: Level, path: FieldPath): FieldError[] {
  const type = schema.type ?? '';
  const errors: FieldError[] = [];
  const free = schema['x-kubernetes-int-or-string'] || schema['x-kubernetes-preserve-unknown-fields'];
  if (schema['x-kubernetes-embedded-resource'] && type !== 'object') errors.push(type === '' ? required(path.child('type'), EMBEDDED) : invalidValue(path.child('type'), type, EMBEDDED));
  else if (type === '' && !free) errors.push(required(path.child('type'), UNTYPED[level]));
  if (level === 'root' && type !== '' && type !== 'object') errors.push(invalidValue(path.child('type'), type, 'must be object at the root'));
  return errors;
}
function validateExtensions(schema: JSONSchemaProps, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  if (schema['x-kubernetes-int-or-string']) {
    for (const field of ['x-kubernetes-preserve-unknown-fields', 'x-kubernetes-embedded-resource'] as const) if (schema[field]) errors.push(invalidValue(path.child(field), true, INT_OR_STRING));
  }
  if (!schema['x-kubernetes-embedded-resource']) return errors;
  if (schema.additionalProperties !== undefined) errors.push(forbiddenField(path.child('additionalProperties'), 'must not be used if x-kubernetes-embedded-resource is set'));
  if (!schema['x-kubernetes-preserve-unknown-fields'] && Object.keys(schema.properties ?? {}).length === 0) {
    errors.push(required(path.child('properties'), 'must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields'));
  }
  return errors;
}
/** `kind`, `apiVersion` and `metadata` of whole objects are given; a schema may only narrow the name. */
function validateObjectFields(schema: JSONSchemaProps, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  const at = path.child('properties');
  for (const [name, type] of [['metadata', 'object'], ['apiVersion', 'string'], ['kind', 'string']] as const) {
    const field = schema.properties?.[name];
    if (field && field.type !== type) errors.push(invalidValue(at.key(name).child('type'), field.type ?? '', `must be ${type}`));
  }
  const metadata = schema.properties?.['metadata'];
  if (!metadata) return errors;
  const { type: _type, description: _description, default: _default, properties = {}, ...rest } = metadata;
  if (metadata.default !== undefined) errors.push(forbiddenField(at.key('metadata').child('default'), 'must not be set in top-level metadata'));
  const extra = Object.keys(properties).some((name) => name !== 'name' && name !== 'generateName') || Object.values(rest).some((value) => value !== undefined && value !== false);
  if (extra) errors.push(forbiddenField(at.key('metadata'), 'must not specify anything other than name and generateName, but metadata is implicitly specified'));
  return errors;
}

/** Inside of logical operators: values only, no types. `skipTypes` is for the two alternatives of an int-or-string. */
function validateNested(schema: JSONSchemaProps, skipTypes: boolean, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  for (const [field, word] of NESTED) {
    const value = schema[field];
    if (value === undefined || value === '' || value === false || (field === 'type' && skipTypes)) continue;
    errors.push(forbiddenField(path.child(field), `must be ${word} to be structural`));
  }
  if (schema.properties?.['metadata']) errors.push(forbiddenField(path.child('properties').key('metadata'), 'must not be specified in a nested context'));
  for (const [name, property] of Object.entries(schema.properties ?? {})) errors.push(...validateNested(property, false, path.child('properties').key(name)));
  const items = asSchema(schema.items);
  if (items) errors.push(...validateNested(items, false, path.child('items')));
  return [...errors, ...validateOperators(schema, path)];
}
function validateOperators(schema: JSONSchemaProps, path: FieldPath): FieldError[] {
  const intOrString = schema['x-kubernetes-int-or-string'] === true;
  const errors: FieldError[] = [];
  for (const operator of ['allOf', 'anyOf', 'oneOf'] as const) {
    for (const [i, nested] of (schema[operator] ?? []).entries()) {
      const at = path.child(operator).index(i);
      const ownPattern = operator === 'anyOf' && intOrString && isIntOrStringPattern(schema.anyOf);
      const innerPattern = operator === 'allOf' && i === 0 && intOrString && isIntOrStringPattern(nested.anyOf);
      if (innerPattern) errors.push(...validateNested({ ...nested, anyOf: undefined }, false, at), ...nested.anyOf!.flatMap((n, j) => validateNested(n, true, at.child('anyOf').index(j))));
      else errors.push(...validateNested(nested, ownPattern, at));
    }
  }
  return schema.not ? [...errors, ...validateNested(schema.not, false, path.child('not'))] : errors;
}
/** What operators say of fields must be about fields that the schema itself declares. */
function validateComplete(nested: JSONSchemaProps, schema: JSONSchemaProps | undefined, nestedPath: FieldPath, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  for (const [name, property] of Object.entries(nested.properties ?? {})) {
    const [at, there] = [path.child('properties').key(name), nestedPath.child('properties').key(name)];
    const own = getOwn(schema?.properties, name);
    errors.push(...(own ? validateComplete(property, own, there, at) : [required(at, `because it is defined in ${there.toString()}`)]));
  }
  const items = asSchema(nested.items);
  const own = asSchema(schema?.items);
  if (items) {
    const [at, there] = [path.child('items'), nestedPath.child('items')];
    errors.push(...(own ? validateComplete(items, own, there, at) : [required(at, `because it is defined in ${there.toString()}`)]));
  }
  for (const operator of ['allOf', 'anyOf', 'oneOf'] as const) {
    errors.push(...(nested[operator] ?? []).flatMap((n, i) => validateComplete(n, schema, nestedPath.child(operator).index(i), path)));
  }
  return nested.not ? [...errors, ...validateComplete(nested.not, schema, nestedPath.child('not'), path)] : errors;
}

function validateLevel(schema: JSONSchemaProps, level: Level, path: FieldPath): FieldError[] {
  const errors = [...validateTypes(schema, level, path), ...validateExtensions(schema, path), ...validateOperators(schema, path)];
  // Of the root only: deeper down upstream does not ask.
  const { properties: _p, items: _i, ...operators } = schema;
  if (level === 'root') errors.push(...validateComplete(operators, schema, path, path));
  if (level === 'root' || schema['x-kubernetes-embedded-resource']) errors.push(...validateObjectFields(schema, path));
  for (const [name, property] of Object.entries(schema.properties ?? {})) errors.push(...validateLevel(property, 'field', path.child('properties').key(name)));
  const items = asSchema(schema.items);
  if (items) errors.push(...validateLevel(items, 'item', path.child('items')));
  else if (schema.type === 'array') errors.push(required(path.child('items'), 'must be specified'));
  if (schema.additionalProperties === undefined) return errors;
  const at = path.child('additionalProperties');
  if (level === 'root') errors.push(forbiddenField(at, 'must not be used at the root'));
  const values = asSchema(schema.additionalProperties);
  return values ? [...errors, ...validateLevel(values, 'field', at)] : errors;
}
/** In order of their text, as upstream sorts them. */
export function validateStructural(schema: JSONSchemaProps, path: FieldPath): FieldError[] {
  const text = (error: FieldError) => `${error.field}: ${error.body}`;
  return validateLevel(schema, 'root', path).toSorted((a, b) => (text(a) < text(b) ? -1 : 1));
}
