/**
 * Header blocks of SPDY/3: name/value pairs in one zlib stream per direction that lives as long as the connection
 * ("SPDY Protocol – Draft 3.1", section 2.6.10). Names are lower case; several values of a name are joined by NUL bytes.
 */
import { constants, createInflate, type Inflate } from 'node:zlib';
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

/** Reads header blocks; decompression runs off the main thread, so blocks must be given one after the other. */
export class HeaderDecoder {
  readonly #inflate: Inflate;
  #failed: ((err: Error) => void) | undefined;
  #size = 0;
  #parts: Buffer[] = [];

  constructor() {
    this.#inflate = createInflate({ dictionary: SPDY3_DICTIONARY, flush: constants.Z_SYNC_FLUSH });
    this.#inflate.on('error', (err) => this.#failed?.(new SpdyProtocolError(`header block is not valid: ${err.message}`, { cause: err })));
    this.#inflate.on('data', (part: Buffer) => {
      this.#size += part.length;
      if (this.#size <= MAX_HEADER_BLOCK_BYTES) this.#parts.push(part);
      else {
        // A small compressed block may stand for gigabytes: stop before they exist.
        this.#failed?.(new SpdyProtocolError(`header block is longer than ${MAX_HEADER_BLOCK_BYTES} bytes`));
        this.close();
      }
    });
  }

  decode(block: Buffer): Promise<Record<string, string>> {
    return new Promise((resolve, reject) => {
      this.#failed = reject;
      this.#size = 0;
      this.#parts = [];
      this.#inflate.write(block, (err) => {
        if (err) return;
        // The block is consumed now, but its output may still lie in the stream's buffer: reading emits it.
        while (this.#inflate.read() !== null);
        try {
          resolve(decodePairs(Buffer.concat(this.#parts)));
        } catch (error) {
          reject(error as Error);
        }
      });
    });
  }

  close(): void {
    this.#failed?.(new SpdyProtocolError('connection closed'));
    this.#inflate.destroy();
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
