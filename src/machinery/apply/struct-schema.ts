/** {@link ApplySchema} of the built-in types, from the table of facts; and what Go encodes for an empty struct. */
import type { Field, StructType, TypeRef } from '#api/schema.ts';
import { setOwn } from '#base/own.ts';
import { type JsonDraft, type JsonObject } from '../patch/json.ts';
import { mapOf, scalarSchema, UNTYPED, type ApplySchema, type ListSchema, type MapSchema } from './schema.ts';

const STRING = scalarSchema('string');
const NUMERIC = scalarSchema('numeric');
const BOOLEAN = scalarSchema('boolean');
const ANY_SCALAR = scalarSchema('untyped');

const schemas = new WeakMap<StructType, { readonly atomic: MapSchema; readonly granular: MapSchema }>();

/** The schema of a struct. Fields are resolved on first use, so recursive types are fine. */
export function structSchema(type: StructType): MapSchema {
  return structVariant(type, type.atomic);
}

function structVariant(type: StructType, atomic: boolean): MapSchema {
  let both = schemas.get(type);
  if (!both) {
    let resolved: ReadonlyMap<string, ApplySchema> | undefined;
    const fields = () => (resolved ??= new Map([...type.fields.values()].map((f) => [f.name, fieldSchema(f)])));
    const variant = (isAtomic: boolean): MapSchema => ({ kind: 'map', atomic: isAtomic, element: undefined, get fields() { return fields(); } });
    both = { atomic: variant(true), granular: variant(false) };
    schemas.set(type, both);
  }
  return atomic ? both.atomic : both.granular;
}

function fieldSchema(field: Field): ApplySchema {
  const { type } = field;
  if (type.kind === 'list') return listSchema(field, type.item);
  if (type.kind === 'map') return mapOf(schemaOf(type.value), field.mapType === 'atomic');
  if (type.kind === 'struct' && field.structType !== undefined) return structVariant(type.type, field.structType === 'atomic');
  return schemaOf(type);
}

function listSchema(field: Field, item: TypeRef): ListSchema {
  const keys = field.listMapKeys?.toSorted() ?? [];
  const keyDefaults: Record<string, unknown> = {};
  if (item.kind === 'struct') {
    for (const key of keys) {
      const field = item.type.fields.get(key);
      // A key that is always printed has its zero value where it is left out.
      const dflt = field && (field.default ?? zeroField(field));
      if (dflt !== undefined && dflt !== null) keyDefaults[key] = dflt;
    }
  }
  let element: ApplySchema | undefined;
  return { kind: 'list', relationship: field.listType ?? 'atomic', keys, keyDefaults, get element() { return (element ??= schemaOf(item)); } };
}

function schemaOf(type: TypeRef): ApplySchema {
  switch (type.kind) {
    case 'string':
    case 'bytes':
      return STRING;
    case 'int':
    case 'float':
      return NUMERIC;
    case 'bool':
      return BOOLEAN;
    case 'struct':
      return structSchema(type.type);
    case 'map':
      return mapOf(schemaOf(type.value));
    case 'list':
      return { kind: 'list', relationship: 'atomic', keys: [], keyDefaults: {}, element: schemaOf(type.item) };
    case 'any':
      // A raw extension is somebody else's object: owned as a whole.
      return type.go === 'RawExtension' ? mapOf(UNTYPED, true) : UNTYPED;
    default:
      return ANY_SCALAR;
  }
}

const zeroes = new WeakMap<StructType, JsonObject>();

/**
 * What Go's encoder writes for an empty struct: `{}` for structs that are no pointers, and the zero value of fields
 * without `omitempty`. A new object's creator does not own what this holds already. Frozen.
 */
export function zeroObject(type: StructType): JsonObject {
  const known = zeroes.get(type);
  if (known) return known;
  const out: JsonDraft = {};
  for (const field of type.fields.values()) {
    const value = zeroField(field);
    if (value !== undefined) setOwn(out, field.name, value);
  }
  zeroes.set(type, Object.freeze(out));
  return out;
}

function zeroField(field: Field): unknown {
  if (field.pointer) return undefined;
  if (field.type.kind === 'struct') return zeroObject(field.type.type);
  if (field.omitEmpty) return undefined;
  switch (field.type.kind) {
    case 'string':
    case 'duration':
      return field.type.kind === 'string' ? '' : '0s';
    case 'quantity':
      return '0';
    case 'bool':
      return false;
    case 'int':
    case 'float':
    case 'intOrString':
      return 0;
    default:
      return null;
  }
}
