/** The rules of one Service, from what it says and which endpoints it has. Pure. */
import { createHash } from 'node:crypto';
import type { Service, ServicePort } from '#api/gen/core-v1.ts';
import type { EndpointSlice } from '#api/gen/discovery-v1.ts';
import { keyOf, nameOf, namespaceOf } from '#api/object.ts';
import { cidrText, parseCIDR } from '#machinery/ip.ts';
import { targetsOf, type NodeTopology, type Target, type Targets } from './endpoints.ts';
import { NOTHING, type Rendered } from '#base/nft-rule-set.ts';
import { CLUSTER_IPS, HAIRPIN, MARK_FOR_MASQUERADE, NO_ENDPOINT_IPS, NO_ENDPOINT_NODE_PORTS, NODE_PORTS, REJECT_CHAIN, SERVICE_IPS, UNALLOCATED } from './table.ts';

/** Longest name of a chain or set: NFT_NAME_MAXLEN less the end of the string. */
const MAX_NAME = 127;
const DEFAULT_AFFINITY_SECONDS = 10_800;
/** Clients that one endpoint's affinity remembers. */
const AFFINITY_SIZE = 65_536;

export interface RuleOptions {
  readonly topology: NodeTopology;
  /** Range of all Pods. */
  readonly clusterCIDR: string;
}
interface Building {
  readonly chains: Map<string, readonly string[]>;
  readonly sets: Map<string, string>;
  readonly entries: { map: string; key: string; value: string }[];
  readonly members: Map<string, { set: string; value: string }>;
}

const isIPv4 = (ip: string | undefined): ip is string => ip !== undefined && /^\d+(\.\d+){3}$/.test(ip);
export function clusterIPOf(service: Service): string | undefined {
  return (service.spec.clusterIPs ?? [service.spec.clusterIP]).find(isIPv4);
}
/** Labels of Services that another proxy serves, or none. */
const LEFT_ALONE = ['service.kubernetes.io/service-proxy-name', 'service.kubernetes.io/headless'];
/** Whether the proxy has anything to do with a Service. */
export function isProxied(service: Service): boolean {
  return service.spec.type !== 'ExternalName' && clusterIPOf(service) !== undefined && LEFT_ALONE.every((label) => service.metadata.labels?.[label] === undefined);
}
/** Addresses of load balancers whose traffic comes with the balancer's address still on it. */
function loadBalancerIPs(service: Service): string[] {
  return (service.status?.loadBalancer?.ingress ?? []).filter((i) => i.ipMode !== 'Proxy').map((i) => i.ip).filter(isIPv4);
}
/** Where outside traffic to a Service's port arrives. */
export function externalIPsOf(service: Service): string[] {
  return [...new Set([...(service.spec.externalIPs ?? []).filter(isIPv4), ...loadBalancerIPs(service)])];
}

function named(kind: string, id: string, readable: string): string {
  const hash = createHash('sha256').update(id).digest('hex').slice(0, 8).toUpperCase();
  return `${kind}-${hash}-${readable}`.slice(0, MAX_NAME);
}
const protocolOf = (port: ServicePort): string => (port.protocol ?? 'TCP').toLowerCase();

/** Rules that spread over targets, each as likely as the next. */
function spread(protocol: string, targets: readonly Target[]): string {
  if (targets.length === 1) return `meta l4proto ${protocol} dnat ip to ${targets[0]!.ip}:${targets[0]!.port}`;
  return `meta l4proto ${protocol} dnat ip to numgen random mod ${targets.length} map { ${targets.map((t, i) => `${i} : ${t.ip} . ${t.port}`).join(', ')} }`;
}

class ServiceRules {
  readonly #service: Service;
  readonly #options: RuleOptions;
  readonly #out: Building;

