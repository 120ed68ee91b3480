import type { IncomingMessage } from 'node:http';
import { STATUS_CODES } from 'node:http';
import type { Duplex, Readable } from 'node:stream';
import type { ResponseHeaders, ResponseStream } from './exchange.ts';
import { Http1Exchange } from './http1-exchange.ts';
import { drained } from './http2-exchange.ts';

/**
 * An HTTP/1.1 request that asks for another protocol. Node hands over the bare socket: a refusal (or an answer of a path that knows
 * no upgrade) is written on it by hand, after which it closes.
 */
export class UpgradeExchange extends Http1Exchange {
  readonly #socket: Duplex;
  #answered = false;

  constructor(request: IncomingMessage, socket: Duplex) {
    super(request, undefined);
    this.#socket = socket;
  }
  override body(): Readable | undefined {
    return undefined;
  }
  override onGone(listener: () => void): void {
    if (this.#socket.destroyed) listener();
    else this.#socket.once('close', listener);
  }
  override get answered(): boolean {
    return this.#answered || this.#socket.destroyed;
  }
  override respond(code: number, headers: ResponseHeaders, body: Buffer): void {
    if (this.answered) return;
    this.#head(code, { ...headers, 'content-length': body.length });
    this.#socket.end(body);
  }
  override stream(code: number, headers: ResponseHeaders): ResponseStream {
    if (!this.answered) this.#head(code, headers);
    const socket = this.#socket;
    return {
      get closed() {
        return socket.destroyed || socket.writableEnded;
      },
      write: (chunk) => socket.destroyed || socket.write(chunk),
      drained: () => drained(socket),
      end: () => void socket.end(),
      abort: () => void socket.destroy(),
    };
  }
  override destroy(): void {
    this.#socket.destroy();
  }
  #head(code: number, headers: ResponseHeaders): void {
    this.#answered = true;
    const lines = Object.entries(headers).flatMap(([name, value]) => [value].flat().map((one) => `${name}: ${String(one).replaceAll(/[\r\n]/g, ' ')}\r\n`));
    this.#socket.write(`HTTP/1.1 ${code} ${STATUS_CODES[code] ?? ''}\r\n${lines.join('')}connection: close\r\n\r\n`);
  }
}
