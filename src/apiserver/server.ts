/**
 * The API server as a component: watch caches over a store, the pipeline over them, HTTPS and in-process calls on top.
 *
 * ```
 *   HTTPS ──▶ request-handler ─┐                                   ┌─▶ registry ─▶ watch cache ─▶ store
 *                              ├─▶ pipeline: authn ▸ authz ▸ route ─┤
 *   in process ────────────────┘                                   └─▶ subresources, discovery, health, …
 * ```
 */
import { randomUUID } from 'node:crypto';
import { resourceOf } from '#api/resources.ts';
import type { Clock } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { logger } from '#base/logger.ts';
import type { Store } from '#store/contract.ts';
import { resourcePrefix } from '#store/keys.ts';
import { WatchCache, type ValueTransformer } from '#store/watch-cache.ts';
import { Aggregator } from './aggregation/aggregator.ts';
import { withDelegates } from './aggregation/openapi.ts';
import type { ProxyIdentity } from './aggregation/remote-api.ts';
import { admissionChain, type AdmissionChain } from './admission-chain.ts';
import type { Auditor } from './audit/auditor.ts';
import type { Services } from './context.ts';
import type { ConversionServices } from './extensions/conversion.ts';
import { CelMetrics } from './extensions/cel-metrics.ts';
import { Extensions } from './extensions/extensions.ts';
import { ConfigController } from './flowcontrol/config-controller.ts';
import { DEBUG_PREFIX, flowControlDumps } from './flowcontrol/debug.ts';
import { FlowControl } from './flowcontrol/flow-control.ts';
import type { HealthCheck } from './http/health.ts';
import { KeptRevisions } from './registry/kept-revisions.ts';
import { PostStartHooks } from './post-start-hooks.ts';
import { HttpServer, type TlsFiles } from './http/http-server.ts';
import { DEFAULT_IN_FLIGHT, type InFlightLimits } from './http/limits.ts';
import { AuthenticationMetrics } from './authentication/metrics.ts';
import { AuthorizationMetrics } from './authorization/metrics.ts';
import { ServerMetrics } from './http/metrics.ts';
import { processMetricsText } from './http/process-metrics.ts';
import { OpenApiPaths, type OpenApiSource } from './http/openapi-paths.ts';
import { builtinKinds, customKinds, openApiSource } from './http/openapi-source.ts';
import type { FlagValues } from './http/flagz.ts';
import { pathHandler, type VersionInfo } from './http/paths.ts';
import { RequestHandler } from './http/request-handler.ts';
import { InProcessServer, type LocalCaller, type WatchEventLike } from './in-process.ts';
import type { AdmissionPlugin, ApiCallLike, Authenticator, Authorizer, Impersonator, Loopback, ObjectReader, RequestInfo, RuleResolver, TokenAuthenticator, TokenIssuer, UserInfo } from './interfaces.ts';
import type { Tracing } from './tracing/tracing.ts';
import { Pipeline, type PathHandler } from './pipeline.ts';
import { builtinResources, storedPrefixes } from './registry/builtin.ts';
import { CacheReader } from './registry/cache-reader.ts';
import { EventExpiry } from './registry/event-expiry.ts';
import { ListMemo } from './registry/list-memo.ts';
import type { ObjectStorage } from './registry/object-cache.ts';
import { servedResources, type RuntimeConfig } from './registry/runtime-config.ts';
import { DynamicResourceRegistry, type ResourceRegistry } from './registry/resource-registry.ts';
import { storageMetricsText, storageSizeGauge } from './registry/storage-metrics.ts';
import { ServiceNetwork, type ServiceNetworkOptions } from './services/service-network.ts';
import type { ComponentHealth } from './subresources/component-statuses.ts';
import type { NodeProxy } from './subresources/node-proxy.ts';
import type { ServiceResolver } from './webhook/client.ts';

const log = logger('kube-apiserver');

