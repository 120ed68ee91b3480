/** From an exchange to a request, through the pipeline, to an answer; counted, timed and written down on the way. */
import type { Clock } from '#base/clock.ts';
import { badRequest, serviceUnavailable, StatusError, timeout } from '#machinery/status-error.ts';
import type { Auditor, AuditedRequest, AuditTrail } from '../audit/auditor.ts';
import { inSpan, type Span } from '#base/tracing.ts';
import type { TracedRequest, Tracing } from '../tracing/tracing.ts';
import type { MaybePromise, RequestInfo, RequestWaits, UserInfo } from '../interfaces.ts';
import { isPromise } from '../maybe-promise.ts';
import type { Pipeline, RequestGate } from '../pipeline.ts';
import { Query } from '../query.ts';
import type { ResourceRegistry, ServedResource } from '../registry/resource-registry.ts';
import { endsInitialEvents } from '../registry/watch.ts';
import { parsePath, type ParsedPath } from '../request-info.ts';
import type { ApiRequest, ApiResult, RequestBody, UpgradeSource } from '../request.ts';
import { MAX_BODY_BYTES, readBody } from './body-reader.ts';
import type { Flow, FlowControl } from '../flowcontrol/flow-control.ts';
import type { FlowRequest } from '../flowcontrol/queue-set.ts';
import type { Format } from './encode.ts';
import type { Exchange } from './exchange.ts';
import { Lifetime, Lifetimes } from './lifetime.ts';
import { InFlight, kindOf } from './limits.ts';
import { scopeOf, type ServerMetrics } from './metrics.ts';
import { negotiate, ROUTED, wantsPretty, type Offer } from './negotiation.ts';
import { writeError, writeResult, type Outcome, type ResponseContext } from './responder.ts';
import { includeObjectOf } from './table.ts';

export interface RequestHandlerOptions {
  readonly pipeline: Pipeline;
  readonly resources: ResourceRegistry;
  readonly clock: Clock;
  readonly metrics: ServerMetrics;
  readonly flowControl: FlowControl;
  /** A request that is not long-running must be answered within this. */
  readonly requestTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly audit?: Auditor | undefined;
  readonly tracing?: Tracing | undefined;
}

const LONG_RUNNING_SUBRESOURCES: ReadonlySet<string> = new Set(['attach', 'exec', 'log', 'portforward', 'proxy']);
/** What a Table or bare metadata can be made of. */
const TRANSFORMABLE: ReadonlySet<string> = new Set(['', 'status', 'approval', 'ephemeralcontainers', 'resize', 'finalize']);
const MAX_URL_BYTES = 64 * 1024;

/** Everything one exchange goes with. */
interface Serving {
  readonly exchange: Exchange;
  readonly parsed: ParsedPath;
  readonly query: Query;
  readonly lifetime: Lifetime;
  readonly response: ResponseContext & { flow: Flow | undefined; onEvents?: ResponseContext['onEvents'] };
  /** What the request holds of its priority level until it is answered. */
  seat: FlowRequest | undefined;
  format: Format | undefined;
  served: ServedResource | undefined;
  user: UserInfo | undefined;
  annotations: Map<string, string>;
  error: StatusError | undefined;
  /** The error is not a refusal but a fault of the server's own. */
  fault: boolean;
  /** Milliseconds since the epoch. */
  readonly receivedAt: number;
  /** The same on the clock that only goes forward. */
  readonly started: number;
  readonly waits: RequestWaits;
  trail: AuditTrail | undefined;
  span: Span | undefined;
  /** Kept for the audit log alone. */
  result: ApiResult | undefined;
}

/** One for all: making an Error costs more than a small request. */
const CLIENT_GONE = new Error('the client is gone');
const TIMED_OUT = () => timeout('request did not complete within the allotted timeout', 0);

export class RequestHandler {
  readonly #o: RequestHandlerOptions;
  readonly #inFlight = new InFlight();
  readonly #lifetimes: Lifetimes;
  #down = false;

