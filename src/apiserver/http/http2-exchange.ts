import type { X509Certificate } from 'node:crypto';
import { constants, type IncomingHttpHeaders, type OutgoingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { Readable } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Exchange, ResponseHeaders, ResponseStream } from './exchange.ts';

/** What all requests of a connection share. */
interface Peer {
  readonly certificate: X509Certificate | undefined;
  readonly address: string;
}
const peers = new WeakMap<object, Peer>();
/** The peer of a TLS connection; asked of OpenSSL once. `key` lives as long as the connection. */
export function peerOf(key: object, socket: TLSSocket): Peer {
  let peer = peers.get(key);
  if (!peer) {
    peer = { certificate: socket.getPeerX509Certificate?.(), address: (socket.remoteAddress ?? '').replace(/^::ffff:/, '') };
    peers.set(key, peer);
  }
  return peer;
}

export class Http2Exchange implements Exchange {
  readonly #stream: ServerHttp2Stream;
  readonly #headers: IncomingHttpHeaders;
  readonly #endsWithHeaders: boolean;
  readonly #peer: Peer;
  #bodyIsWhole = false;

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, endsWithHeaders: boolean) {
    this.#stream = stream;
    this.#headers = headers;
    this.#endsWithHeaders = endsWithHeaders;
    const session = stream.session as ServerHttp2Session;
    this.#peer = peerOf(session, session.socket as TLSSocket);
  }
  get method(): string {
    return this.#headers[':method'] as string;
  }
  get path(): string {
    // CONNECT has none.
    return this.#headers[':path'] ?? '/';
  }
  get remoteAddress(): string {
    return this.#peer.address;
  }
  get peerCertificate(): X509Certificate | undefined {
    return this.#peer.certificate;
  }
  header(name: string): string | undefined {
    const value = this.#headers[name === 'host' ? ':authority' : name] ?? this.#headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }
  headerValues(name: string): readonly string[] {
    // Node joins repeats of unknown headers by a comma and a space; values of such headers hold none themselves.
    const value = this.#headers[name];
    return value === undefined ? [] : Array.isArray(value) ? value : value.split(', ');
  }
  headerNames(): readonly string[] {
    return Object.keys(this.#headers).filter((name) => !name.startsWith(':'));
  }
  get contentLength(): number | undefined {
    const text = this.#headers['content-length'];
    return text === undefined ? undefined : Number(text);
  }
  body(): Readable | undefined {
    return this.#endsWithHeaders ? undefined : this.#stream;
  }
  bodyIsWhole(): boolean {
    // nghttp2 resets streams whose bodies are not as long as they said.
    this.#bodyIsWhole = true;
    this.#stream.pause();
    return true;
  }
  onGone(listener: () => void): void {
    const stream = this.#stream;
    if (stream.destroyed) listener();
    else stream.once('close', listener);
  }
  get answered(): boolean {
    return this.#stream.headersSent || this.#stream.destroyed;
  }
  respond(code: number, headers: ResponseHeaders, body: Buffer): void {
    if (this.answered) return;
    headers[':status'] = code;
    headers['content-length'] = body.length;
    if (this.method === 'HEAD' || body.length === 0) return void this.#stream.respond(headers as OutgoingHttpHeaders, { endStream: true });
    this.#stream.respond(headers as OutgoingHttpHeaders);
    this.#stream.end(body);
    // What the client still sends is of no interest; without this an unread body would hold the stream open. Where nothing comes, Node
    // reads the end itself when the stream closes: one that has told its end before is destroyed under its last write, at the cost of an Error.
    if (!this.#endsWithHeaders && !this.#bodyIsWhole && !this.#stream.readableEnded) this.#stream.resume();
  }
  stream(code: number, headers: ResponseHeaders): ResponseStream {
    headers[':status'] = code;
    if (!this.answered) this.#stream.respond(headers as OutgoingHttpHeaders);
    return new Http2ResponseStream(this.#stream);
  }
  destroy(): void {
    if (!this.#stream.destroyed) this.#stream.close(constants.NGHTTP2_PROTOCOL_ERROR);
  }
}

class Http2ResponseStream implements ResponseStream {
  readonly #stream: ServerHttp2Stream;
  constructor(stream: ServerHttp2Stream) {
    this.#stream = stream;
  }
  get closed(): boolean {
    return this.#stream.destroyed || this.#stream.closed;
  }
  write(chunk: Uint8Array): boolean {
    return this.closed || this.#stream.write(chunk);
  }
  drained(): Promise<void> {
    return drained(this.#stream);
  }
  end(): void {
    if (!this.closed) this.#stream.end();
  }
  abort(): void {
    if (!this.closed) this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }
}

/** Resolves at the next `drain` or `close`. */
export function drained(stream: NodeJS.WritableStream & { destroyed?: boolean; writableNeedDrain?: boolean }): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed || !stream.writableNeedDrain) return resolve();
    const done = (): void => {
      stream.off('drain', done);
      stream.off('close', done);
      resolve();
    };
    stream.once('drain', done);
    stream.once('close', done);
  });
}
