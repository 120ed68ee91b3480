/** `x-kubernetes-list-type`: items of sets and map lists must differ. */
import { duplicate, invalidValue, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { mapKeysOf } from './correlation.ts';
import { isObject, itemsOf, propertyOf, valuesOf, type Schema } from './schema.ts';

export function validateListTypes(value: unknown, schema: Schema | undefined, path: FieldPath): FieldError[] {
  if (!schema) return [];
  if (Array.isArray(value)) {
    const items = itemsOf(schema);
    return [...validateList(value, schema, path), ...(items ? value.flatMap((item, i) => validateListTypes(item, items, path.index(i))) : [])];
  }
  if (!isObject(value)) return [];
  const values = valuesOf(schema);
  return Object.entries(value).flatMap(([key, inner]) => {
    const property = propertyOf(schema, key);
    return property ? validateListTypes(inner, property, path.child(key)) : values ? validateListTypes(inner, values, path.key(key)) : [];
  });
}
function validateList(list: readonly unknown[], schema: Schema, path: FieldPath): FieldError[] {
  if (schema['x-kubernetes-list-type'] === 'set') return repeats(list).map((i) => duplicate(path.index(i), list[i]));
  const keys = mapKeysOf(schema);
  if (!keys) return [];
  const odd = list.findIndex((item) => item !== null && !isObject(item));
  if (odd >= 0) return [invalidValue(path.index(odd), list[odd], 'must be an object for an array of list-type map')];
  const ids = list.map((item) => Object.fromEntries(keys.filter((key) => isObject(item) && Object.hasOwn(item, key)).map((key) => [key, (item as Record<string, unknown>)[key]])));
  return repeats(ids).map((i) => duplicate(path.index(i), ids[i]));
}
/** The second appearance of each value that comes more than once. */
function repeats(values: readonly unknown[]): number[] {
  const seen = new Map<string, number>();
  const out: number[] = [];
  for (const [i, value] of values.entries()) {
    const id = JSON.stringify(value);
    const times = (seen.get(id) ?? 0) + 1;
    seen.set(id, times);
    if (times === 2) out.push(i);
  }
  return out;
}
