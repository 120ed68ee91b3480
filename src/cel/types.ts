/** CEL's types. Source: the CEL language definition, "Values" and "Gradual type checking". */

export interface ObjectField {
  /** The key in JSON, where CEL's name is an escaped one. */
  readonly jsonName: string;
  readonly type: CelType;
}
/** What a list of an OpenAPI schema says of its items' identity. */
export interface ListSemantics {
  readonly listType: 'set' | 'map';
  /** For `map`: JSON names of the keys. */
  readonly keys: readonly string[];
}
type Simple = 'dyn' | 'null' | 'bool' | 'int' | 'uint' | 'double' | 'string' | 'bytes' | 'duration' | 'timestamp' | 'error';
export type CelType =
  | { readonly kind: Exclude<Simple, 'dyn'> }
  | { readonly kind: 'dyn'; readonly shown?: string }
  | { readonly kind: 'list'; readonly item: CelType; readonly semantics?: ListSemantics | undefined }
  | { readonly kind: 'map'; readonly key: CelType; readonly value: CelType }
  /** `open`: any field may be selected, as dyn. Fields are read lazily, for types that contain themselves. */
  | { readonly kind: 'object'; readonly name: string; readonly fields: ReadonlyMap<string, ObjectField>; readonly open?: boolean }
  | { readonly kind: 'opaque'; readonly name: string; readonly params: readonly CelType[] }
  | { readonly kind: 'type'; readonly of: CelType }
  | { readonly kind: 'param'; readonly name: string };

const simple = (kind: Simple): CelType => ({ kind });
export const DYN = simple('dyn');
/** Of a type that is not known until it runs, as {@link DYN}, which messages show by another name. */
export const ANY: CelType = { kind: 'dyn', shown: 'any' };
export const NULL = simple('null');
export const BOOL = simple('bool');
export const INT = simple('int');
export const UINT = simple('uint');
export const DOUBLE = simple('double');
export const STRING = simple('string');
export const BYTES = simple('bytes');
export const DURATION = simple('duration');
export const TIMESTAMP = simple('timestamp');
export const ERROR = simple('error');

export function listOf(item: CelType, semantics?: ListSemantics): CelType {
  return { kind: 'list', item, semantics };
}
export function mapOf(key: CelType, value: CelType): CelType {
  return { kind: 'map', key, value };
}
export function opaque(name: string, ...params: readonly CelType[]): CelType {
  return { kind: 'opaque', name, params };
}
export function optionalOf(type: CelType): CelType {
  return opaque('optional_type', type);
}
export function objectType(name: string, fields: Readonly<Record<string, CelType>>): CelType {
  return { kind: 'object', name, fields: new Map(Object.entries(fields).map(([key, type]) => [key, { jsonName: key, type }])) };
}
export const isDyn = (type: CelType): boolean => type.kind === 'dyn' || type.kind === 'error';

const NAMES: Readonly<Partial<Record<CelType['kind'], string>>> = { null: 'null', error: '!error!' };
/** As messages show a type: `list(int)`, `map(string, dyn)`. */
export function showType(type: CelType): string {
  switch (type.kind) {
    case 'list':
      return `list(${showType(type.item)})`;
    case 'map':
      return `map(${showType(type.key)}, ${showType(type.value)})`;
    case 'object':
    case 'param':
      return type.name;
    case 'opaque':
      return type.params.length ? `${type.name}(${type.params.map(showType).join(', ')})` : type.name;
    case 'type':
      return `type(${showType(type.of)})`;
    case 'dyn':
      return type.shown ?? 'dyn';
    default:
      return NAMES[type.kind] ?? type.kind;
  }
}
/** As {@link showType}, with the names that types have when they run: `map(string, google.protobuf.Any)`. */
export function showRuntimeType(type: CelType): string {
  const params = type.kind === 'list' ? [type.item] : type.kind === 'map' ? [type.key, type.value] : type.kind === 'opaque' ? type.params : type.kind === 'type' ? [type.of] : [];
  const name = type === ANY ? 'google.protobuf.Any' : runtimeName(type);
  return params.length ? `${name}(${params.map(showRuntimeType).join(', ')})` : name;
}
const RUNTIME_NAMES: Readonly<Partial<Record<CelType['kind'], string>>> = { null: 'null_type', timestamp: 'google.protobuf.Timestamp', duration: 'google.protobuf.Duration', list: 'list', map: 'map', type: 'type' };
/** The name of a value's type, as `type(x)` prints it. */
export function runtimeName(type: CelType): string {
  return 'name' in type ? type.name : (RUNTIME_NAMES[type.kind] ?? type.kind);
}
