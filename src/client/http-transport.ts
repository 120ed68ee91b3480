/**
 * The transport to any cluster: HTTP/1.1 with kept-alive connections over TLS, JSON bodies. Each watch has a connection of its own; calls share a
 * bounded number.
 */
import { Agent as PlainAgent, request as plainRequest, type IncomingMessage } from 'node:http';
import { Agent, request as secureRequest, type AgentOptions } from 'node:https';
import { StatusError, serviceUnavailable } from '#machinery/status-error.ts';
import type { Status } from '#api/gen/meta-v1.ts';
import type { KubeObject } from '#api/object.ts';
import type { ApiCall, Transport, WatchEvent } from './transport.ts';

export interface HttpTransportOptions {
  /** `https://127.0.0.1:6443` */
  readonly server: string;
  /** PEM of the authority that the server's certificate must come from. */
  readonly ca?: string;
  /** PEM of the client's certificate and key. */
  readonly cert?: string;
  readonly key?: string;
  /** The bearer token for each request, asked for every time so that it may rotate. */
  readonly token?: () => string | Promise<string>;
  readonly userAgent?: string;
  /** Milliseconds without an answer after which a call fails. Default 60,000. */
  readonly timeoutMs?: number;
  /** Milliseconds without a word after which a watch that has bookmarks ends. Default 150,000. */
  readonly silentWatchMs?: number;
}

export interface ClientCredentials {
  /** PEM of the client's certificate and key. */
  readonly cert: string;
  readonly key: string;
}

const MAX_LINE_BYTES = 16 << 20;
const MAX_CALLS_AT_A_TIME = 64;
/** The server sends a bookmark every minute: a watch on which nothing has come for this long leads to nobody. */
const SILENT_WATCH_MS = 150_000;
const VERB_METHODS = { get: 'GET', list: 'GET', create: 'POST', update: 'PUT', patch: 'PATCH', delete: 'DELETE', deletecollection: 'DELETE' } as const;

/** The path and query of a call: `/api/v1/namespaces/default/pods/web/status?fieldManager=x`. */
export function urlPath(call: ApiCall, extra: Readonly<Record<string, string>> = {}): string {
  const { group, version, plural } = call.resource;
  const parts = group === '' ? ['api', version] : ['apis', group, version];
  if (call.namespace) parts.push('namespaces', call.namespace);
  parts.push(plural);
  if (call.name !== undefined) parts.push(call.name);
  if (call.subresource) parts.push(...call.subresource.split('/'));
  const query = new URLSearchParams();
  for (const [k, v] of Object.entries({ ...call.query, ...extra })) for (const one of v === undefined ? [] : [v].flat()) query.append(k, one as string);
  const text = query.toString();
  return `/${parts.map(encodeURIComponent).join('/')}${text ? `?${text}` : ''}`;
}

export class HttpTransport implements Transport {
  readonly #options: HttpTransportOptions;
  readonly #base: URL;
  #agents: { readonly calls: Agent | PlainAgent; readonly watches: Agent | PlainAgent };

  constructor(options: HttpTransportOptions) {
    this.#options = options;
    this.#base = new URL(options.server);
    const { cert, key } = options;
    this.#agents = this.#newAgents(cert !== undefined && key !== undefined ? { cert, key } : undefined);
  }
  /** Closes the connections: calls and watches under way fail. */
  close(): void {
    this.#agents.calls.destroy();
    this.#agents.watches.destroy();
  }
  /** Acts by another certificate from now on. Connections made with the last one are closed, as upstream's clients close them: watches begin anew. */
  setCredentials(credentials: ClientCredentials): void {
    const before = this.#agents;
    this.#agents = this.#newAgents(credentials);
    before.calls.destroy();
    before.watches.destroy();
  }
  #newAgents(credentials: ClientCredentials | undefined): { calls: Agent | PlainAgent; watches: Agent | PlainAgent } {
    const { ca } = this.#options;
    const make = (options: AgentOptions): Agent | PlainAgent => (this.#base.protocol === 'http:' ? new PlainAgent(options) : new Agent({ ...options, ...(ca ? { ca } : {}), ...credentials }));
    return { calls: make({ keepAlive: true, maxSockets: MAX_CALLS_AT_A_TIME }), watches: make({ keepAlive: false }) };
  }

