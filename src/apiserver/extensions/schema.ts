/** The schema of a version of a custom resource as the API server uses it: apiextensions/v1 JSONSchemaProps, known to be structural. */
import type { JSONSchemaProps } from '#api/gen/apiextensions-v1.ts';

export type Schema = JSONSchemaProps;
export type Json = Record<string, unknown>;

/** A JSON object: not null, not an array. */
export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
/** The one schema of all items. */
export function itemsOf(schema: Schema | undefined): Schema | undefined {
  return isObject(schema?.items) ? (schema.items as Schema) : undefined;
}
/** The schema of the values of a map; `true` has none. */
export function valuesOf(schema: Schema | undefined): Schema | undefined {
  return isObject(schema?.additionalProperties) ? (schema.additionalProperties as Schema) : undefined;
}
export function propertyOf(schema: Schema | undefined, name: string): Schema | undefined {
  const { properties } = schema ?? {};
  return properties && Object.hasOwn(properties, name) ? properties[name] : undefined;
}
/** `apiVersion`, `kind` and `metadata` belong to every whole object, in a schema or not. */
export const META_FIELDS: ReadonlySet<string> = new Set(['apiVersion', 'kind', 'metadata']);
/** The root of a resource is an embedded resource like others. */
export function asRoot(schema: Schema): Schema {
  return schema['x-kubernetes-embedded-resource'] ? schema : { ...schema, 'x-kubernetes-embedded-resource': true };
}

/** Equality of JSON to the letter: nothing and null differ. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, i) => sameJson(item, b[i]));
  if (!isObject(a) || !isObject(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && sameJson(a[key], b[key]));
}
