/**
 * HTTP/1.1 protocol upgrades (RFC 9110, section 7.8), the parts that SPDY, WebSocket and proxying share: recognising a request,
 * answering it on the bare socket, asking for one.
 */
import { request as httpRequest, STATUS_CODES, type IncomingHttpHeaders, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect as netConnect, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as tlsConnect, type ConnectionOptions as TlsOptions } from 'node:tls';

const MAX_REFUSAL_BYTES = 64 * 1024;

/** What a request for an upgrade says; Node's `IncomingMessage` is one. */
export interface UpgradeRequest {
  readonly method?: string | undefined;
  /** By lower-case name. */
  readonly headers: IncomingHttpHeaders;
  /** Names as they were written and values, alternating. */
  readonly rawHeaders: readonly string[];
}

/** The comma-separated values of a header that may be given several times. */
export function headerValues(headers: IncomingHttpHeaders, name: string): string[] {
  const raw = headers[name];
  return (Array.isArray(raw) ? raw : [raw ?? '']).flatMap((v) => v.split(',')).map((v) => v.trim()).filter((v) => v !== '');
}

function asksFor(headers: IncomingHttpHeaders, protocol: string): boolean {
  const connection = String(headers['connection'] ?? '').toLowerCase();
  return connection.includes('upgrade') && headerValues(headers, 'upgrade').some((v) => v.toLowerCase() === protocol);
}
export function isSpdyUpgrade(headers: IncomingHttpHeaders): boolean {
  return asksFor(headers, 'spdy/3.1');
}
export function isWebSocketUpgrade(headers: IncomingHttpHeaders): boolean {
  return asksFor(headers, 'websocket');
}

/** Writes the head of a response to a socket that has left Node's HTTP server. Header pairs keep their order and letter case. */
export function writeResponseHead(socket: Duplex, status: number, headers: readonly (readonly [string, string])[], reason?: string): void {
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`HTTP/1.1 ${status} ${reason ?? STATUS_CODES[status] ?? 'Unknown'}\r\n${lines.join('')}\r\n`, 'latin1');
}

/** Answers a request for an upgrade with an ordinary response and ends the connection. */
export function refuseUpgrade(socket: Duplex, status: number, body: string, headers: readonly (readonly [string, string])[] = []): void {
  socket.on('error', () => socket.destroy());
  const hasType = headers.some(([name]) => name.toLowerCase() === 'content-type');
  writeResponseHead(socket, status, [
    ...headers,
    ...(hasType ? [] : [['Content-Type', 'text/plain; charset=utf-8'] as const, ['X-Content-Type-Options', 'nosniff'] as const]),
    ['Content-Length', String(Buffer.byteLength(body))],
    ['Connection', 'close'],
  ]);
  socket.end(body);
  socket.resume();
}

/** The server answered a request for an upgrade with something else. */
export class UpgradeRefusedError extends Error {
  override name = 'UpgradeRefusedError';
  readonly statusCode: number;
  /** The first 64 KiB of the response's body. */
  readonly body: string;
  constructor(statusCode: number, body: string) {
    super(`unable to upgrade connection: ${body.trim() === '' ? `${statusCode} ${STATUS_CODES[statusCode] ?? ''}`.trim() : body.trim()}`);
    this.statusCode = statusCode;
    this.body = body;
  }
}

export interface DialOptions {
  /** Default POST, as Kubernetes' SPDY clients. */
  readonly method?: string | undefined;
  readonly headers?: OutgoingHttpHeaders | undefined;
  /** For https: CA, client certificate and key, server name. */
  readonly tls?: TlsOptions | undefined;
  /** Aborts the dialling; the connection, once made, belongs to the caller. */
  readonly signal?: AbortSignal | undefined;
}
export interface Upgraded {
  readonly socket: Duplex;
  /** What the server sent right after its response. */
  readonly head: Buffer;
  readonly response: IncomingMessage;
}

/** What to do with a response that is not 101. */
type OnResponse = (response: IncomingMessage) => void;

/**
 * Asks for an upgrade; `onRefused` gets any answer but 101 (and must consume it). Each upgrade has a connection of its own.
 * `headers` must hold `Connection` and `Upgrade`.
 */
export function requestUpgrade(url: URL, options: DialOptions, onRefused: OnResponse): Promise<Upgraded> {
  return new Promise((resolve, reject) => {
    const secure = url.protocol === 'https:';
    const hostname = url.hostname.replace(/^\[|\]$/g, '');
    const port = Number(url.port || (secure ? 443 : 80));
    const connect = (): Socket =>
      secure
        ? tlsConnect({ host: hostname, port, servername: isIpAddress(hostname) ? '' : hostname, ...options.tls, allowHalfOpen: true } as TlsOptions)
        : netConnect({ host: hostname, port, allowHalfOpen: true });
    const make = secure ? httpsRequest : httpRequest;
    const req = make({
      host: hostname, port, path: `${url.pathname}${url.search}`, method: options.method ?? 'POST', headers: { Host: url.host, ...options.headers },
      // With a function to connect and without an agent, Node uses the function and keeps no connection.
      createConnection: connect, ...(options.signal ? { signal: options.signal } : {}),
    });
    req.on('upgrade', (response, socket, head) => {
      if (socket instanceof Socket) socket.setNoDelay(true);
      resolve({ socket, head, response });
    });
    req.on('response', (response) => {
      // Node would keep the connection, for an agent that does not exist.
      const { socket } = response;
      response.once('close', () => socket.destroy());
      onRefused(response);
    });
    req.on('error', reject);
    req.end();
  });
}

/** As {@link requestUpgrade}; rejects with {@link UpgradeRefusedError} on any answer but 101. */
export function dialUpgrade(url: URL, options: DialOptions): Promise<Upgraded> {
  const refused = Promise.withResolvers<never>();
  const upgraded = requestUpgrade(url, options, (response) => {
    readText(response, MAX_REFUSAL_BYTES).then((body) => refused.reject(new UpgradeRefusedError(response.statusCode ?? 0, body)), refused.reject);
  });
  return Promise.race([upgraded, refused.promise]);
}

async function readText(source: IncomingMessage, maxBytes: number): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of source as AsyncIterable<Buffer>) {
    parts.push(part.subarray(0, maxBytes - size));
    size += part.length;
    if (size >= maxBytes) break;
  }
  return Buffer.concat(parts).toString('utf8');
}

function isIpAddress(host: string): boolean {
  return host.includes(':') || /^[0-9.]+$/.test(host);
}
