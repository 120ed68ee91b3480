/**
 * Passing requests on: upgrades as raw bytes in both directions, ordinary requests with streaming bodies. The API server reaches kubelets, Services
 * and Pods with it (exec, attach, portforward, log, proxy). Who may do so, and where the target is, is the caller's matter.
 */
import { request as httpRequest, type Agent as HttpAgent } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Socket } from 'node:net';
import type { Duplex, Readable } from 'node:stream';
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { systemClock, type Clock, type Timer } from '#base/clock.ts';
import { refuseUpgrade, requestUpgrade, writeResponseHead } from './upgrade.ts';

export interface ProxyTarget {
  /** Scheme (http or https), address, path and query as the target shall see them. */
  readonly url: URL;
  /** For https: CA, client certificate and key, server name, or `rejectUnauthorized: false`. */
  readonly tls?: TlsOptions | undefined;
  /** Keeps connections for ordinary requests; it must have been made with the same TLS settings. Absent: one connection for each request. */
  readonly agent?: HttpAgent | undefined;
  /** Set instead of the client's (lower-case names); undefined takes the client's away. */
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>> | undefined;
}
export interface ProxiedRequest {
  readonly method: string;
  /** Names and values in turn, as `IncomingMessage.rawHeaders`. HTTP/2's pseudo-headers are dropped. */
  readonly rawHeaders: readonly string[];
  /** Absent for requests without a body. */
  readonly body?: Readable | undefined;
}
export interface ProxiedResponse {
  readonly status: number;
  readonly reason: string;
  /** Pairs in the target's order and letter case, without those of the connection. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Readable;
}

/** RFC 9110, section 7.6.1: headers that concern one connection and are not passed on. */
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'proxy-authorization', 'te', 'trailer', 'transfer-encoding', 'upgrade']);

function* pairsOf(raw: readonly string[]): Generator<readonly [string, string]> {
  for (let i = 0; i + 1 < raw.length; i += 2) yield [raw[i]!, raw[i + 1]!];
}
function endToEnd(raw: readonly string[]): (readonly [string, string])[] {
  const pairs = [...pairsOf(raw)];
  const named = new Set(pairs.filter(([name]) => name.toLowerCase() === 'connection').flatMap(([, value]) => value.toLowerCase().split(',').map((v) => v.trim())));
  return pairs.filter(([name]) => !name.startsWith(':') && !HOP_BY_HOP.has(name.toLowerCase()) && !named.has(name.toLowerCase()));
}
/** The headers for the target. Values that came one by one stay so: old servers do not split lists. */
function headersFor(target: Pick<ProxyTarget, 'url' | 'headers'>, request: ProxiedRequest): Record<string, string | string[]> {
  const out: Record<string, string | string[]> = {};
  const set = (name: string, value: string | string[]): void => void Object.defineProperty(out, name, { value, enumerable: true, configurable: true, writable: true });
  for (const [rawName, value] of endToEnd(request.rawHeaders)) {
    const name = rawName.toLowerCase();
    if (name === 'host' || (target.headers && Object.hasOwn(target.headers, name))) continue;
    const before = Object.hasOwn(out, name) ? out[name] : undefined;
    set(name, before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value]);
  }
  for (const [name, value] of Object.entries(target.headers ?? {})) if (value !== undefined) set(name, typeof value === 'string' ? value : [...value]);
  if (!Object.hasOwn(out, 'host')) set('host', target.url.host);
  return out;
}

/** Sends an ordinary request on. Resolves with the head of the response; rejects when the target cannot be reached. */
export function proxyRequest(target: ProxyTarget, request: ProxiedRequest, signal?: AbortSignal): Promise<ProxiedResponse> {
  return new Promise((resolve, reject) => {
    const { url } = target;
    const make = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const req = make({
      ...(target.agent ? { agent: target.agent } : { agent: false, ...target.tls }),
      host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port || (url.protocol === 'https:' ? 443 : 80), path: `${url.pathname}${url.search}`,
      method: request.method, headers: headersFor(target, request), ...(signal ? { signal } : {}),
    });
    req.on('response', (response) => {
      resolve({ status: response.statusCode ?? 502, reason: response.statusMessage ?? '', headers: endToEnd(response.rawHeaders), body: response });
    });
    req.on('error', (err) => {
      request.body?.resume();
      reject(err);
    });
    const { body } = request;
    if (!body) return void req.end();
    body.once('error', (err) => req.destroy(err));
    // A client that went away in the middle of its body must not look like one that has sent it all.
    body.once('close', () => {
      if (!body.readableEnded) req.destroy(new Error('client closed the connection'));
    });
    body.pipe(req);
  });
}

/** The headers of a request for an upgrade as the target shall see them. */
export function upgradeHeadersFor(target: Pick<ProxyTarget, 'url' | 'headers'>, request: ProxiedRequest): Record<string, string | string[]> & { readonly upgrade: string } {
  const protocols = [...pairsOf(request.rawHeaders)].filter(([name]) => name.toLowerCase() === 'upgrade').map(([, value]) => value);
  return { ...headersFor(target, request), connection: 'Upgrade', upgrade: protocols.join(', ') };
}

