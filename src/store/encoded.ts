/** An object's JSON as the store keeps it, and the resourceVersion that is put into it by copying bytes. */
import type { KubeObject } from '#api/object.ts';

const LINE_END = 0x0a, QUOTE = 0x22, BACKSLASH = 0x5c, COMMA = 0x2c, COLON = 0x3a, OPEN = 0x7b, CLOSE = 0x7d, OPEN_LIST = 0x5b, CLOSE_LIST = 0x5d;

/** An object's JSON without `metadata.resourceVersion`: what the store keeps. */
export interface Encoded {
  readonly bytes: Buffer;
  /** Offset at which `"resourceVersion":"…"` belongs. */
  readonly at: number;
  /** Commas that the insertion needs around it. */
  readonly before: boolean;
  readonly after: boolean;
}

/** Where Go's encoder writes the resourceVersion: after these fields of the metadata. */
export const BEFORE_VERSION: ReadonlySet<string> = new Set(['name', 'generateName', 'namespace', 'selfLink', 'uid']);

/** Serialises an object once, so that its resourceVersion can be put in later by copying bytes. */
export function encodeObject(object: KubeObject): Encoded {
  const { resourceVersion: _, ...metadata } = object.metadata;
  return locateVersion(exactBuffer(JSON.stringify({ ...object, metadata })))!;
}

export function spliceVersion({ bytes, at, before, after }: Encoded, revision: number): Buffer {
  const text = `${before ? ',' : ''}"resourceVersion":"${revision}"${before || !after ? '' : ','}`;
  const out = Buffer.allocUnsafeSlow(bytes.length + text.length + 1);
  bytes.copy(out, 0, 0, at);
  out.write(text, at, 'latin1');
  bytes.copy(out, at + text.length, at);
  out[out.length - 1] = LINE_END;
  return out;
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
export function locateVersion(bytes: Buffer): Encoded | undefined {
  if (bytes[0] !== OPEN) return undefined;
  let at = 1;
  while (bytes[at] === QUOTE) {
    const end = stringEnd(bytes, at);
    if (bytes[end] !== COLON) return undefined;
    if (bytes.toString('latin1', at + 1, end - 1) === 'metadata') return inMetadata(bytes, end + 1);
    at = valueEnd(bytes, end + 1);
    if (bytes[at] !== COMMA) return undefined;
    at++;
  }
  return undefined;
}

function inMetadata(bytes: Buffer, open: number): Encoded | undefined {
  if (bytes[open] !== OPEN) return undefined;
  const start = open + 1;
  /** Behind the members that stand before the resourceVersion. */
  let at = start;
  for (let next = start; bytes[next] === QUOTE; next = at + 1) {
    const end = stringEnd(bytes, next);
    if (bytes[end] !== COLON) return undefined;
    if (!BEFORE_VERSION.has(bytes.toString('latin1', next + 1, end - 1))) break;
    at = valueEnd(bytes, end + 1);
    if (bytes[at] !== COMMA) break;
  }
  const follows = bytes[at];
  if (at === start ? follows !== QUOTE && follows !== CLOSE : follows !== COMMA && follows !== CLOSE) return undefined;
  return { bytes, at, before: at > start, after: follows !== CLOSE };
}

/** Offset behind the string that begins at `at`. */
function stringEnd(bytes: Buffer, at: number): number {
  for (let end = at + 1; ; end++) {
    end = bytes.indexOf(QUOTE, end);
    if (end < 0) return bytes.length;
    let from = end;
    while (bytes[from - 1] === BACKSLASH) from--;
    if ((end - from) % 2 === 0) return end + 1;
  }
}
/** Offset behind the value that begins at `at`. */
function valueEnd(bytes: Buffer, at: number): number {
  let depth = 0;
  for (let i = at; i < bytes.length; i++) {
    const c = bytes[i];
    if (c === QUOTE) i = stringEnd(bytes, i) - 1;
    else if (c === OPEN || c === OPEN_LIST) depth++;
    else if (c === CLOSE || c === CLOSE_LIST) {
      if (depth-- === 0) return i;
    } else if (c === COMMA && depth === 0) return i;
  }
  return bytes.length;
}
