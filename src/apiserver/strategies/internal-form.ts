/**
 * Objects as the JSON of upstream's internal types, which its messages show: Go's field names, every field written, zero values and all.
 */
import { structByFactsName, type StructType, type TypeRef } from '#api/schema.ts';
import type { LabelSelector } from '#api/gen/meta-v1.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { fieldPath, invalidValue, type FieldError } from '#machinery/field-errors.ts';
import { IMMUTABLE } from './field-checks.ts';

/** Words that Go writes in capitals inside of names. */
const ACRONYMS: readonly (readonly [pattern: RegExp, go: string])[] = [
  [/^dns/, 'DNS'], [/^ip(?=[A-Z]|s?$)/, 'IP'], [/^pid/, 'PID'], [/^tty$/, 'TTY'], [/^uid$/, 'UID'], [/^gid$/, 'GID'], [/^os$/, 'OS'], [/^tcp/, 'TCP'], [/^http/, 'HTTP'], [/^grpc$/, 'GRPC'], [/^api/, 'API'],
  [/^nfs$/, 'NFS'], [/^rbd$/, 'RBD'], [/^fc$/, 'FC'], [/^csi$/, 'CSI'], [/^iscsi$/, 'ISCSI'], [/^cephfs$/, 'CephFS'], [/^gcePersistentDisk$/, 'GCEPersistentDisk'],
  [/^awsElasticBlockStore$/, 'AWSElasticBlockStore'], [/^gmsa/, 'GMSA'], [/^storageos$/, 'StorageOS'], [/^seLinux/, 'SELinux'], [/^ssl(?=[A-Z])/, 'SSL'], [/^fs(?=Type$)/, 'FS'], [/^tls$/, 'TLS'],
];
/** `hostIP` → `HostIP`, `dnsPolicy` → `DNSPolicy`. */
export function goName(json: string): string {
  const hit = ACRONYMS.find(([pattern]) => pattern.test(json));
  if (hit) return json.replace(hit[0], hit[1]);
  return json.charAt(0).toUpperCase() + json.slice(1);
}

function zero(type: TypeRef, pointer: boolean): unknown {
  if (pointer) return null;
  switch (type.kind) {
    case 'string':
      return '';
    case 'bool':
      return false;
    case 'int':
    case 'float':
    case 'intOrString':
      return 0;
    case 'quantity':
      return '0';
    case 'struct':
      return isShared(type.type) ? {} : internalForm(type.type, {});
    default:
      return null;
  }
}
function formOf(type: TypeRef, value: unknown): unknown {
  if (value === undefined || value === null) return null;
  if (type.kind === 'struct') return isShared(type.type) ? wireForm(type.type, value as object) : internalForm(type.type, value as object);
  if (type.kind === 'list' && Array.isArray(value)) return value.map((item) => formOf(type.item, item));
  if (type.kind === 'map') {
    const map = value as Readonly<Record<string, unknown>>;
    return Object.fromEntries(Object.keys(map).toSorted().map((key) => [key, formOf(type.value, map[key])]));
  }
  return value;
}

/** Types that all versions share have no internal twin: they are shown as on the wire. */
const isShared = (type: StructType) => type.factsName.startsWith('apimachinery/');
function wireForm(type: StructType, value: object): Record<string, unknown> {
  const fields = value as Readonly<Record<string, unknown>>;
  const present = [...type.fields.values()].filter(({ name }) => fields[name] !== undefined && fields[name] !== null);
  return Object.fromEntries(present.map((field) => [field.name, formOf(field.type, fields[field.name])]));
}
/** A label selector as messages show it. */
export function shownSelector(selector: LabelSelector | undefined): unknown {
  return selector && wireForm(structByFactsName('apimachinery/pkg/apis/meta/v1.LabelSelector'), selector);
}
/** A map as messages show it: in order of keys. */
export function shownMap<T>(map: Readonly<Record<string, T>> | undefined): Record<string, T> | undefined {
  return map && Object.fromEntries(Object.keys(map).toSorted().map((key) => [key, map[key]!]));
}

/** A struct's value in internal form. `order` names JSON fields to write first, in that order, for types whose internal fields differ in order. */
export function internalForm(type: StructType, value: object, order: readonly string[] = []): Record<string, unknown> {
  const fields = value as Readonly<Record<string, unknown>>;
  const names = [...order.filter((name) => type.fields.has(name)), ...[...type.fields.keys()].filter((name) => !order.includes(name))];
  return Object.fromEntries(
    names.flatMap((name) => {
      const field = type.fields.get(name)!;
      const own = fields[name];
      const form = own === undefined || own === null ? zero(field.type, field.pointer) : formOf(field.type, own);
      // Metadata is embedded in Go: its fields are the struct's own.
      return name === 'metadata' ? Object.entries(form as object) : [[goName(name), form]];
    }),
  );
}

/** A spec that may not change, shown in internal form. `factsName` is its type's name in the table of facts. */
export function immutableSpec(now: object | undefined, old: object | undefined, factsName: string): FieldError[] {
  if (semanticEqual(now, old)) return [];
  return [invalidValue(fieldPath('spec'), internalForm(structByFactsName(factsName), now ?? {}), IMMUTABLE)];
}