  constructor(options: RequestHandlerOptions) {
    this.#o = options;
    this.#lifetimes = new Lifetimes(options.clock, TIMED_OUT);
    options.metrics.inFlight = { readOnly: () => this.#inFlight.count('readOnly'), mutating: () => this.#inFlight.count('mutating') };
  }

  /** Ends every request under way, watches and streams included. */
  shutDown(): void {
    this.#down = true;
    this.#lifetimes.endAll(serviceUnavailable('The apiserver is shutting down'));
  }

  async serve(exchange: Exchange, auditId: string, upgrade?: UpgradeSource): Promise<void> {
    const started = this.#o.clock.monotonic();
    const lifetime = new Lifetime();
    const warnings: string[] = [];
    const response: Serving['response'] = { exchange, flow: undefined, auditId: auditIdOf(exchange.header('audit-id')) ?? auditId, warnings, clock: this.#o.clock, get signal() { return lifetime.signal; }, onIdle: () => this.#leave(serving) };
    let parsed: ParsedPath;
    let query: Query;
    try {
      if (this.#down) throw serviceUnavailable('The apiserver is shutting down');
      [parsed, query] = parseTarget(exchange);
    } catch (err) {
      writeError(response, err, undefined);
      return;
    }
    this.#lifetimes.add(lifetime);
    exchange.onGone(() => lifetime.end(CLIENT_GONE));
    const serving: Serving = { exchange, parsed, query, lifetime, response, seat: undefined, format: undefined, served: undefined, user: undefined, annotations: new Map(), error: undefined, fault: false, receivedAt: this.#o.clock.now(), started, waits: { queue: 0, mutating: 0, validating: 0 }, trail: undefined, span: undefined, result: undefined };
    const outcome = await this.#run(serving, warnings, upgrade);
    this.#lifetimes.remove(lifetime);
    this.#record(serving, outcome, this.#o.clock.monotonic() - serving.started);
    lifetime.finish();
  }

  async #run(serving: Serving, warnings: string[], upgrade: UpgradeSource | undefined): Promise<Outcome> {
    const { info } = serving.parsed;
    const known = this.#servedOf(info) !== undefined;
    const long = isLongRunning(info);
    const kind = kindOf(info.verb);
    if (long) this.#o.metrics.longRunning(info, known, 1);
    else this.#inFlight.enter(kind);
    try {
      // Within the try: a `timeout` that cannot be read is refused like anything else.
      if (!long) this.#setDeadline(serving);
      const request = this.#request(serving, warnings, upgrade);
      const result = await this.#o.pipeline.handle(request, this.#gate(serving));
      if (serving.trail) auditResult(serving, serving.trail, result, long);
      // A watch holds a seat while it starts.
      if (result.kind === 'watch') {
        this.#leave(serving);
        serving.response.onEvents = this.#watchCounter(serving);
      }
      // Raw answers have chosen their form themselves.
      if (result.kind !== 'raw' && result.kind !== 'hijacked') serving.format ??= this.#format(serving, undefined);
      return await writeResult(serving.response, result, serving.format, serving.served);
    } catch (err) {
      return this.#refuse(serving, err);
    } finally {
      if (long) this.#o.metrics.longRunning(info, known, -1);
      else this.#inFlight.leave(kind);
      this.#leave(serving);
    }
  }

  #gate(serving: Serving): RequestGate {
    return {
      authenticated: (user) => this.#beginAudit(serving, user),
      admit: (user) => this.#admit(serving, user),
      ...(this.#o.tracing ? { within: (run) => (serving.span ? inSpan(serving.span, run) : run()) } : {}),
    };
  }
  /** Now that it is known who asks: the request takes a seat of its priority level, or waits for one. Streams take none. */
  #admit(serving: Serving, user: UserInfo): MaybePromise<void> {
    if (user !== serving.user) serving.trail?.actsAs(user);
    serving.user = user;
    const { parsed: { info }, query, lifetime, response } = serving;
    if (isLongRunning(info) && info.verb !== 'watch') return undefined;
    const { flowControl } = this.#o;
    const flow = (response.flow = flowControl.classify(info, user));
    const seat = flowControl.enter(flow, info, query, user, () => lifetime.signal);
    if (isPromise(seat)) {
      const asked = this.#o.clock.monotonic();
      return seat.then((taken) => {
        serving.seat = taken;
        serving.waits.queue += this.#o.clock.monotonic() - asked;
      });
    }
    serving.seat = seat;
    return undefined;
  }
  #leave(serving: Serving): void {
    const { seat, response } = serving;
    if (!seat) return;
    serving.seat = undefined;
    this.#o.flowControl.leave(response.flow!, seat);
  }

  #watchCounter({ parsed: { info }, query, started }: Serving): NonNullable<ResponseContext['onEvents']> {
    const { clock, metrics } = this.#o;
    const series = metrics.watches(info);
    let listing = query.get('sendInitialEvents') === 'true';
    return (batch, frames) => {
      series.sent(frames);
      if (!listing || !batch.some(endsInitialEvents)) return;
      listing = false;
      series.listed(scopeOf(info), (clock.monotonic() - started) / 1000);
    };
  }

