/**
 * The protobuf wire format: varints, lengths, tags. Source: protobuf.dev, "Encoding".
 * Messages are written from their end to their start, so that every length is known when it is written.
 */

export class ProtobufError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'ProtobufError';
  }
}

export type WireType = 0 | 1 | 2 | 5;
/** Up to here a loop over characters beats a call into the runtime. */
const SHORT = 40;
const TWO_32 = 2 ** 32;
const TWO_63 = 2n ** 63n;

/** Reads one message, or the part of one between `pos` and `end`. Throws {@link ProtobufError} for what is cut off. */
export class Reader {
  readonly buf: Buffer;
  pos: number;
  end: number;
  constructor(buf: Buffer, pos = 0, end = buf.length) {
    this.buf = buf;
    this.pos = pos;
    this.end = end;
  }
  get done(): boolean {
    return this.pos >= this.end;
  }
  #need(n: number): void {
    if (n > this.end - this.pos) throw new ProtobufError('unexpected EOF');
  }

  /** An unsigned varint that must fit 32 bits: a tag or a length. */
  small(): number {
    if (this.pos < this.end && this.buf[this.pos]! < 0x80) return this.buf[this.pos++]!;
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      if (this.pos >= this.end) throw new ProtobufError('unexpected EOF');
      const byte = this.buf[this.pos++]!;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) {
        if (value >= TWO_32) break;
        return value;
      }
    }
    throw new ProtobufError('proto: integer overflow');
  }
  /** A signed 64-bit varint. Loses digits beyond 2^53. */
  int64(): number {
    const first = this.pos < this.end ? this.buf[this.pos]! : 0x80;
    if (first < 0x80) {
      this.pos++;
      return first;
    }
    let low = 0;
    let high = 0;
    for (let i = 0; i < 10; i++) {
      if (this.pos >= this.end) throw new ProtobufError('unexpected EOF');
      const byte = this.buf[this.pos++]!;
      // Four groups of seven bits and half of the fifth make the low word.
      if (i < 4) low += (byte & 0x7f) * 2 ** (7 * i);
      else if (i === 4) {
        low += (byte & 0x0f) * 2 ** 28;
        high += (byte & 0x7f) >> 4;
      } else high += (byte & 0x7f) * 2 ** (7 * i - 32);
      if (byte < 0x80) {
        const word = high % TWO_32;
        return word >= 2 ** 31 ? (word - TWO_32) * TWO_32 + low : word * TWO_32 + low;
      }
    }
    throw new ProtobufError('proto: integer overflow');
  }
  double(): number {
    this.#need(8);
    const value = this.buf.readDoubleLE(this.pos);
    this.pos += 8;
    return value;
  }
  /** Start and end of a length-delimited value; moves past it. */
  span(): { start: number; end: number } {
    const length = this.small();
    this.#need(length);
    const start = this.pos;
    this.pos += length;
    return { start, end: this.pos };
  }
  string(): string {
    const { start, end } = this.span();
    if (end - start > SHORT) return this.buf.toString('utf8', start, end);
    let out = '';
    for (let i = start; i < end; i++) {
      const byte = this.buf[i]!;
      if (byte > 0x7f) return this.buf.toString('utf8', start, end);
      out += String.fromCharCode(byte);
    }
    return out;
  }
  bytes(): Buffer {
    const { start, end } = this.span();
    return this.buf.subarray(start, end);
  }
  skip(wire: number): void {
    switch (wire) {
      case 0:
        this.int64();
        return;
      case 1:
        this.#need(8);
        this.pos += 8;
        return;
      case 2:
        this.span();
        return;
      case 5:
        this.#need(4);
        this.pos += 4;
        return;
      default:
        throw new ProtobufError(`proto: illegal wireType ${wire}`);
    }
  }
}

/** Writes backwards: whatever comes last on the wire is written first. */
export class Writer {
  #buf = Buffer.allocUnsafe(1024);
  #pos = 1024;
  /** Bytes written so far; the difference of two lengths is the length of what was written in between. */
  get length(): number {
    return this.#buf.length - this.#pos;
  }

  #room(n: number): void {
    if (this.#pos >= n) return;
    const used = this.length;
    const grown = Buffer.allocUnsafe(Math.max(this.#buf.length * 2, used + n));
    this.#buf.copy(grown, grown.length - used, this.#pos);
    this.#pos = grown.length - used;
    this.#buf = grown;
  }
  /** An unsigned varint below 2^53. */
  varint(value: number): void {
    this.#room(10);
    if (value < 0x80) {
      this.#buf[--this.#pos] = value;
      return;
    }
    if (value < 0x4000) {
      this.#buf[--this.#pos] = value >> 7;
      this.#buf[--this.#pos] = (value & 0x7f) | 0x80;
      return;
    }
    const groups: number[] = [];
    for (let rest = value; rest >= 1; rest = Math.floor(rest / 128)) groups.push(rest % 128);
    for (let i = groups.length - 1; i >= 0; i--) this.#buf[--this.#pos] = groups[i]! | (i === groups.length - 1 ? 0 : 0x80);
  }
  int64(value: number): void {
    if (value >= 0 && value <= Number.MAX_SAFE_INTEGER) this.varint(value);
    else this.#big(BigInt(value));
  }
  #big(value: bigint): void {
    this.#room(10);
    const groups: number[] = [];
    for (let rest = BigInt.asUintN(64, value > TWO_63 - 1n ? TWO_63 - 1n : value); rest > 0n; rest >>= 7n) groups.push(Number(rest & 0x7fn));
    for (let i = groups.length - 1; i >= 0; i--) this.#buf[--this.#pos] = groups[i]! | (i === groups.length - 1 ? 0 : 0x80);
  }
  /** Whole nanoseconds and the like, exact. */
  bigint(value: bigint): void {
    if (value === 0n) this.varint(0);
    else this.#big(value);
  }
  double(value: number): void {
    this.#room(8);
    this.#pos -= 8;
    this.#buf.writeDoubleLE(value, this.#pos);
  }
  /** A string with its length. */
  string(value: string): void {
    if (value.length <= SHORT && this.#ascii(value)) return;
    const length = Buffer.byteLength(value);
    this.#room(length);
    this.#pos -= length;
    this.#buf.write(value, this.#pos, length, 'utf8');
    this.varint(length);
  }
  /** Writes a short ASCII string faster than a call into the runtime; false where it is none. */
  #ascii(value: string): boolean {
    const length = value.length;
    this.#room(length + 1);
    const start = this.#pos - length;
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i);
      if (code > 0x7f) return false;
      this.#buf[start + i] = code;
    }
    this.#buf[start - 1] = length;
    this.#pos = start - 1;
    return true;
  }
  /** Bytes without a length. */
  raw(value: Uint8Array): void {
    this.#room(value.length);
    this.#pos -= value.length;
    this.#buf.set(value, this.#pos);
  }
  /** Bytes with their length. */
  bytes(value: Uint8Array): void {
    this.raw(value);
    this.varint(value.length);
  }
  tag(field: number, wire: WireType): void {
    this.varint(field * 8 + wire);
  }
  finish(): Buffer {
    return this.#buf.subarray(this.#pos);
  }
}
