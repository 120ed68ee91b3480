/** `reservedMemory`: which NUMA nodes bear what is kept from Pods. Messages as upstream's. Source: tasks/administer-cluster/memory-manager. */
import { parseQuantity, quantityOf, type Quantity } from '#machinery/quantity.ts';
import { reservedResources, type KubeletConfig } from '../config.ts';
import { parseThresholds, thresholdAmount } from '../eviction/pressure.ts';
import type { NumaNode } from '../node/machine-topology.ts';
import type { MemoryRequests } from './machine-state.ts';

export interface MemoryReservation {
  readonly numaNode: number;
  /** `memory`, `hugepages-1Gi`. */
  readonly limits: Readonly<Record<string, string>>;
}

type Kept = Pick<KubeletConfig, 'systemReserved' | 'kubeReserved' | 'reservedSystemCPUs' | 'evictionHard'>;

/** Bytes by node and resource. Throws an Error where the sum over the nodes is not what the node as a whole keeps. `capacityBytes`: the machine's memory. */
export function reservedByNode(config: Kept & Pick<KubeletConfig, 'reservedMemory'>, nodes: readonly NumaNode[], capacityBytes: number): ReadonlyMap<number, MemoryRequests> {
  const kept = keptMemory(config, capacityBytes);
  const sums = new Map<string, Quantity>();
  const out = new Map(nodes.map(({ id }) => [id, new Map<string, number>()]));
  for (const { numaNode, limits } of config.reservedMemory) {
    const of = out.get(numaNode);
    if (!of) throw new Error(`the reserved memory configuration references a NUMA node ${numaNode} that does not exist on this machine`);
    for (const [resource, text] of Object.entries(limits)) {
      of.set(resource, Number(parseQuantity(text).value()));
      sums.set(resource, (sums.get(resource) ?? parseQuantity('0')).add(parseQuantity(text)));
    }
  }
  for (const resource of [...new Set([...sums.keys(), 'memory'])].toSorted()) {
    const sum = sums.get(resource) ?? parseQuantity('0');
    const all = resource === 'memory' ? kept : parseQuantity('0');
    if (sum.cmp(all) !== 0) throw new Error(`the total amount "${sum.toString()}" of type "${resource}" is not equal to the value "${all.toString()}" determined by Node Allocatable feature`);
  }
  if (![...out.values()].some((of) => (of.get('memory') ?? 0) > 0)) throw new Error('[memorymanager] you should specify the system reserved memory');
  return out;
}
/** Reserved for the machine and Kubernetes, and left alone by the hard eviction threshold. */
function keptMemory(config: Kept, capacityBytes: number): Quantity {
  const threshold = parseThresholds(config.evictionHard).find((t) => t.signal === 'memory.available');
  const reserved = parseQuantity(reservedResources(config)['memory'] ?? '0');
  if (!threshold) return reserved;
  return reserved.add(threshold.value.endsWith('%') ? quantityOf(thresholdAmount(threshold, capacityBytes), 'BinarySI') : parseQuantity(threshold.value));
}
