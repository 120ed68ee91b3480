/**
 * Header blocks of SPDY/3: name/value pairs in one zlib stream per direction that lives as long as the connection
 * ("SPDY Protocol – Draft 3.1", section 2.6.10). Names are lower case; several values of a name are joined by NUL bytes.
 */
import { constants, inflateRawSync } from 'node:zlib';
import { SPDY3_DICTIONARY, SPDY3_DICTIONARY_ID } from './spdy-dictionary.ts';
import { SpdyProtocolError } from './spdy-frames.ts';

export type SpdyHeaders = Readonly<Record<string, string>>;

export const MAX_HEADER_BLOCK_BYTES = 64 * 1024;
const MAX_STORED_BLOCK_BYTES = 0xffff;

/**
 * Writes header blocks as stored (uncompressed) deflate blocks: synchronous, and still the zlib stream with the preset
 * dictionary that the protocol asks for. Every block ends with an empty stored block (a sync flush), without which Go's
 * reader waits for more.
 */
export class HeaderEncoder {
  #first = true;

  encode(headers: SpdyHeaders): Buffer {
    const raw = encodePairs(headers);
    if (raw.length > MAX_HEADER_BLOCK_BYTES) throw new SpdyProtocolError(`headers have ${raw.length} bytes: must be at most ${MAX_HEADER_BLOCK_BYTES}`);
    const out: Buffer[] = [];
    if (this.#first) out.push(zlibHead());
    this.#first = false;
    for (let at = 0; at < raw.length; at += MAX_STORED_BLOCK_BYTES) out.push(...storedBlock(raw.subarray(at, at + MAX_STORED_BLOCK_BYTES)));
    out.push(...storedBlock(Buffer.alloc(0)));
    return Buffer.concat(out);
  }
}

function encodePairs(headers: SpdyHeaders): Buffer {
  const entries = Object.entries(headers);
  const parts: Buffer[] = [];
  const number = (n: number): void => {
    const b = Buffer.allocUnsafe(4);
    b.writeUInt32BE(n);
    parts.push(b);
  };
  number(entries.length);
  for (const [name, value] of entries) {
    for (const text of [Buffer.from(name.toLowerCase(), 'latin1'), Buffer.from(value, 'utf8')]) {
      number(text.length);
      parts.push(text);
    }
  }
  return Buffer.concat(parts);
}

/** CMF 78 (deflate, 32 KiB window), FLG with FDICT and the check bits that make the pair a multiple of 31, DICTID (RFC 1950). */
function zlibHead(): Buffer {
  const head = Buffer.alloc(6);
  head[0] = 0x78;
  head[1] = 0x20 + (31 - (0x7820 % 31));
  head.writeUInt32BE(SPDY3_DICTIONARY_ID, 2);
  return head;
}

/** A deflate block of type 00 (RFC 1951, section 3.2.4). */
function storedBlock(data: Buffer): [Buffer, Buffer] {
  const head = Buffer.alloc(5);
  head.writeUInt16LE(data.length, 1);
  head.writeUInt16LE(~data.length & 0xffff, 3);
  return [head, data];
}

/** What deflate can refer back to (RFC 1951, section 2). */
const WINDOW_BYTES = 32 * 1024;
const FDICT = 0x20;

/**
 * Reads header blocks. Each ends with a sync flush, on a byte's border: it can be inflated by itself, at once, with what came before it as
 * the dictionary. Threads of zlib would make every frame wait for a turn of the event loop.
 */
export class HeaderDecoder {
  #window: Buffer | undefined;

  /** Throws {@link SpdyProtocolError}. */
  decode(block: Buffer): Record<string, string> {
    const first = this.#window === undefined;
    const window = (this.#window ??= checkedDictionary(block));
    const deflated = first ? block.subarray(window.length ? 6 : 2) : block;
    const raw = inflate(deflated, window);
    this.#window = Buffer.concat([window, raw]).subarray(-WINDOW_BYTES);
    return decodePairs(raw);
  }
}

/** The preset dictionary of a zlib stream, by its head (RFC 1950). */
function checkedDictionary(stream: Buffer): Buffer {
  if (stream.length < 2 || (stream[0]! & 0x0f) !== 8 || stream.readUInt16BE(0) % 31 !== 0) throw new SpdyProtocolError('header block is not valid: incorrect header check');
  if (!(stream[1]! & FDICT)) return Buffer.alloc(0);
  if (stream.length < 6 || stream.readUInt32BE(2) !== SPDY3_DICTIONARY_ID) throw new SpdyProtocolError('header block is not valid: unknown dictionary');
  return SPDY3_DICTIONARY;
}
function inflate(block: Buffer, dictionary: Buffer): Buffer {
  try {
    // A small compressed block may stand for gigabytes: zlib stops before they exist.
    return inflateRawSync(block, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: MAX_HEADER_BLOCK_BYTES, ...(dictionary.length ? { dictionary } : {}) });
  } catch (err) {
    const tooLong = (err as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE';
    throw new SpdyProtocolError(tooLong ? `header block is longer than ${MAX_HEADER_BLOCK_BYTES} bytes` : `header block is not valid: ${(err as Error).message}`, { cause: err });
  }
}

function decodePairs(raw: Buffer): Record<string, string> {
  const out: Record<string, string> = Object.create(null);
  let at = 0;
  const number = (): number => {
    if (at + 4 > raw.length) throw new SpdyProtocolError('header block ends in the middle of a number');
    at += 4;
    return raw.readUInt32BE(at - 4);
  };
  const text = (encoding: 'latin1' | 'utf8'): string => {
    const length = number();
    if (at + length > raw.length) throw new SpdyProtocolError('header block ends in the middle of a string');
    at += length;
    return raw.toString(encoding, at - length, at);
  };
  for (let left = number(); left > 0; left--) {
    const name = text('latin1').toLowerCase();
    out[name] = text('utf8');
  }
  return out;
}
