/**
 * What server-side apply must know of a type: which parts merge and which are replaced whole. Built-in types
 * (`struct-schema.ts`) and custom resources (`structural-schema.ts`) give it the same way.
 * Source: KEP-555, "Topology markers" (list-type, list-map-key, map-type, struct-type).
 */

export interface ScalarSchema {
  readonly kind: 'scalar';
  /** `untyped`: any scalar (quantities, times, int-or-string). */
  readonly scalar: 'string' | 'numeric' | 'boolean' | 'untyped';
}
/** A struct, a map, or both: fields by name, and the type of what else there may be. */
export interface MapSchema {
  readonly kind: 'map';
  /** Owned and replaced as a whole. */
  readonly atomic: boolean;
  readonly fields: ReadonlyMap<string, ApplySchema>;
  /** The type of keys that are no fields; undefined: there may be none. */
  readonly element: ApplySchema | undefined;
}
export interface ListSchema {
  readonly kind: 'list';
  /** `atomic`: owned and replaced as a whole; `set`: scalars, each by its value; `map`: objects, each by its {@link keys}. */
  readonly relationship: 'atomic' | 'set' | 'map';
  /** For `map`: the names of the fields that tell items apart, sorted. */
  readonly keys: readonly string[];
  /** Defaults of the keys that have one: an item without `protocol` is the one with `TCP`. */
  readonly keyDefaults: Readonly<Record<string, unknown>>;
  readonly element: ApplySchema;
}
/** Any JSON: objects merge by key, lists and scalars are replaced. */
export interface UntypedSchema {
  readonly kind: 'untyped';
}
export type ApplySchema = ScalarSchema | MapSchema | ListSchema | UntypedSchema;

const NO_FIELDS: ReadonlyMap<string, ApplySchema> = new Map();
export const UNTYPED: UntypedSchema = { kind: 'untyped' };
const UNTYPED_SCALAR: ScalarSchema = { kind: 'scalar', scalar: 'untyped' };
const UNTYPED_MAP: MapSchema = { kind: 'map', atomic: false, fields: NO_FIELDS, element: UNTYPED };
const UNTYPED_LIST: ListSchema = { kind: 'list', relationship: 'atomic', keys: [], keyDefaults: {}, element: UNTYPED };

export function scalarSchema(scalar: ScalarSchema['scalar']): ScalarSchema {
  return { kind: 'scalar', scalar };
}
export function mapOf(element: ApplySchema, atomic = false): MapSchema {
  return { kind: 'map', atomic, fields: NO_FIELDS, element };
}

/** The schema that applies to a value: an untyped one takes the shape of the value, as a map where there is none. */
export function schemaFor(schema: ApplySchema, value: unknown): ScalarSchema | MapSchema | ListSchema {
  if (schema.kind !== 'untyped') return schema;
  if (value === null || value === undefined) return UNTYPED_MAP;
  if (typeof value !== 'object') return UNTYPED_SCALAR;
  return Array.isArray(value) ? UNTYPED_LIST : UNTYPED_MAP;
}

/** The schema of a key of an object. Keys that the schema does not have count as untyped. */
export function childSchema(schema: MapSchema, key: string): ApplySchema {
  return schema.fields.get(key) ?? schema.element ?? UNTYPED;
}
