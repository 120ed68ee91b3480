/** The counts behind required inter-Pod affinity. */
import { StateKey } from '../framework/cycle-state.ts';
import type { NodeInfo } from '../framework/node-info.ts';
import { TermMatches, termMatchesGroup, type AffinityTerm, type NamespaceLabels, type PodGroupKey, type PodInfo } from '../framework/pod-info.ts';

export type Refusal = 'affinity' | 'anti-affinity' | 'existing anti-affinity';

/** Matches by topology key, then by its value. */
class DomainCounts {
  readonly #counts = new Map<string, Map<string, number>>();

  get empty(): boolean {
    return this.#counts.size === 0;
  }
  get(key: string, value: string): number {
    return this.#counts.get(key)?.get(value) ?? 0;
  }
  keys(): Iterable<string> {
    return this.#counts.keys();
  }
  add(key: string, node: NodeInfo, by: number): void {
    const value = node.label(key);
    if (value === undefined || by === 0) return;
    const values = this.#counts.get(key) ?? new Map<string, number>();
    const sum = (values.get(value) ?? 0) + by;
    if (sum === 0) values.delete(value);
    else values.set(value, sum);
    if (values.size === 0) this.#counts.delete(key);
    else this.#counts.set(key, values);
  }
  clone(): DomainCounts {
    const copy = new DomainCounts();
    for (const [key, values] of this.#counts) copy.#counts.set(key, new Map(values));
    return copy;
  }
}

export class AffinityFilterState {
  /** Pods whose required anti-affinity is against the incoming one. */
  readonly #against: DomainCounts;
  /** Pods that match all of the incoming Pod's affinity terms. */
  readonly #affinity: DomainCounts;
  readonly #antiAffinity: DomainCounts;
  readonly #labels: NamespaceLabels;
  /** Whether terms of others speak of the incoming Pod. */
  readonly #onIncoming: TermMatches;
  #hasTerms = false;

  constructor(labels: NamespaceLabels, onIncoming: TermMatches, against = new DomainCounts(), affinity = new DomainCounts(), antiAffinity = new DomainCounts()) {
    this.#labels = labels;
    this.#onIncoming = onIncoming;
    this.#against = against;
    this.#affinity = affinity;
    this.#antiAffinity = antiAffinity;
  }
  static of(info: PodInfo, nodes: readonly NodeInfo[], nodesWithAntiAffinity: Iterable<NodeInfo>, labels: NamespaceLabels): AffinityFilterState {
    const state = new AffinityFilterState(labels, new TermMatches(info.group, labels));
    for (const node of nodesWithAntiAffinity) {
      if (node.node) for (const pod of node.podsWithRequiredAntiAffinity.values()) state.#countAgainst(pod, node, 1);
    }
    const { requiredAffinity, requiredAntiAffinity } = info.terms;
    if (requiredAffinity.length === 0 && requiredAntiAffinity.length === 0) return state;
    const all = new Map<PodGroupKey, boolean>();
    const each = requiredAntiAffinity.map(() => new Map<PodGroupKey, boolean>());
    for (const node of nodes) {
      for (const [group, pods] of node.groups) {
        if (requiredAffinity.length > 0 && remember(all, group, () => requiredAffinity.every((t) => state.#matches(t, group)))) {
          for (const term of requiredAffinity) state.#affinity.add(term.topologyKey, node, pods);
        }
        requiredAntiAffinity.forEach((term, i) => {
          if (remember(each[i]!, group, () => state.#matches(term, group))) state.#antiAffinity.add(term.topologyKey, node, pods);
        });
      }
    }
    state.#hasTerms = true;
    return state;
  }
  /** True where no node can be refused. */
  get idle(): boolean {
    return !this.#hasTerms && this.#against.empty;
  }

  check(info: PodInfo, node: NodeInfo): Refusal | undefined {
    if (!this.#satisfiesAffinity(info, node)) return 'affinity';
    for (const term of info.terms.requiredAntiAffinity) {
      const value = node.label(term.topologyKey);
      if (value !== undefined && this.#antiAffinity.get(term.topologyKey, value) > 0) return 'anti-affinity';
    }
    for (const key of this.#against.keys()) {
      const value = node.label(key);
      if (value !== undefined && this.#against.get(key, value) > 0) return 'existing anti-affinity';
    }
    return undefined;
  }
  count(info: PodInfo, other: PodInfo, node: NodeInfo, by: 1 | -1): void {
    if (!node.node) return;
    this.#countAgainst(other, node, by);
    const { requiredAffinity, requiredAntiAffinity } = info.terms;
    if (requiredAffinity.length > 0 && requiredAffinity.every((t) => this.#matches(t, other.group))) for (const term of requiredAffinity) this.#affinity.add(term.topologyKey, node, by);
    for (const term of requiredAntiAffinity) if (this.#matches(term, other.group)) this.#antiAffinity.add(term.topologyKey, node, by);
  }
  clone(): AffinityFilterState {
    const copy = new AffinityFilterState(this.#labels, this.#onIncoming, this.#against.clone(), this.#affinity.clone(), this.#antiAffinity.clone());
    copy.#hasTerms = this.#hasTerms;
    return copy;
  }

  #satisfiesAffinity(info: PodInfo, node: NodeInfo): boolean {
    const terms = info.terms.requiredAffinity;
    if (terms.length === 0) return true;
    let present = true;
    for (const term of terms) {
      const value = node.label(term.topologyKey);
      if (value === undefined) return false;
      if (this.#affinity.get(term.topologyKey, value) <= 0) present = false;
    }
    // The first of a group of Pods that want to be together has nobody to join yet.
    return present || (this.#affinity.empty && terms.every((t) => this.#onIncoming.has(t)));
  }
  #countAgainst(other: PodInfo, node: NodeInfo, by: 1 | -1): void {
    for (const term of other.terms.requiredAntiAffinity) if (this.#onIncoming.has(term)) this.#against.add(term.topologyKey, node, by);
  }
  #matches(term: AffinityTerm, group: PodGroupKey): boolean {
    return termMatchesGroup(term, group, this.#labels);
  }
}
function remember(known: Map<PodGroupKey, boolean>, group: PodGroupKey, compute: () => boolean): boolean {
  let value = known.get(group);
  if (value === undefined) known.set(group, (value = compute()));
  return value;
}

export const AFFINITY_FILTER = new StateKey<AffinityFilterState>('InterPodAffinity/filter');
