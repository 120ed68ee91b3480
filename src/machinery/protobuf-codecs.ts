/**
 * Protobuf codecs for the types of the schema graph. JSON-shaped values on one side, the messages that upstream's generated code writes
 * on the other: every field that is no pointer is written, even when zero; fields ascend by number; maps ascend by key.
 *
 * Codecs are compiled per struct type on first use.
 */
import type { Field, StructType, TypeRef } from '#api/schema.ts';
import { rfc3339 } from '#base/clock.ts';
import { formatDuration, parseDuration } from './duration.ts';
import { MAX_DEPTH, readJson } from './json.ts';
import { canonicalQuantity } from './quantity.ts';
import { ProtobufError, type Reader, type WireType, type Writer } from './protobuf-wire.ts';
import { timeParts } from './time.ts';

/** Reads and writes one value, with its length where the wire type asks for one. */
export interface Codec {
  readonly wire: WireType;
  write(writer: Writer, value: unknown): void;
  /** `before`: what the field holds already, for messages that come in parts. */
  read(reader: Reader, before?: unknown): unknown;
  /** What is written for a field that is no pointer and absent; undefined: nothing. */
  readonly zero: unknown;
  /** What an absent value in a map entry or list means. */
  readonly empty: unknown;
}
type Message = Record<string, unknown>;

/** Runs `body` on the bytes of a message and comes back behind it. */
function within<T>(reader: Reader, body: () => T): T {
  const { start, end } = reader.span();
  const outer = reader.end;
  reader.pos = start;
  reader.end = end;
  const out = body();
  reader.pos = end;
  reader.end = outer;
  return out;
}
function eachField(reader: Reader, visit: (field: number, wire: number) => boolean): void {
  while (!reader.done) {
    const tag = reader.small();
    const field = Math.floor(tag / 8);
    const wire = tag % 8;
    if (field === 0) throw new ProtobufError(`proto: illegal tag ${field} (wire type ${wire})`);
    if (!visit(field, wire)) reader.skip(wire);
  }
}
/** Writes a message of the fields that `body` writes (backwards) and its length. */
function message(writer: Writer, body: () => void): void {
  const before = writer.length;
  body();
  writer.varint(writer.length - before);
}

const stringCodec: Codec = { wire: 2, zero: '', empty: '', write: (w, v) => w.string(v as string), read: (r) => r.string() };
const boolCodec: Codec = { wire: 0, zero: false, empty: false, write: (w, v) => w.varint(v ? 1 : 0), read: (r) => r.int64() !== 0 };
const intCodec: Codec = { wire: 0, zero: 0, empty: 0, write: (w, v) => w.int64(v as number), read: (r) => r.int64() };
const doubleCodec: Codec = { wire: 1, zero: 0, empty: 0, write: (w, v) => w.double(v as number), read: (r) => r.double() };
const bytesCodec: Codec = { wire: 2, zero: undefined, empty: '', write: (w, v) => w.bytes(Buffer.from(v as string, 'base64')), read: (r) => r.bytes().toString('base64') };
const int32Codec: Codec = { ...intCodec, read: (r) => r.int64() | 0 };

const quantityCodec: Codec = {
  wire: 2, zero: '0', empty: '0',
  write: (w, v) => message(w, () => {
    w.string(canonicalQuantity(v as string | number));
    w.tag(1, 2);
  }),
  read: (r) => within(r, () => {
    let text = '';
    eachField(r, (field, wire) => field === 1 && wire === 2 && ((text = r.string()), true));
    return text === '' ? '0' : canonicalQuantity(text);
  }),
};

/** Go's zero time, year 1: an empty message. */
function timeCodec(micro: boolean): Codec {
  return {
    wire: 2, zero: null, empty: null,
    write: (w, v) => message(w, () => {
      if (v === null || v === undefined) return;
      const { seconds, nanos } = timeParts(v as string);
      if (seconds === -62135596800 && nanos === 0) return;
      w.varint(micro ? nanos : 0);
      w.tag(2, 0);
      w.int64(seconds);
      w.tag(1, 0);
    }),
    read: (r) => within(r, () => {
      if (r.done) return null;
      let seconds = 0;
      let nanos = 0;
      eachField(r, (field, wire) => {
        if (wire !== 0 || field > 2) return false;
        if (field === 1) seconds = r.int64();
        else nanos = r.int64();
        return true;
      });
      const ms = seconds * 1000;
      if (!Number.isFinite(new Date(ms).getTime())) throw new ProtobufError('proto: time is out of range');
      const text = rfc3339(ms);
      return micro ? `${text.slice(0, -1)}.${String(Math.trunc(nanos / 1000)).padStart(6, '0')}Z` : text;
    }),
  };
}

