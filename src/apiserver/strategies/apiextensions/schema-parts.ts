/** The parts of the schema of a custom resource that are schemas themselves. */
import type { JSONSchemaProps } from '#api/gen/apiextensions-v1.ts';
import type { FieldPath } from '#machinery/field-errors.ts';
import { isKnownFormat } from '../../extensions/formats.ts';
import { asSchema } from './structural.ts';

/** Of OpenAPI v3. */
export const TYPES: readonly string[] = ['array', 'boolean', 'integer', 'number', 'object', 'string'];

type Child = readonly [schema: JSONSchemaProps, at: (path: FieldPath) => FieldPath];
export function childrenOf(schema: JSONSchemaProps): Child[] {
  const children: Child[] = [];
  const values = asSchema(schema.additionalProperties);
  if (values) children.push([values, (path) => path.child('additionalProperties')]);
  for (const [name, property] of Object.entries(schema.properties ?? {})) children.push([property, (path) => path.child('properties').key(name)]);
  if (schema.not) children.push([schema.not, (path) => path.child('not')]);
  for (const operator of ['allOf', 'anyOf', 'oneOf'] as const) children.push(...(schema[operator] ?? []).map((s, i): Child => [s, (path) => path.child(operator).index(i)]));
  const items = asSchema(schema.items);
  if (items) children.push([items, (path) => path.child('items')]);
  return children;
}
/** Formats that the server does not know, and therefore does not look at. */
export function unknownFormats(schema: JSONSchemaProps): string[] {
  const { type = '', format = '' } = schema;
  return [...(format === '' || isKnownFormat(type, format) ? [] : [format]), ...childrenOf(schema).flatMap(([child]) => unknownFormats(child))];
}
/** Whether a schema can be structural at all: no lists of items, no references. */
export function isReadable(schema: JSONSchemaProps): boolean {
  if (Array.isArray(schema.items) || schema.$ref !== undefined) return false;
  return childrenOf(schema).every(([child]) => isReadable(child));
}
