/**
 * Calls from the API server to webhooks: JSON over HTTPS, to a URL or to a Service of the cluster. Admission, authentication and
 * authorization webhooks and CRD conversion share it. Connections are kept open and reused. Errors read as Go's client words them,
 * since users know them from `failed calling webhook` messages.
 * Source: the Kubernetes page "Dynamic Admission Control", contacting the webhook.
 */
import { Agent as PlainAgent, request as plainRequest } from 'node:http';
import { Agent, request, type RequestOptions } from 'node:https';
import { isIP } from 'node:net';
import { rootCertificates } from 'node:tls';
import type { Clock } from '#base/clock.ts';
import { activeSpan, withSpan } from '#base/tracing.ts';
import { readJson } from '#machinery/json.ts';

/** Where to call: `admissionregistration.k8s.io/v1` WebhookClientConfig, and the same shape of CRD conversion. */
export interface WebhookTarget {
  readonly url?: string | undefined;
  readonly service?: { readonly namespace: string; readonly name: string; readonly path?: string | undefined; readonly port?: number | undefined } | undefined;
  /** Base64 of a PEM bundle; absent: the system's roots. */
  readonly caBundle?: string | undefined;
  /** What only a kubeconfig file may say: plain HTTP, no check of the certificate, or another name in it. */
  readonly trust?: { readonly http?: boolean; readonly insecure?: boolean; readonly serverName?: string | undefined } | undefined;
}
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}
/** Finds a live address behind a Service, from the API server's point of view. Throws when there is none: `service "x" not found`. */
export interface ServiceResolver {
  resolve(namespace: string, name: string, port: number): Endpoint | Promise<Endpoint>;
}
export interface WebhookClientOptions {
  readonly resolver: ServiceResolver;
  /** Client certificate and key, PEM, for webhooks that ask who calls. */
  readonly identity?: { readonly cert: string; readonly key: string };
  readonly clock: Clock;
}
export interface WebhookCall {
  /** A buffer holds JSON already. */
  readonly body: unknown;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
  /** Do not read the answer of a success. */
  readonly anyAnswer?: boolean;
  /** Send the timeout as the query parameter `timeout`, as admission webhooks get it. */
  readonly announceTimeout?: boolean;
}

const MAX_ANSWER_BYTES = 3 * 1024 * 1024;
const MAX_AGENTS = 256;

/** A call that did not bring an answer of the right form. The message reads as Go's. */
export class WebhookCallError extends Error {
  readonly timedOut: boolean;
  /** Of an answer that is no success. */
  readonly status: number | undefined;
  constructor(message: string, options: { readonly cause?: unknown; readonly timedOut?: boolean; readonly status?: number } = {}) {
    super(message, { cause: options.cause });
    this.name = 'WebhookCallError';
    this.timedOut = options.timedOut ?? false;
    this.status = options.status;
  }
}

