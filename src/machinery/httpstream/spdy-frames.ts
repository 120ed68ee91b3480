/**
 * The frames of SPDY/3.1 ("SPDY Protocol – Draft 3.1", section 2.2): building them, and cutting a byte stream into them.
 * Payloads of data frames are handed on as they arrive and never assembled; control frames are small and are.
 */

/** Types of control frames. */
export const SYN_STREAM = 1;
export const SYN_REPLY = 2;
export const RST_STREAM = 3;
export const PING = 6;
export const GOAWAY = 7;
export const HEADERS = 8;
export const WINDOW_UPDATE = 9;

export const FLAG_FIN = 1;

/** Status codes of RST_STREAM. */
export const RST_PROTOCOL_ERROR = 1;
export const RST_REFUSED_STREAM = 3;
export const RST_CANCEL = 5;
/** Status codes of GOAWAY. */
export const GOAWAY_OK = 0;
export const GOAWAY_PROTOCOL_ERROR = 1;

const VERSION = 3;
const HEAD_BYTES = 8;
/** No control frame of Kubernetes' protocols comes near it: a stream's headers are a handful of short strings. */
export const MAX_CONTROL_FRAME_BYTES = 64 * 1024;

export class SpdyProtocolError extends Error {
  override name = 'SpdyProtocolError';
}

export type Frame =
  /** Part of the payload of one data frame; `fin` only with its last part. */
  | { readonly kind: 'data'; readonly streamId: number; readonly payload: Buffer; readonly fin: boolean }
  /** `body` is what follows the eight bytes of the head. */
  | { readonly kind: 'control'; readonly type: number; readonly flags: number; readonly body: Buffer };

export function dataFrameHead(streamId: number, length: number, fin: boolean): Buffer {
  const head = Buffer.allocUnsafe(HEAD_BYTES);
  head.writeUInt32BE(streamId, 0);
  head.writeUInt32BE(length, 4);
  head[4] = fin ? FLAG_FIN : 0;
  return head;
}

export function controlFrame(type: number, flags: number, body: Buffer): Buffer {
  const head = Buffer.allocUnsafe(HEAD_BYTES);
  head.writeUInt16BE(0x8000 | VERSION, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt32BE(body.length, 4);
  head[4] = flags;
  return Buffer.concat([head, body]);
}

export function words(...values: number[]): Buffer {
  const out = Buffer.allocUnsafe(4 * values.length);
  for (const [i, value] of values.entries()) out.writeUInt32BE(value, 4 * i);
  return out;
}

/** Cuts a byte stream into frames. Holds at most one control frame's bytes beside the chunk it was given. */
export class FrameReader {
  #chunk: Buffer = Buffer.alloc(0);
  #offset = 0;
  /** Bytes of a head or a control frame that a chunk's end cut in two. */
  #partial: Buffer | undefined;
  /** The data frame whose payload is being passed on. */
  #data: { streamId: number; fin: boolean; left: number } | undefined;
  /** Bytes left of a control frame that nobody wants. */
  #skip = 0;

  /** Gives the next chunk. Call `next` until it returns undefined before giving another. */
  feed(chunk: Buffer): void {
    this.#chunk = this.#partial ? Buffer.concat([this.#partial, chunk]) : chunk;
    this.#partial = undefined;
    this.#offset = 0;
  }

  /** The next frame or part of one; undefined, however often asked, when more bytes are needed. Throws {@link SpdyProtocolError}. */
  next(): Frame | undefined {
    for (;;) {
      const available = this.#chunk.length - this.#offset;
      if (this.#skip > 0) {
        const n = Math.min(this.#skip, available);
        this.#skip -= n;
        this.#offset += n;
        if (this.#skip > 0) return undefined;
        continue;
      }
      if (this.#data) {
        if (available === 0 && this.#data.left > 0) return undefined;
        return this.#dataPart(this.#data, available);
      }
      if (available < HEAD_BYTES) return this.#wait();
      if (this.#chunk[this.#offset]! & 0x80) {
        const frame = this.#control(available);
        if (frame !== 'skipped') return frame;
        continue;
      }
      const at = this.#offset;
      this.#data = { streamId: this.#chunk.readUInt32BE(at), fin: (this.#chunk[at + 4]! & FLAG_FIN) !== 0, left: this.#chunk.readUIntBE(at + 5, 3) };
      this.#offset += HEAD_BYTES;
    }
  }

  #dataPart(data: { streamId: number; fin: boolean; left: number }, available: number): Frame {
    const n = Math.min(data.left, available);
    const payload = this.#chunk.subarray(this.#offset, this.#offset + n);
    this.#offset += n;
    data.left -= n;
    if (data.left === 0) this.#data = undefined;
    return { kind: 'data', streamId: data.streamId, payload, fin: data.fin && data.left === 0 };
  }

  #control(available: number): Frame | undefined | 'skipped' {
    const at = this.#offset;
    const version = this.#chunk.readUInt16BE(at) & 0x7fff;
    if (version !== VERSION) throw new SpdyProtocolError(`unsupported SPDY version ${version}: must be ${VERSION}`);
    const type = this.#chunk.readUInt16BE(at + 2);
    const length = this.#chunk.readUIntBE(at + 5, 3);
    if (type < SYN_STREAM || type > WINDOW_UPDATE || type === 5) {
      // The draft says to ignore control frames of unknown types, whatever their size.
      this.#offset += HEAD_BYTES;
      this.#skip = length;
      return 'skipped';
    }
    if (length > MAX_CONTROL_FRAME_BYTES) throw new SpdyProtocolError(`control frame of type ${type} has ${length} bytes: must be at most ${MAX_CONTROL_FRAME_BYTES}`);
    if (available < HEAD_BYTES + length) return this.#wait();
    this.#offset += HEAD_BYTES + length;
    return { kind: 'control', type, flags: this.#chunk[at + 4]!, body: this.#chunk.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length) };
  }

  #wait(): undefined {
    const rest = this.#chunk.subarray(this.#offset);
    // A copy, so that a few bytes do not keep a whole network buffer alive.
    if (rest.length) this.#partial = Buffer.from(rest);
    this.#chunk = Buffer.alloc(0);
    this.#offset = 0;
    return undefined;
  }
}
