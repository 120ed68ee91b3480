/** An object's JSON as the store keeps it, and the resourceVersion that is put into it by copying bytes. */
import type { KubeObject } from '#api/object.ts';
import { objectText } from '#machinery/object-text.ts';

const LINE_END = 0x0a, QUOTE = 0x22, BACKSLASH = 0x5c, COMMA = 0x2c, COLON = 0x3a, OPEN = 0x7b, CLOSE = 0x7d, OPEN_LIST = 0x5b, CLOSE_LIST = 0x5d;

/** An object's JSON without `metadata.resourceVersion`: what the store keeps. It is a part of `bytes`. */
export interface Encoded {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  /** Offset in {@link bytes} at which `"resourceVersion":"…"` belongs. */
  readonly at: number;
  /** Commas that the insertion needs around it. */
  readonly before: boolean;
  readonly after: boolean;
}

/** Where Go's encoder writes the resourceVersion: after these fields of the metadata. In the metadata of custom resources all keys are sorted. */
export const BEFORE_VERSION: ReadonlySet<string> = new Set(['name', 'generateName', 'namespace', 'selfLink', 'uid']);

/** Serialises an object once, so that its resourceVersion can be put in later by copying bytes. */
export function encodeObject(object: KubeObject): Encoded {
  const { resourceVersion: _, ...metadata } = object.metadata;
  return locateVersion(exactBuffer(objectText({ ...object, metadata })))!;
}

/** More bytes than the resourceVersion and the line end take. */
export const VERSION_BYTES = 48;
function versionText({ before, after }: Encoded, revision: number): string {
  return `${before ? ',' : ''}"resourceVersion":"${revision}"${before || !after ? '' : ','}`;
}
/** The object with its resourceVersion, and a line end. */
export function spliceVersion(encoded: Encoded, revision: number): Buffer {
  const text = versionText(encoded, revision);
  const out = Buffer.allocUnsafeSlow(encoded.end - encoded.start + text.length + 1);
  splice(encoded, text, out, 0, 0);
  return out;
}
/** Writes the same without the first `skip` bytes to `out`, which has {@link VERSION_BYTES} more room than the object needs. Returns the offset behind it. */
export function spliceInto(encoded: Encoded, revision: number, out: Buffer, to: number, skip: number): number {
  return splice(encoded, versionText(encoded, revision), out, to, skip);
}
function splice({ bytes, start, end, at }: Encoded, text: string, out: Buffer, to: number, skip: number): number {
  to += bytes.copy(out, to, start + skip, at);
  to += out.write(text, to, 'latin1');
  to += bytes.copy(out, to, at, end);
  out[to] = LINE_END;
  return to + 1;
}

/** The text as UTF-8 in memory of its own: a slice of Node's pool would keep the whole slab alive. */
export function exactBuffer(text: string): Buffer {
  const out = Buffer.allocUnsafeSlow(Buffer.byteLength(text));
  out.write(text);
  return out;
}

/**
 * The counterpart of `encodeObject` for bytes that it made once: JSON without blanks whose metadata has no resourceVersion. Undefined for
 * what is not of that form.
 */
export function locateVersion(bytes: Buffer, start = 0, end = bytes.length): Encoded | undefined {
  if (bytes[start] !== OPEN) return undefined;
  let at = start + 1;
  // Only typed objects begin with their kind.
  const isTyped = bytes[at + 1] !== undefined && bytes[at + 1]! >= KIND;
  while (bytes[at] === QUOTE) {
    const colon = stringEnd(bytes, at, end);
    if (bytes[colon] !== COLON) return undefined;
    if (isText(bytes, at + 1, colon - 1, METADATA)) return inMetadata(bytes, start, end, colon + 1, isTyped);
    at = valueEnd(bytes, colon + 1, end);
    if (bytes[at] !== COMMA) return undefined;
    at++;
  }
  return undefined;
}
const METADATA = Buffer.from('metadata');
const KIND = 0x6b;
const VERSION = Buffer.from('resourceVersion');
const EARLY = Array.from(BEFORE_VERSION, (name) => Buffer.from(name));

function inMetadata(bytes: Buffer, start: number, end: number, open: number, isTyped: boolean): Encoded | undefined {
  if (bytes[open] !== OPEN) return undefined;
  const first = open + 1;
  /** Behind the members that stand before the resourceVersion. */
  let at = first;
  for (let next = first; bytes[next] === QUOTE; next = at + 1) {
    const colon = stringEnd(bytes, next, end);
    if (bytes[colon] !== COLON) return undefined;
    const from = next + 1;
    if (isTyped ? !EARLY.some((name) => isText(bytes, from, colon - 1, name)) : bytes.compare(VERSION, 0, VERSION.length, from, colon - 1) > 0) break;
    at = valueEnd(bytes, colon + 1, end);
    if (bytes[at] !== COMMA) break;
  }
  if (at >= end) return undefined;
  const follows = bytes[at];
  if (at === first ? follows !== QUOTE && follows !== CLOSE : follows !== COMMA && follows !== CLOSE) return undefined;
  return { bytes, start, end, at, before: at > first, after: follows !== CLOSE };
}

// By hand: for texts as short as these a call of a native function costs more than they do.
function isText(bytes: Buffer, from: number, to: number, text: Buffer): boolean {
  if (to - from !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[from + i] !== text[i]) return false;
  return true;
}
/** Offset behind the string that begins at `at`. */
function stringEnd(bytes: Buffer, at: number, end: number): number {
  for (let i = at + 1; i < end; i++) {
    const c = bytes[i];
    if (c === QUOTE) return i + 1;
    if (c === BACKSLASH) i++;
  }
  return end;
}
/** Offset behind the value that begins at `at`. */
function valueEnd(bytes: Buffer, at: number, end: number): number {
  let depth = 0;
  for (let i = at; i < end; i++) {
    const c = bytes[i];
    if (c === QUOTE) i = stringEnd(bytes, i, end) - 1;
    else if (c === OPEN || c === OPEN_LIST) depth++;
    else if (c === CLOSE || c === CLOSE_LIST) {
      if (depth-- === 0) return i;
    } else if (c === COMMA && depth === 0) return i;
  }
  return end;
}
