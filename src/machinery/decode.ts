/**
 * From parsed JSON to an object of a type: Go's `encoding/json` as the API server uses it. Names are case-sensitive, null is
 * absent, unknown fields are dropped and reported, values of the wrong type are errors in Go's words.
 * Source: Go's documentation of encoding/json; the strict mode of upstream's decoder (KEP-2885, server-side field validation).
 *
 * A closure per struct type is compiled on first use.
 */
import type { Field, StructType, TypeRef } from '#api/schema.ts';
import { setOwn } from '#base/own.ts';
import { parseDuration } from './duration.ts';
import { goQuote } from './go-text.ts';
import { elementName, goFields, structName, type GoField } from './go-types.ts';
import { ANY_SHAPE, checkDepth, duplicateFields, JsonSyntaxError, MAX_DEPTH, type Shape } from './json.ts';
import { canonicalQuantity } from './quantity.ts';
import { canonicalMicroTime, canonicalTime } from './time.ts';

export interface Decoded {
  /** A new object with the fields that the type has. Parts that were wrong are left out. */
  readonly object: Record<string, unknown>;
  /** Paths of fields that the type does not have: `spec.containers[0].imagee`. At most 100. */
  readonly unknown: readonly string[];
  /** What could not be decoded; the first is the one that Go's decoder reports. Empty: all is well. */
  readonly errors: readonly string[];
  /** Where a required list was given that is empty. */
  readonly empties: readonly ValuePath[];
}
/** Names of fields, keys of maps and indices, from the object down. */
export type ValuePath = readonly (string | number)[];

const MAX_STRICT_ERRORS = 100;

/** The way to the value at hand: a field, the index of an item, or the key of a map. */
type Step = FieldPlan | number | string;
interface Context {
  readonly path: Step[];
  readonly unknown: string[];
  readonly errors: string[];
  readonly empties: ValuePath[];
  /** Go's own unmarshallers do not report unknown fields below them. */
  quiet: boolean;
  depth: number;
}
type Read = (value: unknown, context: Context) => unknown;

interface FieldPlan {
  readonly name: string;
  readonly owner: StructType;
  readonly go: GoField;
  readonly read: Read;
}

/** Ends decoding at once: what an unmarshaller of its own (quantity, time …) throws in Go is returned before anything else. */
class Abort extends Error {}

function jsonKind(value: unknown): string {
  if (typeof value === 'bigint') return 'number';
  return typeof value === 'boolean' ? 'bool' : Array.isArray(value) ? 'array' : typeof value;
}

function typeError(what: string, goType: string, context: Context): undefined {
  const fields = context.path.filter((step) => typeof step === 'object');
  const last = fields.at(-1);
  const where = last === undefined ? 'value' : `struct field ${last.owner.goName}.${fields.flatMap((f) => [...f.go.embedded, f.name]).join('.')}`;
  context.errors.push(`json: cannot unmarshal ${what} into Go ${where} of type ${goType}`);
  return undefined;
}

function strictPath(path: readonly Step[], last: string): string {
  let out = '';
  for (const step of [...path, last]) {
    if (typeof step === 'number') out += `[${step}]`;
    else {
      const name = typeof step === 'string' ? step : step.name;
      out += out === '' ? name : `.${name}`;
    }
  }
  return out;
}
function reportUnknown(name: string, context: Context): void {
  if (context.quiet || context.unknown.length >= MAX_STRICT_ERRORS) return;
  const path = strictPath(context.path, name);
  if (!context.unknown.includes(path)) context.unknown.push(path);
}

/** Runs an unmarshaller of Go's own; its error ends decoding. */
function custom(parse: (value: unknown) => unknown): Read {
  return (value) => {
    try {
      return parse(value);
    } catch (err) {
      throw new Abort(err instanceof Error ? err.message : String(err), { cause: err });
    }
  };
}
function stringOnly(value: unknown, parse: (text: string) => string): string {
  if (typeof value !== 'string') throw new Error(`json: cannot unmarshal ${jsonKind(value)} into Go value of type string`);
  return parse(value);
}