export class WebhookClient {
  readonly #options: WebhookClientOptions;
  /** By authority and server name; the one used longest ago goes first. */
  readonly #agents = new Map<string, Agent>();
  readonly #plainAgent = new PlainAgent({ keepAlive: true, maxSockets: 64, maxFreeSockets: 8, timeout: 60_000 });
  constructor(options: WebhookClientOptions) {
    this.#options = options;
  }
  /** Posts JSON and returns the JSON of a 200 answer. Throws {@link WebhookCallError}. */
  async post(target: WebhookTarget, call: WebhookCall): Promise<unknown> {
    const where = locate(target, call);
    return withSpan('HTTP POST', { 'http.request.method': 'POST', 'server.address': hostOf(where.url), 'url.path': where.url.pathname }, () => this.#post(where, target, call));
  }
  async #post(where: Place, target: WebhookTarget, call: WebhookCall): Promise<unknown> {
    const body = Buffer.isBuffer(call.body) ? call.body : Buffer.from(JSON.stringify(call.body));
    const fail = (text: string, cause?: unknown, timedOut = false): WebhookCallError => new WebhookCallError(`Post ${JSON.stringify(where.url.href)}: ${text}`, { cause, timedOut });
    const plain = where.url.protocol === 'http:' && target.trust?.http === true;
    if (where.url.protocol !== 'https:' && !plain) throw fail('unsupported protocol: webhooks are called over https');
    const controller = new AbortController();
    const timer = this.#options.clock.after(call.timeoutMs, () => controller.abort(new DeadlineError()));
    const signal = AbortSignal.any([controller.signal, call.signal]);
    try {
      const service = target.service;
      const endpoint = service ? await raced(this.#options.resolver.resolve(service.namespace, service.name, where.port), signal) : { host: hostOf(where.url), port: where.port };
      const answer = await send({
        method: 'POST',
        host: endpoint.host,
        port: endpoint.port,
        path: where.url.pathname + where.url.search,
        servername: target.trust?.serverName ?? where.serverName,
        agent: plain ? this.#plainAgent : this.#agent(target, where.serverName),
        headers: { ...call.headers, ...traceHeaders(), host: where.url.host, 'content-type': 'application/json', accept: 'application/json, */*', 'content-length': body.length, 'user-agent': 'kube-apiserver-admission' },
        signal,
      }, body, plain ? plainRequest : request);
      return parseAnswer(answer, call.anyAnswer ?? false);
    } catch (err) {
      if (err instanceof WebhookCallError) throw err;
      const timedOut = controller.signal.aborted;
      throw fail(timedOut ? 'context deadline exceeded' : call.signal.aborted ? 'context canceled' : goError(err), err, timedOut);
    } finally {
      timer.cancel();
    }
  }
  /** Closes idle connections; calls under way end by their signals. */
  close(): void {
    for (const agent of this.#agents.values()) agent.destroy();
    this.#agents.clear();
    this.#plainAgent.destroy();
  }
  #agent({ caBundle, trust }: WebhookTarget, serverName: string): Agent {
    const key = `${trust?.insecure === true} ${trust?.serverName ?? serverName}\n${caBundle ?? ''}`;
    const known = this.#agents.get(key);
    if (known) {
      this.#agents.delete(key);
      this.#agents.set(key, known);
      return known;
    }
    const agent = new Agent({ keepAlive: true, maxSockets: 64, maxFreeSockets: 8, timeout: 60_000, ca: caBundle ? Buffer.from(caBundle, 'base64').toString('utf8') : [...rootCertificates], minVersion: 'TLSv1.2', rejectUnauthorized: trust?.insecure !== true, ...this.#options.identity });
    this.#agents.set(key, agent);
    if (this.#agents.size > MAX_AGENTS) {
      const [oldest] = this.#agents;
      oldest![1].destroy();
      this.#agents.delete(oldest![0]);
    }
    return agent;
  }
}

class DeadlineError extends Error {}
function traceHeaders(): { readonly traceparent?: string } {
  const span = activeSpan();
  return span ? { traceparent: span.traceparent } : {};
}
interface Place {
  readonly url: URL;
  readonly port: number;
  readonly serverName: string;
}

function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}
function locate(target: WebhookTarget, call: WebhookCall): Place {
  const { service } = target;
  if (service) {
    const serverName = `${service.name}.${service.namespace}.svc`;
    const port = service.port ?? 443;
    // Not through URL's port, which drops 443: Go's messages show it.
    const url = withTimeout(new URL(`https://${serverName}${(service.path ?? '/').replace(/^(?!\/)/, '/')}`), call);
    const shown = `https://${serverName}:${port}${url.pathname}${url.search}`;
    return { url: Object.defineProperties(url, { href: { value: shown }, host: { value: `${serverName}:${port}` } }), port, serverName };
  }
  if (!target.url || !URL.canParse(target.url)) throw new WebhookCallError('webhook configuration must have either service or URL');
  const url = withTimeout(new URL(target.url), call);
  return { url, port: url.port === '' ? (url.protocol === 'http:' ? 80 : 443) : Number(url.port), serverName: isIP(hostOf(url)) ? '' : url.hostname };
}
function withTimeout(url: URL, call: WebhookCall): URL {
  if (call.announceTimeout) url.searchParams.set('timeout', `${call.timeoutMs / 1000}s`);
  return url;
}
function raced<T>(value: T | Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    Promise.resolve(value).then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

interface RawAnswer {
  readonly status: number;
  readonly statusText: string;
  readonly body: Buffer;
}
function send(options: RequestOptions, body: Buffer, open: typeof request | typeof plainRequest): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const req = open(options, (res) => {
      const chunks: Buffer[] = [];
      let size = 0;
      res.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_ANSWER_BYTES) req.destroy(new WebhookCallError(`webhook response is larger than ${MAX_ANSWER_BYTES} bytes`));
        else chunks.push(chunk);
      });
      res.on('end', () => resolve({ status: res.statusCode ?? 0, statusText: res.statusMessage ?? '', body: Buffer.concat(chunks) }));
      res.on('error', reject);
    });
    req.on('error', (err: NodeError) => {
      // The server closed an idle connection just as it was taken up again: nobody has seen the call yet.
      if (req.reusedSocket && err.code === 'ECONNRESET') resolve(send(options, body, open));
      else reject(err);
    });
    req.end(body);
  });
}
function parseAnswer(answer: RawAnswer, any: boolean): unknown {
  const text = answer.body.toString('utf8');
  if (answer.status < 200 || answer.status > 299) {
    throw new WebhookCallError(serverErrorText(answer.status, text), { status: answer.status });
  }
  if (any) return undefined;
  try {
    return readJson(text);
  } catch (err) {
    throw new WebhookCallError(`couldn't get version/kind; json parse error: ${err instanceof Error ? err.message : String(err)}`, { cause: err });
  }
}
/** What client-go makes of an answer that is not a success: a Status's own message, else the start of its text. */
function serverErrorText(status: number, text: string): string {
  try {
    const parsed = JSON.parse(text) as { readonly kind?: unknown; readonly message?: unknown };
    if (parsed.kind === 'Status' && typeof parsed.message === 'string') return parsed.message;
  } catch {
    // not a Status: its text is shown as it is
  }
  if (status === 404) return 'the server could not find the requested resource';
  if (status === 503) return 'the server is currently unable to handle the request';
  if (status >= 500) return `an error on the server (${JSON.stringify(text.trim().slice(0, 2048) || 'unknown')}) has prevented the request from succeeding`;
  return `the server responded with the status code ${status} but did not return more information`;
}

