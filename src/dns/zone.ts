/**
 * The cluster's own zone. Pure: a question and a view of the cluster in, an answer out.
 * Source: the specification "Kubernetes DNS-Based Service Discovery" 1.1.0; where it leaves a choice, CoreDNS's.
 */
import type { Service } from '#api/gen/core-v1.ts';
import type { EndpointSlice } from '#api/gen/discovery-v1.ts';
import { nameOf, namespaceOf } from '#api/object.ts';
import { parseIP } from '#machinery/ip.ts';
import { SERVICE_NAME, type ClusterView } from './cluster-view.ts';
import type { Answer, DnsRecord, Rcode } from './wire.ts';

const SPEC_VERSION = '1.1.0';

export interface ZoneOptions {
  /** `cluster.local` */
  readonly domain: string;
  /** Address of the DNS Service. */
  readonly dnsIP: string;
  /** Seconds that answers may be kept. */
  readonly ttl: number;
  /** In [0, 1): answers with several addresses come in changing order. */
  readonly random: () => number;
  /** Seconds since the epoch, for the SOA's serial. */
  readonly serial: () => number;
}
/** One answer of the Service part of the zone. */
interface Found {
  /** Full name that the address has. */
  readonly name: string;
  readonly ip: string;
  readonly port: number;
}
/** Undefined: the name does not exist. */
type Lookup = { readonly found: readonly Found[]; readonly alias?: string } | undefined;
const NODATA: Lookup = { found: [] };

const isV6 = (ip: string): boolean => ip.includes(':');
const strip = (label: string): string => (label.startsWith('_') ? label.slice(1) : label);
const dashed = (ip: string): string => ip.replaceAll(/[.:]/g, '-');

export class Zone {
  readonly domain: string;
  readonly #options: ZoneOptions;
  readonly #view: ClusterView;

