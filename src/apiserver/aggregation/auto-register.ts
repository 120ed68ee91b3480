/** Keeps an APIService for every group and version that this server answers itself: the built-in ones and those of custom resources. */
import type { APIService } from '#api/gen/apiregistration-v1.ts';
import type { Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { isReason } from '#machinery/status-error.ts';
import type { Loopback, ObjectReader } from '../interfaces.ts';
import type { ResourceRegistry } from '../registry/resource-registry.ts';
import { API_SERVICES, AUTO_MANAGED, localApiService, nameOf } from './api-services.ts';
import { KeyedRunner } from './keyed-runner.ts';

const log = logger('autoregister');
const RETRY_MS = 1_000;
/** Serves the APIServices themselves, which need none. */
const OWN_GROUP = API_SERVICES.group;

export interface AutoRegisterOptions {
  readonly reader: ObjectReader;
  readonly loopback: Loopback;
  readonly resources: ResourceRegistry;
  readonly clock: Clock;
}

export class AutoRegister {
  readonly #o: AutoRegisterOptions;
  readonly #runner: KeyedRunner;
  readonly #stop = new AbortController();
  #unsubscribe: (() => void)[] = [];
  #complete = false;

  constructor(options: AutoRegisterOptions) {
    this.#o = options;
    this.#runner = new KeyedRunner(options.clock, () => this.#sync());
  }
  start(): void {
    const ask = (): void => this.#runner.ask('');
    this.#unsubscribe = [
      this.#o.resources.onChange(ask),
      this.#o.reader.subscribe<APIService>(API_SERVICES, ({ object, previous }) => {
        if ([object, previous].some((s) => s?.metadata.labels?.[AUTO_MANAGED] !== undefined)) ask();
      }),
    ];
    ask();
  }
  /** What was served at the start has its APIServices. */
  get complete(): boolean {
    return this.#complete;
  }
  async stop(): Promise<void> {
    for (const end of this.#unsubscribe) end();
    this.#stop.abort();
    await this.#runner.stop();
  }

  async #sync(): Promise<number | undefined> {
    const { resources, reader } = this.#o;
    const wanted = new Map(resources.all().filter(({ info }) => info.group !== OWN_GROUP).map(({ info }) => [nameOf(info.group, info.version), localApiService(info.group, info.version)]));
    const found = new Map(reader.list<APIService>(API_SERVICES).map((service) => [service.metadata.name!, service]));
    const changes = [
      ...[...wanted].map(([name, service]) => this.#ensure(found.get(name), service)),
      // Those of built-in groups stay when the group goes: another release may serve it.
      ...[...found.values()].filter((s) => s.metadata.labels?.[AUTO_MANAGED] === 'true' && !wanted.has(s.metadata.name!)).map((s) => this.#call('delete', s)),
    ];
    const outcomes = await Promise.allSettled(changes);
    const failed = outcomes.find((o) => o.status === 'rejected');
    this.#complete ||= !failed;
    if (!failed || this.#stop.signal.aborted) return undefined;
    log.warn({ err: failed.reason as unknown }, 'An APIService of a local group could not be kept');
    return RETRY_MS;
  }
  async #ensure(found: APIService | undefined, wanted: APIService): Promise<void> {
    if (!found) return this.#call('create', wanted);
    const labels = found.metadata.labels;
    // Somebody's own.
    if (labels?.[AUTO_MANAGED] === undefined) return;
    const same = (Object.keys(wanted.spec) as (keyof APIService['spec'])[]).every((key) => found.spec[key] === wanted.spec[key]) && !found.spec.service && labels[AUTO_MANAGED] === wanted.metadata.labels![AUTO_MANAGED];
    if (!same) await this.#call('update', { ...found, metadata: { ...found.metadata, labels: { ...labels, ...wanted.metadata.labels } }, spec: wanted.spec });
  }
  async #call(verb: 'create' | 'update' | 'delete', service: APIService): Promise<void> {
    try {
      await this.#o.loopback.call({ verb, resource: API_SERVICES, ...(verb === 'create' ? {} : { name: service.metadata.name! }), ...(verb === 'delete' ? {} : { body: service }) }, this.#stop.signal);
    } catch (err) {
      // Another server was quicker; its change comes by the watch.
      if (!isReason(err, 'AlreadyExists') && !isReason(err, 'Conflict') && !isReason(err, 'NotFound')) throw err;
    }
  }
}
