/**
 * OpenAPI schemas of the types of the schema graph, with the `x-kubernetes-…` extensions. One builder serves both dialects:
 * v2 (`#/definitions/…`) and v3 (`#/components/schemas/…`, with defaults and unions of scalars).
 * Source: the API reference, "OpenAPI"; extensions as kube-openapi defines them.
 */
import { splitApiVersion } from '#api/object.ts';
import { ALL_RESOURCES } from '#api/resources.ts';
import { structByFactsName, structByKind, type Field, type StructType, type TypeRef } from '#api/schema.ts';

export type Json = Readonly<Record<string, unknown>>;
export interface GroupVersionKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}
export type Dialect = 'v2' | 'v3';

/** Texts for `kubectl explain`: of a type, or of one of its fields. Undefined where there is none. */
export type Describe = (type: StructType, field?: string) => string | undefined;

const CONVENTIONS = 'https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md';
/** What every kind has, in the words of the API reference. */
const TYPE_META: Readonly<Record<string, string>> = {
  apiVersion: `APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: ${CONVENTIONS}#resources`,
  kind: `Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: ${CONVENTIONS}#types-kinds`,
};
/** The same of an object within another. */
const EMBEDDED_META: Readonly<Record<string, string>> = {
  apiVersion: `apiVersion defines the versioned schema of this representation of an object. More info: ${CONVENTIONS}#resources`,
  kind: `kind is a string value representing the type of this object. In CamelCase. More info: ${CONVENTIONS}#types-kinds`,
};
const METADATA = `Standard object's metadata. More info: ${CONVENTIONS}#metadata`;
const LIST_METADATA = `Standard list metadata. More info: ${CONVENTIONS}#types-kinds`;

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1';
const EXTENSIONS = 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1';
/** Names of the schemas that are no structs of the graph. */
const SPECIAL_NAMES: Readonly<Record<string, string>> = {
  quantity: 'io.k8s.apimachinery.pkg.api.resource.Quantity', time: `${META}.Time`, microTime: `${META}.MicroTime`, duration: `${META}.Duration`, intOrString: 'io.k8s.apimachinery.pkg.util.intstr.IntOrString',
  RawExtension: 'io.k8s.apimachinery.pkg.runtime.RawExtension', FieldsV1: `${META}.FieldsV1`,
};

function specialSchema(name: string, dialect: Dialect): Json {
  switch (name.slice(name.lastIndexOf('.') + 1)) {
    case 'Quantity': return dialect === 'v2' ? { type: 'string' } : { oneOf: [{ type: 'string' }, { type: 'number' }] };
    case 'IntOrString': return dialect === 'v2' ? { type: 'string', format: 'int-or-string' } : { format: 'int-or-string', oneOf: [{ type: 'integer' }, { type: 'string' }] };
    case 'Time': case 'MicroTime': return { type: 'string', format: 'date-time' };
    case 'Duration': return { type: 'string' };
    case 'RawExtension': case 'FieldsV1': case 'CustomResourceSubresourceStatus': return { type: 'object' };
    default: return {}; // any JSON: JSON, JSONSchemaPropsOr…
  }
}

/** Builds schemas on demand and remembers which were asked for. */
export class DefinitionSet {
  readonly #dialect: Dialect;
  readonly #describe: Describe;
  readonly #definitions = new Map<string, Json>();

  constructor(dialect: Dialect, describe: Describe = () => undefined) {
    this.#dialect = dialect;
    this.#describe = describe;
  }

