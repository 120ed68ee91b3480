/** What all Pods of the node may use together, as the kernel is told. Source: tasks/administer-cluster/reserve-compute-resources. */
import { readFile } from 'node:fs/promises';
import { parseQuantity } from '#machinery/quantity.ts';
import { reservedResources, type KubeletConfig } from '../config.ts';
import type { HostFacts } from './host-facts.ts';

export interface NodeAllocatable {
  readonly cpuMillis: number;
  readonly memoryBytes: number;
  readonly pids: number;
}
/** The node without what is reserved. What eviction thresholds leave alone is not taken off: Pods may use it, at the risk of being evicted. */
export function nodeAllocatable(config: KubeletConfig, host: Pick<HostFacts, 'cpus' | 'memoryBytes'>, maxPids: number): NodeAllocatable {
  const reserved = reservedResources(config);
  const amount = (name: string, milli = false): number => (reserved[name] === undefined ? 0 : Number(milli ? parseQuantity(reserved[name]).milliValue() : parseQuantity(reserved[name]).value()));
  return {
    cpuMillis: Math.max(0, host.cpus * 1000 - amount('cpu', true)),
    memoryBytes: Math.max(0, host.memoryBytes - amount('memory')),
    pids: Math.max(0, maxPids - amount('pid')),
  };
}
/** The most processes that the machine can have. */
export async function readMaxPids(): Promise<number> {
  const read = async (name: string): Promise<number> => Number(await readFile(`/proc/sys/kernel/${name}`, 'utf8'));
  return Math.min(await read('pid_max'), await read('threads-max'));
}
