/** What a Service claims: cluster IPs, node ports and a health check port. Upstream's counterpart: the Service registry's `Allocators`. */
import type { Service, ServiceSpec } from '#api/gen/core-v1.ts';
import type { KubeObject } from '#api/object.ts';
import type { Draft } from '#base/draft.ts';
import { logger } from '#base/logger.ts';
import { fieldPath, invalidValue, type FieldError } from '#machinery/field-errors.ts';
import { parseIP } from '#machinery/ip.ts';
import { internalError, invalid } from '#machinery/status-error.ts';
import type { Claim, Claims } from '../registry/claims.ts';
import { HEADLESS, isHeadless, needsClusterIP, needsHealthCheckNodePort, needsNodePort } from '../strategies/core/service-spec.ts';
import { AllocationError, IpAllocator, type IpAllocatorParts } from './ip-allocator.ts';
import { NodePorts, nodePortsOf, PortError, type PortClaim, type PortRange } from './node-ports.ts';

const log = logger('service-allocator');
const GK = { group: '', kind: 'Service' };
const SPEC = fieldPath('spec');

export interface ServiceClaimsOptions extends IpAllocatorParts {
  /** Families that the cluster serves, the primary first. */
  readonly families: readonly ('IPv4' | 'IPv6')[];
  readonly nodePorts: PortRange;
}

/** Refuses families that the cluster does not have. Headless Services without a selector may name any. */
function familyErrors(spec: ServiceSpec, families: readonly string[]): FieldError[] {
  if (!needsClusterIP(spec) || (isHeadless(spec) && Object.keys(spec.selector ?? {}).length === 0)) return [];
  const dual = spec.ipFamilyPolicy === 'RequireDualStack' && families.length < 2 ? [invalidValue(SPEC.child('ipFamilyPolicy'), spec.ipFamilyPolicy, 'this cluster is not configured for dual-stack services')] : [];
  const unknown = (spec.ipFamilies ?? []).flatMap((family, i) => ((family === 'IPv4' || family === 'IPv6') && !families.includes(family) ? [invalidValue(SPEC.child('ipFamilies').index(i), family, 'not configured on this cluster')] : []));
  return [...dual, ...unknown];
}
const addressesOf = (spec: ServiceSpec): string[] => (needsClusterIP(spec) ? (spec.clusterIPs ?? []).filter((ip) => ip !== '' && ip !== HEADLESS) : []);

export class ServiceClaims implements Claims {
  readonly ips: IpAllocator;
  readonly #ports: NodePorts;
  readonly #families: readonly ('IPv4' | 'IPv6')[];

  constructor(options: ServiceClaimsOptions) {
    this.ips = new IpAllocator(options);
    this.#ports = new NodePorts(options.reader, options.nodePorts, options.random);
    this.#families = options.families;
  }

