/**
 * WebSocket (RFC 6455) upgrades with Kubernetes' subprotocols, both sides. Names of subprotocols here may hold characters that RFC 6455
 * forbids (`SPDY/3.1+portforward.k8s.io`): Go's clients send them and Go's servers take them, so the negotiation is done here and not by `ws`.
 */
import type { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { WebSocket, WebSocketServer, type ClientOptions } from 'ws';
import { systemClock, type Clock, type Timer } from '#base/clock.ts';
import { headerValues, isWebSocketUpgrade, refuseUpgrade, UpgradeRefusedError, type UpgradeRequest } from './upgrade.ts';

/** Go's WebSocket servers take messages up to this size. */
export const MAX_MESSAGE_BYTES = 32 << 20;
/** A peer that has not answered two pings is gone. */
const PING_INTERVAL_MS = 30_000;
const MAX_REFUSAL_BYTES = 64 * 1024;

export interface WebSocketSession {
  readonly ws: WebSocket;
  /** The subprotocol agreed on; '' when the client asked for none. */
  readonly protocol: string;
}

export interface AcceptWebSocketOptions {
  /** Subprotocols that the server speaks; the client's order decides. '' in the list accepts a client that names none. */
  readonly protocols: readonly string[];
  readonly clock?: Clock | undefined;
}

/** Answers a request for a WebSocket. Undefined when it was refused; the response is then written and the socket ended. */
export function acceptWebSocket(req: UpgradeRequest, socket: Duplex, head: Buffer, options: AcceptWebSocketOptions): WebSocketSession | undefined {
  if (!isWebSocketUpgrade(req.headers)) {
    refuseUpgrade(socket, 400, 'unable to upgrade: missing upgrade headers in request\n');
    return undefined;
  }
  const offered = headerValues(req.headers, 'sec-websocket-protocol');
  const protocol = offered.length === 0 ? options.protocols.find((p) => p === '') : offered.find((p) => options.protocols.includes(p));
  if (protocol === undefined) {
    refuseUpgrade(socket, 403, '');
    return undefined;
  }
  const server = new WebSocketServer({ noServer: true, clientTracking: false, perMessageDeflate: false, maxPayload: MAX_MESSAGE_BYTES });
  server.on('headers', (lines) => {
    if (protocol !== '') lines.push(`Sec-WebSocket-Protocol: ${protocol}`);
  });
  const { 'sec-websocket-protocol': _, ...headers } = req.headers;
  const request = Object.create(req, { headers: { value: headers } }) as IncomingMessage;
  if (socket instanceof Socket) socket.setNoDelay(true);
  let accepted: WebSocket | undefined;
  // Completes before it returns, as there is nothing to verify; a request that is no valid handshake is answered and the callback not called.
  server.handleUpgrade(request, socket, head, (ws) => (accepted = ws));
  if (!accepted) return undefined;
  accepted.on('error', () => {});
  keepAlive(accepted, options.clock ?? systemClock);
  return { ws: accepted, protocol };
}

/** Pings the peer while the connection is open and cuts it off when it stops answering. */
function keepAlive(ws: WebSocket, clock: Clock): void {
  let missed = 0;
  let timer: Timer;
  const tick = (): void => {
    if (ws.readyState !== WebSocket.OPEN) return;
    // While reading is paused for a slow consumer, answers cannot arrive.
    if (!ws.isPaused && ++missed > 2) return ws.terminate();
    ws.ping();
    timer = clock.after(PING_INTERVAL_MS, tick);
  };
  timer = clock.after(PING_INTERVAL_MS, tick);
  ws.on('pong', () => (missed = 0));
  ws.on('message', () => (missed = 0));
  ws.once('close', () => timer.cancel());
}

export interface DialWebSocketOptions {
  /** In order of preference; none offers none. */
  readonly protocols: readonly string[];
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly tls?: TlsOptions | undefined;
  /** Aborts the dialling; the connection, once made, belongs to the caller. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens a WebSocket; http and https URLs stand for ws and wss. Rejects with {@link UpgradeRefusedError} when the server answers otherwise.
 * The socket is paused: attach listeners, then `resume()` it.
 */
export function dialWebSocket(url: URL, options: DialWebSocketOptions): Promise<WebSocketSession> {
  return new Promise((resolve, reject) => {
    options.signal?.throwIfAborted();
    const target = new URL(url);
    target.protocol = url.protocol.replace('http', 'ws');
    const headers = { ...options.headers, ...(options.protocols.length ? { 'Sec-WebSocket-Protocol': options.protocols.join(', ') } : {}) };
    // Names that `ws` takes for invalid go as a plain header; it knows of no subprotocol then.
    const settings: ClientOptions = { headers, perMessageDeflate: false, maxPayload: MAX_MESSAGE_BYTES };
    const ws = new WebSocket(target, [], Object.assign(settings, options.tls));
    const onAbort = (): void => {
      reject(options.signal!.reason);
      ws.terminate();
    };
    options.signal?.addEventListener('abort', onAbort, { once: true });
    const settled = (): void => options.signal?.removeEventListener('abort', onAbort);
    let protocol = '';
    ws.on('error', (err) => {
      settled();
      reject(err);
    });
    ws.once('unexpected-response', (req, response) => {
      settled();
      const parts: Buffer[] = [];
      let size = 0;
      const done = (): void => {
        reject(new UpgradeRefusedError(response.statusCode ?? 0, Buffer.concat(parts).toString('utf8')));
        req.destroy();
      };
      response.on('data', (part: Buffer) => {
        parts.push(part.subarray(0, MAX_REFUSAL_BYTES - size));
        size += part.length;
        if (size >= MAX_REFUSAL_BYTES) done();
      });
      response.once('end', done);
      response.once('error', done);
    });
    ws.once('upgrade', (response) => {
      protocol = response.headers['sec-websocket-protocol'] ?? '';
      // `ws` would refuse an answer to a question that it did not ask itself.
      delete response.headers['sec-websocket-protocol'];
      if (protocol !== '' && !options.protocols.includes(protocol)) {
        reject(new Error(`unable to upgrade connection: server chose the protocol ${JSON.stringify(protocol)}, which was not offered`));
        ws.terminate();
      }
    });
    ws.once('open', () => {
      settled();
      ws.pause();
      resolve({ ws, protocol });
    });
  });
}

const BEARER_PREFIX = 'base64url.bearer.authorization.k8s.io.';

/** What the subprotocols of a WebSocket request say about its bearer token. */
export type ProtocolBearer =
  | { readonly kind: 'none' }
  | { readonly kind: 'token'; readonly token: string; /** The other subprotocols, to go on with. */ readonly protocols: readonly string[] }
  | { readonly kind: 'invalid'; readonly message: string };

/**
 * Browsers cannot set an Authorization header on a WebSocket, so the token may come as a subprotocol
 * (`base64url.bearer.authorization.k8s.io.<token in base64url without padding>`), beside at least one real one.
 */
export function bearerFromProtocols(protocols: readonly string[]): ProtocolBearer {
  const encoded = protocols.filter((p) => p.startsWith(BEARER_PREFIX)).map((p) => p.slice(BEARER_PREFIX.length));
  if (encoded.length === 0) return { kind: 'none' };
  if (encoded.length > 1) return { kind: 'invalid', message: 'multiple base64.bearer.authorization tokens specified' };
  const bytes = Buffer.from(encoded[0]!, 'base64url');
  if (!/^[A-Za-z0-9_-]+$/.test(encoded[0]!) || bytes.toString('base64url') !== encoded[0]) return { kind: 'invalid', message: 'invalid base64.bearer.authorization token encoding' };
  const token = bytes.toString('utf8');
  if (!Buffer.from(token, 'utf8').equals(bytes)) return { kind: 'invalid', message: 'invalid base64.bearer.authorization token' };
  const others = protocols.filter((p) => !p.startsWith(BEARER_PREFIX));
  if (others.length === 0) return { kind: 'invalid', message: 'missing additional subprotocol' };
  return { kind: 'token', token, protocols: others };
}
