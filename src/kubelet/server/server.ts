/** The kubelet's own HTTPS server (port 10250): what the API server, monitoring and node tools ask of a node. */
import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { systemClock, type Clock } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { logger } from '#base/logger.ts';
import { refuseUpgrade } from '#machinery/httpstream/upgrade.ts';
import { refusalFor } from './auth.ts';
import { messageOf, sendText, serveDocument } from './endpoints.ts';
import type { KubeletAuth, KubeletHost } from './interfaces.ts';
import { routeOf, type Route, type StreamingRoute } from './routes.ts';
import { serveStreaming } from './streaming.ts';

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

export class KubeletServer implements Component {
  readonly name = 'kubelet-server';
  readonly #options: KubeletServerOptions;
  readonly #clock: Clock;
  readonly #server: Server;
  readonly #stopping = new AbortController();
  /** Connections that were upgraded and belong to the HTTP server no more. */
  readonly #upgraded = new Set<Duplex>();

  constructor(options: KubeletServerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
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

  async #onRequest(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const url = urlOf(req);
    const gone = new AbortController();
    res.once('close', () => gone.abort(new Error('client closed the connection')));
    res.on('error', () => {});
    const signal = AbortSignal.any([gone.signal, this.#stopping.signal]);
    try {
      const refusal = url ? await refusalFor(req, url.pathname, this.#options.auth, signal) : { status: 400, text: '400 Bad Request' };
      if (refusal) return sendText(res, refusal.status, refusal.text);
      const route = routeOf(url!.pathname);
      if (!route) return sendText(res, 404, '404 page not found\n');
      if (isStreaming(route)) return sendText(res, 500, 'Upgrade request required\n');
      await serveDocument(route, { req, res, query: url!.searchParams, signal }, { host: this.#options.host, clock: this.#clock });
    } catch (err) {
      if (signal.aborted || res.destroyed) return;
      log.warn({ err: messageOf(err), path: url?.pathname }, 'request failed');
      if (res.headersSent) res.destroy();
      else sendText(res, 500, messageOf(err));
    }
  }

  async #onUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    this.#upgraded.add(socket);
    socket.once('close', () => this.#upgraded.delete(socket));
    // Until the session has taken the socket over, its failure concerns nobody.
    socket.on('error', () => {});
    const url = urlOf(req);
    const { signal } = this.#stopping;
    try {
      const refusal = url ? await refusalFor(req, url.pathname, this.#options.auth, signal) : { status: 400, text: '400 Bad Request' };
      if (refusal) return refuseUpgrade(socket, refusal.status, refusal.text);
      const route = routeOf(url!.pathname);
      if (!route || !isStreaming(route)) return refuseUpgrade(socket, route ? 400 : 404, route ? 'Upgrade is not supported on this path\n' : '404 page not found\n');
      if (req.method !== 'GET' && req.method !== 'POST') return refuseUpgrade(socket, 405, '405: Method Not Allowed', [['Allow', 'GET, POST']]);
      await serveStreaming(route, { req, socket, head, query: url!.searchParams, signal }, { host: this.#options.host, clock: this.#clock });
    } catch (err) {
      log.warn({ err: messageOf(err), path: url?.pathname }, 'streaming request failed');
      socket.destroy();
    }
  }
}

function isStreaming(route: Route): route is StreamingRoute {
  return route.kind === 'exec' || route.kind === 'attach' || route.kind === 'portForward';
}

function urlOf(req: IncomingMessage): URL | undefined {
  return URL.canParse(req.url ?? '', 'https://kubelet') ? new URL(req.url ?? '', 'https://kubelet') : undefined;
}
