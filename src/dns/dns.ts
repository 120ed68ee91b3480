/**
 * The cluster's DNS, in our process: names of Services and Pods, and the host's resolvers for all others. Upstream's counterpart:
 * CoreDNS with its kubernetes, forward, cache and loadbalance plugins.
 *
 * ```
 *   Pod ──▶ DNS Service's address ──▶ (proxy's rules) ──▶ our port on the node ──▶ responder ──▶ zone | host's resolvers
 * ```
 */
import type { Clock } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { logger } from '#base/logger.ts';
import type { Client } from '#client/client.ts';
import { InformedView } from './cluster-view.ts';
import { Forwarder } from './forwarder.ts';
import { ResolvConfFile } from './resolv-conf.ts';
import { Responder } from './responder.ts';
import { DnsServer } from './server.ts';
import { Zone } from './zone.ts';

const log = logger('dns');
const DNS_PORT = 53;

export interface DnsOptions {
  readonly client: Client;
  readonly clock: Clock;
  /** `cluster.local` */
  readonly domain: string;
  /** Address of the DNS Service. */
  readonly dnsIP: string;
  /** Where to listen; another port is taken when that one is in use. */
  readonly host: string;
  readonly port: number;
  /** Range of those who may ask. */
  readonly clusterCIDR: string;
  /** Others who may ask: nodes, by whose addresses the Pods of other machines come. */
  readonly mayAsk?: ((address: string) => boolean) | undefined;
  /** Default `/etc/resolv.conf`. */
  readonly resolvConf?: string;
  /** Seconds that answers about the cluster may be kept. Default 5. */
  readonly ttl?: number;
  readonly random: () => number;
  /** Tells the cluster where DNS answers: called once, when it does. */
  announce(port: number, signal: AbortSignal): Promise<void>;
}

export function newDns(options: DnsOptions): Component {
  const { client, clock, domain, dnsIP, host, random } = options;
  const file = new ResolvConfFile(options.resolvConf ?? '/etc/resolv.conf', () => clock.monotonic());
  const view = new InformedView(client, clock);
  const zone = new Zone({ domain, dnsIP, ttl: options.ttl ?? 5, random, serial: () => Math.floor(clock.now() / 1000) }, view);
  const forwarder = new Forwarder({
    clock,
    // Our own Service among the host's resolvers would send questions round in a circle.
    servers: async () => (await file.current()).nameservers.filter((address) => address !== dnsIP).map((address) => ({ address, port: DNS_PORT })),
  });
  const responder = new Responder({ zone, view, forwarder, hostSearch: async () => (await file.current()).search });
  const server = new DnsServer({ host, port: options.port, clients: options.clusterCIDR, mayAsk: options.mayAsk, responder });
  return {
    name: 'dns',
    async start(signal) {
      await view.start();
      const port = await server.start();
      await options.announce(port, signal);
      log.info({ host, port }, 'DNS of the cluster is ready');
    },
    async stop() {
      await server.stop();
      await view.stop();
    },
  };
}
