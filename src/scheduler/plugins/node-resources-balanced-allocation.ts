/** Prefers nodes whose shares of cpu and memory in use would be alike. */
import type { NodeInfo } from '../framework/node-info.ts';
import { MAX_NODE_SCORE, type Plugin } from '../framework/plugin.ts';
import type { PodInfo } from '../framework/pod-info.ts';
import { skip } from '../framework/status.ts';

const NAME = 'NodeResourcesBalancedAllocation';
const SKIP = skip(NAME);

function balance(info: PodInfo, node: NodeInfo): number {
  // One resource alone is always in balance.
  if (node.allocatableMilliCPU === 0 || node.allocatableMemory === 0) return MAX_NODE_SCORE;
  const cpu = Math.min(1, (node.requestedMilliCPU + info.milliCPU) / node.allocatableMilliCPU);
  const memory = Math.min(1, (node.requestedMemory + info.memory) / node.allocatableMemory);
  // The standard deviation of two values is half of their difference.
  return Math.trunc((1 - Math.abs(cpu - memory) / 2) * MAX_NODE_SCORE);
}

export function newNodeResourcesBalancedAllocation(): Plugin {
  return {
    name: NAME,
    // Pods that ask for nothing would all end up on the node that is in balance.
    preScore: (_state, info) => (info.milliCPU === 0 && info.memory === 0 ? SKIP : undefined),
    score: (_state, info, node) => balance(info, node),
    events: () => [],
  };
}
