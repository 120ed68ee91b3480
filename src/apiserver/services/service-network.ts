/**
 * The network of Services as the API server keeps it: the default ServiceCIDR, and at each start the repair of what a crash between
 * two writes left behind. Upstream's counterpart: the default ServiceCIDR controller and the repair loop of cluster IPs.
 */
import type { Service } from '#api/gen/core-v1.ts';
import type { IPAddress, ServiceCIDR } from '#api/gen/networking-v1.ts';
import { resourceOf } from '#api/resources.ts';
import { rfc3339, type Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { isReason } from '#machinery/status-error.ts';
import type { Loopback, ObjectReader } from '../interfaces.ts';
import { ALLOCATOR, IP_ADDRESSES, SERVICE_CIDRS } from './ip-allocator.ts';
import { DEFAULT_NODE_PORTS, type PortRange } from './node-ports.ts';
import { ServiceClaims } from './service-claims.ts';

const log = logger('service-network');
const SERVICES = resourceOf('', 'v1', 'services');
export const DEFAULT_SERVICE_CIDR = '10.96.0.0/16';
const NAME = 'kubernetes';
const MANAGED_LABEL = 'ipaddress.kubernetes.io/managed-by';
const MAX_AT_ONCE = 16;

export interface ServiceNetworkOptions {
  /** One range, or one of each family, the primary first. Default {@link DEFAULT_SERVICE_CIDR}. */
  readonly cidrs?: readonly string[] | undefined;
  readonly nodePorts?: PortRange | undefined;
}
export interface ServiceNetworkParts {
  readonly reader: ObjectReader;
  readonly loopback: Loopback;
  readonly clock: Clock;
  readonly random: () => number;
}

export class ServiceNetwork {
  readonly claims: ServiceClaims;
  readonly #cidrs: readonly string[];
  readonly #parts: ServiceNetworkParts;

  constructor(options: ServiceNetworkOptions, parts: ServiceNetworkParts) {
    this.#parts = parts;
    this.#cidrs = options.cidrs ?? [DEFAULT_SERVICE_CIDR];
    const families = this.#cidrs.map((cidr) => (cidr.includes(':') ? 'IPv6' : 'IPv4') as 'IPv4' | 'IPv6');
    this.claims = new ServiceClaims({ ...parts, families, nodePorts: options.nodePorts ?? DEFAULT_NODE_PORTS });
  }
  /** Makes the default range and repairs addresses. Call it once the server takes calls, before it lets others in. */
  async start(signal: AbortSignal): Promise<void> {
    await this.#ensureRange(signal);
    await this.#repair(signal);
  }

  async #ensureRange(signal: AbortSignal): Promise<void> {
    const { reader, loopback, clock } = this.#parts;
    if (reader.get<ServiceCIDR>(SERVICE_CIDRS, '', NAME)) return;
    try {
      const made = (await loopback.call({ verb: 'create', resource: SERVICE_CIDRS, body: { apiVersion: 'networking.k8s.io/v1', kind: 'ServiceCIDR', metadata: { name: NAME }, spec: { cidrs: this.#cidrs } } }, signal)) as ServiceCIDR;
      const condition = { type: 'Ready', status: 'True', lastTransitionTime: rfc3339(clock.now()), reason: '', message: 'Kubernetes default Service CIDR is ready' };
      await loopback.call({ verb: 'update', resource: SERVICE_CIDRS, name: NAME, subresource: 'status', body: { ...made, status: { conditions: [condition] } } }, signal);
    } catch (err) {
      // Another server may be starting at the same time.
      if (!isReason(err, 'AlreadyExists') && !isReason(err, 'Conflict')) throw err;
    }
  }
  /** Every address of a Service has its IPAddress, and no IPAddress of ours is without its Service. */
  async #repair(signal: AbortSignal): Promise<void> {
    const { reader } = this.#parts;
    const { ips } = this.claims;
    const owners = new Map<string, Service>();
    for (const service of reader.list<Service>(SERVICES)) for (const ip of service.spec.clusterIPs ?? []) if (ip && ip !== 'None') owners.set(ip, service);
    const missing = [...owners].filter(([ip]) => !ips.has(ip));
    const orphans = reader.list<IPAddress>(IP_ADDRESSES).filter((a) => a.metadata.labels?.[MANAGED_LABEL] === ALLOCATOR && !owners.has(a.metadata.name ?? ''));
    const todo = [...missing.map(([ip, service]) => () => ips.adopt(service, ip)), ...orphans.map((a) => () => ips.release(a.metadata.name!))];
    for (let i = 0; i < todo.length; i += MAX_AT_ONCE) {
      signal.throwIfAborted();
      await Promise.all(todo.slice(i, i + MAX_AT_ONCE).map((run) => run()));
    }
    if (todo.length) log.info({ missing: missing.length, orphans: orphans.length }, 'Addresses of Services repaired');
  }
}
