/**
 * The shape of every API type of release 1.36, resolved lazily from the committed table of facts (`facts.json`).
 * Strict decoding, protobuf, strategic merge, server-side apply, defaulting and OpenAPI all read this one graph;
 * `gen/*.ts` (made by `tools/gen-api-types.ts`) is the same graph as TypeScript interfaces.
 */
import { readFileSync } from 'node:fs';

/** A field of the table of facts, as it is written there. */
interface FieldFacts {
  readonly name: string;
  readonly go: string;
  readonly omitempty?: boolean;
  readonly inline?: boolean;
  readonly pb?: number;
  readonly markers?: readonly string[];
  readonly patchStrategy?: string;
  readonly patchMergeKey?: string;
}
interface Facts {
  readonly types: Readonly<Record<string, { readonly fields: readonly FieldFacts[]; readonly markers?: readonly string[] }>>;
  readonly constants: Readonly<Record<string, { readonly values: readonly string[]; readonly enum?: boolean }>>;
}

/** The type of a value on the wire. */
export type TypeRef =
  | { readonly kind: 'string'; readonly alias?: string; readonly values?: readonly string[]; readonly isEnum?: boolean }
  | { readonly kind: 'bool' }
  | { readonly kind: 'int'; readonly bits: 32 | 64 }
  | { readonly kind: 'float' }
  | { readonly kind: 'bytes' }
  | { readonly kind: 'quantity' }
  | { readonly kind: 'time' }
  | { readonly kind: 'microTime' }
  | { readonly kind: 'duration' }
  | { readonly kind: 'intOrString' }
  /** Any JSON: `RawExtension`, `FieldsV1`, `JSON`, and the schema unions `JSONSchemaPropsOr…`; `go` names which. */
  | { readonly kind: 'any'; readonly go: string }
  | { readonly kind: 'struct'; readonly type: StructType }
  | { readonly kind: 'list'; readonly item: TypeRef; readonly alias?: string }
  | { readonly kind: 'map'; readonly value: TypeRef };

/** One JSON field of a struct. Inlined structs are flattened into their owner. */
export interface Field {
  readonly name: string;
  readonly type: TypeRef;
  /** The Go field is a pointer: absent and zero differ. */
  readonly pointer: boolean;
  /** The field is left out of JSON when it is empty (`omitempty`). */
  readonly omitEmpty: boolean;
  /** Required in OpenAPI's sense: marked `+required`, or neither `omitempty` nor `+optional`. */
  readonly required: boolean;
  /** Protobuf field numbers from the owner down: more than one where Go inlines a struct that protobuf nests. Empty: not in protobuf. */
  readonly pbPath: readonly number[];
  readonly listType?: 'atomic' | 'set' | 'map' | undefined;
  readonly listMapKeys?: readonly string[] | undefined;
  /** How the field's map or struct merges in server-side apply, where that differs from its type's own way (`+mapType`, `+structType`). */
  readonly mapType?: 'atomic' | 'granular' | undefined;
  /** Overrides {@link StructType.atomic} of the field's own type. */
  readonly structType?: 'atomic' | 'granular' | undefined;
  /** Strategic merge patch directives of the Go tags: `merge`, `replace`, `retainKeys`. */
  readonly patchStrategy?: readonly string[] | undefined;
  readonly patchMergeKey?: string | undefined;
  /** The schema's default (`+default=`), as JSON. */
  readonly default?: unknown;
}

/** `x-kubernetes-unions`: the discriminator's JSON name, and its value for each member by the member's JSON name. */
export interface Union {
  readonly discriminator?: string;
  readonly 'fields-to-discriminateBy': Readonly<Record<string, string>>;
}
export interface StructType {
  /** The OpenAPI name: `io.k8s.api.core.v1.Pod`. */
  readonly name: string;
  /** The name in the table of facts: `api/core/v1.Pod`. */
  readonly factsName: string;
  /** The bare Go name: `Pod`. */
  readonly goName: string;
  /** The struct merges as a whole in server-side apply (`+structType=atomic`). */
  readonly atomic: boolean;
  /** At most one of the members is set (`+union`), as the discriminator says. */
  readonly union?: Union;
  /** Fields by JSON name, in declaration order. Resolved on first use. */
  readonly fields: ReadonlyMap<string, Field>;
}

let loaded: Facts | undefined;
/** The raw table of facts. Generators and the OpenAPI builder use it; everything else uses {@link structByFactsName}. */
export function facts(): Facts {
  loaded ??= JSON.parse(readFileSync(new URL('./facts.json', import.meta.url), 'utf8')) as Facts;
  return loaded;
}

