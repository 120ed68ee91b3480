/**
 * How Go names the types of the API and the embedded structs on the way to a field: what its decoding errors print.
 * `{@link goFields}` reads the raw table of facts, which keeps what the schema graph has resolved away.
 */
import { facts, type StructType } from '#api/schema.ts';

export interface GoField {
  /** Names of the embedded structs between the owner and the field: `['VolumeSource']` for a Volume's `hostPath`. */
  readonly embedded: readonly string[];
  /** The field's Go type as `reflect.Type.String` prints it, without the pointer: `[]v1.Container`, `int32`. */
  readonly type: string;
}

const META = 'apimachinery/pkg/apis/meta/v1';
const CORE = 'api/core/v1';
const BUILT_IN = new Set(['string', 'bool', 'int', 'int32', 'int64', 'float64', 'interface {}', 'uint8']);
/** Import aliases that are not the name of the package itself. */
const PACKAGE_NAMES: Readonly<Record<string, string>> = { metav1: 'v1', corev1: 'v1', apiv1: 'v1', authenticationv1: 'v1' };

const packageOf = (factsName: string): string => factsName.slice(0, factsName.lastIndexOf('.'));

/** A Go type as source code in `pkg` writes it, in reflect's form. */
export function reflectName(source: string, pkg: string): string {
  const go = source.replace(/^\*/, '');
  if (go === '[]byte') return '[]uint8';
  if (go.startsWith('[]')) return `[]${reflectElement(go.slice(2), pkg)}`;
  const map = /^map\[([^\]]+)\](.+)$/.exec(go);
  if (map) return `map[${reflectName(map[1]!, pkg)}]${reflectElement(map[2]!, pkg)}`;
  if (go === 'interface{}') return 'interface {}';
  if (BUILT_IN.has(go)) return go;
  const dot = go.indexOf('.');
  if (dot < 0) return `${pkg.slice(pkg.lastIndexOf('/') + 1)}.${go}`;
  const alias = go.slice(0, dot);
  return `${PACKAGE_NAMES[alias] ?? alias}${go.slice(dot)}`;
}
const reflectElement = (go: string, pkg: string): string => (go.startsWith('*') ? `*${reflectName(go, pkg)}` : reflectName(go, pkg));

/** The type of a list's items or a map's values in a name made by {@link reflectName}; the name itself for a named list or map. */
export function elementName(name: string): string {
  const element = name.startsWith('[]') ? name.slice(2) : name.startsWith('map[') ? name.slice(name.indexOf(']') + 1) : name;
  return element.replace(/^\*/, '');
}

function embeddedFactsName(go: string, pkg: string): string | undefined {
  const bare = go.replace(/^\*/, '').split('.').at(-1)!;
  const stable = pkg.replace(/v1beta\d$/, 'v1');
  const places = go.includes('.') ? [META, CORE, stable] : [pkg, stable, META];
  return places.map((place) => `${place}.${bare}`).find((name) => facts().types[name] !== undefined);
}

const cache = new Map<string, ReadonlyMap<string, GoField>>();
/** The Go side of every JSON field of a struct. */
export function goFields(type: StructType): ReadonlyMap<string, GoField> {
  return fieldsOf(type.factsName);
}

function fieldsOf(factsName: string): ReadonlyMap<string, GoField> {
  const known = cache.get(factsName);
  if (known) return known;
  const out = new Map<string, GoField>();
  const pkg = packageOf(factsName);
  for (const field of facts().types[factsName]?.fields ?? []) {
    if (!field.inline) {
      out.set(field.name, { embedded: [], type: reflectName(field.go, pkg) });
      continue;
    }
    const inner = embeddedFactsName(field.go, pkg);
    if (inner === undefined) continue;
    const name = inner.slice(inner.lastIndexOf('.') + 1);
    for (const [key, value] of fieldsOf(inner)) out.set(key, { ...value, embedded: [name, ...value.embedded] });
  }
  cache.set(factsName, out);
  return out;
}

/** A struct's own name in reflect's form: `v1.Pod`. */
export function structName(type: StructType): string {
  return reflectName(type.goName, packageOf(type.factsName));
}
