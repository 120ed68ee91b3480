/** The weights behind preferred inter-Pod affinity. */
import type { Snapshot } from '../cache/snapshot.ts';
import { StateKey } from '../framework/cycle-state.ts';
import type { NodeInfo } from '../framework/node-info.ts';
import { TermMatches, termMatchesGroup, type AffinityTerm, type NamespaceLabels, type PodInfo } from '../framework/pod-info.ts';

/** Weight by topology key, then by its value. */
export type AffinityScores = ReadonlyMap<string, ReadonlyMap<string, number>>;
export const AFFINITY_SCORE = new StateKey<AffinityScores>('InterPodAffinity/score');
/** What the required affinity of a Pod that is there weighs for the one that comes. */
const HARD_POD_AFFINITY_WEIGHT = 1;

export function affinityScores(info: PodInfo, snapshot: Snapshot, labels: NamespaceLabels): AffinityScores {
  const scores = new Map<string, Map<string, number>>();
  const onIncoming = new TermMatches(info.group, labels);
  const add = (term: AffinityTerm, target: PodInfo, node: NodeInfo, weight: number): void => {
    const value = node.label(term.topologyKey);
    if (value === undefined || !(target === info ? onIncoming.has(term) : termMatchesGroup(term, target.group, labels))) return;
    const values = scores.get(term.topologyKey) ?? new Map<string, number>();
    scores.set(term.topologyKey, values.set(value, (values.get(value) ?? 0) + weight));
  };
  const { preferredAffinity, preferredAntiAffinity } = info.terms;
  const hasPreferences = preferredAffinity.length > 0 || preferredAntiAffinity.length > 0;
  for (const node of hasPreferences ? snapshot.nodes : snapshot.nodesWithScoringTerms) {
    if (!node.node) continue;
    for (const other of (hasPreferences ? node.pods : node.podsWithScoringTerms).values()) {
      for (const term of preferredAffinity) add(term, other, node, term.weight);
      for (const term of preferredAntiAffinity) add(term, other, node, -term.weight);
      for (const term of other.terms.requiredAffinity) add(term, info, node, HARD_POD_AFFINITY_WEIGHT);
      for (const term of other.terms.preferredAffinity) add(term, info, node, term.weight);
      for (const term of other.terms.preferredAntiAffinity) add(term, info, node, -term.weight);
    }
  }
  return scores;
}
