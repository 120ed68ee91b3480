/**
 * Kubernetes protobuf: objects in their envelope (`k8s\0` and a `runtime.Unknown`), and the frames of a watch.
 * Source: the API concepts page, "Protobuf encoding"; byte for byte as upstream's golden fixtures.
 *
 * Decoded objects are JSON-shaped but not in normal form: run `normalise` on them.
 */
import { splitApiVersion } from '#api/object.ts';
import { structByKind, type StructType } from '#api/schema.ts';
import { ProtobufError, Reader, Writer } from './protobuf-wire.ts';
import { rawReader, readBody, writeBody } from './protobuf-codecs.ts';
import { QuantityError } from './quantity.ts';

export { ProtobufError } from './protobuf-wire.ts';

const PREFIX = Buffer.from('k8s\0', 'latin1');

type KubeJson = Readonly<Record<string, unknown>>;

export interface Envelope {
  readonly apiVersion: string;
  readonly kind: string;
  /** The message itself. */
  readonly raw: Buffer;
  readonly contentEncoding: string;
  readonly contentType: string;
}

/** True where protobuf has a message for the type: Tables have none. */
export function hasProtobuf(type: StructType): boolean {
  for (const field of type.fields.values()) if (field.pbPath.length > 0) return true;
  return type.fields.size === 0;
}

/** The bytes of a message without envelope. */
export function encodeMessage(type: StructType, object: unknown): Buffer {
  const writer = new Writer();
  writeBody(type, writer, object);
  return writer.finish();
}
/** The object in the bytes of a message without envelope. Throws {@link ProtobufError}. */
export function decodeMessage(type: StructType, raw: Buffer): Record<string, unknown> {
  try {
    return readBody(type, new Reader(raw));
  } catch (err) {
    if (err instanceof QuantityError) throw new ProtobufError(err.message, err);
    throw err;
  }
}

/** An object of `type` with its envelope; `apiVersion` and `kind` are those in the object. */
export function encodeObject(object: KubeJson, type: StructType): Buffer {
  const writer = new Writer();
  writer.string(''); // contentType
  writer.tag(4, 2);
  writer.string(''); // contentEncoding
  writer.tag(3, 2);
  const end = writer.length;
  writeBody(type, writer, object);
  writer.varint(writer.length - end);
  writer.tag(2, 2);
  const before = writer.length;
  writer.string(typeof object['kind'] === 'string' ? object['kind'] : '');
  writer.tag(2, 2);
  writer.string(typeof object['apiVersion'] === 'string' ? object['apiVersion'] : '');
  writer.tag(1, 2);
  writer.varint(writer.length - before);
  writer.tag(1, 2);
  writer.raw(PREFIX);
  return writer.finish();
}

/** True for bytes that begin like an envelope. */
export function isProtobuf(bytes: Buffer): boolean {
  return bytes.length >= PREFIX.length && bytes.subarray(0, PREFIX.length).equals(PREFIX);
}

/** Opens an envelope. Throws {@link ProtobufError} in upstream's words. */
export function decodeEnvelope(bytes: Buffer): Envelope {
  if (bytes.length === 0) throw new ProtobufError('empty data');
  if (!isProtobuf(bytes)) throw new ProtobufError('provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]');
  if (bytes.length === PREFIX.length) throw new ProtobufError('empty body');
  const out = { apiVersion: '', kind: '', raw: bytes.subarray(0, 0), contentEncoding: '', contentType: '' };
  const reader = new Reader(bytes, PREFIX.length);
  readFields(reader, (field) => {
    if (field === 1) {
      const { start, end } = reader.span();
      const inner = new Reader(bytes, start, end);
      readFields(inner, (part) => {
        if (part === 1) out.apiVersion = inner.string();
        else if (part === 2) out.kind = inner.string();
        else return false;
        return true;
      });
    } else if (field === 2) out.raw = reader.bytes();
    else if (field === 3) out.contentEncoding = reader.string();
    else if (field === 4) out.contentType = reader.string();
    else return false;
    return true;
  });
  return out;
}
/** Visits the length-delimited fields of a message; `visit` says whether it read the field. */
function readFields(reader: Reader, visit: (field: number) => boolean): void {
  while (!reader.done) {
    const tag = reader.small();
    if (tag % 8 !== 2 || !visit(Math.floor(tag / 8))) reader.skip(tag % 8);
  }
}

/** The type that an envelope names; undefined when release 1.36 has none. */
export function typeOfEnvelope(envelope: Envelope): StructType | undefined {
  const { group, version } = splitApiVersion(envelope.apiVersion);
  return structByKind(group, version, envelope.kind);
}

/** The object in an envelope. `type` is the one to expect; by default the one that the envelope names. Throws {@link ProtobufError}. */
export function decodeObject(bytes: Buffer, type?: StructType): Record<string, unknown> {
  const envelope = decodeEnvelope(bytes);
  const found = type ?? typeOfEnvelope(envelope);
  if (!found) throw new ProtobufError(`no kind "${envelope.kind}" is registered for version "${envelope.apiVersion}"`);
  const head: Record<string, unknown> = {};
  if (found.fields.has('kind')) {
    if (envelope.kind !== '') head['kind'] = envelope.kind;
    if (envelope.apiVersion !== '') head['apiVersion'] = envelope.apiVersion;
  }
  return Object.assign(head, decodeMessage(found, envelope.raw));
}

const readJson = rawReader.parse;
/** A RawExtension may hold a whole envelope: the items of a `v1.List`, the object of a watch event. */
rawReader.parse = (bytes) => (isProtobuf(bytes) ? decodeObject(bytes) : readJson(bytes));

export type WatchEventType = 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';

/**
 * One frame of a watch: four bytes of length (big-endian), then a `WatchEvent` without envelope, whose object has one.
 * `object` is what {@link encodeObject} made.
 */
export function encodeWatchFrame(type: WatchEventType, object: Uint8Array): Buffer {
  const writer = new Writer();
  writer.bytes(object);
  writer.tag(1, 2);
  writer.varint(writer.length);
  writer.tag(2, 2);
  writer.string(type);
  writer.tag(1, 2);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(writer.length);
  writer.raw(length);
  return writer.finish();
}

/** The event in a frame without its four bytes of length; `object` is an envelope, or JSON text. */
export function decodeWatchEvent(bytes: Buffer): { readonly type: string; readonly object: Buffer } {
  let type = '';
  let object = bytes.subarray(0, 0);
  const reader = new Reader(bytes);
  readFields(reader, (field) => {
    if (field === 1) type = reader.string();
    else if (field === 2) {
      const { start, end } = reader.span();
      const inner = new Reader(bytes, start, end);
      readFields(inner, (part) => part === 1 && ((object = inner.bytes()), true));
    } else return false;
    return true;
  });
  return { type, object };
}

/** Cuts a stream of length-delimited frames. A frame longer than `maxBytes` is an error. */
export class FrameSplitter {
  #rest: Buffer = Buffer.alloc(0);
  readonly #maxBytes: number;
  constructor(maxBytes = 16 * 1024 * 1024) {
    this.#maxBytes = maxBytes;
  }
  /** The frames that are whole after `chunk`, without their lengths. */
  push(chunk: Buffer): Buffer[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const out: Buffer[] = [];
    while (this.#rest.length >= 4) {
      const length = this.#rest.readUInt32BE(0);
      if (length > this.#maxBytes) throw new ProtobufError('object to decode was longer than maximum allowed size');
      if (this.#rest.length < 4 + length) break;
      out.push(this.#rest.subarray(4, 4 + length));
      this.#rest = this.#rest.subarray(4 + length);
    }
    return out;
  }
}