  #refuse(serving: Serving, err: unknown): Outcome {
    serving.error = StatusError.from(err);
    serving.fault = !(err instanceof StatusError) && err !== CLIENT_GONE;
    return writeError(serving.response, err, this.#statusFormat(serving));
  }
  /** A Status has no other shape that it could be shown in; undefined: the client takes none of its forms. */
  #statusFormat(serving: Serving): Format | undefined {
    const { format } = serving;
    if (format && format.transform === undefined) return format;
    try {
      return this.#format(serving, undefined);
    } catch {
      return undefined;
    }
  }

  /** When time is over the client hears at once, whatever the handler is still busy with. */
  #setDeadline(serving: Serving): void {
    const { lifetime, query, exchange } = serving;
    lifetime.onOver((reason) => {
      if (!exchange.answered && reason instanceof StatusError) writeError(serving.response, reason, this.#statusFormat(serving));
    });
    const asked = query.get('timeout');
    const limit = this.#o.requestTimeoutMs;
    this.#lifetimes.limit(lifetime, asked === '' ? limit : Math.min(limit, durationMs(asked) || limit));
  }

  #request(serving: Serving, warnings: string[], upgrade: UpgradeSource | undefined): ApiRequest {
    const { exchange, parsed, query, lifetime } = serving;
    const contentType = mediaTypeOf(exchange.header('content-type'));
    const limits = { maxBytes: MAX_BODY_BYTES, timeoutMs: this.#o.bodyTimeoutMs };
    return {
      info: parsed.info,
      method: exchange.method,
      rest: parsed.rest,
      tooLong: parsed.tooLong,
      query,
      auth: exchange,
      get signal() {
        return lifetime.signal;
      },
      contentType,
      readBody: async (): Promise<RequestBody | undefined> => {
        if (!exchange.body()) return undefined;
        const body: RequestBody = { kind: 'bytes', mediaType: contentType, bytes: await readBody(exchange, limits, this.#o.clock) };
        if (this.#servedOf(parsed.info)) this.#o.metrics.body(parsed.info, body.bytes.length);
        serving.trail?.body(body);
        return body;
      },
      decoded: (copy) => serving.trail?.decoded(copy),
      bodyStream: () => exchange.body(),
      upgrade,
      checkAcceptable: (served) => {
        serving.served = served;
        if (!LONG_RUNNING_SUBRESOURCES.has(parsed.info.subresource)) serving.format = this.#format(serving, served);
      },
      warnings,
      auditAnnotations: serving.annotations,
      waits: serving.waits,
    };
  }

  #format(serving: Serving, served: ServedResource | undefined): Format {
    const { exchange, parsed, query } = serving;
    const offer: Offer = {
      protobuf: served ? served.codec.structType !== undefined : true,
      watch: parsed.info.verb === 'watch',
      // What is only ever asked (reviews) has no metadata to show.
      transforms: served !== undefined && served.info.verbs.includes('get') && (TRANSFORMABLE.has(parsed.info.subresource) || (parsed.info.subresource === 'scale' && served.codec.structType !== undefined)),
      routed: served?.codec.structType ? (parsed.info.verb === 'list' || parsed.info.verb === 'watch' ? ROUTED.list : ROUTED.object) : undefined,
    };
    const accepted = negotiate(exchange.header('accept'), offer);
    return {
      ...accepted,
      indent: wantsPretty(accepted, query, exchange.header('user-agent')),
      include: accepted.transform === 'Table' ? includeObjectOf(query) : 'Metadata',
      now: this.#o.clock.now(),
    };
  }

  #servedOf(info: RequestInfo): ServedResource | undefined {
    return info.isResourceRequest ? this.#o.resources.find(info.apiGroup, info.apiVersion, info.resource) : undefined;
  }

  #beginAudit(serving: Serving, user: UserInfo): void {
    serving.user = user;
    serving.trail = this.#o.audit?.begin(auditedRequest(serving), user);
    serving.trail?.received();
    serving.span = this.#o.tracing?.request(tracedRequest(serving, user));
  }
  #completeAudit(serving: Serving, outcome: Outcome): void {
    const { trail, error, result } = serving;
    if (!trail) {
      // Nobody could be told from the credentials.
      if (error?.code === 401 && !serving.user) this.#o.audit?.begin(auditedRequest(serving), undefined)?.unauthenticated(error);
    } else if (error && serving.fault) trail.panicked(error);
    else trail.complete(outcome.code, result, error);
  }

  #record(serving: Serving, outcome: Outcome, durationMs: number): void {
    const { info } = serving.parsed;
    const { query, exchange, waits } = serving;
    this.#o.metrics.observe({ info, served: this.#servedOf(info), code: outcome.code, seconds: durationMs / 1000, waitedSeconds: (waits.queue + waits.mutating + waits.validating) / 1000, bytes: outcome.bytes, dryRun: query.getAll('dryRun'), userAgent: exchange.header('user-agent') });
    if (this.#o.audit) this.#completeAudit(serving, outcome);
    endSpan(serving, outcome);
  }
}