  async claim(draft: Draft<KubeObject>, old: KubeObject | undefined, dryRun: boolean): Promise<Claim> {
    const service = draft as Draft<Service>;
    const before = (old as Service | undefined)?.spec;
    const errors = familyErrors(service.spec, this.#families);
    if (errors.length) throw invalid(GK, service.metadata.name ?? '', errors);
    const ports = this.#ports.claim({ namespace: service.metadata.namespace ?? '', name: service.metadata.name ?? '' });
    const claimed: string[] = [];
    const giveBack = (ips: readonly string[]) => Promise.all(ips.map((ip) => this.#release(ip)));
    try {
      claimPorts(service, before, ports);
      await this.#claimAddresses(service, before, dryRun, claimed);
    } catch (err) {
      ports.settle();
      if (!dryRun) await giveBack(claimed);
      throw err;
    }
    return {
      settle: async (written) => {
        ports.settle();
        if (dryRun) return;
        const kept = new Set(addressesOf(service.spec));
        await giveBack(written ? (before ? addressesOf(before).filter((ip) => !kept.has(ip)) : []) : claimed);
      },
    };
  }
  async release(object: KubeObject): Promise<void> {
    await Promise.all(addressesOf((object as Service).spec).map((ip) => this.#release(ip)));
  }

  async #release(ip: string): Promise<void> {
    // What stays behind is found by the repair of the next start.
    await this.ips.release(ip).catch((err: unknown) => log.error({ err, ip }, 'address of a Service not released'));
  }
  /** One address per family, the wanted ones as they are. `claimed` takes what was claimed, also when this rejects. */
  async #claimAddresses(service: Draft<Service>, before: ServiceSpec | undefined, dryRun: boolean, claimed: string[]): Promise<void> {
    const { spec } = service;
    if (!needsClusterIP(spec) || isHeadless(spec) || spec.clusterIP === HEADLESS) return;
    const wanted = spec.clusterIPs ?? [];
    // What is no address is validation's to refuse, and a list that its first does not stand before.
    if (wanted.some((ip) => ip !== '' && !parseIP(ip)) || (wanted.length > 0 && !spec.clusterIP)) return;
    const held = new Set(before ? addressesOf(before) : []);
    const result: string[] = [];
    for (const [i, family] of (spec.ipFamilies ?? []).entries()) {
      const ip = wanted[i];
      if (ip && held.has(ip)) {
        result.push(ip);
        continue;
      }
      const got = ip ? await this.#claimWanted(service, ip, dryRun) : await this.#claimAny(service, family === 'IPv6' ? 6 : 4, dryRun);
      claimed.push(got);
      result.push(ip || got);
    }
    if (result.length === 0) return;
    spec.clusterIPs = [...result, ...wanted.slice(result.length)];
    spec.clusterIP = result[0]!;
  }
  async #claimWanted(service: Draft<Service>, ip: string, dryRun: boolean): Promise<string> {
    try {
      return await this.ips.allocate(service, ip, dryRun);
    } catch (err) {
      if (!(err instanceof AllocationError)) throw err;
      throw invalid(GK, service.metadata.name ?? '', [invalidValue(SPEC.child('clusterIPs'), service.spec.clusterIPs, `failed to allocate IP ${ip}: ${err.message}`)]);
    }
  }
  async #claimAny(service: Draft<Service>, version: 4 | 6, dryRun: boolean): Promise<string> {
    try {
      return await this.ips.allocateNext(service, version, dryRun);
    } catch (err) {
      if (!(err instanceof AllocationError)) throw err;
      throw internalError(`failed to allocate a serviceIP: ${err.message}`, err);
    }
  }
}

function claimPorts(service: Draft<Service>, before: ServiceSpec | undefined, claim: PortClaim): void {
  const { spec } = service;
  const held = new Set(before ? nodePortsOf({ metadata: {}, spec: before } as Service) : []);
  if (spec.type === 'NodePort' || spec.type === 'LoadBalancer') claimNodePorts(service, held, claim);
  if (!needsHealthCheckNodePort(spec)) return;
  const wanted = spec.healthCheckNodePort ?? 0;
  // What is no port is validation's to refuse.
  if (wanted !== 0 && (held.has(wanted) || wanted < 1 || wanted > 65_535)) return;
  try {
    if (wanted === 0) spec.healthCheckNodePort = claim.takeNext();
    else claim.take(wanted);
  } catch (err) {
    if (!(err instanceof PortError)) throw err;
    throw internalError(wanted === 0 ? `failed to allocate a HealthCheck NodePort: ${err.message}` : `failed to allocate requested HealthCheck NodePort ${wanted}: ${err.message}`, err);
  }
}
/** Ports of equal number and different protocol get one node port, as DNS needs it. */
function claimNodePorts(service: Draft<Service>, held: ReadonlySet<number>, claim: PortClaim): void {
  const ports = service.spec.ports ?? [];
  const allocate = needsNodePort(service.spec);
  for (const [i, port] of ports.entries()) {
    if (port.nodePort && !held.has(port.nodePort)) {
      try {
        claim.take(port.nodePort);
      } catch (err) {
        if (!(err instanceof PortError)) throw err;
        throw invalid(GK, service.metadata.name ?? '', [invalidValue(SPEC.child('ports').index(i).child('nodePort'), port.nodePort, err.message)]);
      }
    }
  }
  if (!allocate) return;
  for (const port of ports) {
    if (port.nodePort) continue;
    const twin = ports.find((p) => p.port === port.port && p.protocol !== port.protocol && p.nodePort);
    const free = twin && !ports.some((p) => p.protocol === port.protocol && p.nodePort === twin.nodePort);
    try {
      port.nodePort = free ? twin.nodePort! : claim.takeNext();
    } catch (err) {
      if (!(err instanceof PortError)) throw err;
      throw internalError(`failed to allocate a nodePort: ${err.message}`, err);
    }
  }
}
