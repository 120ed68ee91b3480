/** What strategic merge patch knows of a type: the patch strategy and merge key of each field (Go struct tags in the facts). */
import type { Field, StructType, TypeRef } from '#api/schema.ts';
import { badRequest } from '../status-error.ts';

export interface FieldPatchMeta {
  /** The type of the field's value, or of the list's items for {@link listMeta}. */
  readonly type: TypeRef;
  /** `merge`, `replace`, or '' where the tags say nothing. */
  readonly strategy: string;
  readonly retainKeys: boolean;
  /** '' where there is none. */
  readonly mergeKey: string;
}

/** Kinds of wire types as Go's reflection names them in messages. */
const GO_KINDS: Readonly<Record<TypeRef['kind'], string>> = {
  string: 'string', bool: 'bool', int: 'int32', float: 'float64', bytes: 'slice', quantity: 'struct', time: 'struct', microTime: 'struct',
  duration: 'struct', intOrString: 'struct', any: 'struct', struct: 'struct', list: 'slice', map: 'map',
};

export function structRef(type: StructType): TypeRef {
  return { kind: 'struct', type };
}

/** The patch facts of a field that holds an object. Throws upstream's 500 for a field that the type does not have. */
export function fieldMeta(owner: TypeRef, key: string): FieldPatchMeta {
  if (owner.kind !== 'struct') {
    if (GO_KINDS[owner.kind] === 'struct') throw notFound('go' in owner ? owner.go : owner.kind, key);
    throw badRequest(`merging an object in json but data type is not struct, instead is: ${GO_KINDS[owner.kind]}`);
  }
  const field = owner.type.fields.get(key) ?? fieldIgnoringCase(owner.type, key);
  if (!field) throw notFound(owner.type.goName, key);
  return { type: field.type, ...strategyOf(field), mergeKey: field.patchMergeKey ?? '' };
}

/** The same for a field that holds a list: the type is that of its items. */
export function listMeta(owner: TypeRef, key: string): FieldPatchMeta {
  const meta = fieldMeta(owner, key);
  if (meta.type.kind === 'bytes') return { ...meta, type: { kind: 'int', bits: 32 } };
  if (meta.type.kind !== 'list') throw badRequest(`expected slice or array type, but got: ${GO_KINDS[meta.type.kind]}`);
  if (meta.type.item.kind === 'list') throw badRequest('unexpected slice of slice');
  return { ...meta, type: meta.type.item };
}

export function typeName(type: TypeRef): string {
  if (type.kind === 'struct') return type.type.goName;
  return type.kind === 'any' ? type.go : GO_KINDS[type.kind];
}

function fieldIgnoringCase(type: StructType, key: string): Field | undefined {
  const lower = key.toLowerCase();
  for (const field of type.fields.values()) if (field.name.toLowerCase() === lower) return field;
  return undefined;
}

function strategyOf(field: Field): { strategy: string; retainKeys: boolean } {
  const all = field.patchStrategy ?? [];
  return { strategy: all.find((s) => s !== 'retainKeys') ?? '', retainKeys: all.includes('retainKeys') };
}

function notFound(goName: string, key: string) {
  return badRequest(`unable to find api field in struct ${goName} for the json field ${JSON.stringify(key)}`);
}
