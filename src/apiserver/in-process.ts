/**
 * The API server for callers in its own process: the whole pipeline, without sockets and text. Answers are the very objects of the
 * cache, deeply readonly. Structurally what `#client/transport.ts` asks for; `cluster/in-process-transport.ts` is the bridge.
 */
import { apiVersionOf, type KubeObject } from '#api/object.ts';
import { internalError, serviceUnavailable, StatusError, timeout } from '#machinery/status-error.ts';
import type { Auditor, AuditTrail } from './audit/auditor.ts';
import type { ApiCallLike, AuthenticationRequest, RequestInfo, UserInfo } from './interfaces.ts';
import { listMeta } from './http/encode.ts';
import { Lifetime, Lifetimes } from './http/lifetime.ts';
import type { Pipeline } from './pipeline.ts';
import { Query } from './query.ts';
import { nameOfSelector } from './request-info.ts';
import type { ApiRequest, ApiResult, WatchedEvent } from './request.ts';
import type { Clock } from '#base/clock.ts';

/** An event as clients see it. */
export type WatchEventLike =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: KubeObject }
  | { readonly type: 'BOOKMARK'; readonly object: KubeObject };

/** Ends what a call may have left behind: a watch whose consumer has gone. */
const CALL_OVER = new Error('the call is over');
const METHODS: Readonly<Record<string, string>> = { create: 'POST', update: 'PUT', patch: 'PATCH', delete: 'DELETE', deletecollection: 'DELETE' };
const NO_BODY: ReadonlySet<string> = new Set(['get', 'list', 'watch']);

/** Credentials of a call in the process: there are none, the caller says who acts. */
class LocalRequest implements AuthenticationRequest {
  readonly remoteAddress = '127.0.0.1';
  readonly path: string;
  readonly #userAgent: string;
  constructor(path: string, userAgent: string) {
    this.path = path;
    this.#userAgent = userAgent;
  }
  header(name: string): string | undefined {
    return name === 'user-agent' ? this.#userAgent : undefined;
  }
  headerValues(name: string): readonly string[] {
    return name === 'user-agent' ? [this.#userAgent] : [];
  }
  headerNames(): readonly string[] {
    return ['user-agent'];
  }
}

function infoOf(call: ApiCallLike, verb: string, query: Query): RequestInfo {
  const { group, version, plural, namespaced } = call.resource;
  const [subresource = ''] = (call.subresource ?? '').split('/', 1);
  const isNamespace = group === '' && plural === 'namespaces';
  const namespace = namespaced ? (call.namespace ?? '') : isNamespace ? (call.name ?? '') : '';
  const path = `/${group === '' ? 'api' : 'apis'}/${apiVersionOf(group, version)}${namespaced && namespace ? `/namespaces/${namespace}` : ''}/${plural}${call.name ? `/${call.name}` : ''}${call.subresource ? `/${call.subresource}` : ''}`;
  return {
    isResourceRequest: true, verb, path, apiGroup: group, apiVersion: version, namespace, resource: plural, subresource, name: call.name ?? nameOfSelector(verb, query),
    labelSelector: query.get('labelSelector') || undefined, fieldSelector: query.get('fieldSelector') || undefined,
  };
}

export interface LocalCaller {
  readonly user: UserInfo;
  /** Names the field manager when the call does not: `kube-scheduler`. */
  readonly userAgent: string;
}

/** Writes calls down as if they had come over the wire. */
export interface LocalAudit {
  readonly auditor: Auditor;
  /** Fresh audit IDs. */
  readonly uid: () => string;
}

export class InProcessServer {
  readonly #pipeline: Pipeline;
  readonly #lifetimes: Lifetimes;
  readonly #timeoutMs: number;
  readonly #clock: Clock;
  readonly #audit: LocalAudit | undefined;
  #down = false;

  constructor(pipeline: Pipeline, clock: Clock, timeoutMs: number, audit?: LocalAudit) {
    this.#clock = clock;
    this.#audit = audit;
    this.#pipeline = pipeline;
    this.#timeoutMs = timeoutMs;
    this.#lifetimes = new Lifetimes(clock, () => timeout('request did not complete within the allotted timeout', 0));
  }
  shutDown(): void {
    this.#down = true;
    this.#lifetimes.endAll(serviceUnavailable('The apiserver is shutting down'));
  }

  /** Rejects with a StatusError for every refusal. */
  async call(call: ApiCallLike, caller: LocalCaller, signal?: AbortSignal): Promise<unknown> {
    return this.#within(signal, true, async (lifetime) => present(await this.#run(call, call.verb, caller, lifetime)));
  }

  /** `call.verb` is `list`. Throws a StatusError of reason Expired when the resourceVersion is too old. */
  async *watch(call: ApiCallLike, caller: LocalCaller, signal: AbortSignal): AsyncGenerator<readonly WatchEventLike[]> {
    const lifetime = this.#begin(signal, false);
    try {
      const result = await this.#run(call, 'watch', caller, lifetime);
      if (result.kind !== 'watch') throw internalError('a watch did not answer with a stream');
      for await (const batch of result.events) yield batch.map(asWatchEvent);
    } catch (err) {
      if (!signal.aborted) throw StatusError.from(err);
    } finally {
      this.#end(lifetime);
    }
  }