const META = 'apimachinery/pkg/apis/meta/v1';
const CORE = 'api/core/v1';
/** Go types that are not structs in the facts, or whose JSON is not that of their struct. */
const SPECIAL: Readonly<Record<string, TypeRef>> = {
  Time: { kind: 'time' },
  MicroTime: { kind: 'microTime' },
  Duration: { kind: 'duration' },
  Quantity: { kind: 'quantity' },
  IntOrString: { kind: 'intOrString' },
  RawExtension: { kind: 'any', go: 'RawExtension' },
  FieldsV1: { kind: 'any', go: 'FieldsV1' },
  JSON: { kind: 'any', go: 'JSON' },
  JSONSchemaPropsOrArray: { kind: 'any', go: 'JSONSchemaPropsOrArray' },
  JSONSchemaPropsOrBool: { kind: 'any', go: 'JSONSchemaPropsOrBool' },
  JSONSchemaPropsOrStringArray: { kind: 'any', go: 'JSONSchemaPropsOrStringArray' },
  Verbs: { kind: 'list', item: { kind: 'string' }, alias: 'Verbs' },
  ExtraValue: { kind: 'list', item: { kind: 'string' }, alias: 'ExtraValue' },
  ResourceList: { kind: 'map', value: { kind: 'quantity' } },
};
/** Packages that a Go import alias can mean, in the order they are tried. */
const ALIASES: Readonly<Record<string, readonly string[]>> = {
  metav1: [META],
  corev1: [CORE],
  apiv1: [CORE],
  v1: [CORE, META],
  authenticationv1: ['api/authentication/v1'],
  resource: ['apimachinery/pkg/api/resource'],
  intstr: ['apimachinery/pkg/util/intstr'],
  runtime: ['apimachinery/pkg/runtime'],
  types: [],
};

const structs = new Map<string, StructType>();

function openApiName(pkg: string, goName: string): string {
  return `io.k8s.${pkg.replaceAll('/', '.')}.${goName}`;
}

/** The struct named as the facts name it (`api/core/v1.Pod`). Throws for a name that is not there: a bug of the caller's. */
export function structByFactsName(factsName: string): StructType {
  const known = structs.get(factsName);
  if (known) return known;
  const raw = facts().types[factsName];
  if (!raw) throw new Error(`type "${factsName}" is not in the table of facts`);
  const dot = factsName.lastIndexOf('.');
  const pkg = factsName.slice(0, dot);
  const goName = factsName.slice(dot + 1);
  let fields: ReadonlyMap<string, Field> | undefined;
  const union = raw.markers?.includes('+union') ? unionOf(raw.fields) : undefined;
  const type: StructType = {
    name: openApiName(pkg, goName),
    factsName,
    goName,
    atomic: raw.markers?.includes('+structType=atomic') ?? false,
    ...(union ? { union } : {}),
    get fields() {
      fields ??= resolveFields(pkg, raw.fields);
      return fields;
    },
  };
  structs.set(factsName, type);
  return type;
}

/** Groups whose Go package is not under `api/`. */
const PACKAGE_ROOTS: Readonly<Record<string, string>> = { apiextensions: 'apiextensions-apiserver/pkg/apis', apiregistration: 'kube-aggregator/pkg/apis' };

/** Groups whose names do not follow the rule. */
const PACKAGES: Readonly<Record<string, string>> = { '': 'core', 'rbac.authorization.k8s.io': 'rbac', 'flowcontrol.apiserver.k8s.io': 'flowcontrol' };

/** The package of a group's version in the facts: `('apps', 'v1')` → `api/apps/v1`; undefined when there is none. `apps.example.com` is nobody's but a user's. */
export function packageOf(group: string, version: string): string | undefined {
  const name = PACKAGES[group] ?? /^([a-z]+)(?:\.k8s\.io)?$/.exec(group)?.[1];
  if (name === undefined) return undefined;
  const pkg = name === 'meta' ? META : `${PACKAGE_ROOTS[name] ?? 'api'}/${name}/${version}`;
  return Object.keys(facts().types).some((k) => k.startsWith(`${pkg}.`)) ? pkg : undefined;
}

const byKind = new Map<string, StructType | undefined>();
/** The struct behind a group, version and kind of the API; undefined when release 1.36's facts do not have it. */
export function structByKind(group: string, version: string, kind: string): StructType | undefined {
  const id = `${group}/${version}/${kind}`;
  if (!byKind.has(id)) {
    const pkg = packageOf(group, version);
    const name = pkg === undefined ? undefined : [`${pkg}.${kind}`, `${META}.${kind}`].find((n) => facts().types[n]);
    byKind.set(id, name === undefined ? undefined : structByFactsName(name));
  }
  return byKind.get(id);
}

