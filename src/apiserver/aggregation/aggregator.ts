/**
 * API aggregation: APIServices whose group and version another server answers. For each, the requests are passed on, its availability is
 * checked and told, and its discovery and OpenAPI documents become part of this server's.
 * Source: the Kubernetes pages "Kubernetes API Aggregation Layer" and "Configure the Aggregation Layer"; the API reference, APIService.
 */
import type { APIResourceDiscovery } from '#api/gen/apidiscovery-v2.ts';
import type { APIService } from '#api/gen/apiregistration-v1.ts';
import type { EndpointSlice } from '#api/gen/discovery-v1.ts';
import type { Service } from '#api/gen/core-v1.ts';
import type { APIResourceList } from '#api/gen/meta-v1.ts';
import { resourceOf } from '#api/resources.ts';
import type { Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { Counter, Gauge, type Registry } from '#base/metrics.ts';
import { isReason } from '#machinery/status-error.ts';
import type { Loopback, ObjectReader } from '../interfaces.ts';
import { rawText } from '../http/paths.ts';
import type { DynamicResourceRegistry, GroupDelegate } from '../registry/resource-registry.ts';
import { goError, type ServiceResolver } from '../webhook/client.ts';
import { API_SERVICES, isAvailable, withAvailability, type Availability } from './api-services.ts';
import { AutoRegister } from './auto-register.ts';
import { endpointProblem } from './endpoints.ts';
import { KeyedRunner } from './keyed-runner.ts';
import { RemoteApi, type ProxyIdentity } from './remote-api.ts';
import { resourcesOf } from './remote-discovery.ts';

const log = logger('aggregator');
const SERVICES = resourceOf('', 'v1', 'services');
const SLICES = resourceOf('discovery.k8s.io', 'v1', 'endpointslices');
/** How often a server that answers is looked at again, and how quickly at first one that does not. */
const RECHECK_MS = 30_000;
const FIRST_RETRY_MS = 5_000;
const CHECK_TIMEOUT_MS = 5_000;
const ATTEMPTS = 5;

export interface AggregatorOptions {
  readonly reader: ObjectReader;
  readonly loopback: Loopback;
  readonly resources: DynamicResourceRegistry;
  readonly clock: Clock;
  readonly identity: () => ProxyIdentity;
  readonly resolver: ServiceResolver;
  readonly metrics: Registry;
}

/** What is known of one server. */
interface Known {
  readonly api: RemoteApi;
  /** The spec that {@link api} was made for. */
  readonly spec: APIService['spec'];
  failures: number;
  /** Discovery and OpenAPI as they were set last, to tell a change. */
  documents: string;
  delegate: GroupDelegate;
}

export class Aggregator {
  readonly #o: AggregatorOptions;
  readonly #runner: KeyedRunner;
  readonly #autoRegister: AutoRegister;
  readonly #known = new Map<string, Known>();
  readonly #stop = new AbortController();
  #unsubscribe: (() => void)[] = [];
  readonly #unavailable: Gauge;
  readonly #unavailableTotal: Counter;

  constructor(options: AggregatorOptions) {
    this.#o = options;
    const registers = [options.metrics];
    this.#unavailable = new Gauge({ name: 'aggregator_unavailable_apiservice', help: 'Gauge of APIServices which are marked as unavailable broken down by APIService name.', labelNames: ['name'], registers });
    this.#unavailableTotal = new Counter({ name: 'aggregator_unavailable_apiservice_total', help: 'Counter of APIServices which are marked as unavailable broken down by APIService name and reason.', labelNames: ['name', 'reason'], registers });
    this.#runner = new KeyedRunner(options.clock, (name) => this.#sync(name));
    this.#autoRegister = new AutoRegister(options);
  }
  start(): void {
    const { reader } = this.#o;
    this.#unsubscribe = [
      reader.subscribe<APIService>(API_SERVICES, ({ object, previous }) => {
        // Our own word on its status is no news.
        if (object.spec.service || previous?.spec.service || !isAvailable(object)) this.#runner.ask(object.metadata.name!);
      }),
      reader.subscribe<Service>(SERVICES, ({ object }) => this.#askFor(object.metadata.namespace, object.metadata.name)),
      reader.subscribe<EndpointSlice>(SLICES, ({ object }) => this.#askFor(object.metadata.namespace, object.metadata.labels?.['kubernetes.io/service-name'])),
    ];
    for (const service of reader.list<APIService>(API_SERVICES)) if (service.spec.service) this.#runner.ask(service.metadata.name!);
    this.#autoRegister.start();
  }
  /** What was served at the start has its APIServices. */
  get registered(): boolean {
    return this.#autoRegister.complete;
  }
  async stop(): Promise<void> {
    for (const end of this.#unsubscribe) end();
    this.#stop.abort();
    await Promise.all([this.#autoRegister.stop(), this.#runner.stop()]);
    for (const { api } of this.#known.values()) api.close();
  }

  #askFor(namespace: string | undefined, name: string | undefined): void {
    for (const [id, { spec }] of this.#known) if (spec.service?.namespace === namespace && spec.service?.name === name) this.#runner.ask(id);
  }
  async #sync(name: string): Promise<number | undefined> {
    const service = this.#o.reader.get<APIService>(API_SERVICES, '', name);
    if (!service?.spec.service) {
      this.#forget(name);
      if (service && !isAvailable(service)) await this.#tell(service, { status: 'True', reason: 'Local', message: 'Local APIServices are always available' });
      return undefined;
    }
    const known = this.#route(name, service);
    const availability = await this.#check(service, known);
    if (this.#stop.signal.aborted) return undefined;
    await this.#tell(service, availability);
    known.failures = availability.status === 'True' ? 0 : known.failures + 1;
    return known.failures === 0 ? RECHECK_MS : Math.min(RECHECK_MS, FIRST_RETRY_MS * 2 ** (known.failures - 1));
  }
  #forget(name: string): void {
    const known = this.#known.get(name);
    if (!known) return;
    this.#known.delete(name);
    this.#unavailable.remove({ name });
    known.api.close();
    this.#o.resources.removeDelegate(known.delegate.group, known.delegate.version);
  }

  /** Requests go there from now on; those that come while the server is not available are refused. */
  #route(name: string, service: APIService): Known {
    const before = this.#known.get(name);
    if (before && JSON.stringify(before.spec) === JSON.stringify(service.spec)) return before;
    this.#forget(name);
    const { service: where, group = '', version = '', groupPriorityMinimum, versionPriority } = service.spec;
    const { reader, identity, resolver, resources } = this.#o;
    const api = new RemoteApi({ service, identity, resolve: () => resolver.resolve(where?.namespace ?? '', where?.name ?? '', where?.port ?? 443) });
    const delegate: GroupDelegate = {
      group,
      version,
      priority: { group: groupPriorityMinimum, version: versionPriority },
      handle: (request, { user }) => {
        const now = reader.get<APIService>(API_SERVICES, '', name);
        if (!now || !isAvailable(now)) return rawText(503, 'service unavailable\n');
        return api.handle(request, user);
      },
    };
    const known: Known = { api, spec: service.spec, failures: 0, documents: '', delegate };
    this.#known.set(name, known);
    resources.setDelegate(delegate);
    return known;
  }

  async #check(service: APIService, known: Known): Promise<Availability> {
    const problem = endpointProblem(service, this.#o.reader);
    if (problem) return problem;
    const { group = '', version = '' } = service.spec;
    const path = `/apis/${group}/${version}`;
    let last = '';
    for (let attempt = 0; attempt < ATTEMPTS && !this.#stop.signal.aborted; attempt++) {
      let url = path;
      const deadline = new AbortController();
      const timer = this.#o.clock.after(CHECK_TIMEOUT_MS, () => deadline.abort(new Error('context deadline exceeded')));
      const signal = AbortSignal.any([deadline.signal, this.#stop.signal]);
      try {
        url = await known.api.url(path);
        const answer = await known.api.document(path, signal);
        if (!answer) throw new Error(`bad status from ${url}: 404`);
        await this.#learn(known, answer.value as APIResourceList, signal);
        return { status: 'True', reason: 'Passed', message: 'all checks passed' };
      } catch (err) {
        const why = deadline.signal.aborted ? `Get ${JSON.stringify(url)}: context deadline exceeded` : goError(err);
        last = `failing or missing response from ${url}: ${why}`;
        if (deadline.signal.aborted) break;
      } finally {
        timer.cancel();
      }
    }
    return { status: 'False', reason: 'FailedDiscoveryCheck', message: last };
  }
  /** Takes the server's documents over where they have changed. */
  async #learn(known: Known, list: APIResourceList, signal: AbortSignal): Promise<void> {
    const { group, version } = known.delegate;
    const resources: readonly APIResourceDiscovery[] = resourcesOf(list, group, version);
    const openapi = await openApiOf(known.api, group, version, signal);
    const documents = JSON.stringify([resources, openapi]);
    if (documents === known.documents) return;
    known.documents = documents;
    known.delegate = { ...known.delegate, discovery: { resources, freshness: 'Current' }, openapi };
    this.#o.resources.setDelegate(known.delegate);
  }

  async #tell(service: APIService, availability: Availability): Promise<void> {
    const name = service.metadata.name!;
    if (service.spec.service) this.#unavailable.set({ name }, availability.status === 'True' ? 0 : 1);
    const next = withAvailability(service, availability, this.#o.clock.now());
    if (next === service) return;
    if (availability.status !== 'True') this.#unavailableTotal.inc({ name, reason: availability.reason });
    const stale = availability.status !== 'True' && this.#known.get(name);
    if (stale && stale.delegate.discovery) {
      stale.documents = '';
      stale.delegate = { ...stale.delegate, discovery: { ...stale.delegate.discovery, freshness: 'Stale' } };
      this.#o.resources.setDelegate(stale.delegate);
    }
    try {
      await this.#o.loopback.call({ verb: 'update', resource: API_SERVICES, name, subresource: 'status', body: next }, this.#stop.signal);
    } catch (err) {
      // Changed or gone meanwhile: its change brings us back.
      if (!this.#stop.signal.aborted && !isReason(err, 'Conflict') && !isReason(err, 'NotFound')) log.warn({ err, apiService: name }, 'The availability of an APIService could not be told');
    }
  }
}

/** OpenAPI is a help to clients and not a condition: a server may have none. */
async function openApiOf(api: RemoteApi, group: string, version: string, signal: AbortSignal): Promise<NonNullable<GroupDelegate['openapi']>> {
  const v3 = await api.document(`/openapi/v3/apis/${group}/${version}`, signal).catch(() => undefined);
  const v2 = await api.document('/openapi/v2', signal).catch(() => undefined);
  return { ...(v3 ? { v3: v3.value as object } : {}), ...(v2 ? { v2: v2.value as object } : {}) };
}