  async call(call: ApiCall, signal?: AbortSignal): Promise<unknown> {
    const limit = AbortSignal.timeout(this.#options.timeoutMs ?? 60_000);
    const res = await this.#send(call, urlPath(call), signal ? AbortSignal.any([signal, limit]) : limit);
    return parseBody(res.statusCode ?? 0, await readAll(res));
  }
  async *watch(call: ApiCall, signal: AbortSignal): AsyncIterable<readonly WatchEvent[]> {
    let res: IncomingMessage;
    try {
      res = await this.#send(call, urlPath(call, { watch: 'true' }), signal, true);
      if ((res.statusCode ?? 0) >= 300) parseBody(res.statusCode ?? 0, await readAll(res));
    } catch (err) {
      if (signal.aborted) return;
      throw err;
    }
    if (call.query?.['allowWatchBookmarks'] === 'true') res.setTimeout(this.#options.silentWatchMs ?? SILENT_WATCH_MS, () => res.destroy(new Error('the server has been silent for too long')));
    try {
      for await (const lines of linesOf(res)) yield lines.map(parseEvent);
    } catch (err) {
      if (!signal.aborted) throw StatusError.from(err);
    } finally {
      res.destroy();
    }
  }

  async #send(call: ApiCall, path: string, signal: AbortSignal, isWatch = false): Promise<IncomingMessage> {
    const body = call.body === undefined ? undefined : JSON.stringify(call.body);
    const headers: Record<string, string> = { accept: 'application/json', 'user-agent': this.#options.userAgent ?? 'podyard' };
    if (body !== undefined) {
      headers['content-type'] = call.patchType ?? 'application/json';
      headers['content-length'] = String(Buffer.byteLength(body));
    }
    if (this.#options.token) headers['authorization'] = `Bearer ${await this.#options.token()}`;
    const send = this.#base.protocol === 'http:' ? plainRequest : secureRequest;
    return await new Promise((resolve, reject) => {
      const req = send({ host: this.#base.hostname.replace(/^\[|\]$/g, ''), port: this.#base.port || 443, path, method: VERB_METHODS[call.verb], headers, agent: isWatch ? this.#agents.watches : this.#agents.calls, signal }, resolve);
      req.on('error', (err) => reject(signal.aborted ? signal.reason : connectionError(this.#base, err)));
      req.end(body);
    });
  }
}

function connectionError(base: URL, err: Error): StatusError {
  const failed = serviceUnavailable(`request to ${base.origin} failed: ${err.message}`);
  return new StatusError(failed.status, err);
}
async function readAll(res: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of res as AsyncIterable<Buffer>) parts.push(part);
  return Buffer.concat(parts).toString('utf8');
}
function parseBody(code: number, text: string): unknown {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    body = undefined; // a proxy's page, or plain text such as that of /healthz
  }
  if (code < 300) return body ?? text;
  const status = body as Status | undefined;
  if (status?.kind === 'Status') throw new StatusError(status);
  throw new StatusError({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message: text.slice(0, 2048) || `the server answered with status ${code}`, code });
}
function parseEvent(line: string): WatchEvent {
  const event = JSON.parse(line) as { type: string; object: KubeObject & Status };
  if (event.type === 'ERROR') throw new StatusError(event.object);
  return event as WatchEvent;
}

/** Complete lines of a body, as many as each chunk finishes. */
async function* linesOf(body: AsyncIterable<Buffer>): AsyncIterable<string[]> {
  let held: Buffer[] = [];
  let heldBytes = 0;
  for await (const chunk of body) {
    const end = chunk.lastIndexOf(10);
    if (end < 0) {
      held.push(chunk);
      heldBytes += chunk.length;
      if (heldBytes > MAX_LINE_BYTES) throw new Error(`a watch event is larger than ${MAX_LINE_BYTES} bytes`);
      continue;
    }
    const text = Buffer.concat([...held, chunk.subarray(0, end)]).toString('utf8');
    held = [chunk.subarray(end + 1)];
    heldBytes = held[0]!.length;
    const lines = text.split('\n').filter((l) => l !== '');
    if (lines.length) yield lines;
  }
}
