/** `x-kubernetes-embedded-resource`: whole objects inside of an object. */
import { structByKind } from '#api/schema.ts';
import type { ObjectMeta } from '#api/gen/meta-v1.ts';
import { getOwn } from '#base/own.ts';
import { decodeInto, normalise } from '#machinery/decode.ts';
import { invalidValue, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1035Label } from '#machinery/names.ts';
import { nameIsPathSegment } from '#machinery/names.ts';
import { validateObjectMeta } from '#machinery/object-meta.ts';
import { isObject, itemsOf, propertyOf, valuesOf, type Json, type Schema } from './schema.ts';

export const OBJECT_META = structByKind('meta', 'v1', 'ObjectMeta')!;

/** Embedded objects below the root, which the registry checks itself. */
export function validateEmbedded(value: unknown, schema: Schema | undefined, path: FieldPath, isRoot = true): FieldError[] {
  if (!schema) return [];
  if (Array.isArray(value)) {
    const items = itemsOf(schema);
    return items ? value.flatMap((item, i) => validateEmbedded(item, items, path.index(i), false)) : [];
  }
  if (!isObject(value)) return [];
  const own = !isRoot && schema['x-kubernetes-embedded-resource'] ? validateObject(value, path) : [];
  const values = valuesOf(schema);
  return [...own, ...Object.entries(value).flatMap(([key, inner]) => {
    const property = propertyOf(schema, key);
    return property ? validateEmbedded(inner, property, path.child(key), false) : values ? validateEmbedded(inner, values, path.key(key), false) : [];
  })];
}
/**
 * Gives the metadata of embedded objects below the root the form of ObjectMeta, in place; returns the paths of what that does not have. Metadata that
 * cannot be decoded stays as it is, for validation to refuse.
 */
export function settleEmbedded(value: unknown, schema: Schema | undefined, path = '', isRoot = true): string[] {
  if (!schema) return [];
  if (Array.isArray(value)) return value.flatMap((item, i) => settleEmbedded(item, itemsOf(schema), `${path}[${i}]`, false));
  if (!isObject(value)) return [];
  const own = !isRoot && schema['x-kubernetes-embedded-resource'] ? settleMetadata(value, path) : [];
  const values = valuesOf(schema);
  return [...own, ...Object.entries(value).flatMap(([key, inner]) => settleEmbedded(inner, propertyOf(schema, key) ?? values, path === '' ? key : `${path}.${key}`, false))];
}
function settleMetadata(object: Json, path: string): string[] {
  const metadata = getOwn(object, 'metadata');
  if (metadata === undefined) return [];
  const { object: meta, unknown, errors } = decodeInto(OBJECT_META, metadata);
  if (errors.length) return [];
  object['metadata'] = normalise(OBJECT_META, meta);
  return unknown.map((field) => `${path}.metadata.${field}`);
}

function validateObject(object: Json, path: FieldPath): FieldError[] {
  const out: FieldError[] = [];
  const apiVersion = getOwn(object, 'apiVersion');
  if (apiVersion === undefined) out.push(required(path.child('apiVersion')));
  else if (typeof apiVersion !== 'string' || apiVersion === '' || apiVersion.split('/').length > 2) out.push(invalidValue(path.child('apiVersion'), apiVersion, apiVersion === '' ? 'must not be empty' : `unexpected GroupVersion string: ${String(apiVersion)}`));
  const kind = getOwn(object, 'kind');
  if (kind === undefined) out.push(required(path.child('kind')));
  else if (kind === '' || typeof kind !== 'string') out.push(invalidValue(path.child('kind'), kind, 'must not be empty'));
  else {
    const problems = isDNS1035Label(kind.toLowerCase());
    if (problems.length) out.push(invalidValue(path.child('kind'), kind, `may have mixed case, but should otherwise match: ${problems.join(',')}`));
  }
  const metadata = getOwn(object, 'metadata');
  if (metadata === undefined) return out;
  const { object: meta, errors } = decodeInto(OBJECT_META, metadata);
  if (errors.length) return [...out, invalidValue(path.child('metadata'), metadata, errors[0]!)];
  const checked = meta as unknown as ObjectMeta;
  if (!checked.name) return out;
  return [...out, ...validateObjectMeta(checked, Boolean(checked.namespace), nameIsPathSegment, path.child('metadata'))];
}
