/** The kinds of the API as types of CEL expressions. */
import { structByKind, type StructType, type TypeRef } from '#api/schema.ts';
import { declare } from '#apiserver/extensions/cel-schema.ts';
import type { Schema } from '#apiserver/extensions/schema.ts';
import { BOOL, BYTES, DOUBLE, DYN, INT, listOf, mapOf, objectType, STRING, TIMESTAMP, type CelType } from '#cel/types.ts';

const ROOT = { apiVersion: STRING, kind: STRING };
/** Types whose fields lead back to themselves are cut there: `within` are those under way. */
function structType(type: StructType, within: ReadonlySet<StructType>, known: Map<StructType, CelType>): CelType {
  const done = known.get(type);
  if (done) return done;
  if (within.has(type)) return DYN;
  const inner = new Set(within).add(type);
  const fields = Object.fromEntries(Array.from(type.fields.values(), (f) => [f.name, celType(f.type, inner, known)]));
  const made = objectType(type.name, within.size === 0 ? { ...ROOT, ...fields } : fields);
  known.set(type, made);
  return made;
}
function celType(type: TypeRef, within: ReadonlySet<StructType>, known: Map<StructType, CelType>): CelType {
  switch (type.kind) {
    case 'string':
    case 'duration':
      return STRING;
    case 'bool':
      return BOOL;
    case 'int':
      return INT;
    case 'float':
      return DOUBLE;
    case 'bytes':
      return BYTES;
    case 'time':
    case 'microTime':
      return TIMESTAMP;
    case 'list':
      return listOf(celType(type.item, within, known));
    case 'map':
      return mapOf(STRING, celType(type.value, within, known));
    case 'struct':
      return structType(type.type, within, known);
    default:
      // Quantities and ports may be written as numbers or texts; anything may stand in the rest.
      return DYN;
  }
}
/** The type of whole objects of a kind. */
export function kindType(type: StructType): CelType {
  return structType(type, new Set(), new Map());
}
/** `metadata` is the same in every kind. */
function metadataType(): CelType {
  const any = kindType(structByKind('', 'v1', 'ConfigMap')!);
  return any.kind === 'object' ? any.fields.get('metadata')!.type : DYN;
}
/** The type of whole objects of a custom kind. `schema` says nothing of what every object has, as it is published. */
export function customKindType(schema: Schema, kind: string): CelType {
  const own = declare(schema, false)?.type;
  if (own?.kind !== 'object') return DYN;
  const given = Object.entries({ ...ROOT, metadata: metadataType() }).map(([name, type]) => [name, { jsonName: name, type }] as const);
  return { kind: 'object', name: kind, fields: new Map([...own.fields, ...given]), open: schema['x-kubernetes-preserve-unknown-fields'] === true };
}
