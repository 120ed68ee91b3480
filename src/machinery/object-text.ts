/**
 * An object of the API as the text that upstream prints for it. In memory every list and map is there (see `normalise.ts`), so that readers need
 * no check; on the wire the release prints `null` for a required one that has nothing in it, and for a required reference that is absent. Keys of
 * maps are sorted; so are all keys of custom resources. Source: Go's `encoding/json`, and the API reference for what is required.
 */
import { splitApiVersion, type KubeObject } from '#api/object.ts';
import { structByKind, type Field, type StructType, type TypeRef } from '#api/schema.ts';
import { setOwn } from '#base/own.ts';
import { escapeJson, readJson, writeJson } from './json.ts';
import { normalise, SCHEMA_UNION, schemaProps } from './normalise.ts';

type Json = Record<string, unknown>;
/** Gives the very value where nothing of it is printed otherwise. */
type Print = (value: unknown) => unknown;

/** Keys that JavaScript puts in front of all others, in the order of their numbers. */
const INDEX = /^(?:0|[1-9]\d*)$/;
/** A map with such keys was met since this was set to false, whose order only {@link stringify} can write. */
let indexed = false;

function inOrder(map: Json): Json {
  const out: Json = {};
  for (const key of Object.keys(map).toSorted()) {
    if (INDEX.test(key)) indexed = true;
    setOwn(out, key, map[key]);
  }
  return out;
}
/** The map with its keys sorted and its values printed. */
function printMap(map: Json, each: Print | undefined): unknown {
  let sorted = true;
  let last = '';
  let changed: Json | undefined;
  for (const key in map) {
    if (key < last) sorted = false;
    last = key;
    if (!each) continue;
    const shown = each(map[key]);
    if (shown !== map[key]) setOwn((changed ??= { ...map }), key, shown);
  }
  return sorted ? (changed ?? map) : inOrder(changed ?? map);
}
function printList(list: readonly unknown[], each: Print): unknown {
  let changed: unknown[] | undefined;
  for (let i = 0; i < list.length; i++) {
    const shown = each(list[i]);
    if (shown !== list[i]) (changed ??= [...list])[i] = shown;
  }
  return changed ?? list;
}
/** What has no type: the values of custom resources. */
function printFree(value: unknown): unknown {
  if (value === null || typeof value !== 'object') return value;
  return Array.isArray(value) ? printList(value, printFree) : printMap(value as Json, printFree);
}

/** Lists and tables are made by the server, with items that may be none but are never nil; so are the documents of discovery. */
const isServers = (type: StructType): boolean => type.factsName.includes('/meta/v1.') || structIn(type.fields.get('metadata')?.type)?.goName === 'ListMeta';
const mayBeNull = ({ type, pointer, omitEmpty }: Field): boolean => !omitEmpty && (pointer || type.kind === 'list' || type.kind === 'map');
const isNullable = (owner: StructType, field: Field): boolean => mayBeNull(field) && !isServers(owner);
function printerOf(ref: TypeRef): Print | undefined {
  switch (ref.kind) {
    case 'struct': return planOf(ref.type).print;
    case 'map': {
      const each = printerOf(ref.value);
      return (value) => printMap(value as Json, each);
    }
    case 'list': {
      const each = printerOf(ref.item);
      return each && ((value) => printList(value as readonly unknown[], each));
    }
    // Only the JSON in schemas is read and written anew: any other stays as the client wrote it.
    case 'any': return ref.go === 'JSON' ? printFree : SCHEMA_UNION.test(ref.go) ? printSchemas : undefined;
    default: return undefined;
  }
}
function printSchemas(value: unknown): unknown {
  if (value === null || typeof value !== 'object') return value;
  return Array.isArray(value) ? printList(value, printSchemas) : planOf(schemaProps()).print!(value);
}
/** The one field of any JSON that holds an object as the server prints it; others keep what a client has put there. */
const isShown = (owner: StructType, { name }: Field): boolean => name === 'object' && owner.goName === 'TableRow';
function fieldPrinter(owner: StructType, field: Field): Print | undefined {
  if (isShown(owner, field)) return (value) => printedObject(value as KubeObject);
  const each = printerOf(field.type);
  if (field.pointer || !isNullable(owner, field)) return each;
  const isList = field.type.kind === 'list';
  return (value) => (isList ? (value as readonly unknown[]).length === 0 : Object.keys(value as Json).length === 0) ? null : each ? each(value) : value;
}

/** How a type's values are printed and read back; each is absent where there is nothing to do. */
interface Plan {
  readonly print: Print | undefined;
  readonly restore: ((value: unknown) => void) | undefined;
}
const plans = new Map<StructType, Plan>();
const NOTHING: Plan = { print: undefined, restore: undefined };