  constructor(options: ZoneOptions, view: ClusterView) {
    this.domain = options.domain;
    this.#options = options;
    this.#view = view;
  }
  /** Whether the zone answers for a name (lower case, no final dot). */
  holds(name: string): boolean {
    return name === this.domain || name.endsWith(`.${this.domain}`);
  }
  /** `alias` set: the answer goes on at that name, outside the zone. */
  answer(name: string, type: string): Answer & { readonly alias?: string } {
    const labels = name === this.domain ? [] : name.slice(0, -this.domain.length - 1).split('.');
    const fixed = this.#fixed(name, labels, type);
    if (fixed) return fixed;
    const lookup = labels.length === 0 ? NODATA : this.#lookup(labels);
    if (!lookup) return this.#empty('NXDOMAIN');
    return this.#records(name, type, lookup);
  }
  /** Names of an address; undefined where the cluster has none for it. */
  reverse(question: string, ip: string): Answer | undefined {
    const services = this.#view.servicesWithIP(ip).map((s) => this.#serviceName(s));
    const names = services.length ? services : this.#view.slicesWithIP(ip).flatMap((slice) => this.#endpointNames(slice, ip));
    if (names.length === 0) return undefined;
    return { rcode: 'NOERROR', authoritative: true, answers: [...new Set(names)].map((data) => ({ name: question, type: 'PTR', ttl: this.#options.ttl, data })) };
  }
  /** No records, with the SOA that says how long to believe so. */
  empty(rcode: Rcode): Answer {
    return this.#empty(rcode);
  }

  #fixed(name: string, labels: readonly string[], type: string): Answer | undefined {
    const { domain, dnsIP, ttl } = this.#options;
    const server = `ns.dns.${domain}`;
    const ok = (answers: DnsRecord[], additionals: DnsRecord[] = []): Answer => ({ rcode: 'NOERROR', authoritative: true, answers, additionals });
    const address: DnsRecord = { name: server, type: isV6(dnsIP) ? 'AAAA' : 'A', ttl, data: dnsIP };
    if (labels.length === 0 && type === 'SOA') return ok([this.#soa()]);
    if (labels.length === 0 && type === 'NS') return ok([{ name, type: 'NS', ttl, data: server }], [address]);
    if (name === `dns-version.${domain}`) return type === 'TXT' ? ok([{ name, type: 'TXT', ttl, data: SPEC_VERSION }]) : this.#empty('NOERROR');
    if (name === server) return type === address.type ? ok([{ ...address, name }]) : this.#empty('NOERROR');
    return name === `dns.${domain}` ? this.#empty('NOERROR') : undefined;
  }
  #lookup(labels: readonly string[]): Lookup {
    const [kind, namespace, name, ...rest] = labels.toReversed();
    if (kind !== 'svc' && kind !== 'pod') return undefined;
    if (namespace === undefined) return NODATA;
    if (!this.#view.hasNamespace(namespace)) return undefined;
    if (name === undefined) return NODATA;
    if (kind === 'pod') return rest.length ? undefined : this.#pod(namespace, name);
    const service = this.#view.service(namespace, name);
    if (!service || rest.length > 2) return undefined;
    return rest.length === 2 ? this.#service(service, undefined, { protocol: strip(rest[0]!), port: strip(rest[1]!) }) : this.#service(service, rest[0], undefined);
  }
  /** Any address of the namespace's Pods, without asking whether there is such a Pod: CoreDNS's `pods insecure`. */
  #pod(namespace: string, name: string): Lookup {
    const ip = /^\d+-\d+-\d+-\d+$/.test(name) ? name.replaceAll('-', '.') : name.replaceAll('-', ':');
    return parseIP(ip) ? { found: [{ name: `${name}.${namespace}.pod.${this.domain}`, ip, port: 0 }] } : undefined;
  }
  #service(service: Service, endpoint: string | undefined, wanted: { port: string; protocol: string } | undefined): Lookup {
    const { spec } = service;
    if (spec.type === 'ExternalName') return endpoint || wanted ? undefined : { found: [], alias: (spec.externalName ?? '').replace(/\.$/, '').toLowerCase() };
    const matches = (name: string | undefined, protocol: string | undefined) => !wanted || (wanted.port === (name ?? '').toLowerCase() && wanted.protocol === (protocol ?? 'TCP').toLowerCase());
    const headless = spec.clusterIP === 'None' || !spec.clusterIP;
    const found = headless || endpoint !== undefined
      ? this.#view.slicesOf(namespaceOf(service), nameOf(service)).flatMap((slice) => this.#endpoints(service, slice, endpoint, matches))
      : (spec.ports ?? []).filter((p) => matches(p.name, p.protocol)).flatMap((p) => (spec.clusterIPs ?? [spec.clusterIP!]).map((ip) => ({ name: this.#serviceName(service), ip, port: p.port })));
    return found.length ? { found } : undefined;
  }
  #endpoints(service: Service, slice: EndpointSlice, wanted: string | undefined, matches: (name: string | undefined, protocol: string | undefined) => boolean): Found[] {
    const ports = (slice.ports ?? []).filter((p) => matches(p.name, p.protocol)).map((p) => p.port ?? 0);
    // A Service without ports has addresses all the same.
    if (!slice.ports?.length && matches('', 'TCP')) ports.push(0);
    return (slice.endpoints ?? []).filter((e) => e.conditions?.ready !== false).flatMap((e) =>
      e.addresses.flatMap((ip) => {
        const label = e.hostname ?? dashed(ip);
        return wanted !== undefined && wanted !== label ? [] : ports.map((port) => ({ name: `${label}.${this.#serviceName(service)}`, ip, port }));
      }));
  }
  #endpointNames(slice: EndpointSlice, ip: string): string[] {
    const service = slice.metadata.labels?.[SERVICE_NAME];
    if (service === undefined) return [];
    return (slice.endpoints ?? []).filter((e) => e.addresses.includes(ip) && e.conditions?.ready !== false).map((e) => `${e.hostname ?? dashed(ip)}.${service}.${namespaceOf(slice)}.svc.${this.domain}`);
  }
  #serviceName(service: Service): string {
    return `${nameOf(service)}.${namespaceOf(service)}.svc.${this.domain}`;
  }

  #records(name: string, type: string, { found, alias }: NonNullable<Lookup>): Answer & { readonly alias?: string } {
    const { ttl } = this.#options;
    if (alias !== undefined) {
      const answers: DnsRecord[] = [{ name, type: 'CNAME', ttl, data: alias }];
      return { rcode: 'NOERROR', authoritative: true, answers, ...(type === 'A' || type === 'AAAA' ? { alias } : {}) };
    }
    if (type === 'SRV') return this.#services(name, found.filter((f) => f.port !== 0));
    if (type !== 'A' && type !== 'AAAA') return this.#empty('NOERROR');
    const ips = [...new Set(found.map((f) => f.ip))].filter((ip) => isV6(ip) === (type === 'AAAA'));
    return ips.length ? { rcode: 'NOERROR', authoritative: true, answers: this.#shuffled(ips).map((data) => ({ name, type, ttl, data })) } : this.#empty('NOERROR');
  }
  #services(name: string, found: readonly Found[]): Answer {
    if (found.length === 0) return this.#empty('NOERROR');
    const { ttl } = this.#options;
    const targets = [...new Map(found.map((f) => [`${f.name} ${f.port}`, f])).values()];
    const weight = Math.max(1, Math.floor(100 / targets.length));
    const addresses = new Map(found.map((f) => [`${f.name} ${f.ip}`, f]));
    return {
      rcode: 'NOERROR', authoritative: true,
      answers: this.#shuffled(targets).map((f) => ({ name, type: 'SRV', ttl, data: { priority: 0, weight, port: f.port, target: f.name } })),
      additionals: Array.from(addresses.values(), (f) => ({ name: f.name, type: isV6(f.ip) ? 'AAAA' : 'A', ttl, data: f.ip })),
    };
  }
  #empty(rcode: Rcode): Answer {
    return { rcode, authoritative: true, authorities: [this.#soa()] };
  }
  #soa(): DnsRecord {
    const { domain, ttl, serial } = this.#options;
    return { name: domain, type: 'SOA', ttl, data: { mname: `ns.dns.${domain}`, rname: `hostmaster.${domain}`, serial: serial(), refresh: 7200, retry: 1800, expire: 86400, minimum: ttl } };
  }
  #shuffled<T>(items: readonly T[]): T[] {
    const copy = [...items];
    for (let i = copy.length - 1; i > 0; i--) {
      const j = Math.floor(this.#options.random() * (i + 1));
      [copy[i], copy[j]] = [copy[j]!, copy[i]!];
    }
    return copy;
  }
}