function resolveFields(pkg: string, raw: readonly FieldFacts[]): ReadonlyMap<string, Field> {
  const out = new Map<string, Field>();
  for (const f of raw) {
    if (f.inline) {
      const inner = resolveType(pkg, f.go.replace(/^\*/, ''));
      if (inner.kind !== 'struct') throw new Error(`inlined "${f.go}" in "${pkg}" is not a struct`);
      for (const field of inner.type.fields.values()) {
        // TypeMeta travels in the envelope (`runtime.Unknown`), not in the message.
        const pbPath = f.go.endsWith('TypeMeta') || field.pbPath.length === 0 ? [] : f.pb === undefined ? field.pbPath : [f.pb, ...field.pbPath];
        out.set(field.name, { ...field, pbPath });
      }
      continue;
    }
    out.set(f.name, resolveField(pkg, f));
  }
  return out;
}

/** All fields but the discriminator are members, named as Go names them. */
function unionOf(fields: readonly FieldFacts[]): Union {
  const discriminator = fields.find((f) => f.markers?.includes('+unionDiscriminator'));
  const members = fields.filter((f) => f !== discriminator).map((f): [string, string] => [f.name, f.name.slice(0, 1).toUpperCase() + f.name.slice(1)]);
  return { ...(discriminator ? { discriminator: discriminator.name } : {}), 'fields-to-discriminateBy': Object.fromEntries(members) };
}

function marker(f: FieldFacts, name: string): string | undefined {
  const hit = f.markers?.find((m) => m === `+${name}` || m.startsWith(`+${name}=`));
  return hit === undefined ? undefined : hit.slice(name.length + 2);
}

function resolveField(pkg: string, f: FieldFacts): Field {
  const pointer = f.go.startsWith('*');
  const keys = f.markers?.filter((m) => m.startsWith('+listMapKey=')).map((m) => m.slice('+listMapKey='.length));
  const dflt = marker(f, 'default');
  return {
    name: f.name,
    type: resolveType(pkg, f.go),
    pointer,
    omitEmpty: f.omitempty ?? false,
    required: f.markers?.includes('+required') ? true : !f.omitempty && !f.markers?.includes('+optional'),
    pbPath: f.pb === undefined ? [] : [f.pb],
    listType: marker(f, 'listType') as Field['listType'],
    listMapKeys: keys?.length ? keys : undefined,
    mapType: (marker(f, 'mapType') ?? marker(f, 'structType')) as Field['mapType'],
    structType: marker(f, 'structType') as Field['structType'],
    patchStrategy: f.patchStrategy?.split(','),
    patchMergeKey: f.patchMergeKey,
    default: dflt === undefined ? undefined : parseDefault(dflt),
  };
}

function parseDefault(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // a reference to a Go constant: the kinds' own defaulting sets it
  }
}

const PRIMITIVES: Readonly<Record<string, TypeRef>> = {
  string: { kind: 'string' },
  bool: { kind: 'bool' },
  int32: { kind: 'int', bits: 32 },
  int64: { kind: 'int', bits: 64 },
  int: { kind: 'int', bits: 32 },
  float64: { kind: 'float' },
  'interface{}': { kind: 'any', go: 'interface{}' },
};

function resolveType(pkg: string, goType: string): TypeRef {
  const go = goType.replace(/^\*/, '');
  if (go === '[]byte') return { kind: 'bytes' };
  if (go.startsWith('[]')) return { kind: 'list', item: resolveType(pkg, go.slice(2)) };
  const map = /^map\[[^\]]+\](.+)$/.exec(go);
  if (map) return { kind: 'map', value: resolveType(pkg, map[1]!) };
  return PRIMITIVES[go] ?? resolveNamed(pkg, go);
}

function resolveNamed(pkg: string, go: string): TypeRef {
  const [alias, bare] = go.includes('.') ? (go.split('.') as [string, string]) : [undefined, go];
  const special = SPECIAL[bare];
  if (special && !(bare === 'ResourceList' && pkg !== CORE && alias === undefined)) return special;
  if (bare === 'JSONSchemaDependencies') return { kind: 'map', value: { kind: 'any', go: 'JSONSchemaPropsOrStringArray' } };
  if (bare === 'JSONSchemaDefinitions') return { kind: 'map', value: resolveNamed(pkg, 'JSONSchemaProps') };
  if (bare === 'ValidationRules') return { kind: 'list', item: resolveNamed(pkg, 'ValidationRule') };
  if (bare === 'CustomResourceSubresourceStatus') return { kind: 'any', go: bare };
  const stable = pkg.replace(/v1beta\d$/, 'v1');
  const places = alias === undefined ? [pkg, stable, META] : (ALIASES[alias] ?? [CORE, META]);
  for (const place of places) if (facts().types[`${place}.${bare}`]) return { kind: 'struct', type: structByFactsName(`${place}.${bare}`) };
  for (const place of places) {
    const constants = facts().constants[`${place}.${bare}`];
    if (constants) return { kind: 'string', alias: bare, values: constants.values, isEnum: constants.enum ?? false };
  }
  return { kind: 'string', alias: bare };
}