function planOf(type: StructType): Plan {
  const known = plans.get(type);
  if (known) return known;
  const [prints, restores] = [reaches(type, (owner, f) => isNullable(owner, f) || holds(f.type, 'map') || isShown(owner, f)), reaches(type, isNullable)];
  // The fields are looked at when the first value comes: types may contain themselves.
  const plan: Plan = prints ? { print: structPrinter(type), restore: restores ? structRestorer(type) : undefined } : NOTHING;
  plans.set(type, plan);
  return plan;
}
function holds(ref: TypeRef, kind: TypeRef['kind']): boolean {
  return ref.kind === kind || (ref.kind === 'list' && holds(ref.item, kind)) || (ref.kind === 'map' && holds(ref.value, kind));
}
function structIn(ref: TypeRef | undefined): StructType | undefined {
  return ref === undefined ? undefined : ref.kind === 'struct' ? ref.type : ref.kind === 'list' ? structIn(ref.item) : ref.kind === 'map' ? structIn(ref.value) : undefined;
}
/** Whether the type or one inside of it has such a field. */
function reaches(type: StructType, wanted: (owner: StructType, field: Field) => boolean, seen = new Set<StructType>()): boolean {
  if (seen.has(type)) return false;
  seen.add(type);
  for (const field of type.fields.values()) {
    if (wanted(type, field)) return true;
    const inner = structIn(field.type);
    if (inner && reaches(inner, wanted, seen)) return true;
  }
  return false;
}

function structPrinter(type: StructType): Print {
  let fields: readonly { readonly name: string; readonly print: Print | undefined; readonly absent: null | undefined }[] | undefined;
  return (value) => {
    fields ??= [...type.fields.values()].map((f) => ({ name: f.name, print: fieldPrinter(type, f), absent: isNullable(type, f) ? null : undefined })).filter((f) => f.print || f.absent === null);
    const object = value as Json;
    let changed: Map<string, unknown> | undefined;
    for (let i = 0; i < fields.length; i++) {
      const { name, print, absent } = fields[i]!;
      const given = object[name];
      const shown = given === undefined || given === null ? (absent === null ? null : given) : print ? print(given) : given;
      if (shown !== given) (changed ??= new Map()).set(name, shown);
    }
    if (!changed) return object;
    const out: Json = {};
    for (const name of type.fields.keys()) {
      const shown = changed.has(name) ? changed.get(name) : object[name];
      if (shown !== undefined) out[name] = shown;
    }
    return out;
  };
}

function restorerOf(ref: TypeRef): Plan['restore'] {
  switch (ref.kind) {
    case 'struct': return planOf(ref.type).restore;
    case 'list': {
      const each = restorerOf(ref.item);
      return each && ((value) => (value as readonly unknown[]).forEach((item) => each(item)));
    }
    case 'map': {
      const each = restorerOf(ref.value);
      return each && ((value) => Object.values(value as Json).forEach((item) => each(item)));
    }
    default: return undefined;
  }
}
function structRestorer(type: StructType): NonNullable<Plan['restore']> {
  let fields: readonly { readonly field: Field; readonly restore: Plan['restore'] }[] | undefined;
  return (value) => {
    fields ??= [...type.fields.values()].map((field) => ({ field, restore: restorerOf(field.type) })).filter((f) => f.restore || isNullable(type, f.field));
    const object = value as Json;
    for (const { field, restore } of fields) {
      const given = object[field.name];
      if (given === null && mayBeNull(field)) {
        if (field.pointer) delete object[field.name];
        else object[field.name] = field.type.kind === 'list' ? [] : {};
      } else if (given !== undefined && given !== null) restore?.(given);
    }
  };
}

/** The documents of `/api` name no version of themselves. */
function typeOf({ apiVersion, kind = '' }: KubeObject): StructType | undefined {
  const { group, version } = splitApiVersion(apiVersion || 'v1');
  return structByKind(group, version, kind);
}
/** The object with what upstream prints in the place of what is empty; `type`: what it is of. The argument is not changed, and shared where it is printed as it is. */
export function printedObject<T extends KubeObject>(object: T, type = typeOf(object)): T {
  const print = type ? planOf(type).print : printFree;
  return print ? (print(object) as T) : object;
}
/** The object's JSON. `indent`: blanks for each level; absent: no blanks at all. */
export function objectText(object: KubeObject, indent?: number): string {
  indexed = false;
  const shown = printedObject(object);
  return indexed ? escapeJson(stringify(shown, indent ?? 0, '\n')) : writeJson(shown, indent);
}
/** `JSON.stringify` that sorts the keys of objects which have {@link INDEX} keys: those are maps. */
function stringify(value: unknown, indent: number, line: string): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const isList = Array.isArray(value);
  const inner = indent === 0 ? '' : line + ' '.repeat(indent);
  const keys = isList ? [] : Object.keys(value).filter((key) => (value as Json)[key] !== undefined);
  if (keys.some((key) => INDEX.test(key))) keys.sort();
  const members = isList ? value.map((item) => stringify(item, indent, inner)) : keys.map((key) => `${JSON.stringify(key)}:${indent === 0 ? '' : ' '}${stringify((value as Json)[key], indent, inner)}`);
  const [open, close] = isList ? '[]' : '{}';
  return members.length === 0 ? `${open}${close}` : `${open}${inner}${members.join(`,${inner}`)}${indent === 0 ? '' : line}${close}`;
}

const OBJECT_META = structByKind('meta', 'v1', 'ObjectMeta')!;
/** The value of a text that {@link objectText} made, with what it took out of the object, and its metadata in their own order. Throws what {@link readJson} throws. */
export function readObjectText(text: string): unknown {
  const value = readJson(text);
  if (value === null || typeof value !== 'object') return value;
  const object = value as KubeObject & { metadata: unknown };
  const type = typeOf(object);
  if (!type && typeof object.metadata === 'object' && object.metadata !== null) object.metadata = normalise(OBJECT_META, object.metadata);
  else if (type && text.includes(':null')) planOf(type).restore?.(object);
  return object;
}
