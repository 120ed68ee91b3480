/** Counting Pods by domain. */
import type { Node } from '#api/gen/core-v1.ts';
import type { LabelMatcher } from '#machinery/selectors.ts';
import type { NodeInfo } from '../framework/node-info.ts';
import type { PodGroupKey } from '../framework/pod-info.ts';

export const HOSTNAME = 'kubernetes.io/hostname';

/** A constraint, compiled for the Pod that has it. */
export interface Spread {
  readonly topologyKey: string;
  readonly maxSkew: number;
  readonly minDomains: number;
  readonly selector: LabelMatcher;
  /** Does the node take part in the count? */
  includes(node: Node): boolean;
}
export function hasAllKeys(node: NodeInfo, spreads: readonly Spread[]): boolean {
  return spreads.every((s) => node.label(s.topologyKey) !== undefined);
}
/** Counts Pods of a namespace that a selector selects; asks the selector once for each kind of labels. */
export class PodCounter {
  readonly #namespace: string;
  readonly #selector: LabelMatcher;
  readonly #known = new Map<PodGroupKey, boolean>();

  constructor(namespace: string, selector: LabelMatcher) {
    this.#namespace = namespace;
    this.#selector = selector;
  }
  matches(group: PodGroupKey): boolean {
    let match = this.#known.get(group);
    if (match === undefined) {
      match = !group.terminating && group.namespace === this.#namespace && this.#selector.matches(group.labels);
      this.#known.set(group, match);
    }
    return match;
  }
  on(node: NodeInfo): number {
    let count = 0;
    for (const [group, pods] of node.groups) if (this.matches(group)) count += pods;
    return count;
  }
}
