/**
 * Leads traffic for Services to their endpoints, by rules of the node's own nftables table. Rules stay when the process ends, so that
 * Pods keep their Services. Upstream's counterpart: kube-proxy in nftables mode.
 *
 * ```
 *   Services, EndpointSlices, ServiceCIDRs, our Node ──▶ changed Services ──▶ rules of each ──▶ difference ──▶ one transaction of nft
 * ```
 */
import { writeFile } from 'node:fs/promises';
import type { Node, Service } from '#api/gen/core-v1.ts';
import type { EndpointSlice } from '#api/gen/discovery-v1.ts';
import type { ServiceCIDR } from '#api/gen/networking-v1.ts';
import { keyOf, nameOf, namespaceOf } from '#api/object.ts';
import { abortable } from '#base/abort.ts';
import type { Clock } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { logger } from '#base/logger.ts';
import { applyNft } from '#base/nft.ts';
import type { Client } from '#client/client.ts';
import { Informer } from '#client/informer.ts';
import { ENDPOINT_SLICES, NODES, SERVICE_CIDRS, SERVICES } from '#client/kinds.ts';
import { Reconciler } from '#client/reconciler.ts';
import { deleteFlows, staleFlows, type StaleFlows } from './conntrack.ts';
import { readyHere, type Targets } from './endpoints.ts';
import { HealthServers } from './health-server.ts';
import { NOTHING, RuleSet, type Rendered } from '#base/nft-rule-set.ts';
import { renderRanges, renderService } from './service-rules.ts';
import { emptyTable, halfClosedTimeout } from './table.ts';

const log = logger('kube-proxy');
const ZONE = 'topology.kubernetes.io/zone';
const SLICES_OF = 'service';
/** Among the keys of Services: what the ranges of their addresses add to the table. */
const RANGES = 'ranges';

export interface ProxyOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly nodeName: string;
  /** Range of all Pods of the cluster. */
  readonly clusterCIDR: string;
  /** The link that Pods hang on: node ports answer on 127.0.0.1 by way of it. */
  readonly bridge: string;
  /** Name of the nftables table, of this node alone. */
  readonly table: string;
  /** Told of each change made to the host, so that it can be undone. */
  recordChange(kind: 'nft-table', id: string): void | Promise<void>;
  /** Path of a network namespace that the rules go to. Default: the process's own. */
  readonly netns?: string | undefined;
}

function serviceKeyOf(slice: EndpointSlice): string[] {
  const name = slice.metadata.labels?.['kubernetes.io/service-name'];
  return name === undefined ? [] : [`${namespaceOf(slice)}/${name}`];
}

export class Proxy implements Component {
  readonly name = 'kube-proxy';
  readonly #options: ProxyOptions;
  readonly #services: Informer<Service>;
  readonly #slices: Informer<EndpointSlice>;
  readonly #nodes: Informer<Node>;
  readonly #ranges: Informer<ServiceCIDR>;
  readonly #rules: RuleSet;
  readonly #health = new HealthServers();
  readonly #reconciler: Reconciler;
  /** What each Service was when its rules were last made. */
  readonly #last = new Map<string, { readonly service: Service; readonly targets: ReadonlyMap<string, Targets> }>();
  readonly #first = Promise.withResolvers<void>();
  #dirty = new Set<string>();
  #rebuild = true;
  #zone: string | undefined;