/** What the parts that plug in may use. The reader is complete when they are made. */
export interface ServerParts {
  readonly reader: ObjectReader;
  /** Calls of the server to itself, as `system:apiserver`. Works once the server is ready. */
  readonly loopback: Loopback;
  readonly resources: ResourceRegistry;
  readonly clock: Clock;
}
/** Who asks and what they may do. */
export interface SecurityParts {
  readonly authenticator: Authenticator;
  readonly impersonator?: Impersonator | undefined;
  readonly authorizer: Authorizer;
  readonly rules?: RuleResolver | undefined;
  readonly tokens?: TokenAuthenticator | undefined;
  readonly tokenIssuer?: TokenIssuer | undefined;
  /** The server's own token audiences. */
  readonly audiences?: readonly string[] | undefined;
  /** More paths: `/openid/v1/jwks`, … */
  readonly paths?: ReadonlyMap<string, PathHandler> | undefined;
  /** Called when the server stops. */
  stop?(): void;
}

export interface ApiServerOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Absent: in-process calls only. */
  readonly http?: { readonly host: string; readonly port: number; readonly tls: TlsFiles } | undefined;
  readonly security: (parts: ServerParts) => SecurityParts;
  readonly admission: (parts: ServerParts & SecurityParts) => readonly AdmissionPlugin[];
  /** Default: the documents of the built-in resources. */
  readonly openapi?: ((resources: ResourceRegistry) => OpenApiSource) | undefined;
  /** Calls the conversion webhooks of custom resources. Absent: versions that need one cannot be served. */
  readonly conversionWebhooks?: ((reader: ObjectReader) => NonNullable<ConversionServices['webhooks']>) | undefined;
  readonly nodeProxy?: NodeProxy | undefined;
  /** APIServices of other servers. Absent: only what this server has itself is served, and no APIServices are kept for it. */
  readonly aggregation?: { readonly identity: () => ProxyIdentity; readonly resolver: (reader: ObjectReader) => ServiceResolver } | undefined;
  readonly version?: VersionInfo | undefined;
  /** Host and port under which Pods reach the API server. Default: where it listens. */
  readonly serverAddress?: string | undefined;
  readonly components?: readonly ComponentHealth[] | undefined;
  /** The server is not healthy before `bootstrapped()`. Default: nobody makes objects of the cluster. */
  readonly awaitsBootstrap?: boolean | undefined;
  /** Checks of `/readyz` and `/healthz` besides the server's own. */
  readonly healthChecks?: readonly HealthCheck[] | undefined;
  /** Versions to serve beside those that are on by default. */
  readonly runtimeConfig?: RuntimeConfig | undefined;
  /** How many requests are served at a time; API Priority and Fairness shares them out. */
  readonly inFlight?: InFlightLimits | undefined;
  /** What `/flagz` tells. Default: there are no flags. */
  readonly flags?: FlagValues | undefined;
  /** Absent: nothing is written down. */
  readonly audit?: Auditor | undefined;
  readonly tracing?: Tracing | undefined;
  /** Encryption at rest of what lies under a prefix; undefined: as it is. */
  readonly transformer?: ((prefix: string) => ValueTransformer | undefined) | undefined;
  /** How many changes a resource's watch cache keeps. */
  readonly watchCacheCapacity?: number | undefined;
  readonly requestTimeoutMs?: number | undefined;
  readonly bodyTimeoutMs?: number | undefined;
  /** Addresses and node ports of Services. Absent: none are given out. */
  readonly serviceNetwork?: ServiceNetworkOptions | undefined;
  /** How long an event is kept after its last write. Default one hour. */
  readonly eventTtlMs?: number | undefined;
  readonly minRequestTimeoutSeconds?: number | undefined;
  readonly uid?: (() => string) | undefined;
  readonly random?: (() => number) | undefined;
}

export const DEFAULT_VERSION: VersionInfo = {
  major: '1',
  minor: '36',
  emulationMajor: '1',
  emulationMinor: '36',
  minCompatibilityMajor: '1',
  minCompatibilityMinor: '35',
  gitVersion: 'v1.36.0+podyard',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: `node ${process.version}`,
  compiler: 'node',
  platform: `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`,
};
const EVENTS = resourcePrefix(resourceOf('', 'v1', 'events'));
const REQUEST_TIMEOUT_MS = 60_000;
const BODY_TIMEOUT_MS = 30_000;
const MIN_REQUEST_TIMEOUT_SECONDS = 1_800;