const durationCodec: Codec = {
  wire: 2, zero: '0s', empty: '0s',
  write: (w, v) => message(w, () => {
    w.bigint(parseDuration(v as string));
    w.tag(1, 0);
  }),
  read: (r) => within(r, () => {
    let nanos = 0;
    eachField(r, (field, wire) => field === 1 && wire === 0 && ((nanos = r.int64()), true));
    return formatDuration(BigInt(nanos));
  }),
};

const intOrStringCodec: Codec = {
  wire: 2, zero: 0, empty: 0,
  write: (w, v) => message(w, () => {
    const isString = typeof v === 'string';
    w.string(isString ? v : '');
    w.tag(3, 2);
    w.int64(isString ? 0 : (v as number));
    w.tag(2, 0);
    w.varint(isString ? 1 : 0);
    w.tag(1, 0);
  }),
  read: (r) => within(r, () => {
    let type = 0;
    let number = 0;
    let text = '';
    eachField(r, (field, wire) => {
      if (field === 1 && wire === 0) type = r.int64();
      else if (field === 2 && wire === 0) number = r.int64() | 0;
      else if (field === 3 && wire === 2) text = r.string();
      else return false;
      return true;
    });
    return type === 1 ? text : number;
  }),
};

/** How the bytes inside a RawExtension become a value; `protobuf.ts` adds the reading of nested envelopes. */
export const rawReader = {
  parse(bytes: Buffer): unknown {
    try {
      return readJson(bytes.toString('utf8'));
    } catch (err) {
      throw new ProtobufError('proto: raw extension holds no JSON', err);
    }
  },
};
/** RawExtension, FieldsV1, JSON: a message with the JSON text in field 1. */
const rawCodec: Codec = {
  wire: 2, zero: null, empty: null,
  write: (w, v) => message(w, () => {
    if (v === null || v === undefined) return;
    w.string(JSON.stringify(v));
    w.tag(1, 2);
  }),
  read: (r) => within(r, () => {
    let value: unknown = null;
    eachField(r, (field, wire) => field === 1 && wire === 2 && ((value = rawReader.parse(r.bytes())), true));
    return value;
  }),
};
const emptyCodec: Codec = { wire: 2, zero: undefined, empty: {}, write: (w) => w.varint(0), read: (r) => (r.span(), {}) };

/** Verbs and ExtraValue: a message around a list of strings. */
const stringsCodec: Codec = {
  wire: 2, zero: undefined, empty: [],
  write: (w, v) => message(w, () => {
    for (const item of (v as readonly string[]).toReversed()) {
      w.string(item);
      w.tag(1, 2);
    }
  }),
  read: (r, before) => within(r, () => {
    const out = (before as string[] | undefined) ?? [];
    eachField(r, (field, wire) => field === 1 && wire === 2 && (out.push(r.string()), true));
    return out;
  }),
};

/** A schema, or what stands for one: a list of schemas, a boolean, or property names. */
function schemaUnionCodec(go: string, schema: () => Codec): Codec {
  const write = (w: Writer, v: unknown): void => {
    if (go === 'JSONSchemaPropsOrBool') {
      if (typeof v === 'object') {
        schema().write(w, v);
        w.tag(2, 2);
      }
      w.varint(v === false ? 0 : 1);
      w.tag(1, 0);
    } else if (Array.isArray(v)) {
      for (const item of v.toReversed()) {
        if (go === 'JSONSchemaPropsOrStringArray') w.string(item as string);
        else schema().write(w, item);
        w.tag(2, 2);
      }
    } else {
      schema().write(w, v);
      w.tag(1, 2);
    }
  };
  const read = (r: Reader): unknown => {
    let single: unknown;
    let allows = false;
    const list: unknown[] = [];
    const schemaField = go === 'JSONSchemaPropsOrBool' ? 2 : 1;
    eachField(r, (field, wire) => {
      if (field === 1 && wire === 0) allows = r.int64() !== 0;
      else if (field === schemaField && wire === 2) single = schema().read(r, single);
      else if (field === 2 && wire === 2) list.push(go === 'JSONSchemaPropsOrStringArray' ? r.string() : schema().read(r));
      else return false;
      return true;
    });
    if (go === 'JSONSchemaPropsOrBool') return single ?? allows;
    return list.length ? list : (single ?? null);
  };
  return { wire: 2, zero: undefined, empty: null, write: (w, v) => message(w, () => v !== null && v !== undefined && write(w, v)), read: (r) => within(r, () => read(r)) };
}

