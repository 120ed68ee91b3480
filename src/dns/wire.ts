/** DNS messages: what we answer, with compressed names, and what passes through us as bytes. Source: RFC 1035, RFC 2782, RFC 6891. */

export type RecordType = 'A' | 'AAAA' | 'CNAME' | 'NS' | 'PTR' | 'SOA' | 'SRV' | 'TXT';
const TYPE_NUMBERS: Readonly<Record<RecordType, number>> = { A: 1, NS: 2, CNAME: 5, SOA: 6, PTR: 12, TXT: 16, AAAA: 28, SRV: 33 };

export interface Soa {
  readonly mname: string;
  readonly rname: string;
  readonly serial: number;
  readonly refresh: number;
  readonly retry: number;
  readonly expire: number;
  readonly minimum: number;
}
export interface Srv {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  readonly target: string;
}
interface Common {
  /** Without the final dot. */
  readonly name: string;
  /** Seconds. */
  readonly ttl: number;
}
export type DnsRecord =
  | (Common & { readonly type: 'A' | 'AAAA' | 'CNAME' | 'NS' | 'PTR' | 'TXT'; readonly data: string })
  | (Common & { readonly type: 'SOA'; readonly data: Soa })
  | (Common & { readonly type: 'SRV'; readonly data: Srv });

export const RCODES = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const;
export type Rcode = keyof typeof RCODES;

export interface Answer {
  readonly rcode: Rcode;
  readonly answers?: readonly DnsRecord[];
  readonly authorities?: readonly DnsRecord[];
  readonly additionals?: readonly DnsRecord[];
  /** Whether the answer comes from a zone of our own. */
  readonly authoritative?: boolean;
}
/** What an answer repeats of its question. */
export interface Asked {
  readonly id: number;
  /** Name as it was written, so that random letter case survives. */
  readonly name: string;
  readonly typeNumber: number;
  readonly classNumber: number;
  readonly recursionDesired: boolean;
  /** Largest UDP answer that the client takes, where it said so (EDNS). */
  readonly udpSize: number | undefined;
}
export const OUR_UDP_SIZE = 1232;
export const SMALLEST_UDP_SIZE = 512;
const MAX_TCP_SIZE = 65_535;
const HEADER = 12;

class Writer {
  #buffer = Buffer.alloc(1024);
  #length = 0;
  readonly #names = new Map<string, number>();

