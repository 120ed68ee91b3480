/**
 * An object as Go's encoder would print it back: structs that are no pointers are there even when empty (`status: {}`), zero values of
 * `omitempty` fields are not, required ones are, the schema's defaults are set, quantities and times are in canonical form.
 *
 * Two things differ from Go on purpose: a required list or map that is absent becomes `[]` or `{}` where Go prints null (as `object-text.ts` does), so
 * that readers need no check; and a time that is no pointer and absent becomes null, as Go prints it (`lastProbeTime: null`), although
 * its TypeScript type says `string | undefined`. `metadata.creationTimestamp` alone is left out then (`omitzero`).
 *
 * A closure per struct type is compiled on first use.
 */
import { structByKind, type Field, type StructType, type TypeRef } from '#api/schema.ts';
import { setOwn } from '#base/own.ts';
import { formatDuration, parseDuration } from './duration.ts';
import { canonicalQuantity } from './quantity.ts';
import { canonicalMicroTime, canonicalTime } from './time.ts';

type Normalise = (value: unknown) => unknown;

const same: Normalise = (value) => value;

function normaliserOf(ref: TypeRef): Normalise {
  switch (ref.kind) {
    case 'quantity': return (value) => canonicalQuantity(value as string | number);
    case 'time': return (value) => (value === null ? null : canonicalTime(value as string));
    case 'microTime': return (value) => (value === null ? null : canonicalMicroTime(value as string));
    case 'duration': return (value) => formatDuration(parseDuration(value as string));
    case 'list': return listNormaliser(ref.item);
    case 'map': return mapNormaliser(ref.value);
    case 'struct': return structNormaliser(ref.type);
    case 'any': return SCHEMA_UNION.test(ref.go) ? schemaUnion : same;
    default: return same;
  }
}

/** Go's names of what is a schema, a list of schemas or of names, or a bool. */
export const SCHEMA_UNION = /^JSONSchemaPropsOr/;
function schemaUnion(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  return Array.isArray(value) ? value.map(schemaUnion) : normalise(schemaProps(), value);
}
let props: StructType | undefined;
/** The type of a CustomResourceDefinition's schemas. */
export const schemaProps = (): StructType => (props ??= structByKind('apiextensions.k8s.io', 'v1', 'JSONSchemaProps')!);

function listNormaliser(item: TypeRef): Normalise {
  const each = normaliserOf(item);
  if (each === same) return same;
  // Not by pushing: a list that grows has room for 17, for as long as it is stored.
  return (value) => (value as readonly unknown[]).map((item) => each(item));
}
function mapNormaliser(item: TypeRef): Normalise {
  const each = normaliserOf(item);
  if (each === same) return same;
  return (value) => {
    const map = value as Readonly<Record<string, unknown>>;
    const out: Record<string, unknown> = {};
    for (const key in map) {
      const child = each(map[key]);
      setOwn(out, key, child);
    }
    return out;
  };
}

function isEmpty(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return value === '' || value === 0 || value === false || value === null;
  if (Array.isArray(value)) return value.length === 0;
  for (const key in value) if (Object.hasOwn(value, key)) return false;
  return true;
}

/** What Go prints for a field without a value; undefined: nothing. */
function absentValue(field: Field): unknown {
  const { type } = field;
  if (field.pointer) return undefined;
  switch (type.kind) {
    case 'struct': return structNormaliser(type.type)({});
    case 'quantity': return '0';
    case 'intOrString': return 0;
    case 'duration': return '0s';
    case 'time': case 'microTime': return field.name === 'creationTimestamp' ? undefined : null;
    case 'any': return type.go === 'interface{}' && field.omitEmpty ? undefined : null;
    default: return field.omitEmpty ? undefined : requiredZero(type);
  }
}
function requiredZero(type: TypeRef): unknown {
  switch (type.kind) {
    case 'bool': return false;
    case 'int': case 'float': return 0;
    case 'list': return [];
    case 'map': return {};
    default: return '';
  }
}

/** What becomes of one field of a struct. */
interface Plan {
  readonly name: string;
  /** The value to print for one that is there; undefined leaves the field out. */
  readonly present: Normalise;
  /** The value to print where there is none; undefined leaves the field out. */
  readonly absent: unknown;
  /** Makes {@link absent} afresh each time: structs, lists and maps belong to the object that they are in. */
  readonly makeAbsent: (() => unknown) | undefined;
}

function planOf(field: Field): Plan {
  const each = normaliserOf(field.type);
  const isStruct = field.type.kind === 'struct';
  const fallback = field.default;
  const hasDefault = fallback !== undefined && !(isEmpty(fallback) && !field.pointer);
  // Of the managed fields an empty list says something else than none: it asks to forget all managers.
  const dropsEmpty = field.name !== 'managedFields' && !field.pointer && field.omitEmpty && !isStruct && !['quantity', 'intOrString', 'duration', 'any'].includes(field.type.kind);
  const absent = hasDefault ? fallback : absentValue(field);
  const makeAbsent = !hasDefault && typeof absent === 'object' && absent !== null ? () => absentValue(field) : undefined;
  const empty = hasDefault && !field.pointer ? () => fallback : dropsEmpty ? () => absentValue(field) : undefined;
  const present: Normalise = empty ? (value) => (isEmpty(value) ? empty() : each(value)) : each;
  return { name: field.name, present, absent, makeAbsent };
}

const structs = new Map<StructType, Normalise>();
function structNormaliser(type: StructType): Normalise {
  const known = structs.get(type);
  if (known) return known;
  let plans: readonly Plan[] | undefined;
  const normaliser: Normalise = (value) => {
    plans ??= [...type.fields.values()].map(planOf);
    const object = value as Readonly<Record<string, unknown>>;
    const out: Record<string, unknown> = {};
    for (let i = 0; i < plans.length; i++) {
      const plan = plans[i]!;
      const given = object[plan.name];
      // Most fields of most objects are not there.
      const printed = given !== undefined && given !== null ? plan.present(given) : plan.makeAbsent ? plan.makeAbsent() : plan.absent;
      if (printed !== undefined) out[plan.name] = printed;
    }
    return out;
  };
  structs.set(type, normaliser);
  return normaliser;
}

/**
 * A new object of `type` in normal form. `object` must be one that {@link decodeInto} took without errors (or one of our own making);
 * parts that are already normal may be shared with it.
 */
export function normalise(type: StructType, object: unknown): Record<string, unknown> {
  return structNormaliser(type)(object) as Record<string, unknown>;
}
