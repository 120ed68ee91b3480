/** Statistics of a node with its Pods: what the kubelet knows of them, for `/stats/summary` and the metrics. */
import { uptime } from 'node:os';
import type { Pod } from '#api/gen/core-v1.ts';
import type { Clock } from '#base/clock.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import type { CgroupHierarchy } from '../cgroups/hierarchy.ts';
import type { CgroupManager } from '../interfaces.ts';
import type { HostFacts } from '../node/host-facts.ts';
import type { KubeletConfig } from '../config.ts';
import { isHostNetwork } from '../pods/containers.ts';
import { podLogDir } from '../pods/paths.ts';
import type { RuntimeCache } from '../runtime/runtime-cache.ts';
import { cadvisorMetrics, type CadvisorOptions } from './cadvisor.ts';
import { ContainerUseMeter } from './container-use.ts';
import { NodeUseMeter } from './node-use.ts';
import { newStats, type StatsOptions, type StatsProvider } from './stats.ts';
import { summaryOf, type PlacedPod, type SummaryOptions } from './summary.ts';
import type { VolumeStats } from './volume-stats.ts';

export interface NodeStatsOptions extends Pick<StatsOptions, 'counted'> {
  readonly volumes: VolumeStats;
  readonly config: KubeletConfig;
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
  const { clock, runtime, cache, hierarchy, nodeName, counted, volumes, config, cgroups } = options;
  const meter = new NodeUseMeter(clock);
  const bootTimeMs = (): number => clock.now() - uptime() * 1000;
  const containerCgroup = (podPath: string, id: string): string => cgroups.containerPath?.(podPath, id) ?? '';
  const pods = (): PlacedPod[] => cache.uids().flatMap((uid) => {
    const [pod, known] = [cache.get(uid), options.podOf(uid)];
    if (!pod || !known) return [];
    const diskVolumes = (known.spec.volumes ?? []).flatMap((v) => (v.emptyDir && !v.emptyDir.medium ? [v.name] : []));
    return [{ pod, cgroup: cgroups.pathOf?.(known), hostNetwork: isHostNetwork(known), logDir: podLogDir(config, known), diskVolumes }];
  });
  const summary: SummaryOptions = { runtime, clock, nodeName, bootTimeMs: bootTimeMs(), meter, containers: new ContainerUseMeter(clock, hierarchy), hierarchy, volumes, rootDir: config.rootDir, allPods: cgroups.groups?.[0], pods, containerCgroup };
  return newStats({
    runtime, nodeName, counted, volumes, summary: (onlyCpuAndMemory, signal) => summaryOf(summary, onlyCpuAndMemory, signal), counts: () => ({ pods: cache.uids().length, containers: options.running() }),
    cadvisor: (layers) => cadvisorMetrics({
      hierarchy, layers, host: options.host(), cores: options.cores(), bootTimeMs: bootTimeMs(), nowMs: clock.now(), pods: pods().flatMap((p) => (p.cgroup === undefined ? [] : [{ ...p, cgroup: p.cgroup }])),
      groups: ['/', ...(cgroups.groups ?? [])], containerCgroup,
    }),
  });
}
