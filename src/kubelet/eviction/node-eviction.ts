/** Eviction as a node's configuration has it: its thresholds, and where what they bound is measured. */
import type { ContainerRuntime } from '#cri/client.ts';
import type { CgroupHierarchy } from '../cgroups/hierarchy.ts';
import type { KubeletConfig } from '../config.ts';
import type { CgroupManager } from '../interfaces.ts';
import { cgroupUse } from '../stats/cgroup-use.ts';
import { localUse, podUses } from '../stats/pod-use.ts';
import { EvictionManager, type EvictionOptions } from './eviction-manager.ts';
import { allocatableThresholds, observe, parseThresholds, type Observation } from './pressure.ts';

const INTERVAL_MS = 10_000;

export interface NodeEvictionOptions extends Pick<EvictionOptions, 'clock' | 'recorder' | 'ended' | 'onEviction' | 'activePods' | 'endPod' | 'reclaimDisk' | 'onPressure'> {
  readonly config: KubeletConfig;
  readonly runtime: ContainerRuntime;
  readonly hierarchy: CgroupHierarchy;
  readonly cgroups: CgroupManager;
  /** Where the runtime keeps images, once it has said so. */
  imageDir(): string | undefined;
}

export function newNodeEviction(options: NodeEvictionOptions): EvictionManager {
  const { config, runtime, hierarchy, cgroups } = options;
  const hard = parseThresholds(config.evictionHard, {}, config.evictionMinimumReclaim);
  return new EvictionManager({
    ...options, nodeName: config.nodeName, intervalMs: INTERVAL_MS, transitionMs: config.evictionPressureTransitionMs, maxPodGraceSeconds: config.evictionMaxPodGraceSeconds,
    thresholds: [...hard, ...parseThresholds(config.evictionSoft, config.evictionSoftGracePeriodMs, config.evictionMinimumReclaim), ...allocatableThresholds(hard)],
    observe: async () => observe(config.rootDir, options.imageDir(), await memoryOfPods(options)),
    usage: (pods, signal) => podUses(runtime, config, pods, async (pod) => Number(await hierarchy.read('pids', cgroups.pathOf?.(pod) ?? '', 'pids.current')), signal),
    localUse: (pod, signal) => localUse(runtime, config, pod, signal),
  });
}
/** What all Pods together have left of the memory that bounds them; undefined where it is not bounded. */
async function memoryOfPods({ config, hierarchy, cgroups }: NodeEvictionOptions): Promise<Observation | undefined> {
  const [group] = config.enforceNodeAllocatable.includes('pods') ? (cgroups.groups ?? []) : [];
  const use = group === undefined ? undefined : await cgroupUse(hierarchy, group);
  return use?.memoryLimitBytes === undefined ? undefined : { available: use.memoryLimitBytes - use.workingSetBytes, capacity: use.memoryLimitBytes };
}