  get length(): number {
    return this.#length;
  }
  /** Forgets what was written after `length`. */
  cut(length: number): void {
    this.#length = length;
    for (const [name, at] of this.#names) if (at >= length) this.#names.delete(name);
  }
  #room(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const grown = Buffer.alloc(Math.max(this.#buffer.length * 2, this.#length + bytes));
    this.#buffer.copy(grown);
    this.#buffer = grown;
  }
  u8(value: number): void {
    this.#room(1);
    this.#length = this.#buffer.writeUInt8(value, this.#length);
  }
  u16(value: number): void {
    this.#room(2);
    this.#length = this.#buffer.writeUInt16BE(value, this.#length);
  }
  u32(value: number): void {
    this.#room(4);
    this.#length = this.#buffer.writeUInt32BE(value, this.#length);
  }
  bytes(part: Uint8Array): void {
    this.#room(part.length);
    this.#buffer.set(part, this.#length);
    this.#length += part.length;
  }
  setU16(at: number, value: number): void {
    this.#buffer.writeUInt16BE(value, at);
  }
  name(name: string, compress = true): void {
    const labels = name === '' ? [] : name.split('.');
    for (let i = 0; i < labels.length; i++) {
      const rest = labels.slice(i).join('.').toLowerCase();
      const known = compress ? this.#names.get(rest) : undefined;
      if (known !== undefined) return this.u16(0xc000 | known);
      if (this.#length < 0x4000 && !this.#names.has(rest)) this.#names.set(rest, this.#length);
      const label = Buffer.from(labels[i]!, 'latin1');
      this.u8(label.length);
      this.bytes(label);
    }
    this.u8(0);
  }
  done(): Buffer {
    return Buffer.from(this.#buffer.subarray(0, this.#length));
  }
}

function ipv6Bytes(text: string): Buffer {
  const [head = '', tail] = text.split('::');
  const groups = (part: string) => (part === '' ? [] : part.split(':').map((g) => Number.parseInt(g, 16)));
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const all = [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right];
  return Buffer.from(all.flatMap((g) => [g >> 8, g & 0xff]));
}
function writeData(w: Writer, record: DnsRecord): void {
  switch (record.type) {
    case 'A':
      return w.bytes(Buffer.from(record.data.split('.').map(Number)));
    case 'AAAA':
      return w.bytes(ipv6Bytes(record.data));
    case 'TXT': {
      const text = Buffer.from(record.data).subarray(0, 255);
      w.u8(text.length);
      return w.bytes(text);
    }
    case 'SRV':
      w.u16(record.data.priority);
      w.u16(record.data.weight);
      w.u16(record.data.port);
      // RFC 2782 forbids compression here.
      return w.name(record.data.target, false);
    case 'SOA':
      w.name(record.data.mname);
      w.name(record.data.rname);
      for (const value of [record.data.serial, record.data.refresh, record.data.retry, record.data.expire, record.data.minimum]) w.u32(value >>> 0);
      return;
    default:
      return w.name(record.data);
  }
}
function writeRecord(w: Writer, record: DnsRecord): void {
  w.name(record.name);
  w.u16(TYPE_NUMBERS[record.type]);
  w.u16(1);
  w.u32(record.ttl);
  const at = w.length;
  w.u16(0);
  writeData(w, record);
  w.setU16(at, w.length - at - 2);
}

/** The bytes of an answer. Over UDP it is cut to what the client takes, with the truncation bit set; `tcp` takes all that a message can hold. */
export function encodeAnswer(asked: Asked, answer: Answer, tcp: boolean): Buffer {
  const w = new Writer();
  const opt = asked.udpSize !== undefined;
  const limit = (tcp ? MAX_TCP_SIZE : Math.max(SMALLEST_UDP_SIZE, Math.min(asked.udpSize ?? SMALLEST_UDP_SIZE, OUR_UDP_SIZE))) - (opt ? 11 : 0);
  for (let i = 0; i < HEADER / 2; i++) w.u16(0);
  w.name(asked.name);
  w.u16(asked.typeNumber);
  w.u16(asked.classNumber);
  let truncated = false;
  const counts = [answer.answers, answer.authorities, answer.additionals].map((section, i) => {
    let count = 0;
    for (const record of truncated ? [] : (section ?? [])) {
      const before = w.length;
      writeRecord(w, record);
      if (w.length > limit) {
        w.cut(before);
        // Nobody needs to ask again for additional records.
        truncated = i < 2;
        break;
      }
      count++;
    }
    return count;
  });
  if (opt) {
    w.u8(0);
    w.u16(41);
    w.u16(OUR_UDP_SIZE);
    w.u32(0);
    w.u16(0);
  }
  const flags = 0x8000 | (answer.authoritative ? 0x0400 : 0) | (truncated ? 0x0200 : 0) | (asked.recursionDesired ? 0x0100 : 0) | 0x0080 | RCODES[answer.rcode];
  for (const [i, value] of [asked.id, flags, 1, counts[0]!, counts[1]!, counts[2]! + (opt ? 1 : 0)].entries()) w.setU16(i * 2, value);
  return w.done();
}

/** What is read of a message that passes through. Throws a RangeError for bytes that are none. */
export interface Passing {
  readonly id: number;
  readonly rcode: number;
  readonly truncated: boolean;
  /** Where the records' TTLs stand, and the least of them. */
  readonly ttlOffsets: readonly number[];
  readonly minTtl: number | undefined;
}
function skipName(message: Buffer, start: number): number {
  let at = start;
  for (;;) {
    const length = message.readUInt8(at);
    if (length >= 0xc0) return at + 2;
    if (length === 0) return at + 1;
    at += length + 1;
  }
}
export function readPassing(message: Buffer): Passing {
  const [id, flags, questions, ...sections] = Array.from({ length: 6 }, (_, i) => message.readUInt16BE(i * 2)) as [number, number, number, number, number, number];
  let at = HEADER;
  for (let i = 0; i < questions; i++) at = skipName(message, at) + 4;
  const ttlOffsets: number[] = [];
  let minTtl: number | undefined;
  for (let i = sections.reduce((a, b) => a + b, 0); i > 0; i--) {
    at = skipName(message, at);
    // The TTL of an OPT record is none.
    if (message.readUInt16BE(at) !== 41) {
      ttlOffsets.push(at + 4);
      minTtl = Math.min(minTtl ?? Infinity, message.readUInt32BE(at + 4));
    }
    at += 10 + message.readUInt16BE(at + 8);
  }
  if (at > message.length) throw new RangeError('message ends before its records do');
  return { id, rcode: flags & 15, truncated: (flags & 0x0200) !== 0, ttlOffsets, minTtl };
}
