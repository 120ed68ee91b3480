/** The default profile: the plugins in the order they run, and their weights in scoring. */
import type { FrameworkHandle } from '../framework/handle.ts';
import type { Plugin, WeightedPlugin } from '../framework/plugin.ts';
import { newDefaultPreemption } from './default-preemption.ts';
import { newDynamicResources } from './dynamic-resources.ts';
import { newImageLocality } from './image-locality.ts';
import { newInterPodAffinity } from './inter-pod-affinity.ts';
import { newNodeAffinity } from './node-affinity.ts';
import { newNodeDeclaredFeatures } from './node-declared-features.ts';
import { newNodeName } from './node-name.ts';
import { newNodePorts } from './node-ports.ts';
import { newNodeResourcesBalancedAllocation } from './node-resources-balanced-allocation.ts';
import { newNodeResourcesFit } from './node-resources-fit.ts';
import { newNodeUnschedulable } from './node-unschedulable.ts';
import { newNodeVolumeLimits } from './node-volume-limits.ts';
import { newPodTopologySpread } from './pod-topology-spread.ts';
import { newSchedulingGates } from './scheduling-gates.ts';
import { newTaintToleration } from './taint-toleration.ts';
import { newVolumeBinding } from './volume-binding.ts';
import { newVolumeRestrictions } from './volume-restrictions.ts';
import { newVolumeZone } from './volume-zone.ts';

export function defaultPlugins(handle: FrameworkHandle): WeightedPlugin[] {
  const row = (plugin: Plugin, weight = 0): WeightedPlugin => ({ plugin, weight });
  return [
    row(newSchedulingGates()),
    row(newNodeUnschedulable()),
    row(newNodeName()),
    row(newTaintToleration(), 3),
    row(newNodeAffinity(), 2),
    row(newNodePorts()),
    row(newNodeResourcesFit(handle), 1),
    row(newVolumeRestrictions(handle)),
    row(newNodeVolumeLimits(handle)),
    row(newVolumeBinding(handle)),
    row(newVolumeZone(handle)),
    row(newPodTopologySpread(handle), 2),
    row(newInterPodAffinity(handle), 2),
    row(newDynamicResources(handle), 2),
    row(newDefaultPreemption(handle)),
    row(newNodeResourcesBalancedAllocation(), 1),
    row(newImageLocality(handle), 1),
    row(newNodeDeclaredFeatures()),
  ];
}