function codecOf(ref: TypeRef, owner: StructType): Codec {
  switch (ref.kind) {
    case 'string': return stringCodec;
    case 'bool': return boolCodec;
    case 'int': return ref.bits === 32 ? int32Codec : intCodec;
    case 'float': return doubleCodec;
    case 'bytes': return bytesCodec;
    case 'quantity': return quantityCodec;
    case 'time': return timeCodec(false);
    case 'microTime': return timeCodec(true);
    case 'duration': return durationCodec;
    case 'intOrString': return intOrStringCodec;
    case 'any':
      if (ref.go.startsWith('JSONSchemaPropsOr')) return schemaUnionCodec(ref.go, () => messageCodec(owner));
      return ref.go === 'CustomResourceSubresourceStatus' ? emptyCodec : rawCodec;
    case 'struct': return messageCodec(ref.type);
    case 'list':
      if (ref.alias !== undefined) return stringsCodec;
      throw new ProtobufError(`type "${owner.factsName}" nests a list that protobuf cannot`);
    case 'map': throw new ProtobufError(`type "${owner.factsName}" nests a map that protobuf cannot`);
  }
}

/** One field number of a message: a field, or an embedded struct whose fields belong to the same JSON object. */
interface Slot {
  readonly number: number;
  write(writer: Writer, object: Readonly<Message>): void;
  read(reader: Reader, wire: number, object: Message): boolean;
}

function singleSlot(field: Field, number: number, owner: StructType): Slot {
  const codec = codecOf(field.type, owner);
  const { name, pointer } = field;
  const zero = pointer ? undefined : codec.zero;
  return {
    number,
    write(w, object) {
      let value = object[name];
      if (value === undefined || (value === null && codec.zero !== null)) value = zero;
      if (value === undefined) return;
      codec.write(w, value);
      w.tag(number, codec.wire);
    },
    read(r, wire, object) {
      if (wire !== codec.wire) throw new ProtobufError(`proto: wrong wireType = ${wire} for field ${name}`);
      const value = codec.read(r, object[name]);
      // Zeros of fields that are no pointers are the same as absent.
      if (pointer || (value !== '' && value !== 0 && value !== false && value !== null)) object[name] = value;
      else if (object[name] !== undefined) delete object[name];
      return true;
    },
  };
}

function listSlot(field: Field, item: TypeRef, number: number, owner: StructType): Slot {
  const codec = codecOf(item, owner);
  const { name } = field;
  return {
    number,
    write(w, object) {
      const list = object[name] as readonly unknown[] | null | undefined;
      if (!list) return;
      for (let i = list.length - 1; i >= 0; i--) {
        codec.write(w, list[i]);
        w.tag(number, codec.wire);
      }
    },
    read(r, wire, object) {
      const list = (object[name] ??= []) as unknown[];
      if (wire === codec.wire) list.push(codec.read(r));
      else if (wire === 2) within(r, () => { while (!r.done) list.push(codec.read(r)); }); // packed
      else throw new ProtobufError(`proto: wrong wireType = ${wire} for field ${name}`);
      return true;
    },
  };
}

const byBytes = (a: string, b: string): number => (a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b)));

