/** The schema of a custom resource as OpenAPI documents show it. Source: the Kubernetes page on CustomResourceDefinitions, "Publish Validation Schema in OpenAPI". */
import { isObject } from './schema.ts';

type Json = Readonly<Record<string, unknown>>;
/** What OpenAPI v2 does not have. */
const NOT_IN_V2: ReadonlySet<string> = new Set(['anyOf', 'oneOf', 'not', 'allOf', 'nullable', 'x-kubernetes-validations', '$schema', 'id']);

function mapSchema(schema: Json, change: (schema: Json) => Json): Json {
  const nested = (value: unknown): unknown => (isObject(value) ? mapSchema(value, change) : value);
  const properties = schema['properties'];
  return change({
    ...schema,
    ...(isObject(properties) ? { properties: Object.fromEntries(Object.entries(properties).map(([name, property]) => [name, nested(property)])) } : {}),
    ...(schema['items'] === undefined ? {} : { items: nested(schema['items']) }),
    ...(schema['additionalProperties'] === undefined ? {} : { additionalProperties: nested(schema['additionalProperties']) }),
  });
}
/** v3 shows it as it is, and says of what may be an integer or a string that it is one of the two. */
export function publishedV3(schema: Json): Json {
  return mapSchema(schema, (s) => (s['x-kubernetes-int-or-string'] === true && s['anyOf'] === undefined && s['allOf'] === undefined ? { ...s, anyOf: [{ type: 'integer' }, { type: 'string' }] } : s));
}

/**
 * Without logical operators. Clients that validate by v2 must not refuse what the server takes, so what may be null or anything has no type there, and
 * where unknown fields are kept none are listed.
 */
export function publishedV2(schema: Json): Json {
  return mapSchema(schema, (s) => {
    const kept = Object.fromEntries(Object.entries(s).filter(([key]) => !NOT_IN_V2.has(key)));
    if (s['x-kubernetes-preserve-unknown-fields'] === true) return description(kept, { 'x-kubernetes-preserve-unknown-fields': true, ...(s['type'] === 'object' ? { type: 'object' } : {}) });
    if (s['x-kubernetes-int-or-string'] === true) return description(kept, { 'x-kubernetes-int-or-string': true });
    if (s['nullable'] === true) return description(kept, {});
    return kept;
  });
}
function description(schema: Json, rest: Json): Json {
  return typeof schema['description'] === 'string' ? { description: schema['description'], ...rest } : rest;
}