const readQuantity = custom((value) => canonicalQuantity(typeof value === 'string' || typeof value === 'number' ? value : typeof value === 'bigint' ? String(value) : JSON.stringify(value)));
const readTime = custom((value) => stringOnly(value, canonicalTime));
const readMicroTime = custom((value) => stringOnly(value, canonicalMicroTime));
const readDuration = custom((value) => stringOnly(value, (text) => (parseDuration(text), text)));
const numberOrKind = (value: unknown): string => (typeof value === 'number' || typeof value === 'bigint' ? `number ${value}` : jsonKind(value));
const readIntOrString = custom((value) => {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' && isInt32(value)) return value;
  throw new Error(`json: cannot unmarshal ${numberOrKind(value)} into Go value of type int32`);
});

const isInt32 = (value: number): boolean => Number.isInteger(value) && value >= -(2 ** 31) && value < 2 ** 31;
/** The largest double below 2^63. */
const MAX_INT64 = 2 ** 63 - 1024;
const isInt64 = (value: number): boolean => Number.isInteger(value) && value >= -(2 ** 63) && value < 2 ** 63;

/** Base64 as Go's decoder takes it: line ends are skipped, padding is required. Gives it without line ends. */
function readBytes(value: unknown, context: Context): unknown {
  if (typeof value !== 'string') return Array.isArray(value) ? bytesOfArray(value, context) : typeError(jsonKind(value), '[]uint8', context);
  const text = value.includes('\n') || value.includes('\r') ? value.replace(/[\r\n]/g, '') : value;
  if (text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text)) return text;
  const bad = /[^A-Za-z0-9+/]/.exec(value.replace(/[\r\n]/g, ' '))?.index ?? value.length - (text.length % 4);
  context.errors.push(`illegal base64 data at input byte ${bad}`);
  return undefined;
}
function bytesOfArray(items: readonly unknown[], context: Context): unknown {
  const bad = items.find((n) => typeof n !== 'number' || !Number.isInteger(n) || n < 0 || n > 255);
  if (bad !== undefined) return typeError(numberOrKind(bad), 'uint8', context);
  return Buffer.from(items as number[]).toString('base64');
}

function readAny(value: unknown): unknown {
  try {
    checkDepth(value);
  } catch (err) {
    throw new Abort((err as Error).message, { cause: err });
  }
  return value;
}

function scalarReader(kind: 'string' | 'boolean', goType: string): Read {
  return (value, context) => (typeof value === kind ? value : typeError(jsonKind(value), goType, context));
}
/** Typed fields are numbers: of an integer beyond 2^53 the nearest one that still is of 64 bits. */
function numberReader(fits: (value: number) => boolean, goType: string): Read {
  return (value, context) => {
    const number = typeof value === 'bigint' ? Math.min(Number(value), MAX_INT64) : value;
    return typeof number === 'number' && fits(number) ? number : typeError(numberOrKind(value), goType, context);
  };
}

/** What Go stores for a null in a list or map. */
function zeroOf(ref: TypeRef): unknown {
  switch (ref.kind) {
    case 'string': case 'bytes': return '';
    case 'bool': return false;
    case 'int': case 'float': case 'intOrString': return 0;
    case 'quantity': return '0';
    case 'duration': return '0s';
    case 'time': case 'microTime': case 'any': return null;
    case 'list': return [];
    case 'map': case 'struct': return {};
  }
}

