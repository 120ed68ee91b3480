import type { X509Certificate } from 'node:crypto';
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Exchange, ResponseHeaders, ResponseStream } from './exchange.ts';
import { drained, peerOf } from './http2-exchange.ts';

export class Http1Exchange implements Exchange {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse | undefined;

  /** Without a response: an upgrade, whose socket is answered on by hand. */
  constructor(request: IncomingMessage, response: ServerResponse | undefined) {
    this.#request = request;
    this.#response = response;
  }
  get method(): string {
    return this.#request.method ?? 'GET';
  }
  get path(): string {
    return this.#request.url ?? '/';
  }
  get remoteAddress(): string {
    return peerOf(this.#request.socket, this.#request.socket as TLSSocket).address;
  }
  get peerCertificate(): X509Certificate | undefined {
    return peerOf(this.#request.socket, this.#request.socket as TLSSocket).certificate;
  }
  header(name: string): string | undefined {
    const value = this.#request.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }
  headerValues(name: string): readonly string[] {
    return this.#request.headersDistinct[name] ?? [];
  }
  headerNames(): readonly string[] {
    return Object.keys(this.#request.headers);
  }
  get contentLength(): number | undefined {
    const text = this.#request.headers['content-length'];
    return text === undefined ? undefined : Number(text);
  }
  body(): Readable | undefined {
    const length = this.contentLength;
    return (length === undefined || length === 0) && this.#request.headers['transfer-encoding'] === undefined ? undefined : this.#request;
  }
  bodyIsWhole(): boolean {
    // The next request of the connection waits for the end to be read.
    return false;
  }
  onGone(listener: () => void): void {
    const response = this.#response;
    const target = response ?? this.#request.socket;
    if (target.destroyed) listener();
    else target.once('close', listener);
  }
  get answered(): boolean {
    return this.#response ? this.#response.headersSent || this.#response.destroyed : this.#request.socket.destroyed;
  }
  respond(code: number, headers: ResponseHeaders, body: Buffer): void {
    if (this.answered) return;
    headers['content-length'] = body.length;
    // A body that was not read to its end leaves the connection in no state for another request.
    const unread = this.body() !== undefined && !this.#request.readableEnded;
    if (unread) headers['connection'] = 'close';
    const response = this.#response!;
    response.writeHead(code, headers as OutgoingHttpHeaders);
    response.end(this.method === 'HEAD' ? undefined : body);
    if (unread) response.once('finish', () => this.#request.socket.destroySoon());
  }
  stream(code: number, headers: ResponseHeaders): ResponseStream {
    const response = this.#response!;
    if (!this.answered) {
      response.writeHead(code, headers as OutgoingHttpHeaders);
      response.flushHeaders();
    }
    return {
      get closed() {
        return response.destroyed || response.writableEnded;
      },
      write: (chunk) => response.destroyed || response.write(chunk),
      drained: () => drained(response),
      end: () => void response.end(),
      abort: () => void response.destroy(),
    };
  }
  destroy(): void {
    this.#request.socket.destroy();
  }
}
