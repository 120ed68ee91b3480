/** The schema of a custom resource as OpenAPI documents show it. Source: the Kubernetes page on CustomResourceDefinitions, "Publish Validation Schema in OpenAPI". */
import { isObject } from './schema.ts';

type Json = Readonly<Record<string, unknown>>;
/** What OpenAPI v2 does not have. */
const NOT_IN_V2: ReadonlySet<string> = new Set(['anyOf', 'oneOf', 'not', 'allOf', 'nullable', 'default', 'x-kubernetes-validations', '$schema', 'id']);

function mapSchema(schema: Json, change: (schema: Json, original: Json) => Json): Json {
  const nested = (value: unknown): unknown => (isObject(value) ? mapSchema(value, change) : value);
  const properties = schema['properties'];
  return change({
    ...schema,
    ...(isObject(properties) ? { properties: Object.fromEntries(Object.entries(properties).map(([name, property]) => [name, nested(property)])) } : {}),
    ...(schema['items'] === undefined ? {} : { items: nested(schema['items']) }),
    ...(schema['additionalProperties'] === undefined ? {} : { additionalProperties: nested(schema['additionalProperties']) }),
  }, schema);
}
/** v3 shows it as it is, and says of what may be an integer or a string that it is one of the two. */
export function publishedV3(schema: Json): Json {
  return mapSchema(schema, (s) => (s['x-kubernetes-int-or-string'] === true && s['anyOf'] === undefined && s['allOf'] === undefined ? { ...s, anyOf: [{ type: 'integer' }, { type: 'string' }] } : s));
}

/**
 * Without logical operators and defaults. Clients that validate by v2 must not refuse what the server takes, so what may be null or anything has no type
 * there and is not required, and where unknown fields are kept none are listed.
 */
export function publishedV2(schema: Json): Json {
  return mapSchema(schema, (s, original) => {
    const mayBeNull = isNullable(s);
    const isOpen = s['x-kubernetes-preserve-unknown-fields'] === true;
    const { type, items, properties, required, ...rest } = Object.fromEntries(Object.entries(s).filter(([key]) => !NOT_IN_V2.has(key)));
    const listed = mayBeNull || isOpen ? {} : { ...(items === undefined ? {} : { items }), ...(properties === undefined ? {} : { properties }) };
    const untyped = type === undefined || mayBeNull || (type === 'array' && !('items' in listed)) || (type === 'object' && isOpen);
    const needed = requiredInV2(required, 'properties' in listed ? original['properties'] : {}, original['additionalProperties']);
    return { ...rest, ...listed, ...(untyped ? {} : { type }), ...(needed.length ? { required: needed } : {}) };
  });
}
/** The required properties that may not be null. */
function requiredInV2(required: unknown, properties: unknown, values: unknown): readonly string[] {
  if (!Array.isArray(required) || isNullable(values)) return [];
  return (required as readonly string[]).filter((name) => !(isObject(properties) && isNullable(properties[name])));
}
const isNullable = (schema: unknown): boolean => isObject(schema) && schema['nullable'] === true;
