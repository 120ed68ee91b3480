/**
 * Which routes lead to the Pods of other nodes, and what must change in the kernel to have them. Reads and writes nothing.
 *
 * A Node is written by the node itself as well: it must not be able to draw traffic that is not its Pods'. Hence a range counts only
 * inside of the cluster's, beside this node's own, and for the node that had it first.
 */
import type { Node } from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';
import { cidrContains, cidrText, ipText, isValidIP, parseCIDR, parseIP, type CIDR, type IPAddress } from '#machinery/ip.ts';

/**
 * The protocol that marks a route as ours. No routing daemon has it in iproute2's `rt_protos`, nor the kernel in `rtnetlink.h`.
 * Source: ip-route(8), `protocol RTPROTO`.
 */
export const ROUTE_PROTOCOL = 144;

/** How the Pods of nodes reach each other: by each node's address itself, or in packets between the nodes (`vxlan-plan.ts`). */
export const POD_NETWORKS = ['routes', 'vxlan'] as const;
export type PodNetwork = (typeof POD_NETWORKS)[number];

/** What a node is among the others. */
export interface RoutePlace {
  readonly nodeName: string;
  readonly nodeIP: string;
  /** Range of all Pods of the cluster. */
  readonly clusterCIDR: string;
  /** Range of this node's Pods. */
  readonly podCIDR: string;
}
export interface PodRoute {
  /** The node whose Pods are reached. */
  readonly node: string;
  /** Its address; with `dev`, the one that it has on that link. */
  readonly via: string;
  /** The link of the route, whatever the kernel knows of `via`. Absent: the kernel's choice. */
  readonly dev?: string | undefined;
}
export interface RoutePlan {
  /** By range, in canonical text. */
  readonly routes: ReadonlyMap<string, PodRoute>;
  /** Nodes that get none, and why: a text for an event. */
  readonly refused: ReadonlyMap<string, string>;
}

/** The first IPv4 address among a node's internal ones. */
function addressOf(node: Node): string | undefined {
  return node.status?.addresses?.find((a) => a.type === 'InternalIP' && parseIP(a.address)?.version === 4 && isValidIP(a.address).length === 0)?.address;
}
/** All that a route depends on: nodes of which it is the same need the same route. */
export function routeFacts(node: Node): string {
  return `${node.spec.podCIDR ?? ''} ${addressOf(node) ?? ''}`;
}
/** Text of an event about a route that is not there. */
export function notRouted(node: string, route: string, why: string): string {
  return `No route to the Pods of node "${node}" (${route}): ${why}`;
}

/** A node without a range or an address is not yet ready for a route: no fault. */
export function planRoutes(nodes: readonly Node[], place: RoutePlace): RoutePlan {
  const routes = new Map<string, PodRoute>();
  const refused = new Map<string, string>();
  const claims: { readonly node: string; readonly range: CIDR }[] = [];
  for (const node of nodes.toSorted(byAge)) {
    const [name, text] = [nameOf(node), node.spec.podCIDR];
    if (name === place.nodeName || !text) continue;
    const range = parseCIDR(text);
    const fault = rangeFault(range, place) ?? claimFault(range!, claims);
    if (range && fault === undefined) claims.push({ node: name, range });
    const via = addressOf(node);
    const why = fault ?? (via === undefined ? undefined : addressFault(parseIP(via)!, place));
    if (why !== undefined) refused.set(name, notRouted(name, text, why));
    else if (via !== undefined) routes.set(cidrText(range!), { node: name, via });
  }
  return { routes, refused };
}
function byAge(a: Node, b: Node): number {
  const [left, right] = [a, b].map((n) => `${n.metadata.creationTimestamp ?? ''} ${nameOf(n)}`) as [string, string];
  return left < right ? -1 : 1;
}
function rangeFault(range: CIDR | undefined, { clusterCIDR, podCIDR }: RoutePlace): string | undefined {
  if (!range || !isInside(range, parseCIDR(clusterCIDR)!)) return `its podCIDR must be a range inside of the cluster's, ${clusterCIDR}`;
  return overlap(range, parseCIDR(podCIDR)!) ? `its podCIDR must not overlap with this node's, ${podCIDR}` : undefined;
}
function claimFault(range: CIDR, claims: readonly { readonly node: string; readonly range: CIDR }[]): string | undefined {
  const older = claims.find((c) => overlap(range, c.range));
  return older && `its podCIDR overlaps with ${cidrText(older.range)} of the older node "${older.node}"`;
}
const LOOPBACK = parseCIDR('127.0.0.0/8')!;
/** Addresses that the kernel would take, but that lead back to this machine. */
function addressFault(via: IPAddress, { nodeIP, clusterCIDR }: RoutePlace): string | undefined {
  const text = ipText(via);
  if (text === nodeIP) return `its address ${text} is this node's own`;
  return cidrContains(LOOPBACK, via) || cidrContains(parseCIDR(clusterCIDR)!, via) ? `its address ${text} is none of a node's` : undefined;
}
function isInside(inner: CIDR, outer: CIDR): boolean {
  return inner.prefixLength >= outer.prefixLength && cidrContains(outer, inner.address);
}
function overlap(a: CIDR, b: CIDR): boolean {
  return cidrContains(a, b.address) || cidrContains(b, a.address);
}

/** A route as `ip -json route show` prints it. */
export interface KernelRoute {
  /** `10.244.1.0/24`; an address alone for a range of one, `default` for all. */
  readonly dst: string;
  readonly gateway?: string;
  readonly dev?: string;
}
export type RouteChange =
  | { readonly verb: 'delete'; readonly range: string }
  /** `add` leaves another's route to the same range as it is. */
  | { readonly verb: 'add' | 'replace'; readonly range: string; readonly via: string; readonly dev?: string | undefined };

/**
 * What leads from the routes of our protocol to those of the plan; removals come first. Routes outside of the cluster's range are another
 * cluster's. `anew`: routes that are right are made again, for their link may be another one now.
 */
export function routeChanges(plan: Pick<RoutePlan, 'routes'>, found: readonly KernelRoute[], clusterCIDR: string, anew = false): RouteChange[] {
  const cluster = parseCIDR(clusterCIDR)!;
  const present = new Map<string, KernelRoute>();
  for (const route of found) {
    const range = parseCIDR(route.dst.includes('/') ? route.dst : `${route.dst}/32`);
    if (range && isInside(range, cluster)) present.set(cidrText(range), route);
  }
  const gone = [...present.keys()].filter((range) => !plan.routes.has(range)).map((range) => ({ verb: 'delete', range }) as const);
  const made = Array.from(plan.routes, ([range, { via, dev }]) => ({ verb: present.has(range) ? 'replace' : 'add', range, via, dev }) as const);
  const isThere = ({ range, via, dev }: (typeof made)[number]): boolean => present.get(range)?.gateway === via && (dev === undefined || present.get(range)?.dev === dev);
  return [...gone, ...made.filter((change) => anew || !isThere(change))];
}
/** Arguments of `ip` that make a change. Source: ip-route(8). */
export function routeArguments(change: RouteChange): string[] {
  return ['-4', 'route', change.verb, change.range, ...(change.verb === 'delete' ? [] : hopArguments(change)), 'proto', String(ROUTE_PROTOCOL)];
}
function hopArguments({ via, dev }: Pick<PodRoute, 'via' | 'dev'>): string[] {
  return dev === undefined ? ['via', via] : ['via', via, 'dev', dev, 'onlink'];
}
