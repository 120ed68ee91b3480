/** Affinity and anti-affinity between Pods. Source: the API reference, "Inter-pod affinity and anti-affinity"; KEP-2249 (namespace selectors). */
import type { Node, Pod } from '#api/gen/core-v1.ts';
import type { CycleState } from '../framework/cycle-state.ts';
import type { FrameworkHandle } from '../framework/handle.ts';
import { MAX_NODE_SCORE, type Plugin } from '../framework/plugin.ts';
import { PodInfo, termMatchesGroup, type AffinityTerm, type NamespaceLabels } from '../framework/pod-info.ts';
import { skip, unresolvable, unschedulable } from '../framework/status.ts';
import { AffinityFilterState, AFFINITY_FILTER } from './inter-pod-affinity-filter.ts';
import { affinityScores, AFFINITY_SCORE } from './inter-pod-affinity-score.ts';

const NAME = 'InterPodAffinity';
const SKIP = skip(NAME);
const REFUSALS = {
  affinity: unresolvable(NAME, "node(s) didn't match pod affinity rules"),
  'anti-affinity': unschedulable(NAME, "node(s) didn't match pod anti-affinity rules"),
  'existing anti-affinity': unschedulable(NAME, "node(s) didn't satisfy existing pods anti-affinity rules"),
} as const;

/** May it help `pod` that `other` has come, gone or changed? */
function concerns(pod: Pod, other: Pod, labels: NamespaceLabels): boolean {
  const [mine, theirs] = [PodInfo.of(pod), PodInfo.of(other)];
  const hits = (terms: readonly AffinityTerm[], target: PodInfo) => terms.some((t) => termMatchesGroup(t, target.group, labels));
  return hits(mine.terms.requiredAffinity, theirs) || hits(mine.terms.requiredAntiAffinity, theirs) || hits(theirs.terms.requiredAntiAffinity, mine);
}
function hasKeys(pod: Pod, node: Node): boolean {
  const { requiredAffinity, requiredAntiAffinity } = PodInfo.of(pod).terms;
  const labels = node.metadata.labels ?? {};
  return requiredAffinity.every((t) => labels[t.topologyKey] !== undefined) || requiredAntiAffinity.some((t) => labels[t.topologyKey] !== undefined);
}

export function newInterPodAffinity(handle: Pick<FrameworkHandle, 'listers' | 'snapshot'>): Plugin {
  const labels: NamespaceLabels = (namespace) => handle.listers.namespaces.get('', namespace)?.metadata.labels;
  const filterState = (state: CycleState) => state.get(AFFINITY_FILTER)!;
  return {
    name: NAME,
    preFilter(state, info, nodes) {
      const computed = AffinityFilterState.of(info, nodes, handle.snapshot().nodesWithRequiredAntiAffinity, labels);
      if (computed.idle) return { status: SKIP };
      state.set(AFFINITY_FILTER, computed);
      return undefined;
    },
    filter(state, info, node) {
      const refusal = filterState(state).check(info, node);
      return refusal && REFUSALS[refusal];
    },
    addPod: (state, info, added, node) => filterState(state).count(info, added, node, 1),
    removePod: (state, info, removed, node) => filterState(state).count(info, removed, node, -1),
    preScore(state, info) {
      const scores = affinityScores(info, handle.snapshot(), labels);
      if (scores.size === 0) return SKIP;
      state.set(AFFINITY_SCORE, scores);
      return undefined;
    },
    score(state, _info, node) {
      let score = 0;
      for (const [key, values] of state.get(AFFINITY_SCORE)!) {
        const value = node.label(key);
        if (value !== undefined) score += values.get(value) ?? 0;
      }
      return score;
    },
    normalizeScores(_state, _info, _nodes, scores) {
      const min = Math.min(...scores);
      const range = Math.max(...scores) - min;
      for (let i = 0; i < scores.length; i++) scores[i] = range > 0 ? Math.trunc((MAX_NODE_SCORE * (scores[i]! - min)) / range) : 0;
    },
    events: () => [
      { resource: 'AssignedPod', actions: ['Add', 'Delete', 'UpdateLabel'], hint: (pod, old, obj) => ([old, obj].some((o) => o && concerns(pod, o as Pod, labels)) ? 'Queue' : 'Skip') },
      { resource: 'Node', actions: ['Add', 'UpdateLabel'], hint: (pod, _old, node) => (hasKeys(pod, node as Node) ? 'Queue' : 'Skip') },
      { resource: 'TargetPod', actions: ['UpdateLabel'] },
      { resource: 'Namespace', actions: ['Add', 'Update'] },
    ],
  };
}
