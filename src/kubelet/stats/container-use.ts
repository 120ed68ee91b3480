/**
 * CPU, memory and swap of containers as the kernel tells them, in the form of the runtime's answer. The runtime itself asks a process beside each container
 * for that, one after the other: on a busy node that takes longer than whoever scales by it waits.
 */
import type { Clock } from '#base/clock.ts';
import type { ContainerStats } from '#cri/types.ts';
import type { CgroupHierarchy } from '../cgroups/hierarchy.ts';
import { cgroupUse } from './cgroup-use.ts';
import { CpuRate } from './cpu-rate.ts';

export class ContainerUseMeter {
  readonly #clock: Clock;
  readonly #hierarchy: CgroupHierarchy;
  readonly #rates = new Map<string, CpuRate>();

  constructor(clock: Clock, hierarchy: CgroupHierarchy) {
    this.#clock = clock;
    this.#hierarchy = hierarchy;
  }
  /** Undefined where there is no such group. */
  async read(id: string, cgroup: string): Promise<ContainerStats | undefined> {
    const use = await cgroupUse(this.#hierarchy, cgroup);
    if (!use) return undefined;
    const rate = this.#rates.get(id) ?? new CpuRate(this.#clock);
    this.#rates.set(id, rate);
    const cpuNanoSeconds = Math.round(use.cpuSeconds * 1e9);
    const timestamp = this.#clock.now() * 1e6;
    const nanoCores = rate.read(cpuNanoSeconds);
    return {
      cpu: { timestamp, usageCoreNanoSeconds: { value: cpuNanoSeconds }, ...(nanoCores === undefined ? {} : { usageNanoCores: { value: nanoCores } }) },
      memory: {
        timestamp, usageBytes: { value: use.memoryBytes }, workingSetBytes: { value: use.workingSetBytes }, rssBytes: { value: use.rssBytes }, pageFaults: { value: use.pageFaults }, majorPageFaults: { value: use.majorPageFaults },
      },
      swap: { timestamp, swapUsageBytes: { value: use.swapBytes }, ...(use.swapLimitBytes === undefined ? {} : { swapAvailableBytes: { value: Math.max(0, use.swapLimitBytes - use.swapBytes) } }) },
    };
  }
  /** Forgets all containers but these. */
  keep(ids: ReadonlySet<string>): void {
    for (const id of this.#rates.keys()) if (!ids.has(id)) this.#rates.delete(id);
  }
}
