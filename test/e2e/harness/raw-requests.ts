/** Requests below any client library: as any identity, with any bytes, over TLS. */
import { once } from 'node:events';
import { request, type Agent, type RequestOptions } from 'node:https';
import { connect, type TLSSocket } from 'node:tls';

export interface Identity {
  readonly cert?: string;
  readonly key?: string;
  readonly token?: string;
  /** Keeps its connections; one a request without. */
  readonly agent?: Agent;
}
export interface RawAnswer {
  readonly code: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** The body, where it is JSON. */
  readonly body: { readonly kind?: string; readonly status?: string; readonly reason?: string; readonly message?: string; readonly code?: number } | undefined;
}
export interface RawRequest {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}
export interface Endpoint {
  readonly host?: string;
  readonly port: number;
  readonly ca: string;
}

const TIMEOUT_MS = 60_000;

function parse(text: string): RawAnswer['body'] {
  try {
    return JSON.parse(text) as RawAnswer['body'];
  } catch {
    return undefined;
  }
}
/** One request; rejects when no answer comes. An upgrade that is granted answers 101. */
export async function send(to: Endpoint, who: Identity, what: RawRequest): Promise<RawAnswer> {
  const headers: Record<string, string> = { accept: 'application/json', ...(who.token === undefined ? {} : { authorization: `Bearer ${who.token}` }), ...what.headers };
  if (what.body !== undefined) headers['content-length'] ??= String(Buffer.byteLength(what.body));
  const options: RequestOptions = { host: to.host ?? '127.0.0.1', port: to.port, ca: to.ca, agent: who.agent ?? false, method: what.method ?? 'GET', path: what.path, headers, timeout: TIMEOUT_MS, ...(who.cert === undefined ? {} : { cert: who.cert, key: who.key }) };
  return await new Promise((resolve, reject) => {
    const req = request(options, (res) => {
      const parts: Buffer[] = [];
      res.on('data', (part: Buffer) => parts.push(part));
      res.on('error', reject);
      res.on('end', () => {
        const text = Buffer.concat(parts).toString();
        resolve({ code: res.statusCode ?? 0, headers: res.headers, text, body: parse(text) });
      });
    });
    req.on('upgrade', (res, socket) => {
      socket.destroy();
      resolve({ code: res.statusCode ?? 0, headers: res.headers, text: '', body: undefined });
    });
    req.on('timeout', () => req.destroy(new Error(`${what.method ?? 'GET'} ${what.path}: no answer after ${TIMEOUT_MS / 1000} s`)));
    req.on('error', reject);
    req.end(what.body);
  });
}
/** A TLS connection to write any bytes to. */
export async function open(to: Endpoint, who: Identity): Promise<TLSSocket> {
  const socket = connect({ host: to.host ?? '127.0.0.1', port: to.port, ca: to.ca, ALPNProtocols: ['http/1.1'], ...(who.cert === undefined ? {} : { cert: who.cert, key: who.key }) });
  await once(socket, 'secureConnect');
  socket.on('error', () => {}); // the other side may reset it: that ends it, like a close
  return socket;
}
/** Everything that comes until the other side closes, or `limitMs` have passed. */
export async function readToEnd(socket: TLSSocket, limitMs = TIMEOUT_MS): Promise<string> {
  let text = '';
  socket.setEncoding('utf8').on('data', (part: string) => (text += part));
  socket.on('error', () => {});
  const timer = setTimeout(() => socket.destroy(), limitMs);
  await new Promise((resolve) => socket.once('close', resolve));
  clearTimeout(timer);
  return text;
}