function noteEmpty({ path, empties }: Context): void {
  const last = path.at(-1);
  if (typeof last !== 'object' || last.owner.fields.get(last.name)!.omitEmpty) return;
  empties.push(path.map((step) => (typeof step === 'object' ? step.name : step)));
}
function listReader(item: TypeRef, goType: string): Read {
  const read = readerOf(item, elementName(goType));
  return (value, context) => {
    if (!Array.isArray(value)) return typeError(jsonKind(value), goType, context);
    const out: unknown[] = [];
    const at = context.path.length;
    if (value.length === 0) noteEmpty(context);
    for (let i = 0; i < value.length; i++) {
      context.path[at] = i;
      const element: unknown = value[i];
      out.push(element === null ? zeroOf(item) : read(element, context));
    }
    context.path.length = at;
    return out;
  };
}
function mapReader(item: TypeRef, goType: string): Read {
  const read = readerOf(item, elementName(goType));
  return (value, context) => {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return typeError(jsonKind(value), goType, context);
    const out: Record<string, unknown> = {};
    const at = context.path.length;
    for (const key in value) {
      context.path[at] = key;
      const element = (value as Record<string, unknown>)[key];
      if (element === undefined) continue;
      setOwn(out, key, element === null ? zeroOf(item) : read(element, context));
    }
    context.path.length = at;
    return out;
  };
}

function readerOf(ref: TypeRef, goType: string): Read {
  switch (ref.kind) {
    case 'string': return scalarReader('string', goType);
    case 'bool': return scalarReader('boolean', goType);
    case 'int': return numberReader(ref.bits === 32 ? isInt32 : isInt64, goType);
    case 'float': return numberReader(Number.isFinite, goType);
    case 'bytes': return readBytes;
    case 'quantity': return readQuantity;
    case 'time': return readTime;
    case 'microTime': return readMicroTime;
    case 'duration': return readDuration;
    case 'intOrString': return readIntOrString;
    case 'any': return anyReader(ref.go);
    case 'list': return listReader(ref.item, goType);
    case 'map': return mapReader(ref.value, goType);
    case 'struct': return structReader(ref.type);
  }
}

/** The schema unions of a CustomResourceDefinition hold nested schemas; the rest of untyped JSON is taken as it is. */
function anyReader(go: string): Read {
  if (!go.startsWith('JSONSchemaPropsOr')) return readAny;
  return (value, context) => {
    if (value === null || typeof value !== 'object') return value;
    if (Array.isArray(value) && go === 'JSONSchemaPropsOrStringArray') return value.filter((item) => typeof item === 'string');
    const read = schemaReader();
    const quiet = context.quiet;
    context.quiet = true;
    const out = Array.isArray(value) ? value.map((item: unknown) => read(item, context)) : read(value, context);
    context.quiet = quiet;
    return out;
  };
}
let jsonSchemaProps: StructType | undefined;
function schemaReader(): Read {
  return jsonSchemaProps === undefined ? readAny : structReader(jsonSchemaProps);
}

const structReaders = new Map<StructType, Read>();
function structReader(type: StructType): Read {
  const known = structReaders.get(type);
  if (known) return known;
  if (type.goName === 'JSONSchemaProps') jsonSchemaProps ??= type;
  let plans: ReadonlyMap<string, FieldPlan> | undefined;
  const goType = structName(type);
  const read: Read = (value, context) => {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return typeError(jsonKind(value), goType, context);
    if (++context.depth > MAX_DEPTH) throw new Abort('exceeded max depth');
    plans ??= makePlans(type);
    const out: Record<string, unknown> = {};
    const at = context.path.length;
    for (const key in value) {
      const plan = plans.get(key);
      if (plan === undefined) {
        reportUnknown(key, context);
        continue;
      }
      const child = (value as Record<string, unknown>)[key];
      // Values that never were text may spell absence as undefined.
      if (child === null || child === undefined) continue;
      context.path[at] = plan;
      const decoded = plan.read(child, context);
      if (decoded !== undefined) out[key] = decoded;
      context.path.length = at;
    }
    context.depth--;
    return out;
  };
  structReaders.set(type, read);
  return read;
}

function makePlans(type: StructType): ReadonlyMap<string, FieldPlan> {
  const go = goFields(type);
  const out = new Map<string, FieldPlan>();
  for (const field of type.fields.values()) {
    const goField = go.get(field.name) ?? { embedded: [], type: field.type.kind };
    out.set(field.name, { name: field.name, owner: type, go: goField, read: readerOf(field.type, goField.type) });
  }
  return out;
}

