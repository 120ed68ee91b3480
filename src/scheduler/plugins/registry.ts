/** The default profile: the plugins in the order they run, and their weights in scoring. */
import type { FrameworkHandle } from '../framework/handle.ts';
import type { Plugin, WeightedPlugin } from '../framework/plugin.ts';
import { newNodeName } from './node-name.ts';
import { newNodeResourcesFit } from './node-resources-fit.ts';
import { newNodeUnschedulable } from './node-unschedulable.ts';
import { newSchedulingGates } from './scheduling-gates.ts';
import { newTaintToleration } from './taint-toleration.ts';

export function defaultPlugins(_handle: FrameworkHandle): WeightedPlugin[] {
  const row = (plugin: Plugin, weight = 0): WeightedPlugin => ({ plugin, weight });
  return [
    row(newSchedulingGates()),
    row(newNodeUnschedulable()),
    row(newNodeName()),
    row(newTaintToleration(), 3),
    row(newNodeResourcesFit(), 1),
  ];
}