  /** All schemas so far, sorted by name. */
  all(): Record<string, Json> {
    return Object.fromEntries([...this.#definitions].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }
  /** Adds a schema that is not of the graph: a custom resource's. */
  add(name: string, schema: Json): { $ref: string } {
    this.#definitions.set(name, schema);
    return this.refTo(name);
  }
  refTo(name: string): { $ref: string } {
    return { $ref: this.#dialect === 'v2' ? `#/definitions/${name}` : `#/components/schemas/${name}` };
  }

  /** A reference to a struct's schema, which is built with all that it needs. */
  struct(type: StructType): { $ref: string } {
    if (!this.#definitions.has(type.name)) {
      this.#definitions.set(type.name, {}); // schemas may contain themselves
      this.#definitions.set(type.name, this.#structSchema(type));
    }
    return this.refTo(type.name);
  }
  #special(name: string): { $ref: string } {
    if (!this.#definitions.has(name)) this.#definitions.set(name, specialSchema(name, this.#dialect));
    return this.refTo(name);
  }

  /** What `/version` answers: a type outside the API's groups. */
  version(): { $ref: string } {
    const string = { type: 'string', ...(this.#dialect === 'v3' ? { default: '' } : {}) };
    const always = ['major', 'minor', 'gitVersion', 'gitCommit', 'gitTreeState', 'buildDate', 'goVersion', 'compiler', 'platform'];
    const sometimes = ['emulationMajor', 'emulationMinor', 'minCompatibilityMajor', 'minCompatibilityMinor'];
    const properties = Object.fromEntries([...always.map((name): [string, Json] => [name, string]), ...sometimes.map((name): [string, Json] => [name, { type: 'string' }])]);
    return this.add('io.k8s.apimachinery.pkg.version.Info', { properties, required: always, type: 'object' });
  }

  #structSchema(type: StructType): Json {
    const properties: Record<string, Json> = {};
    const required: string[] = [];
    for (const field of [...type.fields.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      properties[field.name] = this.#property(type, field);
    }
    for (const field of type.fields.values()) if (field.required) required.push(field.name);
    const description = this.#describe(type);
    const kinds = kindsOf(type);
    return {
      ...(description === undefined ? {} : { description }),
      ...(type.fields.size ? { properties } : {}),
      ...(required.length ? { required } : {}),
      type: 'object',
      ...(kinds.length ? { 'x-kubernetes-group-version-kind': kinds } : {}),
      ...(type.atomic ? { 'x-kubernetes-map-type': 'atomic' } : {}),
      ...(type.union ? { 'x-kubernetes-unions': [type.union] } : {}),
    };
  }

  #property(owner: StructType, field: Field): Json {
    const description = this.#describe(owner, field.name) ?? (kindsOf(owner).length ? textOfKindsField(field) : undefined);
    const fallback = field.default ?? zeroOf(field);
    return this.#with(this.#schemaOf(field.type), {
      ...(description === undefined ? {} : { description }),
      ...(this.#dialect === 'v3' && fallback !== undefined ? { default: fallback } : {}),
      ...fieldExtensions(field),
    });
  }
  /** In v3 nothing may stand beside a reference. */
  #with(schema: Json, extras: Json): Json {
    if (this.#dialect === 'v3' && '$ref' in schema && Object.keys(extras).length) return { ...extras, allOf: [schema] };
    return { ...schema, ...extras };
  }

  /** `apiVersion`, `kind` and `metadata` of a custom resource, of an object within one, or of a list. */
  objectProperties(of: 'kind' | 'embedded' | 'list'): Record<'apiVersion' | 'kind' | 'metadata', Json> {
    const texts = of === 'embedded' ? EMBEDDED_META : TYPE_META;
    const meta = this.struct(metaType(of === 'list' ? 'ListMeta' : 'ObjectMeta'));
    return {
      apiVersion: { description: texts['apiVersion'], type: 'string' }, kind: { description: texts['kind'], type: 'string' },
      metadata: this.#with(meta, { description: of === 'list' ? LIST_METADATA : METADATA }),
    };
  }

  #schemaOf(ref: TypeRef): Json {
    switch (ref.kind) {
      case 'string': return ref.isEnum && ref.values?.length ? { type: 'string', enum: ref.values.toSorted() } : { type: 'string' };
      case 'bool': return { type: 'boolean' };
      case 'int': return { type: 'integer', format: `int${ref.bits}` };
      case 'float': return { type: 'number', format: 'double' };
      case 'bytes': return { type: 'string', format: 'byte' };
      case 'list': return { type: 'array', items: this.#schemaOf(ref.item) };
      case 'map': return { type: 'object', additionalProperties: this.#schemaOf(ref.value) };
      case 'struct': return this.struct(ref.type);
      case 'any': return ref.go === 'interface{}' ? { type: 'object' } : this.#special(SPECIAL_NAMES[ref.go] ?? `${EXTENSIONS}.${ref.go}`);
      default: return this.#special(SPECIAL_NAMES[ref.kind]!);
    }
  }
}

/** The text of a field that all kinds have: the installed client has none for `metadata`. */
function textOfKindsField({ name, type }: Field): string | undefined {
  if (name !== 'metadata' || type.kind !== 'struct') return TYPE_META[name];
  return type.type.goName === 'ListMeta' ? LIST_METADATA : METADATA;
}

/** The default of a field that is never null: an empty struct, or the zero value of a scalar that is always written. */
function zeroOf({ type, pointer, omitEmpty }: Field): unknown {
  if (pointer) return undefined;
  if (type.kind === 'struct') return {};
  if (omitEmpty) return undefined;
  switch (type.kind) {
    case 'string': return '';
    case 'bool': return false;
    case 'int': case 'float': return 0;
    default: return undefined;
  }
}

function fieldExtensions(field: Field): Json {
  return {
    ...(field.listMapKeys ? { 'x-kubernetes-list-map-keys': field.listMapKeys } : {}),
    ...(field.listType ? { 'x-kubernetes-list-type': field.listType } : {}),
    ...(field.mapType ? { 'x-kubernetes-map-type': field.mapType } : {}),
    ...(field.patchMergeKey ? { 'x-kubernetes-patch-merge-key': field.patchMergeKey } : {}),
    ...(field.patchStrategy ? { 'x-kubernetes-patch-strategy': field.patchStrategy.join(',') } : {}),
  };
}

/** Kinds that every group has as well as its own. */
const EVERYWHERE = new Set(['DeleteOptions', 'WatchEvent']);
const CORE_META = new Set(['APIGroup', 'APIGroupList', 'APIResourceList', 'APIVersions', 'Status']);
let kinds: ReadonlyMap<string, readonly GroupVersionKind[]> | undefined;

/** The kinds that a type is served as. */
export function kindsOf(type: StructType): readonly GroupVersionKind[] {
  kinds ??= tableOfKinds();
  return kinds.get(type.name) ?? [];
}
function tableOfKinds(): ReadonlyMap<string, readonly GroupVersionKind[]> {
  const out = new Map<string, GroupVersionKind[]>();
  const add = (group: string, version: string, kind: string): void => {
    const type = structByKind(group, version, kind);
    if (!type || (!type.fields.has('kind') && !EVERYWHERE.has(kind))) return;
    const list = out.get(type.name) ?? [];
    if (!list.some((k) => k.group === group && k.version === version)) list.push({ group, version, kind });
    out.set(type.name, list);
  };
  for (const { group, version, kind, listKind, verbs, subresources } of ALL_RESOURCES) {
    add(group, version, kind);
    if (verbs.includes('list')) add(group, version, listKind);
    for (const sub of subresources) if (!sub.kind.endsWith('Options')) add(sub.group ?? group, sub.version ?? version, sub.kind);
  }
  for (const kind of EVERYWHERE) for (const apiVersion of new Set(ALL_RESOURCES.map((r) => `${r.group}/${r.version}`))) {
    const { group, version } = splitApiVersion(apiVersion);
    add(group, version, kind);
  }
  for (const kind of CORE_META) add('', 'v1', kind);
  return out;
}

/** A type of meta/v1 by its bare name. */
export function metaType(name: string): StructType {
  return structByFactsName(`apimachinery/pkg/apis/meta/v1.${name}`);
}
