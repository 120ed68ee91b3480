/** Devices by the NUMA nodes that they are near. Source: KEP-693 and concepts/extend-kubernetes/compute-storage-net/device-plugins#device-plugin-integration-with-the-topology-manager. */
import type { Hint } from '../topologymanager/hints.ts';
import { countOf, maskOf, masksOver, nodesOf, type NumaMask } from '../topologymanager/numa-mask.ts';
import type { Device } from './types.ts';

type Devices = ReadonlyMap<string, Pick<Device, 'ID' | 'topology'>>;

/** The nodes of a device; none where its plugin did not tell. */
function near(device: Pick<Device, 'topology'> | undefined): NumaMask {
  return maskOf((device?.topology?.nodes ?? []).map((n) => Number(n.ID)).filter((id) => id >= 0));
}
/** It matters where devices of this resource are: some say so. */
export function hasTopology(devices: Devices): boolean {
  return [...devices.values()].some((d) => near(d) !== 0n);
}
export interface DeviceRequest {
  /** All of the resource. */
  readonly devices: Devices;
  readonly available: ReadonlySet<string>;
  /** Those that must be among them. */
  readonly reusable: ReadonlySet<string>;
  readonly count: number;
  /** Every node of the machine. */
  readonly nodes: readonly number[];
}
/**
 * Sets of NUMA nodes near which as many devices can be had; preferred are those of as few nodes as would be enough if every device was free.
 * Nodes without devices of the resource make no difference, and are left out.
 */
export function deviceHints({ devices, available, reusable, count, nodes }: DeviceRequest): Hint[] {
  const known = maskOf(nodes);
  const bearing = nodesOf([...devices.values()].reduce((mask, d) => mask | (near(d) & known), 0n));
  const ids = bearing.length > 0 ? bearing : nodes;
  const masksOf = (set: Iterable<string>): NumaMask[] => Array.from(set, (id) => near(devices.get(id)));
  const [all, free, reused] = [masksOf(devices.keys()), masksOf(available), masksOf(reusable).filter((m) => m !== 0n)];
  const touching = (of: readonly NumaMask[], mask: NumaMask): number => of.filter((m) => (m & mask) !== 0n).length;
  const masks = masksOver(ids);
  const fewest = Math.min(ids.length, ...masks.filter((m) => touching(all, m) >= count).map(countOf));
  const possible = masks.filter((m) => touching(reused, m) === reused.length && touching(free, m) + reused.length >= count);
  return possible.map((m) => ({ nodes: m, preferred: countOf(m) === fewest }));
}
/** Devices near these nodes, those near others only, and those that are near none. */
export function byAffinity(devices: Devices, ids: ReadonlySet<string>, nodes: NumaMask | undefined): { readonly aligned: ReadonlySet<string>; readonly others: readonly string[] } {
  if (nodes === undefined || !hasTopology(devices)) return { aligned: new Set(), others: [...ids] };
  const of = (test: (mask: NumaMask) => boolean): string[] => [...ids].filter((id) => test(near(devices.get(id))));
  return { aligned: new Set(of((m) => (m & nodes) !== 0n)), others: [...of((m) => m !== 0n && (m & nodes) === 0n), ...of((m) => m === 0n)] };
}
