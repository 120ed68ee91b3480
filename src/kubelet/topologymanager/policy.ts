/** How strictly what a Pod asks for must lie together. Source: tasks/administer-cluster/topology-manager. */
import type { NumaNode } from '../node/machine-topology.ts';
import { hintLists, mergeHints, type Hint, type ResourceHints } from './hints.ts';
import { byNarrowness, countOf, maskOf, nodesOf, type NumaMask } from './numa-mask.ts';
import { topologyPolicyOptions, type TopologyPolicyOptions } from './policy-options.ts';

export const TOPOLOGY_POLICIES = ['none', 'best-effort', 'restricted', 'single-numa-node'] as const;
export type TopologyPolicyName = (typeof TOPOLOGY_POLICIES)[number];

/** Where the Pod, or its container, is to be; whether it may run at all. */
export interface Placement extends Hint {
  readonly admit: boolean;
}
export interface TopologyPolicy {
  readonly name: Exclude<TopologyPolicyName, 'none'>;
  /** What is let in lies on one node for sure. */
  readonly guaranteesAlignment: boolean;
  place(providers: readonly ResourceHints[]): Placement;
}

/** Throws an Error where the machine does not allow for the policy. */
export function topologyPolicy(name: Exclude<TopologyPolicyName, 'none'>, options: Readonly<Record<string, string>>, nodes: readonly NumaNode[]): TopologyPolicy {
  const chosen = topologyPolicyOptions(options);
  if (nodes.length > chosen.maxAllowableNumaNodes) throw new Error(`unsupported on machines with more than ${chosen.maxAllowableNumaNodes} NUMA Nodes`);
  const merge = { all: maskOf(nodes.map((n) => n.id)), compare: order(name, chosen, nodes) };
  return {
    name,
    guaranteesAlignment: name === 'single-numa-node',
    place(providers) {
      const lists = hintLists(providers);
      if (name !== 'single-numa-node') {
        const hint = mergeHints(lists, merge);
        return { ...hint, admit: name === 'best-effort' || hint.preferred };
      }
      const hint = mergeHints(lists.map((list) => list.filter((h) => h.preferred && (h.nodes === undefined || countOf(h.nodes) === 1))), merge);
      // All nodes are no place in particular.
      return { nodes: hint.nodes === merge.all ? undefined : hint.nodes, preferred: hint.preferred, admit: hint.preferred };
    },
  };
}
function order(name: TopologyPolicyName, { preferClosestNumaNodes }: TopologyPolicyOptions, nodes: readonly NumaNode[]): (a: NumaMask, b: NumaMask) => number {
  if (!preferClosestNumaNodes) return byNarrowness;
  if (nodes.some((n) => n.distances === undefined)) throw new Error('cannot discover NUMA topology: the distances between NUMA nodes are not known');
  if (name === 'single-numa-node') return byNarrowness;
  // The kernel lists distances by the nodes that are there, whatever their numbers.
  const at = new Map(nodes.map((n, i) => [n.id, i]));
  const average = (mask: NumaMask): number => {
    const of = nodesOf(mask);
    let sum = 0;
    for (const a of of) for (const b of of) sum += nodes[at.get(a)!]!.distances![at.get(b)!] ?? 0;
    return sum / of.length ** 2;
  };
  return (a, b) => countOf(a) - countOf(b) || average(a) - average(b) || byNarrowness(a, b);
}