export const APISERVER_USER: UserInfo = { name: 'system:apiserver', uid: '', groups: ['system:masters', 'system:authenticated'] };
const LOOPBACK_CALLER: LocalCaller = { user: APISERVER_USER, userAgent: 'kube-apiserver' };

/** What exists between start and stop. */
interface Running {
  readonly inProcess: InProcessServer;
  readonly http: HttpServer | undefined;
  readonly handler: RequestHandler;
  readonly security: SecurityParts;
  readonly eventExpiry: EventExpiry;
  readonly flowControl: FlowControl;
  readonly flowConfig: ConfigController;
  readonly aggregator: Aggregator | undefined;
}

export class ApiServer implements Component {
  readonly name = 'kube-apiserver';
  readonly resources = new DynamicResourceRegistry();
  readonly metrics = new ServerMetrics();
  readonly reader: ObjectReader;
  readonly failed: Promise<Error>;
  readonly #options: ApiServerOptions;
  readonly #caches = new Map<string, WatchCache>();
  readonly #reader: CacheReader;
  readonly #loopback: Loopback = { call: (call, signal) => this.call(call, LOOPBACK_CALLER, signal) };
  readonly #closing = new AbortController();
  readonly #hooks: PostStartHooks;
  readonly #kept: KeptRevisions;
  #extensions: Extensions | undefined;
  #running: Running | undefined;
  #stopping: Promise<void> | undefined;

