/**
 * Pods of other nodes by VXLAN: packets of Pods travel inside of UDP between the nodes' own addresses, so that nothing between the nodes has to know a Pod's.
 * Here is what the link must be, which commands make it so, and nothing that runs them. Source: RFC 7348; ip-link(8), `vxlan`; bridge(8), `fdb`.
 *
 * ```
 *   Pod ─▶ bridge ─▶ route: range via its first address, on the link ─▶ neighbour: MAC of that address ─▶ fdb: node of that MAC ─▶ UDP to the node
 * ```
 *
 * Everything about a peer follows from its Node object: no node is asked, and nothing is learnt from packets.
 */
import { ipText, maskIP, parseCIDR, parseIP } from '#machinery/ip.ts';
import type { PodRoute, RoutePlace, RoutePlan } from './route-plan.ts';

/**
 * The kernel's default and flannel's, which firewalls of clusters are used to. RFC 7348's own, 4789, is dropped on its way through some hypervisors, whose own
 * networks use it.
 */
export const VXLAN_PORT = 8472;
/** What VXLAN adds to a packet: IPv4 20, UDP 8, VXLAN 8, and the inner Ethernet header 14. Source: RFC 7348, section 5. */
export const VXLAN_OVERHEAD_BYTES = 50;

/** The network's number of 24 bits: the cluster's range of Pods without its last byte. Clusters of one machine differ in it as they do in their ranges. */
export function vniOf(clusterCIDR: string): number {
  const { address, prefixLength } = parseCIDR(clusterCIDR)!;
  return Number(maskIP(address, prefixLength).bits >> 8n);
}
/** The MAC of a node's end of the network, locally administered: `0a:76` and the node's IPv4 address. */
export function vtepMac(nodeIP: string): string {
  return `0a:76:${parseIP(nodeIP)!.bits.toString(16).padStart(8, '0').match(/../g)!.join(':')}`;
}
/** `pyx1234abcd` beside the bridge `py1234abcd`, `podyardx0` beside `podyard0`. */
export function vxlanLinkName(bridge: string): string {
  return bridge.replace(/^(podyard|py)/, '$1x');
}
function firstAddress(cidr: string): string {
  const { address, prefixLength } = parseCIDR(cidr)!;
  return ipText(maskIP(address, prefixLength));
}

/** A node's end of the network. */
export interface VxlanLinkFacts {
  readonly name: string;
  readonly vni: number;
  /** The node's address, which outer packets have. */
  readonly local: string;
  readonly mac: string;
  readonly mtu: number;
  /** What the node itself is called on the network, so that answers of remote Pods come back by it. Bridges begin with the address after it. */
  readonly address: string;
}
/** `underlayMtu`: of the interface that has the node's address. */
export function vxlanLinkOf({ nodeIP, clusterCIDR, podCIDR }: RoutePlace, name: string, underlayMtu: number): VxlanLinkFacts {
  return { name, vni: vniOf(clusterCIDR), local: nodeIP, mac: vtepMac(nodeIP), mtu: underlayMtu - VXLAN_OVERHEAD_BYTES, address: firstAddress(podCIDR) };
}
/** The same routes, by the link: each by the first address of its own range. */
export function routesByLink(plan: Pick<RoutePlan, 'routes'>, link: string): Pick<RoutePlan, 'routes'> {
  return { routes: new Map(Array.from(plan.routes, ([range, { node }]): [string, PodRoute] => [range, { node, via: firstAddress(range), dev: link }])) };
}

/** A link as `ip -json -details address show` prints it. */
export interface KernelLink {
  readonly flags: readonly string[];
  readonly mtu: number;
  /** Its MAC. */
  readonly address: string;
  readonly linkinfo?: { readonly info_kind?: string; readonly info_data?: { readonly id?: number; readonly local?: string; readonly port?: number; readonly learning?: boolean } };
  readonly addr_info: readonly { readonly family: string; readonly local: string; readonly prefixlen: number }[];
}
/** What the kernel has of the network. */
export interface KernelVxlan {
  readonly link: KernelLink | undefined;
  /** Of `ip -json neighbour show nud permanent`. */
  readonly neighbours: readonly { readonly dst: string; readonly lladdr?: string }[];
  /** Of `bridge -json fdb show`. */
  readonly fdb: readonly { readonly mac: string; readonly dst?: string }[];
}
export interface VxlanCommand {
  readonly tool: 'ip' | 'bridge';
  readonly args: readonly string[];
}
const ip = (...args: string[]): VxlanCommand => ({ tool: 'ip', args });
const bridge = (...args: string[]): VxlanCommand => ({ tool: 'bridge', args });

