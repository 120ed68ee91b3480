/** Keeps Pods off nodes with taints they do not tolerate, and prefers nodes with fewer `PreferNoSchedule` taints. */
import type { Node, Taint, Toleration } from '#api/gen/core-v1.ts';
import { CycleState, StateKey } from '../framework/cycle-state.ts';
import { normalizeToMax, type Plugin } from '../framework/plugin.ts';
import { skip, unresolvable } from '../framework/status.ts';
import { toleratesAll, toleratesTaint } from '#machinery/tolerations.ts';

const NAME = 'TaintToleration';
const REFUSED = unresolvable(NAME, 'node(s) had untolerated taint(s)');
const SKIP = skip(NAME);
const PREFERENCES = new StateKey<{ readonly tolerations: readonly Toleration[] }>(NAME);

function untoleratedPreferences(taints: readonly Taint[] | undefined, state: CycleState): number {
  if (!taints) return 0;
  const tolerations = state.get(PREFERENCES)!.tolerations;
  let count = 0;
  for (const taint of taints) if (taint.effect === 'PreferNoSchedule' && !toleratesTaint(tolerations, taint)) count++;
  return count;
}

export function newTaintToleration(): Plugin {
  return {
    name: NAME,
    filter: (_state, info, node) => (toleratesAll(info.pod.spec.tolerations, node.node!.spec.taints) ? undefined : REFUSED),
    preScore(state, info, nodes) {
      if (!nodes.some((n) => n.node!.spec.taints?.some((t) => t.effect === 'PreferNoSchedule'))) return SKIP;
      state.set(PREFERENCES, { tolerations: (info.pod.spec.tolerations ?? []).filter((t) => !t.effect || t.effect === 'PreferNoSchedule') });
      return undefined;
    },
    score: (state, _info, node) => untoleratedPreferences(node.node!.spec.taints, state),
    normalizeScores: (_state, _info, _nodes, scores) => normalizeToMax(scores, true),
    events: () => [
      { resource: 'Node', actions: ['Add', 'UpdateTaint'], hint: (pod, _old, node) => (toleratesAll(pod.spec.tolerations, (node as Node).spec.taints) ? 'Queue' : 'Skip') },
      { resource: 'TargetPod', actions: ['UpdateToleration'] },
    ],
  };
}