const SYSCALL: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connect: connection refused',
  EHOSTUNREACH: 'connect: no route to host',
  ENETUNREACH: 'connect: network is unreachable',
  ETIMEDOUT: 'i/o timeout',
};
const TLS: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: 'x509: certificate signed by unknown authority',
  SELF_SIGNED_CERT_IN_CHAIN: 'x509: certificate signed by unknown authority',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'x509: certificate signed by unknown authority',
  UNABLE_TO_GET_ISSUER_CERT: 'x509: certificate signed by unknown authority',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'x509: certificate signed by unknown authority',
  CERT_SIGNATURE_FAILURE: 'x509: certificate signed by unknown authority',
  CERT_HAS_EXPIRED: 'x509: certificate has expired or is not yet valid',
  CERT_NOT_YET_VALID: 'x509: certificate has expired or is not yet valid',
};
interface NodeError extends Error {
  readonly code?: string;
  readonly address?: string;
  readonly port?: number;
  readonly hostname?: string;
  readonly host?: string;
}
/** A failure of Node's network in Go's words; anything unknown keeps its own. */
export function goError(err: unknown): string {
  const failure = (err instanceof AggregateError ? err.errors[0] : err) as NodeError;
  const code = failure.code ?? '';
  const address = failure.address === undefined ? '' : isIP(failure.address) === 6 ? `[${failure.address}]:${failure.port}` : `${failure.address}:${failure.port}`;
  if (SYSCALL[code]) return `dial tcp ${address}: ${SYSCALL[code]}`;
  if (code === 'ECONNRESET') return /before secure TLS|socket hang up/.test(failure.message) ? 'EOF' : `read: connection reset by peer`;
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return `dial tcp: lookup ${failure.hostname ?? ''}: no such host`;
  if (TLS[code]) return `tls: failed to verify certificate: ${TLS[code]}`;
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return `tls: failed to verify certificate: x509: certificate is not valid for ${failure.host ?? 'the requested name'}`;
  return failure.message ?? String(err);
}
