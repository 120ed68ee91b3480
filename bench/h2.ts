/**
 * HTTP/2 by hand, for load: a request is a few bytes made beforehand, an answer is looked at as it lies in the socket's chunks. Node's own client
 * costs more CPU than the server that it is to keep busy. Only what the load needs (RFC 9113, RFC 7541): no pushes, no Huffman codes, no continuations.
 */
import { connect, type TLSSocket } from 'node:tls';

export interface Target {
  /** `https://host:port` */
  readonly server: string;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}
/** What hears of one answer. */
export interface Receiver {
  /** A part of the body; a view that is good for the call alone. */
  data(part: Buffer): void;
  /** The answer is complete. */
  end(): void;
}

const DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, WINDOW_UPDATE = 8;
const END_STREAM = 1, END_HEADERS = 4, ACK = 1;
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
const MAX_WINDOW = 2 ** 31 - 1;
/** The connection's window is filled up again after so much. */
const REFILL = 2 ** 29;
/** Entries of HPACK's static table; the dynamic ones follow. */
const STATIC_ENTRIES = 61;

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const out = Buffer.allocUnsafe(9 + payload.length);
  out.writeUIntBE(payload.length, 0, 3);
  out.writeUInt8(type, 3);
  out.writeUInt8(flags, 4);
  out.writeUInt32BE(stream, 5);
  payload.copy(out, 9);
  return out;
}
function uint32(n: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(n);
  return out;
}
/** An HPACK string, not compressed. */
function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length = [127];
  let rest = bytes.length - 127;
  for (; rest > 127; rest >>= 7) length.push((rest & 127) | 128);
  return Buffer.concat([Buffer.from([...length, rest]), bytes]);
}
/** A header that the server shall remember: literal, with a new name. */
const remembered = (name: string, value: string): Buffer => Buffer.concat([Buffer.from([0x40]), text(name), text(value)]);

/** Index 28 of the static table; not to be remembered. */
const contentLength = (n: number): Buffer => Buffer.concat([Buffer.from([0x0f, 28 - 15]), text(String(n))]);

/** Requests of a connection that differ in their body alone. */
interface Kind {
  /** Header blocks: the first one, which the server remembers, and the one that refers to it. */
  readonly first: Buffer;
  readonly again: Buffer;
}

export class H2Connection {
  readonly #socket: TLSSocket;
  readonly #authority: string;
  readonly #receivers = new Map<number, Receiver>();
  readonly #kinds = new Map<string, Kind>();
  #entries = 0;
  #nextStream = 1;
  #received = 0;
  #out: Buffer[] = [];
  #rest: Buffer = Buffer.alloc(0);
  /** Rejects when the connection ends. */
  readonly broken: Promise<never>;
  #break!: (err: Error) => void;

  private constructor(socket: TLSSocket, authority: string) {
    this.#socket = socket;
    this.#authority = authority;
    this.broken = new Promise((_, reject) => (this.#break = reject));
    this.broken.catch(() => {});
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', (err) => this.#break(err));
    socket.on('close', () => this.#break(new Error('the server closed the connection')));
    // SETTINGS_INITIAL_WINDOW_SIZE: the server may send as fast as the socket takes it.
    const settings = Buffer.concat([Buffer.from([0, 4]), uint32(MAX_WINDOW)]);
    socket.write(Buffer.concat([PREFACE, frame(SETTINGS, 0, 0, settings), frame(WINDOW_UPDATE, 0, 0, uint32(MAX_WINDOW - 65_535))]));
  }
  static open(target: Target): Promise<H2Connection> {
    const { hostname, port, host } = new URL(target.server);
    return new Promise((resolve, reject) => {
      const socket = connect({ host: hostname, port: Number(port), ca: target.ca, cert: target.cert, key: target.key, ALPNProtocols: ['h2'] }, () => resolve(new H2Connection(socket, host)));
      socket.once('error', reject);
    });
  }

  request(method: string, path: string, body: string | undefined, receiver: Receiver): void {
    const stream = this.#nextStream;
    this.#nextStream += 2;
    this.#receivers.set(stream, receiver);
    const head = this.#head(method, path, body !== undefined);
    if (body === undefined) return this.#write(frame(HEADERS, END_HEADERS | END_STREAM, stream, head));
    const bytes = Buffer.from(body);
    this.#write(frame(HEADERS, END_HEADERS, stream, Buffer.concat([head, contentLength(bytes.length)])));
    this.#write(frame(DATA, END_STREAM, stream, bytes));
  }
  close(): void {
    this.#socket.destroy();
  }

  #head(method: string, path: string, hasBody: boolean): Buffer {
    const id = `${method} ${path}`;
    const known = this.#kinds.get(id);
    if (known) return known.again;
    const headers = [[':method', method], [':scheme', 'https'], [':authority', this.#authority], [':path', path], ['accept', 'application/json'], ...(hasBody ? [['content-type', 'application/json']] : [])] as const;
    const first = Buffer.concat(headers.map(([name, value]) => remembered(name!, value!)));
    // The newest entry has the least index. One kind for each connection keeps the indexes where they are.
    if (this.#kinds.size > 0) throw new Error('a connection for load asks one thing alone');
    this.#entries += headers.length;
    const again = Buffer.from(headers.map((_, i) => 0x80 | (STATIC_ENTRIES + this.#entries - i)));
    this.#kinds.set(id, { first, again });
    return first;
  }
  /** What is written in one turn of the event loop goes out as one. */
  #write(bytes: Buffer): void {
    if (this.#out.length === 0) queueMicrotask(() => {
      const out = this.#out;
      this.#out = [];
      this.#socket.write(out.length === 1 ? out[0]! : Buffer.concat(out));
    });
    this.#out.push(bytes);
  }

  #take(chunk: Buffer): void {
    let bytes = this.#rest.length ? Buffer.concat([this.#rest, chunk]) : chunk;
    while (bytes.length >= 9) {
      const length = bytes.readUIntBE(0, 3);
      if (bytes.length < 9 + length) break;
      this.#onFrame(bytes[3]!, bytes[4]!, bytes.readUInt32BE(5) & MAX_WINDOW, bytes.subarray(9, 9 + length));
      bytes = bytes.subarray(9 + length);
    }
    this.#rest = bytes;
  }
  #onFrame(type: number, flags: number, stream: number, payload: Buffer): void {
    switch (type) {
      case DATA:
        this.#refill(payload.length);
        this.#receivers.get(stream)?.data(payload);
        break;
      case SETTINGS:
        if (!(flags & ACK)) this.#write(frame(SETTINGS, ACK, 0, Buffer.alloc(0)));
        return;
      case PING:
        if (!(flags & ACK)) this.#write(frame(PING, ACK, 0, Buffer.from(payload)));
        return;
      case GOAWAY:
      case RST_STREAM:
        this.#break(new Error(`the server ended ${type === GOAWAY ? 'the connection' : `stream ${stream}`}: code ${payload.readUInt32BE(type === GOAWAY ? 4 : 0)}`));
        return;
      case HEADERS:
        break;
      default:
        return;
    }
    if (!(flags & END_STREAM)) return;
    const receiver = this.#receivers.get(stream);
    this.#receivers.delete(stream);
    receiver?.end();
  }
  #refill(bytes: number): void {
    this.#received += bytes;
    if (this.#received < REFILL) return;
    this.#write(frame(WINDOW_UPDATE, 0, 0, uint32(this.#received)));
    this.#received = 0;
  }
}
