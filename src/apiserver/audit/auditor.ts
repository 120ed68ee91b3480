/**
 * The audit log: one JSON line for each stage of each request that the policy wants, in upstream's form (`audit.k8s.io/v1` Event).
 *
 * ```
 *   RequestReceived ──▶ ResponseStarted (watches and streams) ──▶ ResponseComplete
 *                   └──▶ Panic (an error of the server's own)
 * ```
 */
import type { Status } from '#api/gen/meta-v1.ts';
import { apiVersionOf, type KubeObject } from '#api/object.ts';
import { rfc3339Micro, type Clock } from '#base/clock.ts';
import { parseJson, writeJson } from '#machinery/json.ts';
import { printedObject } from '#machinery/object-text.ts';
import { decodeObject } from '#machinery/protobuf.ts';
import { StatusError } from '#machinery/status-error.ts';
import { parseYaml } from '#machinery/yaml.ts';
import { listMeta } from '../http/encode.ts';
import { metricBlock } from '../http/request-metrics.ts';
import type { RequestInfo, UserInfo } from '../interfaces.ts';
import type { ApiResult, RequestBody } from '../request.ts';
import { decide, type AuditDecision, type AuditLevel, type AuditPolicy, type AuditStage } from './policy.ts';

/** Where events go. */
export interface AuditSink {
  /** Upstream's name of the backend: `log`, `webhook`. */
  readonly plugin: string;
  /** Takes one event, without its line break. Never waits. */
  write(line: string): void;
  /** Events that did not arrive. */
  readonly lost: number;
}

/** What is known of a request when it comes in. */
export interface AuditedRequest {
  readonly auditId: string;
  readonly info: RequestInfo;
  /** Path with the query. */
  readonly requestUri: string;
  readonly sourceIps: readonly string[];
  readonly userAgent: string | undefined;
  /** Milliseconds since the epoch. */
  readonly receivedAt: number;
  /** Filled while the request is served. */
  readonly annotations: ReadonlyMap<string, string>;
}

/** Verbs whose bodies are written down as they come: patches and options. */
const AS_SENT: ReadonlySet<string> = new Set(['patch', 'delete', 'deletecollection']);

export class Auditor {
  readonly #policy: AuditPolicy;
  readonly #sinks: readonly AuditSink[];
  readonly #clock: Clock;
  readonly #levels = new Map<AuditLevel, number>();
  #events = 0;
  #unwritable = 0;

