/** `fieldPath` of rules and `jsonPath` of selectable fields: fields and keys of a schema, `.spec.labels['a.b']`. */
import type { FieldPath } from '#machinery/field-errors.ts';
import { propertyOf, valuesOf, type Schema } from './schema.ts';

const STEP = /\.([^.[\]]+)|\['((?:[^'\\]|\\.)*)'\]/y;

/** The path below `base`; undefined where it does not fit the schema. */
export function resolveFieldPath(text: string, schema: Schema, base: FieldPath): FieldPath | undefined {
  let path = base;
  let current: Schema | undefined = schema;
  let at = 0;
  while (at < text.length) {
    STEP.lastIndex = at;
    const match = STEP.exec(text);
    if (!match || !current) return undefined;
    at = STEP.lastIndex;
    const name = match[1] ?? match[2]!.replace(/\\(.)/g, '$1');
    const named: boolean = current.properties !== undefined;
    current = named ? propertyOf(current, name) : valuesOf(current);
    if (!current) return undefined;
    path = named ? path.child(name) : path.key(name);
  }
  return text === '' ? undefined : path;
}
