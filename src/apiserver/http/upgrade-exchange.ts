import type { IncomingMessage } from 'node:http';
import { STATUS_CODES } from 'node:http';
import type { Duplex, Readable } from 'node:stream';
import { isWebSocketUpgrade } from '#machinery/httpstream/upgrade.ts';
import { acceptWebSocket } from '#machinery/httpstream/websocket.ts';
import type { ResponseHeaders, ResponseStream } from './exchange.ts';
import { Http1Exchange } from './http1-exchange.ts';
import { JSON_TYPE } from '../registry/body.ts';
import { drained } from './http2-exchange.ts';

const BINARY = 'binary.k8s.io';
const BASE64_BINARY = 'base64.binary.k8s.io';
const MAX_UNSENT_BYTES = 256 * 1024;

/**
 * An HTTP/1.1 request that asks for another protocol. Node hands over the bare socket: a refusal (or an answer of a path that knows
 * no upgrade) is written on it by hand, after which it closes.
 */
export class UpgradeExchange extends Http1Exchange {
  readonly #request: IncomingMessage;
  readonly #socket: Duplex;
  readonly #head: Buffer;
  #answered = false;

  constructor(request: IncomingMessage, socket: Duplex, head: Buffer) {
    super(request, undefined);
    this.#request = request;
    this.#socket = socket;
    this.#head = head;
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
    this.#writeHead(code, { ...headers, 'content-length': body.length });
    this.#socket.end(body);
  }
  override stream(code: number, headers: ResponseHeaders): ResponseStream {
    if (!this.answered && code === 200 && isWebSocketUpgrade(this.#request.headers)) return this.#messages(headers['content-type'] === JSON_TYPE);
    if (!this.answered) this.#writeHead(code, headers);
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
  /** A log or a watch over a WebSocket: text for JSON, else bytes (or their base64), after an empty message that says the connection stands. */
  #messages(isText: boolean): ResponseStream {
    this.#answered = true;
    const session = acceptWebSocket(this.#request, this.#socket, this.#head, { protocols: ['', BINARY, BASE64_BINARY] });
    if (!session) return { inMessages: true, closed: true, write: () => true, drained: () => Promise.resolve(), end: () => {}, abort: () => {} };
    const { ws, protocol } = session;
    let sent = Promise.resolve();
    const send = (data: Uint8Array): void => {
      const { promise, resolve } = Promise.withResolvers<void>();
      sent = promise;
      ws.send(protocol === BASE64_BINARY ? Buffer.from(data).toString('base64') : data, { binary: !isText && protocol !== BASE64_BINARY }, () => resolve());
    };
    if (!isText) send(Buffer.alloc(0));
    return {
      inMessages: true,
      get closed() {
        return ws.readyState !== ws.OPEN;
      },
      write(chunk) {
        if (ws.readyState !== ws.OPEN) return true;
        send(chunk);
        return ws.bufferedAmount < MAX_UNSENT_BYTES;
      },
      drained: () => sent,
      end: () => ws.close(1000),
      abort: () => ws.terminate(),
    };
  }
  override destroy(): void {
    this.#socket.destroy();
  }
  #writeHead(code: number, headers: ResponseHeaders): void {
    this.#answered = true;
    const lines = Object.entries(headers).flatMap(([name, value]) => [value].flat().map((one) => `${name}: ${String(one).replaceAll(/[\r\n]/g, ' ')}\r\n`));
    this.#socket.write(`HTTP/1.1 ${code} ${STATUS_CODES[code] ?? ''}\r\n${lines.join('')}connection: close\r\n\r\n`);
  }
}
