/**
 * The HTTPS face of the API server: HTTP/2 by its stream API, HTTP/1.1 for old clients and for upgrades, on one port.
 * Each request becomes an {@link ApiRequest}, each result bytes; what happens in between is the pipeline's.
 */
import { randomUUID } from 'node:crypto';
import { createSecureServer, type Http2SecureServer, type Http2Session, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContextOptions, TLSSocket } from 'node:tls';
import type { Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { StatusError } from '#machinery/status-error.ts';
import type { Exchange } from './exchange.ts';
import { Http1Exchange } from './http1-exchange.ts';
import { Http2Exchange } from './http2-exchange.ts';
import type { RequestHandler } from './request-handler.ts';
import { UpgradeExchange } from './upgrade-exchange.ts';

const log = logger('apiserver-http');

export interface HttpServerOptions {
  readonly handler: RequestHandler;
  readonly clock: Clock;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly tls: TlsFiles;
  /** Called for a client with which TLS could not be agreed on. */
  readonly onHandshakeError?: () => void;
}
/** PEM texts. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  /** Authorities that client certificates are asked from; the authenticators check them. */
  readonly clientCa: string;
}

/** As upstream's `http2.Server`: streams of one connection under way. */
const MAX_STREAMS = 250;
/** Room for a header list: many groups and extras, but no more. */
const MAX_HEADER_BYTES = 64 * 1024;
const STREAM_WINDOW = 256 * 1024;
/** For all streams of a connection together. */
const SESSION_WINDOW = 25 * STREAM_WINDOW;
/** Streams that a client may reset at once, and per second from then on (CVE-2023-44487). */
const RESET_BURST = 1000;
const RESET_RATE = 100;
/** Longest wait for the head of a request. */
const HEADERS_TIMEOUT_MS = 10_000;
/** How often connections are looked at for heads that do not come. */
const CHECK_MS = 5_000;
const IDLE_CONNECTION_MS = 180_000;
/** After this long a stopping server cuts off what is still open. */
const SHUTDOWN_MS = 2_000;

/** What Node's HTTP/1.1 parser gives up on: no request, so there is no Status to answer with. */
const CLIENT_ERRORS: Readonly<Record<string, string>> = { ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout', HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large' };

export class HttpServer {
  readonly #options: HttpServerOptions;
  readonly #server: Http2SecureServer;
  readonly #sessions = new Set<Http2Session>();
  readonly #sockets = new Set<Duplex>();
  /** Requests under way by connection. */
  readonly #requests = new WeakMap<object, number>();

  constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#server = createSecureServer({
      ...secureContext(options.tls),
      allowHTTP1: true,
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.2',
      maxHeaderListPairs: 256,
      maxSessionMemory: 64,
      streamResetBurst: RESET_BURST,
      streamResetRate: RESET_RATE,
      settings: { maxConcurrentStreams: MAX_STREAMS, initialWindowSize: STREAM_WINDOW, maxHeaderListSize: MAX_HEADER_BYTES },
      handshakeTimeout: HEADERS_TIMEOUT_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
    } as Parameters<typeof createSecureServer>[0]);
    // Of HTTP/1.1; Node takes them from the server and not from its options here.
    Object.assign(this.#server, { headersTimeout: HEADERS_TIMEOUT_MS, keepAliveTimeout: IDLE_CONNECTION_MS, connectionsCheckingInterval: CHECK_MS });
    this.#listen();
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }
  async start(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once('error', reject);
    this.#server.listen({ port: this.#options.port, host: this.#options.host, backlog: 1024 }, () => resolve());
    await promise;
    this.#server.off('error', reject);
    this.#server.on('error', (err) => log.error({ err }, 'The HTTPS server failed'));
  }
  /** Takes another certificate for new connections. */
  setTls(tls: TlsFiles): void {
    this.#server.setSecureContext(secureContext(tls));
  }
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#options.handler.shutDown();
    for (const session of this.#sessions) session.close();
    const timer = this.#options.clock.after(SHUTDOWN_MS, () => {
      for (const socket of this.#sockets) socket.destroy();
    });
    // Kept-alive HTTP/1.1 connections have no goaway: those that are idle go at once.
    for (const socket of this.#sockets) if ((socket as TLSSocket).alpnProtocol !== 'h2' && this.#requestsOn(socket) === 0) socket.destroy();
    await closed;
    timer.cancel();
  }

  #requestsOn(connection: object): number {
    return this.#requests.get(connection) ?? 0;
  }
  /** Counts a request of a connection (an HTTP/2 session or an HTTP/1.1 socket) until `done` closes. */
  #count(connection: object, done: { once(event: 'close', listener: () => void): unknown }): void {
    this.#requests.set(connection, this.#requestsOn(connection) + 1);
    done.once('close', () => this.#requests.set(connection, this.#requestsOn(connection) - 1));
  }

  #listen(): void {
    const server = this.#server;
    server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number) => this.#onStream(stream, headers, flags));
    // A 'request' listener makes Node wrap every HTTP/2 stream in its compatibility objects, for HTTP/1.1 alone there is
    // no other event: the hook that would wrap is taken away first.
    server.removeAllListeners('newListener');
    server.on('request', (request, response) => this.#onRequest(request as unknown as IncomingMessage, response as unknown as ServerResponse));
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => this.#onUpgrade(request, socket, head));
    server.on('session', (session) => {
      this.#sessions.add(session);
      session.setLocalWindowSize(SESSION_WINDOW);
      session.on('close', () => this.#sessions.delete(session));
      session.on('error', (err) => {
        log.debug({ err, remote: session.socket?.remoteAddress, streams: this.#requestsOn(session) }, 'An HTTP/2 session ends');
        session.destroy();
      });
      session.setTimeout(IDLE_CONNECTION_MS, () => {
        if (this.#requestsOn(session) === 0) session.close();
      });
    });
    server.on('secureConnection', (socket: TLSSocket) => {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.once('close', () => this.#sockets.delete(socket));
      socket.on('error', () => socket.destroy());
    });
    server.on('tlsClientError', () => this.#options.onHandshakeError?.());
    server.on('sessionError', () => {});
    server.on('clientError' as 'error', ((err: Error & { code?: string }, socket: Duplex) => {
      const line = CLIENT_ERRORS[err.code ?? ''] ?? '400 Bad Request';
      if (socket.writable) socket.end(`HTTP/1.1 ${line}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n${line}`);
      else socket.destroy();
    }) as (err: Error) => void);
  }
  #onStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number): void {
    this.#count(stream.session!, stream);
    // A reset by the client is an end like any other; without a listener it would end the process.
    stream.on('error', () => {});
    const endsWithHeaders = (flags & 1) !== 0;
    this.#serve(new Http2Exchange(stream, headers, endsWithHeaders));
  }
  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    this.#count(request.socket, response);
    request.on('error', () => {});
    response.on('error', () => {});
    this.#serve(new Http1Exchange(request, response));
  }
  #onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    const exchange = new UpgradeExchange(request, socket, head);
    const rawHeaders = request.rawHeaders;
    this.#options.handler.serve(exchange, randomUUID(), { socket, head, method: request.method ?? 'GET', rawHeaders, path: request.url ?? '/' }).catch((err: unknown) => this.#broken(exchange, err));
  }
  #serve(exchange: Exchange): void {
    this.#options.handler.serve(exchange, randomUUID()).catch((err: unknown) => this.#broken(exchange, err));
  }
  /** A failure of ours, not of the request: those are answered by the handler. */
  #broken(exchange: Exchange, err: unknown): void {
    log.error({ err: StatusError.from(err), path: exchange.path }, 'A request could not be answered');
    exchange.destroy();
  }
}

function secureContext(tls: TlsFiles): SecureContextOptions {
  return { cert: tls.cert, key: tls.key, ca: tls.clientCa };
}