/** What leads from what is there to a link that reaches the nodes of the plan and no others. */
export function vxlanCommands(wanted: VxlanLinkFacts, plan: Pick<RoutePlan, 'routes'>, found: KernelVxlan): VxlanCommand[] {
  const usable = found.link && isSame(found.link, wanted) ? found : undefined;
  const link = usable ? repair(usable.link!, wanted) : [...(found.link ? [ip('link', 'delete', wanted.name)] : []), ...make(wanted)];
  return [...link, ...neighbourCommands(wanted.name, plan, usable?.neighbours ?? []), ...fdbCommands(wanted.name, plan, usable?.fdb ?? [])];
}
/** What cannot be changed in a link is as it must be. */
function isSame({ address, linkinfo: { info_kind: kind, info_data: data = {} } = {} }: KernelLink, wanted: VxlanLinkFacts): boolean {
  return kind === 'vxlan' && data.id === wanted.vni && data.local === wanted.local && data.port === VXLAN_PORT && data.learning === false && address === wanted.mac;
}
function make({ name, vni, local, mac, mtu, address }: VxlanLinkFacts): VxlanCommand[] {
  return [
    ip('link', 'add', name, 'address', mac, 'mtu', String(mtu), 'type', 'vxlan', 'id', String(vni), 'local', local, 'dstport', String(VXLAN_PORT), 'nolearning'),
    ip('address', 'add', `${address}/32`, 'dev', name),
    ip('link', 'set', name, 'up'),
  ];
}
function repair({ mtu, flags, addr_info }: KernelLink, wanted: VxlanLinkFacts): VxlanCommand[] {
  const have = addr_info.filter((a) => a.family === 'inet').map((a) => `${a.local}/${a.prefixlen}`);
  const address = `${wanted.address}/32`;
  return [
    ...(mtu === wanted.mtu ? [] : [ip('link', 'set', wanted.name, 'mtu', String(wanted.mtu))]),
    ...have.filter((a) => a !== address).map((a) => ip('address', 'delete', a, 'dev', wanted.name)),
    ...(have.includes(address) ? [] : [ip('address', 'add', address, 'dev', wanted.name)]),
    ...(flags.includes('UP') ? [] : [ip('link', 'set', wanted.name, 'up')]),
  ];
}
function neighbourCommands(link: string, { routes }: Pick<RoutePlan, 'routes'>, found: KernelVxlan['neighbours']): VxlanCommand[] {
  const wanted = new Map(Array.from(routes, ([range, { via }]) => [firstAddress(range), vtepMac(via)]));
  const have = new Map(found.map(({ dst, lladdr }) => [dst, lladdr]));
  return [
    ...[...have.keys()].filter((address) => !wanted.has(address)).map((address) => ip('neighbour', 'delete', address, 'dev', link)),
    ...[...wanted].filter(([address, mac]) => have.get(address) !== mac).map(([address, mac]) => ip('neighbour', 'replace', address, 'lladdr', mac, 'dev', link, 'nud', 'permanent')),
  ];
}
function fdbCommands(link: string, { routes }: Pick<RoutePlan, 'routes'>, found: KernelVxlan['fdb']): VxlanCommand[] {
  const wanted = new Map(Array.from(routes.values(), ({ via }) => [vtepMac(via), via]));
  const isWanted = ({ mac, dst }: KernelVxlan['fdb'][number]): boolean => wanted.get(mac) === dst;
  const have = new Set(found.filter(isWanted).map(({ mac }) => mac));
  return [
    ...found.filter((entry) => entry.dst !== undefined && !isWanted(entry)).map(({ mac, dst }) => bridge('fdb', 'delete', mac, 'dev', link, 'dst', dst!, 'self')),
    ...[...wanted].filter(([mac]) => !have.has(mac)).map(([mac, dst]) => bridge('fdb', 'replace', mac, 'dev', link, 'dst', dst, 'self', 'permanent')),
  ];
}
