/**
 * What the schema makes of an object before anybody looks at it: fields that it does not have are dropped, defaults are filled in. Both change the
 * object in place. Source: the Kubernetes page "Extend the Kubernetes API with CustomResourceDefinitions", field pruning and defaulting.
 */
import { draftOf } from '#base/draft.ts';
import { getOwn, setOwn } from '#base/own.ts';
import { isObject, itemsOf, META_FIELDS, propertyOf, valuesOf, type Json, type Schema } from './schema.ts';

export interface Pruned {
  /** Paths of what was dropped: `spec.foo`, `spec.list[0].bar`; sorted. */
  readonly unknown: readonly string[];
}

/** Drops what the schema does not have. `schema` is that of a whole object (`asRoot`) or of a part. */
export function prune(value: unknown, schema: Schema): Pruned {
  const unknown: string[] = [];
  pruneValue(value, schema, '', unknown);
  return { unknown: unknown.toSorted() };
}
const child = (path: string, key: string): string => (path === '' ? key : `${path}.${key}`);

function pruneValue(value: unknown, schema: Schema | undefined, path: string, unknown: string[]): void {
  const keeps = schema?.['x-kubernetes-preserve-unknown-fields'] === true;
  if (Array.isArray(value)) {
    for (const [i, item] of value.entries()) {
      if (keeps) skip(item, itemsOf(schema), `${path}[${i}]`, unknown);
      else pruneValue(item, itemsOf(schema), `${path}[${i}]`, unknown);
    }
  } else if (isObject(value)) pruneObject(value, schema, keeps, path, unknown);
}
/** Below a part that keeps everything only what is specified is pruned again. */
function skip(value: unknown, schema: Schema | undefined, path: string, unknown: string[]): void {
  if (!schema) return;
  if (Array.isArray(value)) for (const [i, item] of value.entries()) skip(item, itemsOf(schema), `${path}[${i}]`, unknown);
  else if (isObject(value)) pruneObject(value, schema, true, path, unknown);
}
function pruneObject(object: Json, schema: Schema | undefined, keeps: boolean, path: string, unknown: string[]): void {
  const embedded = schema?.['x-kubernetes-embedded-resource'] === true;
  for (const key of Object.keys(object)) {
    if (embedded && META_FIELDS.has(key)) continue;
    const property = propertyOf(schema, key);
    if (property) pruneValue(object[key], property, child(path, key), unknown);
    else if (schema?.additionalProperties !== undefined && schema.additionalProperties !== false) {
      // `additionalProperties: true` has no schema: below it nothing is known.
      if (schema.additionalProperties !== true || !keeps) pruneValue(object[key], valuesOf(schema), child(path, key), unknown);
    } else if (!keeps) {
      unknown.push(child(path, key));
      delete object[key];
    }
  }
}

const isBareNull = (value: unknown, schema: Schema | undefined): boolean => value === null && schema !== undefined && schema.nullable !== true;

/** Fills in defaults; a null where none may be counts as absent. */
export function applyDefaults(value: unknown, schema: Schema | undefined): void {
  if (!schema) return;
  if (Array.isArray(value)) {
    const items = itemsOf(schema);
    for (let i = 0; i < value.length; i++) {
      if (isBareNull(value[i], items) && items!.default !== undefined) value[i] = draftOf(items!.default);
      applyDefaults(value[i], items);
    }
    return;
  }
  if (!isObject(value)) return;
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    if (property.default === undefined) continue;
    const present = getOwn(value, name);
    if (present === undefined || isBareNull(present, property)) setOwn(value, name, draftOf(property.default));
  }
  const values = valuesOf(schema);
  for (const key of Object.keys(value)) {
    const property = propertyOf(schema, key);
    if (!property && values && isBareNull(value[key], values) && values.default !== undefined) setOwn(value, key, draftOf(values.default));
    applyDefaults(value[key], property ?? values);
  }
}
/** Drops nulls of fields that may not be null and have no default. */
export function dropNulls(value: unknown, schema: Schema | undefined): void {
  if (Array.isArray(value)) for (const item of value) dropNulls(item, itemsOf(schema));
  else if (isObject(value)) {
    for (const key of Object.keys(value)) {
      const field = propertyOf(schema, key) ?? valuesOf(schema);
      if (value[key] === null && field && field.nullable !== true && field.default === undefined) delete value[key];
      else dropNulls(value[key], field);
    }
  }
}
/** Whether anything in the schema has a default. */
export function hasDefaults(schema: Schema | undefined): boolean {
  if (!schema) return false;
  if (schema.default !== undefined) return true;
  return hasDefaults(itemsOf(schema)) || hasDefaults(valuesOf(schema)) || Object.values(schema.properties ?? {}).some(hasDefaults);
}