/** Decodes a parsed JSON value into `type`. Never throws for what a client sent. */
export function decodeInto(type: StructType, value: unknown): Decoded {
  const context: Context = { path: [], unknown: [], errors: [], empties: [], quiet: false, depth: 0 };
  try {
    const object = structReader(type)(value, context) as Record<string, unknown> | undefined;
    return { object: object ?? {}, unknown: context.unknown, errors: context.errors, empties: context.empties };
  } catch (err) {
    if (err instanceof Abort) return { object: {}, unknown: context.unknown, errors: [err.message, ...context.errors], empties: [] };
    throw err;
  }
}

const shapes = new Map<StructType, Shape>();
/** Where a scan for duplicate fields looks: into fields that the type has, but not into values with unmarshallers of their own. */
export function shapeOf(type: StructType): Shape {
  let shape = shapes.get(type);
  if (!shape) {
    const children = new Map<string, Shape | undefined>();
    const childOf = (field: Field): Shape | undefined => {
      if (!children.has(field.name)) children.set(field.name, shapeOfRef(field.type));
      return children.get(field.name);
    };
    shape = {
      known: (key) => type.fields.has(key),
      child: (key) => {
        const field = type.fields.get(key);
        return field && childOf(field);
      },
      item: () => undefined,
    };
    shapes.set(type, shape);
  }
  return shape;
}
function shapeOfRef(ref: TypeRef): Shape | undefined {
  if (ref.kind === 'struct') return shapeOf(ref.type);
  if (ref.kind === 'list') {
    const inner = shapeOfRef(ref.item);
    return inner && { known: () => false, child: () => undefined, item: () => inner };
  }
  if (ref.kind === 'map') {
    const inner = shapeOfRef(ref.value);
    return { known: () => true, child: () => inner, item: () => undefined };
  }
  return undefined;
}

/**
 * The messages of strict decoding: `unknown field "spec.x"`, `duplicate field "spec.y"`. `text` is the JSON that the object came from, where
 * it repeats keys; without a type every key of it counts (custom resources).
 */
export function strictMessages(unknown: readonly string[], text: string | undefined, type?: StructType): string[] {
  const duplicates = text === undefined ? [] : duplicateFields(text, type ? shapeOf(type) : ANY_SHAPE);
  return [...unknown.map((path) => `unknown field ${goQuote(path)}`), ...duplicates.map((path) => `duplicate field ${goQuote(path)}`)];
}

/** The message of a refused body, as upstream puts it: `Pod in version "v1" cannot be handled as a Pod: …`. */
export function cannotHandle(kind: string, version: string, expectedKind: string, why: string): string {
  return `${kind} in version ${goQuote(version)} cannot be handled as a ${expectedKind}: ${why}`;
}
/** The reason for {@link cannotHandle} when strict messages refuse a body. */
export function strictReason(messages: readonly string[]): string {
  return `strict decoding error: ${messages.join(', ')}`;
}

/** `apiVersion` and `kind` of a parsed body. Throws {@link JsonSyntaxError} in upstream's words where they are no strings. */
export function readTypeMeta(value: unknown): { apiVersion: string; kind: string } {
  const fail = (why: string): JsonSyntaxError => new JsonSyntaxError(`couldn't get version/kind; json parse error: json: cannot unmarshal ${why}`);
  if (value === null) return { apiVersion: '', kind: '' };
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw fail(`${jsonKind(value)} into Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }`);
  }
  const text = (field: 'apiVersion' | 'kind'): string => {
    const found = (value as Record<string, unknown>)[field] ?? '';
    if (typeof found !== 'string') throw fail(`${jsonKind(found)} into Go struct field .${field} of type string`);
    return found;
  };
  return { apiVersion: text('apiVersion'), kind: text('kind') };
}

export { normalise } from './normalise.ts';