function mapSlot(field: Field, item: TypeRef, number: number, owner: StructType): Slot {
  const codec = codecOf(item, owner);
  const { name } = field;
  return {
    number,
    write(w, object) {
      const map = object[name] as Readonly<Message> | null | undefined;
      if (!map) return;
      for (const key of Object.keys(map).toSorted(byBytes).toReversed()) {
        message(w, () => {
          codec.write(w, map[key] ?? codec.empty);
          w.tag(2, codec.wire);
          w.string(key);
          w.tag(1, 2);
        });
        w.tag(number, 2);
      }
    },
    read(r, wire, object) {
      if (wire !== 2) throw new ProtobufError(`proto: wrong wireType = ${wire} for field ${name}`);
      const map = (object[name] ??= {}) as Message;
      let key = '';
      let value = codec.empty;
      within(r, () => eachField(r, (part, partWire) => {
        if (part === 1 && partWire === 2) key = r.string();
        else if (part === 2 && partWire === codec.wire) value = codec.read(r);
        else return false;
        return true;
      }));
      // `__proto__` must stay an ordinary key.
      Object.defineProperty(map, key, { value, enumerable: true, configurable: true, writable: true });
      return true;
    },
  };
}

function fieldSlot(field: Field, number: number, owner: StructType): Slot {
  const { type } = field;
  if (type.kind === 'list' && type.alias === undefined) return listSlot(field, type.item, number, owner);
  if (type.kind === 'map') return mapSlot(field, type.value, number, owner);
  return singleSlot(field, number, owner);
}

/** An embedded struct: a message of its own on the wire, the same object in JSON. Always written. */
function embeddedSlot(number: number, slots: readonly Slot[]): Slot {
  const byNumber = new Map(slots.map((slot) => [slot.number, slot]));
  return {
    number,
    write(w, object) {
      message(w, () => { for (const slot of slots) slot.write(w, object); });
      w.tag(number, 2);
    },
    read(r, wire, object) {
      if (wire !== 2) throw new ProtobufError(`proto: wrong wireType = ${wire} for embedded field ${number}`);
      within(r, () => eachField(r, (inner, innerWire) => byNumber.get(inner)?.read(r, innerWire, object) ?? false));
      return true;
    },
  };
}

/** Slots of the fields whose path continues at `depth`, from the highest number down, as the writer wants them. */
function slotsOf(fields: readonly Field[], depth: number, owner: StructType): Slot[] {
  const groups = Map.groupBy(fields, (field) => field.pbPath[depth]!);
  const slots = [...groups].map(([number, group]) => {
    const first = group[0]!;
    return first.pbPath.length === depth + 1 ? fieldSlot(first, number, owner) : embeddedSlot(number, slotsOf(group, depth + 1, owner));
  });
  return slots.toSorted((a, b) => b.number - a.number);
}

const codecs = new Map<StructType, Codec>();
let depth = 0;
/** The codec of a struct type as a message with its length. */
export function messageCodec(type: StructType): Codec {
  const known = codecs.get(type);
  if (known) return known;
  const codec: Codec = {
    wire: 2, zero: {}, empty: {},
    write: (w, v) => message(w, () => writeBody(type, w, v)),
    read: (r, before) => within(r, () => readBody(type, r, before)),
  };
  codecs.set(type, codec);
  return codec;
}

interface Body {
  readonly slots: readonly Slot[];
  readonly byNumber: ReadonlyMap<number, Slot>;
}
const bodies = new Map<StructType, Body>();
function bodyOf(type: StructType): Body {
  let body = bodies.get(type);
  if (!body) {
    const slots = slotsOf([...type.fields.values()].filter((field) => field.pbPath.length > 0), 0, type);
    body = { slots, byNumber: new Map(slots.map((slot) => [slot.number, slot])) };
    bodies.set(type, body);
  }
  return body;
}

/** Writes a message without its length. */
export function writeBody(type: StructType, writer: Writer, object: unknown): void {
  if (object === null || typeof object !== 'object') return;
  const { slots } = bodyOf(type);
  for (let i = 0; i < slots.length; i++) slots[i]!.write(writer, object as Message);
}
/** Reads fields up to the end of the reader into an object. */
export function readBody(type: StructType, reader: Reader, before?: unknown): Message {
  const { byNumber } = bodyOf(type);
  const object = (before as Message | undefined) ?? {};
  if (depth > MAX_DEPTH) throw new ProtobufError('exceeded max depth');
  depth++;
  try {
    eachField(reader, (field, wire) => byNumber.get(field)?.read(reader, wire, object) ?? false);
  } finally {
    depth--;
  }
  return object;
}
