/** {@link ApplySchema} of custom resources, from the structural schema of their definition. */
import { mapOf, scalarSchema, UNTYPED, type ApplySchema, type ListSchema, type MapSchema } from './schema.ts';

/** The part of apiextensions/v1 JSONSchemaProps that apply reads. */
export interface StructuralSchema {
  readonly type?: string | undefined;
  readonly properties?: Readonly<Record<string, StructuralSchema>> | undefined;
  /** `true` counts as any value; `false` as none. */
  readonly additionalProperties?: StructuralSchema | boolean | undefined;
  readonly items?: StructuralSchema | undefined;
  readonly default?: unknown;
  readonly 'x-kubernetes-list-type'?: string | undefined;
  readonly 'x-kubernetes-list-map-keys'?: readonly string[] | undefined;
  readonly 'x-kubernetes-map-type'?: string | undefined;
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean | undefined;
  readonly 'x-kubernetes-int-or-string'?: boolean | undefined;
  readonly 'x-kubernetes-embedded-resource'?: boolean | undefined;
}

/**
 * The schema of a custom resource's objects: `root` is the definition's `openAPIV3Schema` (undefined: nothing is known),
 * `metadata` that of ObjectMeta.
 */
export function customResourceSchema(root: StructuralSchema | undefined, metadata: ApplySchema): ApplySchema {
  const schema = root ? structuralSchema(root) : UNTYPED;
  const known = schema.kind === 'map' ? schema : mapOf(UNTYPED);
  return { ...known, atomic: false, fields: withTypeMeta(known.fields, metadata) };
}

const STRING = scalarSchema('string');
const SCALARS: Readonly<Record<string, ApplySchema>> = { string: STRING, integer: scalarSchema('numeric'), number: scalarSchema('numeric'), boolean: scalarSchema('boolean') };

function withTypeMeta(fields: ReadonlyMap<string, ApplySchema>, metadata: ApplySchema): ReadonlyMap<string, ApplySchema> {
  return new Map([...fields, ['apiVersion', STRING], ['kind', STRING], ['metadata', metadata]]);
}

function structuralSchema(props: StructuralSchema): ApplySchema {
  if (props['x-kubernetes-int-or-string']) return scalarSchema('untyped');
  if (props.type === 'array' && props.items) return listSchema(props, props.items);
  if (props.type === 'object' || props.properties || props.additionalProperties) return mapSchema(props);
  return SCALARS[props.type ?? ''] ?? UNTYPED;
}

function mapSchema(props: StructuralSchema): MapSchema {
  const { additionalProperties: more } = props;
  const open = props['x-kubernetes-preserve-unknown-fields'] || more === true || props['x-kubernetes-embedded-resource'];
  const fields = new Map(Object.entries(props.properties ?? {}).map(([name, inner]) => [name, structuralSchema(inner)]));
  const element = typeof more === 'object' ? structuralSchema(more) : open || fields.size === 0 ? UNTYPED : undefined;
  return { kind: 'map', atomic: props['x-kubernetes-map-type'] === 'atomic', fields, element };
}

function listSchema(props: StructuralSchema, items: StructuralSchema): ListSchema {
  const listType = props['x-kubernetes-list-type'];
  const keys = (props['x-kubernetes-list-map-keys'] ?? []).toSorted();
  const keyDefaults: Record<string, unknown> = {};
  for (const key of keys) {
    const dflt = items.properties?.[key]?.default;
    if (dflt !== undefined) keyDefaults[key] = dflt;
  }
  return { kind: 'list', relationship: listType === 'set' || listType === 'map' ? listType : 'atomic', keys, keyDefaults, element: structuralSchema(items) };
}
