/**
 * A group and version that another server answers: requests go there over TLS as they came, with the front proxy's client certificate and
 * headers that say who asks. Source: the Kubernetes page "Configure the Aggregation Layer".
 */
import { Agent } from 'node:https';
import { Readable } from 'node:stream';
import type { ConnectionOptions } from 'node:tls';
import type { APIService } from '#api/gen/apiregistration-v1.ts';
import type { Status } from '#api/gen/meta-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { proxyRequest, proxyUpgrade, type ProxiedResponse, type ProxyTarget } from '#machinery/httpstream/upgrade-proxy.ts';
import { readJson } from '#machinery/json.ts';
import { serviceUnavailable, StatusError } from '#machinery/status-error.ts';
import { Entry } from '#store/entry.ts';
import { pathNotFound } from '../generic-errors.ts';
import type { UserInfo } from '../interfaces.ts';
import type { ApiRequest, ApiResult, RawResult, WatchedEvent } from '../request.ts';
import { goError, type Endpoint } from '../webhook/client.ts';

/** Client certificate and key of the front proxy, PEM. */
export interface ProxyIdentity {
  readonly cert: string;
  readonly key: string;
}
export interface RemoteApiOptions {
  readonly service: APIService;
  /** As it is now: it is made anew in time. */
  readonly identity: () => ProxyIdentity;
  /** An address of the Service as it is now. Throws when there is none. */
  readonly resolve: () => Endpoint | Promise<Endpoint>;
}
/** What the server does for itself there. */
const AGGREGATOR: UserInfo = { name: 'system:kube-aggregator', groups: ['system:masters'] };
/** Said about the one who asks by headers of ours alone, never by the client's. */
const SPOOFABLE = /^(?:authorization|x-remote-.*|impersonate-.*)$/;
const MAX_DOCUMENT_BYTES = 32 * 1024 * 1024;