export interface ProxyUpgradeOptions extends JoinOptions {
  /** Answers on the client's socket and ends it. Default: 502 with the reason. */
  readonly onError?: ((socket: Duplex, err: unknown) => void) | undefined;
}
function answerBadGateway(socket: Duplex, err: unknown): void {
  refuseUpgrade(socket, 502, `${err instanceof Error ? err.message : String(err)}\n`);
}

/**
 * Sends a request for an upgrade on and joins the two connections. The target's refusal is passed on as it is; when the target cannot be
 * reached, `onError` answers. Resolves when both connections have ended; never rejects.
 */
export async function proxyUpgrade(target: ProxyTarget, request: ProxiedRequest, client: Duplex, head: Buffer, options: ProxyUpgradeOptions = {}): Promise<void> {
  const { signal, onError = answerBadGateway } = options;
  const headers = upgradeHeadersFor(target, request);
  const refused = Promise.withResolvers<undefined>();
  const gone = new AbortController();
  const onGone = (): void => gone.abort(new Error('client closed the connection'));
  client.on('error', () => {});
  client.once('close', onGone);
  try {
    const upgraded = requestUpgrade(target.url, { method: request.method, headers, tls: target.tls, signal: signal ? AbortSignal.any([signal, gone.signal]) : gone.signal }, (response) => {
      passRefusal(response, client).then(refused.resolve, refused.resolve);
    });
    const result = await Promise.race([upgraded, refused.promise]);
    if (!result) return;
    writeResponseHead(client, 101, [['Connection', 'Upgrade'], ...endToEnd(result.response.rawHeaders), ['Upgrade', result.response.headers['upgrade'] ?? '']], result.response.statusMessage);
    if (result.head.length) client.write(result.head);
    if (head.length) result.socket.write(head);
    if (client instanceof Socket) client.setNoDelay(true);
    await joinSockets(client, result.socket, options);
  } catch (err) {
    if (!client.destroyed) onError(client, err);
  } finally {
    client.off('close', onGone);
  }
}

async function passRefusal(response: { statusCode?: number | undefined; statusMessage?: string | undefined; rawHeaders: string[] } & Readable, client: Duplex): Promise<undefined> {
  // The connection ends after it: what the client sends next must not be taken for something already authorised.
  writeResponseHead(client, response.statusCode ?? 502, [...endToEnd(response.rawHeaders), ['Connection', 'close']], response.statusMessage);
  client.resume();
  await new Promise<void>((resolve) => {
    client.once('close', resolve);
    client.once('finish', resolve);
    response.once('error', () => client.destroy());
    response.pipe(client);
  });
  return undefined;
}

export interface JoinOptions {
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock | undefined;
}

/** How long one direction may go on after the other has ended: a peer that has gone often looks like one that has only finished sending. */
const HALF_OPEN_MS = 10_000;

/**
 * Joins two byte streams. When one direction ends, the other may finish within ten seconds; an error of one side destroys the other. Resolves
 * when both have closed.
 */
export function joinSockets(a: Duplex, b: Duplex, options: JoinOptions = {}): Promise<void> {
  const { signal, clock = systemClock } = options;
  let linger: Timer | undefined;
  const stop = (): void => {
    a.destroy();
    b.destroy();
  };
  const closed = (one: Duplex, other: Duplex): Promise<void> =>
    new Promise((resolve) => {
      one.on('error', () => other.destroy());
      one.once('end', () => (linger ??= clock.after(HALF_OPEN_MS, stop)));
      one.once('close', () => {
        if (!one.readableEnded) other.destroy();
        resolve();
      });
      if (one.destroyed) {
        other.destroy();
        resolve();
      }
    });
  signal?.addEventListener('abort', stop, { once: true });
  if (signal?.aborted) stop();
  const done = Promise.all([closed(a, b), closed(b, a)]).then(() => {
    linger?.cancel();
    signal?.removeEventListener('abort', stop);
  });
  pass(a, b);
  pass(b, a);
  return done;
}

/**
 * Writes what comes from one stream to the other, with back-pressure, and ends it. What a socket has read is given back as soon as it is
 * written: V8 would collect the whole heap for every 64 MB of such buffers, which costs several times what carrying them does.
 */
function pass(from: Duplex, to: Duplex): void {
  const written = from instanceof Socket ? giveBack : (): void => {};
  from.on('data', (chunk: Buffer) => {
    // Of what nobody takes any more the end is still to be seen.
    if (to.writable && !to.write(chunk, () => written(chunk))) from.pause();
  });
  from.once('end', () => to.end());
  to.on('drain', () => from.resume());
  to.once('close', () => from.resume());
}
/** Small reads share memory: only what fills its own is given back. */
function giveBack({ buffer, byteLength }: Buffer): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}