  constructor(options: ApiServerOptions) {
    this.#options = options;
    this.#kept = new KeptRevisions(options.clock, () => options.store.revision);
    this.#hooks = new PostStartHooks(['storage', ...(options.serviceNetwork ? ['services'] as const : []), 'extensions', ...(options.aggregation ? ['aggregation'] as const : []), ...(options.awaitsBootstrap ? ['bootstrap'] as const : [])]);
    for (const prefix of storedPrefixes()) this.#caches.set(prefix, this.#makeCache(prefix));
    this.#reader = new CacheReader((prefix) => this.storageOf(prefix));
    this.reader = this.#reader;
    this.failed = Promise.race([...this.#caches.values()].map((cache) => cache.failed));
  }

  /** The port that HTTPS listens on. */
  get port(): number {
    if (!this.#running?.http) throw new Error('the API server does not listen: it is not started, or was made without HTTP');
    return this.#running.http.port;
  }
  /** The watch cache of a prefix. */
  storageOf(prefix: string): ObjectStorage {
    const cache = this.#caches.get(prefix);
    if (!cache) throw new Error(`no resource is stored under "${prefix}"`);
    return cache;
  }
  /** Opens the watch cache of one more prefix: custom resources. */
  async addStorage(prefix: string, signal: AbortSignal): Promise<ObjectStorage> {
    const cache = this.#caches.get(prefix) ?? this.#makeCache(prefix);
    if (!this.#caches.has(prefix)) {
      this.#caches.set(prefix, cache);
      await cache.start(signal);
    }
    return cache;
  }
  async removeStorage(prefix: string): Promise<void> {
    const cache = this.#caches.get(prefix);
    this.#caches.delete(prefix);
    await cache?.stop();
  }

  async start(signal: AbortSignal): Promise<void> {
    await Promise.all([...this.#caches.values()].map((cache) => cache.start(signal)));
    const { clock, random = Math.random, serviceNetwork } = this.#options;
    const services = serviceNetwork && new ServiceNetwork(serviceNetwork, { reader: this.reader, loopback: this.#loopback, clock, random });
    this.resources.add(...builtinResources(servedResources(this.#options.runtimeConfig), (prefix) => this.storageOf(prefix), services ? { services: services.claims } : {}));
    this.#running = this.#assemble();
    this.#running.eventExpiry.start();
    this.#kept.start();
    this.#running.flowControl.start();
    this.#running.flowConfig.start();
    this.#hooks.done('storage');
    await services?.start(signal);
    this.#hooks.done('services');
    this.#extensions = this.#makeExtensions();
    await this.#extensions.start();
    this.#hooks.done('extensions');
    await this.#running.http?.start();
    this.#running.aggregator?.start();
    this.#hooks.done('aggregation');
    log.info({ port: this.#running.http?.port }, 'The API server is ready');
  }
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** The cluster's own objects are there: the last part of the start (`awaitsBootstrap`). */
  bootstrapped(): void {
    this.#hooks.done('bootstrap');
  }

  /** A call of the process itself, as `caller`. */
  call(call: ApiCallLike, caller: LocalCaller, signal?: AbortSignal): Promise<unknown> {
    return this.#started().inProcess.call(call, caller, signal);
  }
  watch(call: ApiCallLike, caller: LocalCaller, signal: AbortSignal): AsyncIterable<readonly WatchEventLike[]> {
    return this.#started().inProcess.watch(call, caller, signal);
  }
  /** Takes another serving certificate. */
  setTls(tls: TlsFiles): void {
    this.#started().http?.setTls(tls);
  }

  #started(): Running {
    if (!this.#running) throw new Error('the API server is not started');
    return this.#running;
  }
  #makeCache(prefix: string): WatchCache {
    const { store, clock, watchCacheCapacity, transformer } = this.#options;
    const transform = transformer?.(prefix);
    return new WatchCache({ store, prefix, clock, ...(watchCacheCapacity === undefined ? {} : { capacity: watchCacheCapacity }), ...(transform ? { transformer: transform } : {}) });
  }

  #makeExtensions(): Extensions {
    const { clock, uid, conversionWebhooks } = this.#options;
    const cel = new CelMetrics(clock);
    this.metrics.addText(() => cel.text());
    return new Extensions({
      cel, reader: this.reader, loopback: this.#loopback, resources: this.resources, clock, uid: uid ?? randomUUID, webhooks: conversionWebhooks?.(this.reader),
      openStorage: (prefix) => this.addStorage(prefix, this.#closing.signal),
      closeStorage: (prefix) => this.removeStorage(prefix),
    });
  }

  #assemble(): Running {
    const o = this.#options;
    const parts: ServerParts = { reader: this.reader, loopback: this.#loopback, resources: this.resources, clock: o.clock };
    const security = o.security(parts);
    const chain = admissionChain(o.admission({ ...parts, ...security }));
    const services = this.#services(security, chain);
    const flowControl = this.#flowControl();
    if (o.audit) this.metrics.addText(() => o.audit!.metricsText());
    this.metrics.addText(() => storageMetricsText(this.resources.all()));
    this.metrics.registry.registerMetric(storageSizeGauge(o.store));
    this.metrics.addBuild(o.version ?? DEFAULT_VERSION);
    const paths = pathHandler({
      resources: this.resources,
      serverAddress: () => o.serverAddress ?? `${o.http?.host ?? '127.0.0.1'}:${this.#running?.http?.port ?? o.http?.port ?? 0}`,
      version: o.version ?? DEFAULT_VERSION,
      clock: o.clock,
      health: this.#health(),
      metrics: this.metrics,
      flags: o.flags ?? {},
      openapi: this.#openApi(),
      extra: new Map([...(security.paths ?? []), [DEBUG_PREFIX, flowControlDumps(flowControl, o.clock)]]),
    });
    const metrics = { authentication: new AuthenticationMetrics(), authorization: new AuthorizationMetrics() };
    this.metrics.addText(() => metrics.authentication.text() + metrics.authorization.text() + processMetricsText());
    const pipeline = new Pipeline({ authenticator: security.authenticator, impersonator: security.impersonator, services, paths, metrics });
    const aggregation = o.aggregation && { identity: o.aggregation.identity, resolver: o.aggregation.resolver(this.reader) };
    const requestTimeoutMs = o.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
    const handler = new RequestHandler({
      pipeline, resources: this.resources, clock: o.clock, metrics: this.metrics, audit: o.audit, tracing: o.tracing, requestTimeoutMs,
      flowControl, bodyTimeoutMs: o.bodyTimeoutMs ?? BODY_TIMEOUT_MS,
    });
    return {
      security,
      handler,
      flowControl,
      flowConfig: new ConfigController(parts),
      eventExpiry: new EventExpiry(this.storageOf(EVENTS), o.clock, o.eventTtlMs),
      inProcess: new InProcessServer(pipeline, o.clock, requestTimeoutMs, o.audit && { auditor: o.audit, uid: o.uid ?? randomUUID }),
      http: o.http ? new HttpServer({ handler, clock: o.clock, onHandshakeError: () => this.metrics.handshakeFailed(), ...o.http }) : undefined,
      aggregator: aggregation && new Aggregator({ ...parts, ...aggregation, resources: this.resources, metrics: this.metrics.registry }),
    };
  }
  #openApi(): OpenApiPaths {
    const { openapi, version = DEFAULT_VERSION } = this.#options;
    const own = openapi?.(this.resources) ?? openApiSource({ version: version.gitVersion.split('+', 1)[0]!, builtin: () => builtinKinds(this.resources), custom: () => customKinds(this.resources) });
    return new OpenApiPaths(this.resources, withDelegates(own, this.resources));
  }

  #flowControl(): FlowControl {
    const { clock, inFlight = DEFAULT_IN_FLIGHT, requestTimeoutMs = REQUEST_TIMEOUT_MS } = this.#options;
    const storage = (info: RequestInfo): ObjectStorage | undefined => this.resources.find(info.apiGroup, info.apiVersion, info.resource)?.storage;
    const flowControl = new FlowControl({
      reader: this.reader, clock, totalSeats: inFlight.maxReadOnly + inFlight.maxMutating,
      // Upstream's: a quarter of what a request may take.
      waitLimitMs: requestTimeoutMs / 4,
      counts: { objects: (info) => storage(info)?.size ?? 0, bytes: (info) => storage(info)?.bytes ?? 0, watchers: (info) => storage(info)?.parked.size ?? 0 },
    });
    this.metrics.addText(() => flowControl.metricsText());
    return flowControl;
  }

  #services(security: SecurityParts, admission: AdmissionChain): Services {
    const o = this.#options;
    return {
      clock: o.clock,
      resources: this.resources,
      admission,
      authorizer: security.authorizer,
      reader: this.reader,
      uid: o.uid ?? randomUUID,
      random: o.random ?? Math.random,
      rules: security.rules,
      audiences: security.audiences ?? [],
      components: o.components ?? [],
      tokenAuthenticator: security.tokens,
      tokenIssuer: security.tokenIssuer,
      nodeProxy: o.nodeProxy,
      lists: new ListMemo(),
      kept: this.#kept,
      minRequestTimeoutSeconds: o.minRequestTimeoutSeconds ?? MIN_REQUEST_TIMEOUT_SECONDS,
    };
  }

  #health(): Parameters<typeof pathHandler>[0]['health'] {
    const ping: HealthCheck = { name: 'ping', check: () => true };
    // Lines are written before the call that logs them returns: a log that hangs hangs this answer, too.
    const logging: HealthCheck = { name: 'log', check: () => true };
    const store: HealthCheck = { name: 'etcd', check: () => [...this.#caches.values()].every((cache) => cache.failure === undefined) };
    const shutdown: HealthCheck = { name: 'shutdown', check: () => this.#stopping === undefined };
    const informers: HealthCheck = { name: 'informer-sync', check: () => this.#running !== undefined };
    const more = [...this.#hooks.checks, ...(this.#options.aggregation ? [this.#autoRegistered()] : []), ...(this.#options.healthChecks ?? [])];
    const alive = [ping, logging, store, ...more];
    return { livez: () => alive, healthz: () => alive, readyz: () => [ping, logging, store, informers, ...more, shutdown] };
  }
  /** Every group's version that was there at the start has its APIService. */
  #autoRegistered(): HealthCheck {
    return { name: 'autoregister-completion', check: () => this.#running?.aggregator?.registered === true };
  }

  async #stop(): Promise<void> {
    const running = this.#running;
    await running?.aggregator?.stop();
    await this.#extensions?.stop();
    this.#closing.abort();
    this.#kept.stop();
    await running?.flowConfig.stop();
    running?.flowControl.stop();
    running?.inProcess.shutDown();
    await running?.http?.stop();
    running?.security.stop?.();
    await running?.eventExpiry.stop();
    this.#reader.stop();
    await Promise.all([...this.#caches.values()].map((cache) => cache.stop()));
  }
}
