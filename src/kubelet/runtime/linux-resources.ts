/** Requests and limits as the kernel's numbers. Source: the CRI's LinuxContainerResources and the kubelet's cgroup documents. */
import type { Pod, ResourceRequirements } from '#api/gen/core-v1.ts';
import type { LinuxContainerResources } from '#cri/types.ts';
import { parseQuantity, type Quantity } from '#machinery/quantity.ts';
import { oomScoreAdj } from '../pods/qos.ts';
import type { CgroupHierarchy } from '../cgroups/hierarchy.ts';
import type { AnyContainer } from '../interfaces.ts';

export const CPU_PERIOD_US = 100_000;
const MIN_QUOTA_US = 1000;
const MIN_SHARES = 2;
const MAX_SHARES = 262_144;

/** cpu.shares for a request; the least for none. */
export function sharesOf(millis: number): number {
  return millis === 0 ? MIN_SHARES : Math.min(Math.max(Math.floor((millis * 1024) / 1000), MIN_SHARES), MAX_SHARES);
}
/** Microseconds of CPU in a period for a limit; 0 (no quota) for none. */
export function quotaOf(millis: number): number {
  return millis === 0 ? 0 : Math.max(Math.floor((millis * CPU_PERIOD_US) / 1000), MIN_QUOTA_US);
}

/** What a container is given: where it has no limit of its own the Pod's holds for it (KEP-2837). */
export function effectiveResources(pod: Pod, container: AnyContainer): ResourceRequirements {
  const own = Object.entries(container.resources?.limits ?? {}).filter(([, text]) => parseQuantity(text).sign() > 0);
  return { requests: container.resources?.requests, limits: { ...pod.spec.resources?.limits, ...Object.fromEntries(own) } };
}

/** Bytes of huge pages of a size that a container may use: none unless it has a limit for them. */
function hugePageLimit(limits: Readonly<Record<string, string>> | undefined, pageSize: string): number {
  const text = limits?.[`hugepages-${pageSize.replace(/B$/, 'i')}`];
  return text === undefined ? 0 : Number(parseQuantity(text).value());
}

export type LinuxResources = Partial<LinuxContainerResources>;

export function quantities(list: Readonly<Record<string, string>> = {}): Map<string, Quantity> {
  return new Map(Object.entries(list).map(([name, text]) => [name, parseQuantity(text)]));
}
/** CPU and memory alone, from sums. Without a request the limit is one; without a limit there is none. */
export function computeResources(requests: ReadonlyMap<string, Quantity>, limits: ReadonlyMap<string, Quantity>): LinuxResources {
  const limitMillis = Number(limits.get('cpu')?.milliValue() ?? 0);
  const memory = Number(limits.get('memory')?.value() ?? 0);
  return {
    cpuShares: sharesOf(Number(requests.get('cpu')?.milliValue() ?? limitMillis)),
    cpuPeriod: CPU_PERIOD_US,
    ...(limitMillis ? { cpuQuota: quotaOf(limitMillis) } : {}),
    ...(memory ? { memoryLimitInBytes: memory } : {}),
  };
}

export function linuxResources(pod: Pod, container: AnyContainer, capacityBytes: number, cgroups: Pick<CgroupHierarchy, 'v2' | 'swap'>, hugePageSizes: readonly string[] = []): LinuxResources {
  const { requests, limits } = effectiveResources(pod, container);
  return {
    ...computeResources(quantities(requests), quantities(limits)),
    oomScoreAdj: oomScoreAdj(pod, container, capacityBytes),
    ...(hugePageSizes.length ? { hugepageLimits: hugePageSizes.map((pageSize) => ({ pageSize, limit: hugePageLimit(limits, pageSize) })) } : {}),
    // One process out of memory ends its container, so that the restart policy speaks; and nobody swaps (Kubernetes' defaults with cgroup v2).
    ...(cgroups.v2 ? { unified: { 'memory.oom.group': '1', ...(cgroups.swap ? { 'memory.swap.max': '0' } : {}) } } : {}),
  };
}
