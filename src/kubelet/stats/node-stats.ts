/** Statistics of a node with its Pods: what the kubelet knows of them, for `/stats/summary` and the metrics. */
import { uptime } from 'node:os';
import type { Pod } from '#api/gen/core-v1.ts';
import type { Clock } from '#base/clock.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import type { CgroupHierarchy } from '../cgroups/hierarchy.ts';
import type { CgroupManager } from '../interfaces.ts';
import type { HostFacts } from '../node/host-facts.ts';
import { isHostNetwork } from '../pods/containers.ts';
import type { RuntimeCache } from '../runtime/runtime-cache.ts';
import { cadvisorMetrics, type CadvisorOptions } from './cadvisor.ts';
import { newStats, type StatsOptions, type StatsProvider } from './stats.ts';

export interface NodeStatsOptions extends Pick<StatsOptions, 'counted' | 'volumes'> {
  readonly clock: Clock;
  readonly runtime: ContainerRuntime;
  readonly cache: RuntimeCache;
  readonly hierarchy: CgroupHierarchy;
  readonly cgroups: CgroupManager;
  readonly nodeName: string;
  host(): HostFacts;
  cores(): CadvisorOptions['cores'];
  podOf(uid: string): Pod | undefined;
  /** How many containers run. */
  running(): number;
}

export function newNodeStats(options: NodeStatsOptions): StatsProvider {
  const { clock, runtime, cache, hierarchy, nodeName, counted, volumes } = options;
  const bootTimeMs = (): number => clock.now() - uptime() * 1000;
  const pods = (): CadvisorOptions['pods'] => cache.uids().flatMap((uid) => {
    const { pathOf } = options.cgroups;
    const [pod, known] = [cache.get(uid), options.podOf(uid)];
    return pod && known && pathOf ? [{ pod, cgroup: pathOf(known), hostNetwork: isHostNetwork(known) }] : [];
  });
  return newStats({
    runtime, clock, nodeName, bootTimeMs: bootTimeMs(), counted, volumes, counts: () => ({ pods: cache.uids().length, containers: options.running() }),
    cadvisor: (layers) => cadvisorMetrics({
      hierarchy, layers, host: options.host(), cores: options.cores(), bootTimeMs: bootTimeMs(), nowMs: clock.now(), pods: pods(),
      groups: ['/', ...(options.cgroups.groups ?? [])], containerCgroup: (podPath, id) => options.cgroups.containerPath?.(podPath, id) ?? '',
    }),
  });
}
