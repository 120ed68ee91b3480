/** Subsets of an Endpoints object: packed, sorted and cut to its capacity. Pure. */
import type { EndpointAddress, EndpointPort, EndpointSubset } from '#api/gen/core-v1.ts';
import { parseIP } from '#machinery/ip.ts';

/** Addresses that an Endpoints object holds at most. */
export const MAX_ADDRESSES = 1000;

/** One address behind one port; no port for a Service without any. */
export interface AddressAt {
  readonly address: EndpointAddress;
  readonly ready: boolean;
  readonly port: EndpointPort | undefined;
}

function compareIPs(a: EndpointAddress, b: EndpointAddress): number {
  const [x, y] = [parseIP(a.ip), parseIP(b.ip)];
  if (!x || !y || x.bits === y.bits) return (a.targetRef?.uid ?? '') < (b.targetRef?.uid ?? '') ? -1 : 1;
  return x.bits < y.bits ? -1 : 1;
}
const addressKey = ({ ip, hostname, nodeName, targetRef }: EndpointAddress): string => JSON.stringify([ip, hostname, nodeName, targetRef?.uid, targetRef?.name]);
const portKey = (p: EndpointPort | undefined): string => JSON.stringify(p && [p.name ?? '', p.protocol ?? 'TCP', p.port, p.appProtocol ?? '']);

/** Ports that have the very same addresses share a subset. An address that is both ready and not counts as ready. */
export function packSubsets(all: readonly AddressAt[]): EndpointSubset[] {
  const byPort = new Map<string, { port: EndpointPort | undefined; addresses: Map<string, { address: EndpointAddress; ready: boolean }> }>();
  for (const { address, ready, port } of all) {
    const entry = byPort.get(portKey(port)) ?? { port, addresses: new Map() };
    byPort.set(portKey(port), entry);
    const known = entry.addresses.get(addressKey(address));
    entry.addresses.set(addressKey(address), { address, ready: ready || known?.ready === true });
  }
  const groups = Map.groupBy(byPort.values(), ({ addresses }) => Array.from(addresses, ([key, { ready }]) => `${key}${ready}`).toSorted().join());
  const subsets = Array.from(groups.values(), (group): EndpointSubset => {
    const addresses = [...group[0]!.addresses.values()];
    const pick = (ready: boolean) => addresses.filter((a) => a.ready === ready).map((a) => a.address).toSorted(compareIPs);
    const ports = group.flatMap((g) => g.port ?? []).toSorted((a, b) => (portKey(a) < portKey(b) ? -1 : 1));
    const [ready, notReady] = [pick(true), pick(false)];
    return { ...(ready.length ? { addresses: ready } : {}), ...(notReady.length ? { notReadyAddresses: notReady } : {}), ...(ports.length ? { ports } : {}) };
  });
  return subsets.toSorted((a, b) => (JSON.stringify(a.ports ?? []) < JSON.stringify(b.ports ?? []) ? -1 : 1));
}

/** Cuts to {@link MAX_ADDRESSES}, those that are not ready first, each subset by its share. Says whether anything was cut. */
export function truncateSubsets(subsets: readonly EndpointSubset[], capacity = MAX_ADDRESSES): { subsets: EndpointSubset[]; truncated: boolean } {
  const count = (pick: (s: EndpointSubset) => readonly unknown[] | undefined) => subsets.reduce((sum, s) => sum + (pick(s)?.length ?? 0), 0);
  const ready = count((s) => s.addresses);
  const notReady = count((s) => s.notReadyAddresses);
  if (ready + notReady <= capacity) return { subsets: [...subsets], truncated: false };
  const cutReady = ready > capacity;
  const [max, total] = cutReady ? [capacity, ready] : [capacity - ready, notReady];
  let left = max;
  const cut = subsets.map((subset): EndpointSubset => {
    const { addresses = [], notReadyAddresses = [], ports } = subset;
    const list = cutReady ? addresses : notReadyAddresses;
    const share = Math.min(left, Math.round((list.length / total) * max));
    left -= share;
    const kept = list.slice(0, share);
    const next = cutReady ? { addresses: kept, notReadyAddresses: [] } : { addresses, notReadyAddresses: kept };
    return { ...(next.addresses.length ? { addresses: next.addresses } : {}), ...(next.notReadyAddresses.length ? { notReadyAddresses: next.notReadyAddresses } : {}), ...(ports ? { ports } : {}) };
  });
  return { subsets: cut.filter((s) => s.addresses?.length || s.notReadyAddresses?.length), truncated: true };
}