function tracedRequest({ response, parsed, exchange, receivedAt }: Serving, user: UserInfo): TracedRequest {
  return { method: exchange.method, info: parsed.info, user, auditId: response.auditId, userAgent: exchange.header('user-agent'), receivedAt, traceparent: exchange.header('traceparent') };
}
function endSpan({ span, fault, error }: Serving, { code, bytes }: Outcome): void {
  if (!span) return;
  span.setAttributes({ 'http.response.status_code': code, ...(bytes === undefined ? {} : { 'http.response.body.size': bytes }) });
  span.end(fault || code >= 500 ? error : undefined);
}
function auditedRequest({ response, parsed, exchange, annotations, receivedAt }: Serving): AuditedRequest {
  return { auditId: response.auditId, info: parsed.info, requestUri: exchange.path, sourceIps: [exchange.remoteAddress], userAgent: exchange.header('user-agent'), receivedAt, annotations };
}
/** The answer of a watch or a stream begins here; others are written down when they are complete. */
function auditResult(serving: Serving, trail: AuditTrail, result: ApiResult, long: boolean): void {
  serving.result = result;
  if (long) trail.started('code' in result ? result.code : result.kind === 'hijacked' ? 101 : 200);
}

function parseTarget(exchange: Exchange): [ParsedPath, Query] {
  const { path: target } = exchange;
  if (target.length > MAX_URL_BYTES) throw badRequest(`request URI too long: limit is ${MAX_URL_BYTES}`);
  const mark = target.indexOf('?');
  const query = Query.parse(mark < 0 ? '' : target.slice(mark + 1));
  return [parsePath(exchange.method, mark < 0 ? target : target.slice(0, mark), query), query];
}

/** The client's own audit ID, where it is one. */
function auditIdOf(header: string | undefined): string | undefined {
  return header !== undefined && /^[\w.-]{1,64}$/.test(header) ? header : undefined;
}
function isLongRunning(info: RequestInfo): boolean {
  return info.verb === 'watch' || LONG_RUNNING_SUBRESOURCES.has(info.subresource);
}

/** `application/json; charset=utf-8` → `application/json`. */
export function mediaTypeOf(header: string | undefined): string {
  if (header === undefined) return '';
  const semicolon = header.indexOf(';');
  return (semicolon < 0 ? header : header.slice(0, semicolon)).trim().toLowerCase();
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
/** Go's duration texts: `10s`, `1m30s`. */
export function durationMs(text: string): number {
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) throw badRequest(`invalid timeout specified in the request URL - time: invalid duration ${JSON.stringify(text)}`);
  let total = 0;
  for (const [, value, , unit] of text.matchAll(/(\d+(\.\d+)?)(ms|s|m|h)/g)) total += Number(value) * UNITS[unit!]!;
  return total;
}