const text = (code: number, body: string): RawResult => ({ kind: 'raw', code, headers: { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' }, body: Buffer.from(`${body}\n`) });

/** Header names take no letter that is not a token's: such are percent-encoded. */
function headerKey(name: string): string {
  return name.replaceAll(/[^!#$&'*+\-.^_`|~0-9A-Za-z]/gu, (c) => encodeURIComponent(c).replaceAll(/[!'()*]/g, (d) => `%${d.charCodeAt(0).toString(16).toUpperCase()}`));
}
/** `undefined` takes the client's own header away. */
export function identityHeaders(user: UserInfo, clientNames: readonly string[]): Record<string, string | readonly string[] | undefined> {
  const out: Record<string, string | readonly string[] | undefined> = {};
  for (const name of clientNames) if (SPOOFABLE.test(name)) out[name] = undefined;
  out['x-remote-user'] = user.name;
  if (user.uid) out['x-remote-uid'] = user.uid;
  if (user.groups.length) out['x-remote-group'] = user.groups;
  for (const [key, values] of Object.entries(user.extra ?? {})) out[`x-remote-extra-${headerKey(key).toLowerCase()}`] = values;
  return out;
}

export class RemoteApi {
  readonly #o: RemoteApiOptions;
  #made: { readonly identity: ProxyIdentity; readonly tls: ConnectionOptions; readonly agent: Agent } | undefined;

  constructor(options: RemoteApiOptions) {
    this.#o = options;
  }
  close(): void {
    this.#made?.agent.destroy();
  }
  /** How its server is reached as who we are now. What is under way as who we were goes on. */
  #connection(): { readonly tls: ConnectionOptions; readonly agent: Agent } {
    const identity = this.#o.identity();
    if (this.#made?.identity.cert === identity.cert) return this.#made;
    const { service, insecureSkipTLSVerify, caBundle } = this.#o.service.spec;
    const tls: ConnectionOptions = {
      cert: identity.cert, key: identity.key,
      servername: `${service?.name ?? ''}.${service?.namespace ?? ''}.svc`,
      ...(insecureSkipTLSVerify ? { rejectUnauthorized: false } : {}),
      ...(caBundle ? { ca: Buffer.from(caBundle, 'base64').toString('utf8') } : {}),
    };
    this.#made = { identity, tls, agent: new Agent({ keepAlive: true, maxFreeSockets: 25, ...tls }) };
    return this.#made;
  }

  /** A request under `/apis/GROUP/VERSION`. Calls of the process itself get objects, all others bytes. */
  async handle(request: ApiRequest, user: UserInfo): Promise<ApiResult> {
    // A URL's dots would lead out of what was authorised.
    if (request.info.path.split('/').some((part) => part === '.' || part === '..')) throw pathNotFound();
    if (request.fixedUser) return this.#answerLocal(request, user);
    let target: ProxyTarget;
    try {
      target = await this.#target(request.auth.path, identityHeaders(user, request.auth.headerNames()), request.auth.remoteAddress);
    } catch {
      return text(503, 'service unavailable');
    }
    if (request.upgrade) {
      const { method, rawHeaders, socket, head } = request.upgrade;
      await proxyUpgrade(target, { method, rawHeaders }, socket, head, { signal: request.signal });
      return { kind: 'hijacked' };
    }
    const body = request.bodyStream?.() as Readable | undefined;
    const rawHeaders = request.auth.headerNames().flatMap((name) => request.auth.headerValues(name).flatMap((value) => [name, value]));
    try {
      return rawResult(await proxyRequest(target, { method: request.method, rawHeaders, body }, request.signal));
    } catch (err) {
      if (request.signal.aborted) throw err;
      return text(503, `error trying to reach service: ${goError(err)}`);
    }
  }
  /** A JSON document of the server, asked for by this server itself; undefined where it has none (404). Throws what {@link goError} words. */
  async document(path: string, signal: AbortSignal): Promise<{ readonly url: string; readonly value: unknown } | undefined> {
    const target = await this.#target(path, { ...identityHeaders(AGGREGATOR, []), accept: 'application/json' });
    const response = await proxyRequest(target, { method: 'GET', rawHeaders: [] }, signal);
    const body = await readAll(response.body);
    if (response.status === 404) return undefined;
    if (response.status < 200 || response.status > 299) throw new Error(`bad status from ${target.url.href}: ${response.status}`);
    return { url: target.url.href, value: JSON.parse(body.toString()) as unknown };
  }
  /** Where a document is asked for at the moment. */
  async url(path: string): Promise<string> {
    const { host, port } = await this.#o.resolve();
    return `https://${host.includes(':') ? `[${host}]` : host}:${port}${path}`;
  }

  async #target(path: string, headers: ProxyTarget['headers'], forwardedFor?: string): Promise<ProxyTarget> {
    const { tls, agent } = this.#connection();
    return { url: new URL(await this.url(path)), tls, agent, headers: { host: tls.servername, ...(forwardedFor ? { 'x-forwarded-for': forwardedFor } : {}), ...headers } };
  }

  async #answerLocal(request: ApiRequest, user: UserInfo): Promise<ApiResult> {
    const query = request.query.toString();
    const watch = request.info.verb === 'watch';
    const parameters = [query, ...(watch ? ['watch=true'] : [])].filter((p) => p !== '').join('&');
    const path = `${encodeURI(request.info.path)}${parameters === '' ? '' : `?${parameters}`}`;
    const sent = await request.readBody();
    const bytes = sent === undefined ? undefined : sent.kind === 'bytes' ? sent.bytes : Buffer.from(JSON.stringify(sent.value));
    let response: ProxiedResponse;
    try {
      const headers = ['accept', 'application/json', 'user-agent', request.auth.header('user-agent') ?? '', ...(bytes ? ['content-type', request.contentType || 'application/json', 'content-length', String(bytes.length)] : [])];
      response = await proxyRequest(await this.#target(path, identityHeaders(user, [])), { method: request.method, rawHeaders: headers, body: bytes && Readable.from([bytes]) }, request.signal);
    } catch (err) {
      if (request.signal.aborted) throw err;
      throw serviceUnavailable(`error trying to reach service: ${goError(err)}`);
    }
    if (watch && response.status === 200) return { kind: 'watch', served: undefined, events: watched(response.body) };
    const body = (await readAll(response.body)).toString();
    if (response.status > 299) throw refusal(response.status, body);
    return { kind: 'object', code: response.status, object: readJson(body) as KubeObject };
  }
}

function rawResult(response: ProxiedResponse): RawResult {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of response.headers) {
    const key = name.toLowerCase();
    const before = headers[key];
    headers[key] = before === undefined ? value : [before, value].flat();
  }
  return { kind: 'raw', code: response.status, headers, body: response.body as AsyncIterable<Uint8Array> };
}
async function readAll(body: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_DOCUMENT_BYTES) throw new Error(`the answer is larger than ${MAX_DOCUMENT_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
function refusal(code: number, body: string): StatusError {
  try {
    const status = JSON.parse(body) as Status;
    if (status.kind === 'Status') return new StatusError(status);
  } catch {
    // no Status: its text is all there is
  }
  return new StatusError({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message: body.trim(), code });
}
async function* watched(body: Readable): AsyncGenerator<readonly WatchedEvent[]> {
  let rest = '';
  for await (const chunk of body as AsyncIterable<Buffer>) {
    const lines = (rest + chunk.toString()).split('\n');
    rest = lines.pop()!;
    if (rest.length > MAX_DOCUMENT_BYTES) throw new Error('an event of the watch is too large');
    const batch = lines.filter((line) => line !== '').map(eventOf);
    if (batch.length) yield batch;
  }
}
function eventOf(line: string): WatchedEvent {
  const { type, object } = readJson(line) as { type: WatchedEvent['type']; object: KubeObject };
  if (type === 'BOOKMARK' || type === 'ERROR') return { type, object };
  return { type, entry: new Entry('', object, Number(object.metadata.resourceVersion ?? 0) || 0) };
}
