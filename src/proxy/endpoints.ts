/** Which endpoints of a Service take traffic on this node. Source: KEP-1669 (terminating endpoints), KEP-4444 and KEP-3015 (hints), the page "Service Internal Traffic Policy". */
import type { Endpoint, EndpointSlice } from '#api/gen/discovery-v1.ts';

export interface Target {
  readonly ip: string;
  readonly port: number;
  /** On this node. */
  readonly local: boolean;
  /** Otherwise it still serves while it ends. */
  readonly ready: boolean;
}
interface Candidate extends Target {
  readonly serving: boolean;
  readonly terminating: boolean;
  readonly zones: readonly string[];
  readonly nodes: readonly string[];
}
export interface NodeTopology {
  readonly nodeName: string;
  readonly zone: string | undefined;
}
export interface Targets {
  /** For traffic that any node may answer. */
  readonly cluster: readonly Target[];
  /** Of this node only. */
  readonly local: readonly Target[];
  /** Some endpoint anywhere takes traffic: a lack of local ones then drops instead of rejecting. */
  readonly any: boolean;
}

function candidateOf(endpoint: Endpoint, port: number, nodeName: string): Candidate | undefined {
  const ip = endpoint.addresses[0];
  if (!ip) return undefined;
  const { ready, serving, terminating } = endpoint.conditions ?? {};
  return {
    ip, port,
    local: endpoint.nodeName === nodeName,
    ready: ready ?? true,
    serving: serving ?? ready ?? true,
    terminating: terminating ?? false,
    zones: (endpoint.hints?.forZones ?? []).map((z) => z.name ?? ''),
    nodes: (endpoint.hints?.forNodes ?? []).map((n) => n.name ?? ''),
  };
}
/** The endpoints behind one port, each address once, in a fixed order. */
function candidatesOf(slices: readonly EndpointSlice[], name: string, protocol: string, nodeName: string): Candidate[] {
  const found = new Map<string, Candidate>();
  for (const slice of slices) {
    if (slice.addressType !== 'IPv4') continue;
    const port = slice.ports?.find((p) => (p.name ?? '') === name && (p.protocol ?? 'TCP') === protocol)?.port;
    if (port === undefined) continue;
    for (const endpoint of slice.endpoints ?? []) {
      const c = candidateOf(endpoint, port, nodeName);
      if (!c) continue;
      const key = `${c.ip}:${c.port}`;
      // While an address moves between slices it may be in both, for a moment: the better state counts.
      if (!found.get(key)?.ready) found.set(key, c);
    }
  }
  return [...found].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, c]) => c);
}
/** Ready ones; where there are none, those that still serve while they end. */
function usable(candidates: readonly Candidate[]): readonly Candidate[] {
  const ready = candidates.filter((c) => c.ready);
  return ready.length ? ready : candidates.filter((c) => c.serving && c.terminating);
}
/** The nearest ones by hints, as long as every endpoint has a hint and one of them is for here. */
function nearest(ready: readonly Candidate[], { nodeName, zone }: NodeTopology): readonly Candidate[] {
  if (ready.length && ready.every((c) => c.nodes.length)) {
    const here = ready.filter((c) => c.nodes.includes(nodeName));
    if (here.length) return here;
  }
  if (zone !== undefined && ready.length && ready.every((c) => c.zones.length)) {
    const here = ready.filter((c) => c.zones.includes(zone));
    if (here.length) return here;
  }
  return ready;
}

export function targetsOf(slices: readonly EndpointSlice[], portName: string, protocol: string, topology: NodeTopology): Targets {
  const all = candidatesOf(slices, portName, protocol, topology.nodeName);
  const cluster = usable(all);
  return {
    cluster: cluster.some((c) => c.ready) ? nearest(cluster, topology) : cluster,
    local: usable(all.filter((c) => c.local)),
    any: cluster.length > 0,
  };
}
/** How many Pods of this node a load balancer may count on, given the targets of a Service's ports. Those that end get no new connections from it. */
export function readyHere(targets: ReadonlyMap<string, Targets>): number {
  return new Set(Array.from(targets.values()).flatMap((t) => t.local.filter((e) => e.ready).map((e) => e.ip))).size;
}
