/** The count behind `DoNotSchedule` constraints. */
import { StateKey } from '../framework/cycle-state.ts';
import type { NodeInfo } from '../framework/node-info.ts';
import type { PodInfo } from '../framework/pod-info.ts';
import { hasAllKeys, PodCounter, type Spread } from './pod-topology-spread-count.ts';

interface Counted {
  readonly spread: Spread;
  readonly counter: PodCounter;
  /** Does the Pod itself count? */
  readonly self: 0 | 1;
  /** Pods by domain, over all domains that take part. */
  readonly pods: Map<string, number>;
  /** Of `pods`; undefined until it is asked for. */
  least: number | undefined;
}

export class SpreadFilterState {
  readonly #counted: readonly Counted[];

  constructor(counted: readonly Counted[]) {
    this.#counted = counted;
  }
  static of(info: PodInfo, spreads: readonly Spread[], nodes: readonly NodeInfo[]): SpreadFilterState {
    const counted = spreads.map((spread): Counted => ({
      spread, counter: new PodCounter(info.namespace, spread.selector), self: spread.selector.matches(info.pod.metadata.labels) ? 1 : 0, pods: new Map(), least: undefined,
    }));
    for (const node of nodes) {
      // A node that lacks one of the keys is in none of the domains.
      if (!hasAllKeys(node, spreads)) continue;
      for (const c of counted) {
        if (!c.spread.includes(node.node!)) continue;
        const domain = node.label(c.spread.topologyKey)!;
        c.pods.set(domain, (c.pods.get(domain) ?? 0) + c.counter.on(node));
      }
    }
    return new SpreadFilterState(counted);
  }
  check(node: NodeInfo): 'fits' | 'no label' | 'skewed' {
    for (const c of this.#counted) {
      const domain = node.label(c.spread.topologyKey);
      if (domain === undefined) return 'no label';
      if ((c.pods.get(domain) ?? 0) + c.self - leastOf(c) > c.spread.maxSkew) return 'skewed';
    }
    return 'fits';
  }
  count(pod: PodInfo, node: NodeInfo, by: 1 | -1): void {
    if (!node.node || !this.#counted.every((c) => node.label(c.spread.topologyKey) !== undefined)) return;
    for (const c of this.#counted) {
      if (!c.counter.matches(pod.group) || !c.spread.includes(node.node)) continue;
      const domain = node.label(c.spread.topologyKey)!;
      c.pods.set(domain, (c.pods.get(domain) ?? 0) + by);
      c.least = undefined;
    }
  }
  clone(): SpreadFilterState {
    return new SpreadFilterState(this.#counted.map((c) => ({ ...c, pods: new Map(c.pods) })));
  }
}
/** Too few domains count as an empty one. */
function leastOf(c: Counted): number {
  if (c.pods.size < c.spread.minDomains) return 0;
  return (c.least ??= Math.min(...c.pods.values()));
}

export const SPREAD_FILTER = new StateKey<SpreadFilterState>('PodTopologySpread/filter');