  constructor(options: ProxyOptions) {
    this.#options = options;
    const { client, clock, nodeName } = options;
    this.#services = new Informer(client, SERVICES, clock);
    this.#slices = new Informer(client, ENDPOINT_SLICES, clock, { labelSelector: '!service.kubernetes.io/headless' });
    this.#slices.addIndex(SLICES_OF, serviceKeyOf);
    this.#nodes = new Informer(client, NODES, clock, { fieldSelector: `metadata.name=${nodeName}` });
    this.#ranges = new Informer(client, SERVICE_CIDRS, clock);
    this.#rules = new RuleSet(`ip ${options.table}`);
    // One worker: all that changed while a transaction ran goes into the next.
    this.#reconciler = new Reconciler({
      name: this.name, clock, logger: log, workers: 1, baseDelayMs: 100, maxDelayMs: 30_000,
      reconcile: async (_key, signal) => {
        await this.#sync(signal);
        return undefined;
      },
    });
  }

  /** Resolves when the rules are in place. */
  async start(signal: AbortSignal): Promise<void> {
    await this.#options.recordChange('nft-table', `ip ${this.#options.table}`);
    const touch = (key: string) => {
      this.#dirty.add(key);
      this.#reconciler.queue.add('table');
    };
    const slice = (s: EndpointSlice) => { for (const key of serviceKeyOf(s)) touch(key); };
    this.#services.addHandler({ onAdd: (s) => touch(keyOf(s)), onUpdate: (_, s) => touch(keyOf(s)), onDelete: (s) => touch(keyOf(s)) });
    this.#slices.addHandler({ onAdd: slice, onUpdate: (old, s) => { slice(old); slice(s); }, onDelete: slice });
    const node = (n: Node) => this.#setZone(n.metadata.labels?.[ZONE]);
    this.#nodes.addHandler({ onAdd: node, onUpdate: (_, n) => node(n) });
    const ranges = () => touch(RANGES);
    this.#ranges.addHandler({ onAdd: ranges, onUpdate: ranges, onDelete: ranges });
    const informers = [this.#services, this.#slices, this.#nodes, this.#ranges];
    for (const informer of informers) informer.start();
    await abortable(Promise.all(informers.map((i) => i.synced)), signal);
    this.#reconciler.queue.add('table');
    this.#reconciler.start();
    await abortable(this.#first.promise, signal);
  }
  async stop(): Promise<void> {
    await Promise.all([this.#services, this.#slices, this.#nodes, this.#ranges].map((i) => i.stop()));
    await this.#reconciler.stop();
    await this.#health.stop();
  }

  #setZone(zone: string | undefined): void {
    if (zone === this.#zone) return;
    this.#zone = zone;
    for (const service of this.#services.list()) this.#dirty.add(keyOf(service));
    this.#reconciler.queue.add('table');
  }

  async #sync(signal: AbortSignal): Promise<void> {
    const { table, netns } = this.#options;
    const full = this.#rebuild;
    if (full) {
      this.#rules.clear();
      this.#dirty = new Set([RANGES, ...this.#services.list().map(keyOf)]);
    }
    const flows: StaleFlows[] = [];
    let script = full ? emptyTable(`ip ${table}`) : '';
    while (this.#dirty.size) {
      const states = new Map<string, Rendered>();
      for (const key of this.#dirty) states.set(key, this.#render(key, flows));
      const change = this.#rules.change(states);
      script += change.script;
      this.#dirty = change.again;
    }
    if (script !== '') {
      // Until the transaction is through, what the table holds is not known.
      this.#rebuild = true;
      const began = this.#options.clock.monotonic();
      await applyNft(script, { netns, signal });
      this.#rebuild = false;
      log.debug({ services: this.#rules.size, ms: Math.round(this.#options.clock.monotonic() - began), full }, 'Rules of Services applied');
      if (full) await applyNft(halfClosedTimeout(`ip ${table}`), { netns, signal }).catch((err: unknown) => void (signal.aborted || log.info({ err }, 'The kernel has no timeouts for single connections: those that are half closed end after a minute')));
      await this.#allowLoopback();
    }
    this.#first.resolve();
    await deleteFlows(flows, { netns, signal });
  }
  #render(key: string, flows: StaleFlows[]): Rendered {
    if (key === RANGES) return renderRanges(this.#ranges.list().flatMap((range) => range.spec?.cidrs ?? []));
    const service = this.#services.getByKey(key);
    if (!service) {
      const last = this.#last.get(key);
      if (last) flows.push(...staleFlows(last.service, last.targets, new Map()));
      this.#health.set(key, undefined);
      this.#last.delete(key);
      return NOTHING;
    }
    const { nodeName, clusterCIDR } = this.#options;
    const rendered = renderService(service, this.#slices.byIndex(SLICES_OF, key), { topology: { nodeName, zone: this.#zone }, clusterCIDR });
    flows.push(...staleFlows(service, this.#last.get(key)?.targets, rendered.targets));
    this.#last.set(key, { service, targets: rendered.targets });
    const port = service.spec.healthCheckNodePort;
    this.#health.set(key, port ? { namespace: namespaceOf(service), name: nameOf(service), port, localEndpoints: readyHere(rendered.targets) } : undefined);
    return rendered;
  }
  /** The bridge is there from the first Pod on: node ports of 127.0.0.1 need the kernel's leave to go through it. */
  async #allowLoopback(): Promise<void> {
    const { bridge, netns } = this.#options;
    if (netns !== undefined || !this.#services.list().some((s) => s.spec.ports?.some((p) => p.nodePort))) return;
    await writeFile(`/proc/sys/net/ipv4/conf/${bridge}/route_localnet`, '1').catch((err: NodeJS.ErrnoException) => log.debug({ bridge, code: err.code }, 'node ports do not answer on 127.0.0.1 yet'));
  }
}