  constructor(policy: AuditPolicy, sinks: readonly AuditSink[], clock: Clock) {
    this.#policy = policy;
    this.#sinks = sinks;
    this.#clock = clock;
  }
  /** Now that it is known who asks: undefined when nothing of the request is written down. `user` undefined: the credentials were refused. */
  begin(request: AuditedRequest, user: UserInfo | undefined): AuditTrail | undefined {
    const decision = decide(this.#policy, request.info, user);
    this.#levels.set(decision.level, (this.#levels.get(decision.level) ?? 0) + 1);
    if (decision.level === 'None') return undefined;
    return new AuditTrail(request, decision, user, this.#clock, (event) => this.#write(event));
  }
  metricsText(): string {
    const levels = [...this.#levels].map(([level, n]) => `apiserver_audit_level_total{level="${level}"} ${n}`);
    return metricBlock('apiserver_audit_event_total', 'Counter of audit events generated and sent to the audit backend.', 'counter', [`apiserver_audit_event_total ${this.#events}`])
      + metricBlock('apiserver_audit_level_total', 'Counter of policy levels for audit events (1 per request).', 'counter', levels)
      + metricBlock('apiserver_audit_error_total', 'Counter of audit events that failed to be audited properly. Plugin identifies the plugin affected by the error.', 'counter', this.#sinks.map((sink) => `apiserver_audit_error_total{plugin="${sink.plugin}"} ${sink.lost + this.#unwritable}`));
  }
  #write(event: object): void {
    this.#events += 1;
    let line: string;
    try {
      line = writeJson(event);
    } catch {
      this.#unwritable += 1;
      return;
    }
    for (const sink of this.#sinks) sink.write(line);
  }
}

/** One request on its way. */
export class AuditTrail {
  readonly #request: AuditedRequest;
  readonly #decision: AuditDecision;
  readonly #user: UserInfo | undefined;
  readonly #clock: Clock;
  readonly #write: (event: object) => void;
  #actsAs: UserInfo | undefined;
  #body: RequestBody | undefined;
  #decoded: unknown;

  constructor(request: AuditedRequest, decision: AuditDecision, user: UserInfo | undefined, clock: Clock, write: (event: object) => void) {
    this.#request = request;
    this.#decision = decision;
    this.#user = user;
    this.#clock = clock;
    this.#write = write;
  }
  received(): void {
    this.#stage('RequestReceived');
  }
  /** The user that the request acts as is another one. */
  actsAs(user: UserInfo): void {
    this.#actsAs = user;
  }
  /** The body as the client sent it: shown where it is no object, as a patch. */
  body(body: RequestBody | undefined): void {
    if (this.#showsRequests && AS_SENT.has(this.#request.info.verb)) this.#body = body;
  }
  /** The object in the body, with its defaults. */
  decoded(copy: () => KubeObject): void {
    if (this.#showsRequests) this.#decoded = copy();
  }
  get #showsRequests(): boolean {
    return this.#decision.level === 'Request' || this.#decision.level === 'RequestResponse';
  }
  /** The head of an answer that goes on for long is out. */
  started(code: number): void {
    this.#stage('ResponseStarted', { metadata: {}, code });
  }
  /** The credentials were refused. */
  unauthenticated(error: StatusError): void {
    this.#stage('ResponseStarted', statusOf(error.status));
  }
  complete(code: number, result: ApiResult | undefined, error: StatusError | undefined): void {
    if (error) return this.#stage('ResponseComplete', statusOf(error.status), this.#withResponse(error.status));
    this.#stage('ResponseComplete', { metadata: {}, code }, result && this.#withResponse(objectOf(result)), nameIn(result));
  }
  /** Something else than a refusal was thrown. */
  panicked(error: StatusError): void {
    this.#stage('Panic', { metadata: {}, status: 'Failure', message: `APIServer panic'd: ${error.message}`, reason: 'InternalError', code: 500 });
  }

  #withResponse(object: unknown): unknown {
    return this.#decision.level === 'RequestResponse' ? this.#shown(object) : undefined;
  }
  #shown(object: unknown): unknown {
    return this.#decision.omitManagedFields ? withoutManagedFields(object) : object;
  }
  /** Fields in upstream's order. `name` is that of an object that was just made. */
  #stage(stage: AuditStage, responseStatus?: object, responseObject?: unknown, name = ''): void {
    if (this.#decision.omitStages.has(stage)) return;
    const { auditId, requestUri, info, sourceIps, userAgent, receivedAt, annotations } = this.#request;
    this.#write({
      kind: 'Event',
      apiVersion: 'audit.k8s.io/v1',
      level: this.#decision.level,
      auditID: auditId,
      stage,
      requestURI: requestUri,
      verb: info.verb,
      user: shownUser(this.#user),
      impersonatedUser: this.#actsAs && shownUser(this.#actsAs),
      sourceIPs: sourceIps.length > 0 ? sourceIps : undefined,
      userAgent: userAgent || undefined,
      objectRef: objectRef(info, name),
      responseStatus,
      requestObject: stage === 'RequestReceived' || stage === 'ResponseStarted' ? undefined : this.#shown(this.#decoded ? printedObject(this.#decoded as KubeObject) : valueOf(this.#body)),
      responseObject,
      requestReceivedTimestamp: rfc3339Micro(receivedAt),
      stageTimestamp: rfc3339Micro(this.#clock.now()),
      annotations: annotations.size > 0 ? Object.fromEntries([...annotations].toSorted(([a], [b]) => (a < b ? -1 : 1))) : undefined,
    });
  }
}

function shownUser(user: UserInfo | undefined): object {
  if (!user) return {};
  const { name, uid, groups, extra } = user;
  return { username: name || undefined, uid: uid || undefined, groups: groups.length > 0 ? groups : undefined, extra: extra && Object.keys(extra).length > 0 ? extra : undefined };
}
function objectRef(info: RequestInfo, name: string): object | undefined {
  if (!info.isResourceRequest) return undefined;
  const { resource, namespace, apiGroup, apiVersion, subresource } = info;
  return { resource: resource || undefined, namespace: namespace || undefined, name: info.name || name || undefined, apiGroup: apiGroup || undefined, apiVersion: apiVersion || undefined, subresource: subresource || undefined };
}
function statusOf({ status, message, reason, details, code }: Status): object {
  return { metadata: {}, status, message, reason, details, code };
}
function nameIn(result: ApiResult | undefined): string {
  return result?.kind === 'object' ? (result.object.metadata?.name ?? '') : '';
}
function objectOf(result: ApiResult): unknown {
  switch (result.kind) {
    case 'object':
      return printedObject(result.object);
    case 'list':
      return { kind: result.served.info.listKind, apiVersion: apiVersionOf(result.served.info.group, result.served.info.version), metadata: listMeta(result), items: result.entries.map((e) => printedObject(e.object)) };
    default:
      return undefined;
  }
}

/** A body as JSON; what cannot be read as an object is left out, as upstream leaves out what it cannot decode. */
function valueOf(body: RequestBody | undefined): unknown {
  if (!body) return undefined;
  if (body.kind === 'value') return body.value;
  const { bytes, mediaType } = body;
  if (bytes.length === 0) return undefined;
  try {
    if (mediaType.endsWith('protobuf')) return decodeObject(bytes);
    if (mediaType.includes('yaml') || mediaType.includes('yml')) return parseYaml(bytes.toString('utf8'));
    return parseJson(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

type Meta = { readonly managedFields?: unknown };
function withoutManagedFields(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const { metadata, items } = value as { metadata?: Meta | null; items?: unknown };
  const list = Array.isArray(items) ? { items: items.map(withoutManagedFields) } : {};
  if (typeof metadata !== 'object' || metadata === null || !('managedFields' in metadata)) return Array.isArray(items) ? { ...value, ...list } : value;
  const { managedFields: _, ...rest } = metadata;
  return { ...value, metadata: rest, ...list } satisfies Partial<KubeObject> & object;
}
