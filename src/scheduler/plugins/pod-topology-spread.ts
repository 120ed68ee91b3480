/** Spreads Pods that are alike over zones, nodes and other domains (KEP-895). */
import type { Pod, TopologySpreadConstraint } from '#api/gen/core-v1.ts';
import { namespaceOf } from '#api/object.ts';
import { LabelMatcher } from '#machinery/selectors.ts';
import type { CycleState } from '../framework/cycle-state.ts';
import type { FrameworkHandle } from '../framework/handle.ts';
import type { Plugin } from '../framework/plugin.ts';
import { matcher } from '../framework/pod-info.ts';
import { skip, unresolvable, unschedulable } from '../framework/status.ts';
import { defaultSelector } from './default-selector.ts';
import { requiredNodeAffinity } from '#machinery/node-selector.ts';
import { HOSTNAME, type Spread } from './pod-topology-spread-count.ts';
import { SpreadFilterState, SPREAD_FILTER } from './pod-topology-spread-filter.ts';
import { newSpreadScoreState, normalizeSpread, SPREAD_SCORE } from './pod-topology-spread-score.ts';
import { toleratesAll } from '#machinery/tolerations.ts';

const NAME = 'PodTopologySpread';
const SKIP = skip(NAME);
const REFUSED = unschedulable(NAME, "node(s) didn't match pod topology spread constraints");
const NO_LABEL = unresolvable(NAME, "node(s) didn't match pod topology spread constraints (missing required label)");
/** What Pods without constraints of their own get, as far as a Service or a workload gives them a selector. */
const SYSTEM_DEFAULTS: readonly TopologySpreadConstraint[] = [
  { topologyKey: HOSTNAME, maxSkew: 3, whenUnsatisfiable: 'ScheduleAnyway' },
  { topologyKey: 'topology.kubernetes.io/zone', maxSkew: 5, whenUnsatisfiable: 'ScheduleAnyway' },
];

/** With `matchLabelKeys` (KEP-3243): the Pod's own values of these labels are demanded too. */
function selectorOf(pod: Pod, { labelSelector, matchLabelKeys = [] }: TopologySpreadConstraint): LabelMatcher {
  const base = matcher(labelSelector);
  const labels = pod.metadata.labels ?? {};
  const more = matchLabelKeys.filter((key) => labels[key] !== undefined);
  if (more.length === 0 || base.nothing) return base;
  return new LabelMatcher([...base.requirements, ...more.map((key) => ({ key, operator: 'in', values: [labels[key]!] }) as const)]);
}
function compile(pod: Pod, constraints: readonly TopologySpreadConstraint[], when: TopologySpreadConstraint['whenUnsatisfiable'], selector?: LabelMatcher): Spread[] {
  const chosen = constraints.filter((c) => c.whenUnsatisfiable === when);
  if (chosen.length === 0) return [];
  const affinity = requiredNodeAffinity(pod.spec);
  return chosen.map((c) => ({
    topologyKey: c.topologyKey, maxSkew: c.maxSkew, minDomains: c.minDomains ?? 1, selector: selector ?? selectorOf(pod, c),
    includes: (node) =>
      (c.nodeAffinityPolicy === 'Ignore' || !affinity || affinity(node)) && (c.nodeTaintsPolicy !== 'Honor' || toleratesAll(pod.spec.tolerations, node.spec.taints)),
  }));
}
function isAlike(pod: Pod, other: Pod): boolean {
  return namespaceOf(pod) === namespaceOf(other) && compile(pod, pod.spec.topologySpreadConstraints ?? [], 'DoNotSchedule').some((s) => s.selector.matches(other.metadata.labels));
}

export function newPodTopologySpread(handle: Pick<FrameworkHandle, 'listers' | 'snapshot'>): Plugin {
  const filterState = (state: CycleState) => state.get(SPREAD_FILTER)!;
  const softSpreads = (pod: Pod): { spreads: Spread[]; own: boolean } => {
    const own = pod.spec.topologySpreadConstraints ?? [];
    if (own.length > 0) return { spreads: compile(pod, own, 'ScheduleAnyway'), own: true };
    const selector = defaultSelector(pod, handle.listers);
    return { spreads: selector ? compile(pod, SYSTEM_DEFAULTS, 'ScheduleAnyway', selector) : [], own: false };
  };
  return {
    name: NAME,
    preFilter(state, info, nodes) {
      const spreads = compile(info.pod, info.pod.spec.topologySpreadConstraints ?? [], 'DoNotSchedule');
      if (spreads.length === 0) return { status: SKIP };
      state.set(SPREAD_FILTER, SpreadFilterState.of(info, spreads, nodes));
      return undefined;
    },
    filter(state, _info, node) {
      switch (filterState(state).check(node)) {
        case 'fits': return undefined;
        case 'no label': return NO_LABEL;
        case 'skewed': return REFUSED;
      }
    },
    addPod: (state, _info, added, node) => filterState(state).count(added, node, 1),
    removePod: (state, _info, removed, node) => filterState(state).count(removed, node, -1),
    preScore(state, info, nodes) {
      const { spreads, own } = softSpreads(info.pod);
      if (spreads.length === 0) return SKIP;
      state.set(SPREAD_SCORE, newSpreadScoreState(info, spreads, own, nodes, handle.snapshot().nodes));
      return undefined;
    },
    score: (state, _info, node) => state.get(SPREAD_SCORE)!.score(node),
    normalizeScores: (state, _info, nodes, scores) => normalizeSpread(state.get(SPREAD_SCORE)!, nodes, scores),
    events: () => [
      { resource: 'AssignedPod', actions: ['Add', 'Delete', 'UpdateLabel', 'Update'], hint: (pod, old, obj) => ([old, obj].some((o) => o && isAlike(pod, o as Pod)) ? 'Queue' : 'Skip') },
      {
        resource: 'Node', actions: ['Add', 'Delete', 'UpdateLabel', 'UpdateTaint'],
        hint: (pod, old, node) => ([old, node].some((n) => n && (pod.spec.topologySpreadConstraints ?? []).every((c) => n.metadata.labels?.[c.topologyKey] !== undefined)) ? 'Queue' : 'Skip'),
      },
      { resource: 'TargetPod', actions: ['UpdateLabel'] },
    ],
  };
}
