/** The count behind `ScheduleAnyway` constraints. */
import { StateKey } from '../framework/cycle-state.ts';
import type { NodeInfo } from '../framework/node-info.ts';
import { MAX_NODE_SCORE } from '../framework/plugin.ts';
import type { PodInfo } from '../framework/pod-info.ts';
import { hasAllKeys, HOSTNAME, PodCounter, type Spread } from './pod-topology-spread-count.ts';

export interface SpreadScoreState {
  /** Nodes that lack a key of the Pod's own constraints: they get the score 0. */
  readonly ignored: ReadonlySet<NodeInfo>;
  /** The lower the better; {@link normalizeSpread} turns it round. */
  score(node: NodeInfo): number;
}
export const SPREAD_SCORE = new StateKey<SpreadScoreState>('PodTopologySpread/score');

/** `candidates` are the nodes to be scored, `all` those to be counted. `own`: the constraints are the Pod's own, not the system's. */
export function newSpreadScoreState(info: PodInfo, spreads: readonly Spread[], own: boolean, candidates: readonly NodeInfo[], all: readonly NodeInfo[]): SpreadScoreState {
  const ignored = new Set<NodeInfo>(own ? candidates.filter((n) => !hasAllKeys(n, spreads)) : []);
  const counted = spreads.map((spread) => {
    const counter = new PodCounter(info.namespace, spread.selector);
    const perNode = spread.topologyKey === HOSTNAME;
    const domains = perNode ? new Map<string, number>() : domainsOf(spread, candidates, ignored);
    // More domains make each one's count matter more.
    const weight = Math.log((perNode ? candidates.length - ignored.size : domains.size) + 2);
    return { spread, counter, perNode, domains, weight };
  });
  const wide = counted.filter((c) => !c.perNode && c.domains.size > 0);
  if (wide.length > 0) {
    for (const node of all) {
      if (own && !hasAllKeys(node, spreads)) continue;
      for (const { spread, counter, domains } of wide) {
        const domain = node.label(spread.topologyKey);
        const before = domain === undefined ? undefined : domains.get(domain);
        if (before === undefined || !spread.includes(node.node!)) continue;
        domains.set(domain!, before + counter.on(node));
      }
    }
  }
  return {
    ignored,
    score(node) {
      if (ignored.has(node)) return 0;
      let score = 0;
      for (const { spread, counter, perNode, domains, weight } of counted) {
        const domain = node.label(spread.topologyKey);
        if (domain === undefined) continue;
        score += (perNode ? counter.on(node) : (domains.get(domain) ?? 0)) * weight + (spread.maxSkew - 1);
      }
      return Math.round(score);
    },
  };
}
function domainsOf(spread: Spread, candidates: readonly NodeInfo[], ignored: ReadonlySet<NodeInfo>): Map<string, number> {
  const domains = new Map<string, number>();
  for (const node of candidates) {
    const domain = ignored.has(node) ? undefined : node.label(spread.topologyKey);
    if (domain !== undefined) domains.set(domain, 0);
  }
  return domains;
}
/** Fewer Pods, higher score. */
export function normalizeSpread(state: SpreadScoreState, nodes: readonly NodeInfo[], scores: number[]): void {
  let min = Infinity;
  let max = 0;
  for (let i = 0; i < nodes.length; i++) {
    if (state.ignored.has(nodes[i]!)) continue;
    min = Math.min(min, scores[i]!);
    max = Math.max(max, scores[i]!);
  }
  for (let i = 0; i < nodes.length; i++) {
    if (state.ignored.has(nodes[i]!)) scores[i] = 0;
    else scores[i] = max === 0 ? MAX_NODE_SCORE : Math.trunc((MAX_NODE_SCORE * (max + min - scores[i]!)) / max);
  }
}