  constructor(service: Service, options: RuleOptions, out: Building) {
    this.#service = service;
    this.#options = options;
    this.#out = out;
  }
  addPort(port: ServicePort, targets: Targets): void {
    const { spec } = this.#service;
    const id = `${keyOf(this.#service)}:${port.name ?? ''}/${protocolOf(port)}`;
    const readable = [namespaceOf(this.#service), nameOf(this.#service), protocolOf(port), ...(port.name ? [port.name] : [])].join('/');
    const clusterIP = clusterIPOf(this.#service)!;
    const internalLocal = spec.internalTrafficPolicy === 'Local';
    const externalLocal = spec.externalTrafficPolicy === 'Local';
    const cluster = targets.cluster.length ? this.#policyChain('service', id, readable, port, targets.cluster) : undefined;
    const local = targets.local.length && (internalLocal || externalLocal) ? this.#policyChain('local', id, readable, port, targets.local) : undefined;
    const dropped = targets.any ? 'drop' : `goto ${REJECT_CHAIN}`;
    this.#atIP(clusterIP, port, internalLocal ? local : cluster, dropped);

    const externalIPs = spec.externalIPs?.filter(isIPv4) ?? [];
    const balancerIPs = loadBalancerIPs(this.#service);
    const nodePort = port.nodePort ?? 0;
    if (externalIPs.length + balancerIPs.length + nodePort === 0) return;
    const external = externalLocal ? this.#externalLocalChain(id, readable, cluster, local) : this.#externalChain(id, readable, cluster);
    for (const ip of externalIPs) this.#atIP(ip, port, external, dropped);
    if (balancerIPs.length) {
      const firewall = external && this.#firewallChain(id, readable, external);
      for (const ip of balancerIPs) if (!externalIPs.includes(ip)) this.#atIP(ip, port, firewall, dropped);
    }
    if (nodePort === 0) return;
    const key = `${protocolOf(port)} . ${nodePort}`;
    if (external) this.#out.entries.push({ map: NODE_PORTS, key, value: `goto ${external}` });
    else this.#out.entries.push({ map: NO_ENDPOINT_NODE_PORTS, key, value: dropped });
  }
  #atIP(ip: string, port: ServicePort, chain: string | undefined, otherwise: string): void {
    const key = `${ip} . ${protocolOf(port)} . ${port.port}`;
    if (chain) this.#out.entries.push({ map: SERVICE_IPS, key, value: `goto ${chain}` });
    else this.#out.entries.push({ map: NO_ENDPOINT_IPS, key, value: otherwise });
  }
  /** Chain that leads to one of `targets`. Traffic to the cluster IP from outside the Pod network gets this node's address, so that answers come back this way. */
  #policyChain(kind: string, id: string, readable: string, port: ServicePort, targets: readonly Target[]): string {
    const chain = named(kind, id, readable);
    const masquerade = `ip daddr ${clusterIPOf(this.#service)} ip saddr != ${this.#options.clusterCIDR} ${MARK_FOR_MASQUERADE}`;
    const rules = this.#service.spec.sessionAffinity === 'ClientIP' ? this.#affine(id, readable, protocolOf(port), targets) : [spread(protocolOf(port), targets)];
    this.#out.chains.set(chain, [masquerade, ...rules]);
    for (const t of targets) if (t.local) this.#out.members.set(t.ip, { set: HAIRPIN, value: `${t.ip} . ${t.ip}` });
    return chain;
  }
  /** A client goes where it went before, as long as it comes back in time. */
  #affine(id: string, readable: string, protocol: string, targets: readonly Target[]): string[] {
    const seconds = this.#service.spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? DEFAULT_AFFINITY_SECONDS;
    const made = targets.map((t) => {
      const at = `${t.ip}:${t.port}`;
      const set = named('affinity', `${id}/${at}/${seconds}`, readable);
      const chain = named('endpoint', `${id}/${at}`, readable);
      this.#out.sets.set(set, `type ipv4_addr; size ${AFFINITY_SIZE}; flags dynamic,timeout; timeout ${seconds}s;`);
      this.#out.chains.set(chain, [`update @${set} { ip saddr }`, spread(protocol, [t])]);
      return { set, chain };
    });
    const choice = made.length === 1 ? `goto ${made[0]!.chain}` : `numgen random mod ${made.length} vmap { ${made.map((m, i) => `${i} : goto ${m.chain}`).join(', ')} }`;
    return [...made.map((m) => `ip saddr @${m.set} goto ${m.chain}`), choice];
  }
  #externalChain(id: string, readable: string, cluster: string | undefined): string | undefined {
    if (!cluster) return undefined;
    const chain = named('external', id, readable);
    this.#out.chains.set(chain, [MARK_FOR_MASQUERADE, `goto ${cluster}`]);
    return chain;
  }
  /** Outside traffic keeps its source and stays on this node; what comes from the cluster itself is served by all. */
  #externalLocalChain(id: string, readable: string, cluster: string | undefined, local: string | undefined): string | undefined {
    if (!cluster) return undefined;
    const chain = named('external', id, readable);
    this.#out.chains.set(chain, [
      `ip saddr ${this.#options.clusterCIDR} goto ${cluster}`,
      `fib saddr type local ${MARK_FOR_MASQUERADE}`,
      `fib saddr type local goto ${cluster}`,
      local ? `goto ${local}` : 'drop',
    ]);
    return chain;
  }
  #firewallChain(id: string, readable: string, external: string): string {
    const ranges = (this.#service.spec.loadBalancerSourceRanges ?? []).flatMap((text) => {
      const cidr = parseCIDR(text.trim());
      return cidr?.address.version === 4 ? [cidrText(cidr)] : [];
    });
    if (ranges.length === 0) return external;
    const chain = named('firewall', id, readable);
    this.#out.chains.set(chain, [...ranges.map((range) => `ip saddr ${range} goto ${external}`), 'drop']);
    return chain;
  }
}

/** `slices` are the Service's own. */
export function renderService(service: Service, slices: readonly EndpointSlice[], options: RuleOptions): Rendered & { readonly targets: ReadonlyMap<string, Targets> } {
  const out: Building = { chains: new Map(), sets: new Map(), entries: [], members: new Map() };
  const targets = new Map<string, Targets>();
  if (isProxied(service)) {
    out.members.set('', { set: CLUSTER_IPS, value: clusterIPOf(service)! });
    const rules = new ServiceRules(service, options, out);
    for (const port of service.spec.ports ?? []) {
      const found = targetsOf(slices, port.name ?? '', port.protocol ?? 'TCP', options.topology);
      targets.set(`${port.name ?? ''}/${port.protocol ?? 'TCP'}`, found);
      rules.addPort(port, found);
    }
  }
  return { chains: out.chains, sets: out.sets, entries: out.entries, members: [...out.members.values()], targets };
}

/** What no Service has of the ranges of their addresses would else go where the machine's routes lead. */
export function renderRanges(cidrs: readonly string[]): Rendered {
  const ranges = cidrs.flatMap((text) => {
    const cidr = parseCIDR(text);
    return cidr?.address.version === 4 ? [cidrText(cidr)] : [];
  });
  return { ...NOTHING, chains: new Map([[UNALLOCATED, [...new Set(ranges)].toSorted().map((range) => `ip daddr ${range} drop`)]]) };
}
