/**
 * From the lines of a CRI log file to what `kubectl logs` shows.
 *
 * A line is `<RFC 3339 time> <stdout|stderr> <tags> <text>`, the first tag `F` for a full line and `P` for a part that the next line of the same
 * stream goes on with (CRI's logging format, KEP "CRI logging"). Works on bytes: it runs for every byte a container ever writes.
 */
import type { LogOptions } from './log-options.ts';

const NEWLINE = 0x0a;
const SPACE = 0x20;
const MIN_TIME_BYTES = 20;
const FRACTION_AT = 19;
const FRACTION_DIGITS = 9;
/** Runtimes cut lines at 16 KiB. A file with a line longer than this is no log of theirs; the line is dropped. */
const MAX_LINE_BYTES = 1 << 20;

export type LogFormat = Pick<LogOptions, 'timestamps' | 'limitBytes' | 'stream' | 'sinceMs'>;

export class LogFormatter {
  readonly #timestamps: boolean;
  readonly #wantStdout: boolean;
  readonly #wantStderr: boolean;
  readonly #sinceMs: number | undefined;
  /** {@link #sinceMs} in the form of the lines, to compare bytes with. */
  readonly #sinceText: Buffer | undefined;
  #left: number;
  /** The end of the last block, where it is no whole line. */
  #rest: Buffer | undefined;
  #dropping = false;
  /** False within a line that came in parts: only its first part is given a time. */
  #atLineStart = true;
  #out: Buffer = Buffer.alloc(0);
  #length = 0;

  constructor(format: LogFormat) {
    this.#timestamps = format.timestamps;
    this.#wantStdout = format.stream !== 'Stderr';
    this.#wantStderr = format.stream !== 'Stdout';
    this.#sinceMs = format.sinceMs;
    this.#sinceText = format.sinceMs === undefined ? undefined : Buffer.from(new Date(format.sinceMs).toISOString().slice(0, FRACTION_AT));
    this.#left = format.limitBytes ?? Infinity;
  }

  /** True when `limitBytes` have been shown: nothing more will come. */
  get exhausted(): boolean {
    return this.#left <= 0;
  }

  /** What the next bytes of the file show; perhaps nothing. The result does not share memory with `block`. */
  feed(block: Buffer): Buffer {
    const size = (this.#rest?.length ?? 0) + block.length;
    // A line shrinks by at least its stream and tag and grows by at most ten bytes of fraction.
    this.#out = Buffer.allocUnsafe(size + Math.ceil(size / MIN_TIME_BYTES) + 64);
    this.#length = 0;
    let at = 0;
    while (at < block.length && this.#left > 0) {
      const end = block.indexOf(NEWLINE, at);
      if (end < 0) break;
      if (this.#rest) this.#broken(this.#rest, block.subarray(at, end + 1));
      else if (this.#dropping) this.#dropping = false;
      else this.#line(block, at, end, true);
      at = end + 1;
    }
    this.#keep(block.subarray(at));
    return this.#out.subarray(0, this.#length);
  }

  /** What an unfinished last line shows, when no more will follow. */
  end(): Buffer {
    const rest = this.#rest;
    this.#rest = undefined;
    if (!rest || this.#left <= 0) return Buffer.alloc(0);
    this.#out = Buffer.allocUnsafe(rest.length + 64);
    this.#length = 0;
    this.#line(rest, 0, rest.length, false);
    return this.#out.subarray(0, this.#length);
  }

  /** A line whose beginning came with an earlier block. */
  #broken(begin: Buffer, end: Buffer): void {
    const line = Buffer.concat([begin, end]);
    this.#rest = undefined;
    this.#line(line, 0, line.length - 1, true);
  }
  #keep(end: Buffer): void {
    if (end.length === 0 || this.#left <= 0) return;
    this.#dropping ||= (this.#rest?.length ?? 0) + end.length > MAX_LINE_BYTES;
    if (this.#dropping) this.#rest = undefined;
    else this.#rest = Buffer.concat(this.#rest ? [this.#rest, end] : [end]);
  }

  #line(data: Buffer, start: number, end: number, terminated: boolean): void {
    let space = start + MIN_TIME_BYTES;
    while (space < end && data[space] !== SPACE) space++;
    // "stdout" and "stderr" differ in the fourth letter; what is neither is no line of a log.
    const kind = data[space + 4];
    const stdout = kind === 0x6f;
    if ((!stdout && kind !== 0x65) || data[space + 1] !== 0x73 || data[space + 7] !== SPACE || space + 9 > end) return;
    if (stdout ? !this.#wantStdout : !this.#wantStderr) return;
    let text = space + 9;
    while (text < end && data[text] !== SPACE) text++;
    if (text >= end && terminated && data[text] !== NEWLINE) return;
    if (this.#sinceText && this.#isBefore(data, start, space)) return;
    const partial = data[space + 8] === 0x50;
    if (this.#timestamps && this.#atLineStart) this.#putTime(data, start, space);
    this.#put(data, Math.min(text + 1, end), end);
    if (!partial && terminated) this.#putByte(NEWLINE);
    this.#atLineStart = !partial;
  }

  #put(data: Buffer, from: number, to: number): void {
    const n = Math.min(to - from, this.#left);
    if (n <= 0) return;
    data.copy(this.#out, this.#length, from, from + n);
    this.#length += n;
    this.#left -= n;
  }
  #putByte(byte: number): void {
    if (this.#left <= 0) return;
    this.#out[this.#length++] = byte;
    this.#left--;
  }

  /** The time with exactly nine digits of fraction, and a space. */
  #putTime(data: Buffer, start: number, end: number): void {
    this.#put(data, start, start + FRACTION_AT);
    let at = start + FRACTION_AT;
    let digits = 0;
    this.#putByte(0x2e);
    if (data[at] === 0x2e) {
      const first = ++at;
      while (at < end && data[at]! >= 0x30 && data[at]! <= 0x39) at++;
      digits = Math.min(at - first, FRACTION_DIGITS);
      this.#put(data, first, first + digits);
    }
    for (; digits < FRACTION_DIGITS; digits++) this.#putByte(0x30);
    this.#put(data, at, end);
    this.#putByte(SPACE);
  }

  #isBefore(data: Buffer, start: number, end: number): boolean {
    if (data[end - 1] !== 0x5a) return Date.parse(data.toString('latin1', start, end)) < this.#sinceMs!;
    const order = data.compare(this.#sinceText!, 0, FRACTION_AT, start, start + FRACTION_AT);
    if (order !== 0) return order < 0;
    return Date.parse(data.toString('latin1', start, end)) < this.#sinceMs!;
  }
}
