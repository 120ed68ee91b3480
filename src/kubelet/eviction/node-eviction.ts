/** Eviction as a node's configuration has it: its thresholds, and where what they bound is measured. */
import type { Pod } from '#api/gen/core-v1.ts';
import { uidOf } from '#api/object.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import type { CgroupHierarchy } from '../cgroups/hierarchy.ts';
import type { KubeletConfig } from '../config.ts';
import type { CgroupManager } from '../interfaces.ts';
import type { RuntimeCache } from '../runtime/runtime-cache.ts';
import { cgroupUse } from '../stats/cgroup-use.ts';
import { localUse, podUses, type PodUseSources } from '../stats/pod-use.ts';
import { EvictionManager, type EvictionOptions } from './eviction-manager.ts';
import { allocatableThresholds, observe, parseThresholds, type Observation } from './pressure.ts';

const INTERVAL_MS = 10_000;

export interface NodeEvictionOptions extends Pick<EvictionOptions, 'clock' | 'recorder' | 'ended' | 'onEviction' | 'activePods' | 'endPod' | 'reclaimDisk' | 'onPressure'> {
  readonly config: KubeletConfig;
  readonly runtime: ContainerRuntime;
  readonly cache: Pick<RuntimeCache, 'get'>;
  readonly hierarchy: CgroupHierarchy;
  readonly cgroups: CgroupManager;
  /** Where the runtime keeps images, once it has said so. */
  imageDir(): string | undefined;
}

export function newNodeEviction(options: NodeEvictionOptions): EvictionManager {
  const { config, runtime, hierarchy, cgroups } = options;
  const sources: PodUseSources = {
    runtime, config, processes: async (pod) => Number(await hierarchy.read('pids', cgroups.pathOf?.(pod) ?? '', 'pids.current')), memory: (pod) => memoryOfContainers(options, pod),
  };
  const hard = parseThresholds(config.evictionHard, {}, config.evictionMinimumReclaim);
  return new EvictionManager({
    ...options, nodeName: config.nodeName, intervalMs: INTERVAL_MS, transitionMs: config.evictionPressureTransitionMs, maxPodGraceSeconds: config.evictionMaxPodGraceSeconds,
    thresholds: [...hard, ...parseThresholds(config.evictionSoft, config.evictionSoftGracePeriodMs, config.evictionMinimumReclaim), ...allocatableThresholds(hard)],
    observe: async () => observe(config.rootDir, options.imageDir(), await memoryOfPods(options)),
    usage: (pods, resource, signal) => podUses(sources, pods, resource, signal),
    localUse: (pod, signal) => localUse(runtime, config, pod, signal),
  });
}
/** Working sets of the containers that run, by name; undefined where the Pod has no cgroups. */
async function memoryOfContainers({ hierarchy, cgroups, cache }: NodeEvictionOptions, pod: Pod): Promise<Map<string, number> | undefined> {
  const { pathOf, containerPath } = cgroups;
  if (!pathOf || !containerPath) return undefined;
  const running = cache.get(uidOf(pod))?.containers.filter((c) => c.state === 'CONTAINER_RUNNING') ?? [];
  return new Map(await Promise.all(running.map(async (c) => [c.name, (await cgroupUse(hierarchy, containerPath(pathOf(pod), c.id)))?.workingSetBytes ?? 0] as const)));
}
/** What all Pods together have left of the memory that bounds them; undefined where it is not bounded. */
async function memoryOfPods({ config, hierarchy, cgroups }: NodeEvictionOptions): Promise<Observation | undefined> {
  const [group] = config.enforceNodeAllocatable.includes('pods') ? (cgroups.groups ?? []) : [];
  const use = group === undefined ? undefined : await cgroupUse(hierarchy, group);
  return use?.memoryLimitBytes === undefined ? undefined : { available: use.memoryLimitBytes - use.workingSetBytes, capacity: use.memoryLimitBytes };
}
