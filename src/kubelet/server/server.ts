/** The kubelet's own HTTPS server (port 10250): what the API server, monitoring and node tools ask of a node. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { systemClock, type Clock } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { logger } from '#base/logger.ts';
import { refuseUpgrade } from '#machinery/httpstream/upgrade.ts';
import { userOf } from './authentication.ts';
import type { Refusal } from './authorization.ts';
import { handleRequest, handleUpgrade, type HandlerOptions } from './handler.ts';
import type { KubeletAuth, KubeletHost } from './interfaces.ts';
import { textAnswer, type KubeletAnswer, type KubeletRequest, type KubeletUpgrade, type LocalKubelet } from './request.ts';

const log = logger('kubelet-server');
const MAX_HEADER_BYTES = 1 << 20;
const IDLE_TIMEOUT_MS = 90_000;

export interface ServingCertificate {
  readonly cert: string;
  readonly key: string;
}
export interface KubeletServerOptions {
  /** Address to listen on; default all. */
  readonly address?: string | undefined;
  /** 0 takes a free one. */
  readonly port: number;
  readonly certificate: ServingCertificate;
  /** PEM of the authorities whose client certificates are taken. */
  readonly clientCa: string;
  readonly auth: KubeletAuth;
  readonly host: KubeletHost;
  readonly clock?: Clock | undefined;
}

export class KubeletServer implements Component, LocalKubelet {
  readonly name = 'kubelet-server';
  readonly #options: KubeletServerOptions;
  readonly #handling: HandlerOptions;
  readonly #server: Server;
  readonly #stopping = new AbortController();
  /** Connections that were upgraded and belong to the HTTP server no more. */
  readonly #upgraded = new Set<Duplex>();

  constructor(options: KubeletServerOptions) {
    this.#options = options;
    this.#handling = { auth: options.auth, host: options.host, clock: options.clock ?? systemClock };
    // Any client may connect; who has no certificate of our authority needs a token.
    this.#server = createServer(
      { ...options.certificate, ca: options.clientCa, requestCert: true, rejectUnauthorized: false, minVersion: 'TLSv1.2', maxHeaderSize: MAX_HEADER_BYTES, keepAliveTimeout: IDLE_TIMEOUT_MS },
      (req, res) => void this.#onRequest(req, res),
    );
    this.#server.on('upgrade', (req, socket, head) => void this.#onUpgrade(req, socket, head));
    this.#server.on('tlsClientError', (err, socket) => {
      log.debug({ err: err.message }, 'TLS handshake failed');
      socket.destroy();
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo | null)?.port ?? this.#options.port;
  }

  /** A new serving certificate, for connections from now on. */
  setCertificate(certificate: ServingCertificate): void {
    this.#server.setSecureContext({ ...certificate, ca: this.#options.clientCa });
  }

  start(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      this.#server.once('error', reject);
      this.#server.listen({ port: this.#options.port, ...(this.#options.address ? { host: this.#options.address } : {}) }, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (err) => log.error({ err: err.message }, 'server failed'));
        resolve();
      });
    });
  }

  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort(new Error('the kubelet is stopping'));
    for (const socket of this.#upgraded) socket.destroy();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  /** Serves requests: neither starting nor stopped. */
  get running(): boolean {
    return this.#server.listening && !this.#stopping.signal.aborted;
  }
  /** Answers a request of this process, whose user is known. Authorised as any other. Rejects when its signal aborts or the server stops. */
  handle(request: KubeletRequest): Promise<KubeletAnswer> {
    return handleRequest(this.#stoppable(request), this.#handling);
  }
  /** The same for a request that takes its connection over: `socket` is the client's own. Resolves when it is served; never rejects. */
  async upgrade(request: KubeletUpgrade, socket: Duplex, head: Buffer): Promise<void> {
    this.#upgraded.add(socket);
    socket.once('close', () => this.#upgraded.delete(socket));
    await handleUpgrade(this.#stoppable(request), socket, head, this.#handling);
  }
  #stoppable<R extends KubeletRequest>(request: R): R {
    return { ...request, signal: AbortSignal.any([request.signal, this.#stopping.signal]) };
  }

  async #onRequest(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const gone = new AbortController();
    res.once('close', () => gone.abort(new Error('client closed the connection')));
    res.on('error', () => {});
    const signal = AbortSignal.any([gone.signal, this.#stopping.signal]);
    try {
      const request = await this.#requestOf(req, signal);
      await writeAnswer(res, 'status' in request ? request : await handleRequest(request, this.#handling), signal);
    } catch {
      // With part of the answer sent, only a broken connection can tell that something is missing.
      res.destroy();
    }
  }
  async #onUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => {});
    const request = await this.#requestOf(req, this.#stopping.signal);
    if ('status' in request) refuseUpgrade(socket, request.status, request.text);
    else await this.upgrade({ ...request, headers: req.headers, rawHeaders: req.rawHeaders }, socket, head);
  }
  async #requestOf(req: IncomingMessage, signal: AbortSignal): Promise<KubeletRequest | Refusal> {
    if (!URL.canParse(req.url ?? '', 'https://kubelet')) return { status: 400, text: '400 Bad Request' };
    const user = await userOf(req, this.#options.auth, signal);
    return user ? { user, method: req.method ?? '', url: new URL(req.url ?? '', 'https://kubelet'), signal } : { status: 401, text: 'Unauthorized' };
  }
}

async function writeAnswer(res: ServerResponse, answer: KubeletAnswer | Refusal, signal: AbortSignal): Promise<void> {
  const { status, headers, body } = 'text' in answer ? textAnswer(answer.status, answer.text) : answer;
  if (Buffer.isBuffer(body)) return void res.writeHead(status, { ...headers, 'Content-Length': body.length }).end(body);
  res.writeHead(status, headers);
  for await (const piece of body) if (!res.write(piece)) await once(res, 'drain', { signal });
  res.end();
}