  #run(call: ApiCallLike, verb: string, caller: LocalCaller, lifetime: Lifetime): Promise<ApiResult> {
    const query = Query.of(call.query);
    const info = infoOf(call, verb, query);
    let trail: AuditTrail | undefined;
    const request: ApiRequest = {
      info,
      method: METHODS[verb] ?? 'GET',
      rest: (call.subresource ?? '').slice(info.subresource.length),
      tooLong: false,
      query,
      auth: new LocalRequest(info.path, caller.userAgent),
      fixedUser: caller.user,
      get signal() {
        return lifetime.signal;
      },
      contentType: call.patchType ?? '',
      readBody: () => Promise.resolve(call.body === undefined || NO_BODY.has(verb) ? undefined : { kind: 'value', value: call.body }),
      decoded: (copy) => trail?.decoded(copy),
      warnings: [],
      auditAnnotations: new Map(),
    };
    trail = this.#beginAudit(call, request, caller);
    return trail ? audited(trail, request, this.#pipeline) : this.#pipeline.handle(request);
  }
  #beginAudit(call: ApiCallLike, { info, auditAnnotations }: ApiRequest, { user, userAgent }: LocalCaller): AuditTrail | undefined {
    if (!this.#audit) return undefined;
    const { auditor, uid } = this.#audit;
    const query = new URLSearchParams(Object.entries(call.query ?? {}).flatMap(([name, value]) => (value === undefined ? [] : [value].flat().map((v) => [name, v]))));
    return auditor.begin({
      auditId: uid(), info, requestUri: query.size > 0 ? `${info.path}?${query}` : info.path, sourceIps: ['127.0.0.1'], userAgent, receivedAt: this.#clock.now(), annotations: auditAnnotations,
    }, user);
  }

  async #within<T>(signal: AbortSignal | undefined, deadline: boolean, run: (lifetime: Lifetime) => Promise<T>): Promise<T> {
    const lifetime = this.#begin(signal, deadline);
    try {
      return await run(lifetime);
    } catch (err) {
      throw StatusError.from(err);
    } finally {
      this.#end(lifetime);
    }
  }
  readonly #aborts = new WeakMap<Lifetime, () => void>();
  #begin(signal: AbortSignal | undefined, deadline: boolean): Lifetime {
    if (this.#down) throw serviceUnavailable('The apiserver is shutting down');
    signal?.throwIfAborted();
    const lifetime = new Lifetime();
    this.#lifetimes.add(lifetime);
    if (deadline) this.#lifetimes.limit(lifetime, this.#timeoutMs);
    if (signal) {
      const onAbort = (): void => lifetime.end(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
      this.#aborts.set(lifetime, () => signal.removeEventListener('abort', onAbort));
    }
    return lifetime;
  }
  #end(lifetime: Lifetime): void {
    this.#lifetimes.remove(lifetime);
    this.#aborts.get(lifetime)?.();
    lifetime.end(CALL_OVER);
  }
}

/** Handles a request that is written down. */
async function audited(trail: AuditTrail, request: ApiRequest, pipeline: Pipeline): Promise<ApiResult> {
  trail.received();
  trail.body(await request.readBody());
  try {
    const result = await pipeline.handle(request);
    if (result.kind !== 'watch') {
      trail.complete('code' in result ? result.code : 200, result, undefined);
      return result;
    }
    trail.started(200);
    return { ...result, events: untilEnd(result.events, () => trail.complete(200, undefined, undefined)) };
  } catch (err) {
    const error = StatusError.from(err);
    if (err instanceof StatusError) trail.complete(error.code, undefined, error);
    else trail.panicked(error);
    throw err;
  }
}
async function* untilEnd<T>(events: AsyncIterable<T>, onEnd: () => void): AsyncGenerator<T> {
  try {
    yield* events;
  } finally {
    onEnd();
  }
}

/** The answer as an object. */
function present(result: ApiResult): unknown {
  switch (result.kind) {
    case 'object':
      return result.object;
    case 'list': {
      const { info } = result.served;
      return { kind: info.listKind, apiVersion: apiVersionOf(info.group, info.version), metadata: listMeta(result), items: result.entries.map((e) => e.object) };
    }
    case 'raw':
      // What a server says that is not there to answer, as client-go words it.
      if (result.code === 503) throw serviceUnavailable('the server is currently unable to handle the request');
      return Buffer.isBuffer(result.body) ? result.body.toString('utf8') : result.body;
    default:
      throw internalError(`a call in the process cannot be answered with "${result.kind}"`);
  }
}
function asWatchEvent(event: WatchedEvent): WatchEventLike {
  if (event.type === 'ERROR') throw new StatusError(event.object as ConstructorParameters<typeof StatusError>[0]);
  return 'entry' in event ? { type: event.type, object: event.entry.object } : event;
}
