/**
 * The scheduling framework's extension points (the API reference, "Scheduling Framework"; KEP-624). A plugin implements those it
 * needs. Everything up to `reserve` is synchronous: within one cycle the cache does not change under a plugin.
 */
import type { Pod } from '#api/gen/core-v1.ts';
import type { CycleState } from './cycle-state.ts';
import type { EventInterest } from './events.ts';
import type { NodeInfo } from './node-info.ts';
import type { PodInfo } from './pod-info.ts';
import type { Status } from './status.ts';

export const MAX_NODE_SCORE = 100;

export interface PreFilterResult {
  readonly status?: Status | undefined;
  /** The only nodes worth looking at; absent: all. */
  readonly nodeNames?: ReadonlySet<string> | undefined;
}
export interface PostFilterResult {
  readonly status?: Status | undefined;
  /** The node that was made free; '' clears an earlier nomination; absent leaves it. */
  readonly nominatedNodeName?: string | undefined;
}
/** Why each node was refused. */
export interface NodeStatuses {
  get(nodeName: string): Status | undefined;
  /** Nodes that were refused in a way that removing Pods may change. */
  preemptable(): NodeInfo[];
}

export interface Plugin {
  readonly name: string;
  /** A status keeps the Pod out of the active queue. */
  preEnqueue?(pod: Pod): Status | undefined;
  preFilter?(state: CycleState, info: PodInfo, nodes: readonly NodeInfo[]): PreFilterResult | undefined;
  filter?(state: CycleState, info: PodInfo, node: NodeInfo): Status | undefined;
  /** Keep what `preFilter` computed right when a dry run adds or removes a Pod. */
  addPod?(state: CycleState, info: PodInfo, added: PodInfo, node: NodeInfo): void;
  removePod?(state: CycleState, info: PodInfo, removed: PodInfo, node: NodeInfo): void;
  /** Called when no node was found. */
  postFilter?(state: CycleState, info: PodInfo, statuses: NodeStatuses): PostFilterResult;
  /** A `Skip` status leaves the plugin out of scoring. */
  preScore?(state: CycleState, info: PodInfo, nodes: readonly NodeInfo[]): Status | undefined;
  score?(state: CycleState, info: PodInfo, node: NodeInfo): number;
  /** Brings the scores, in place, to 0…{@link MAX_NODE_SCORE}. */
  normalizeScores?(state: CycleState, info: PodInfo, nodes: readonly NodeInfo[], scores: number[]): void;
  reserve?(state: CycleState, info: PodInfo, nodeName: string): Status | undefined;
  /** Undoes `reserve`; must also stand being called without it. */
  unreserve?(state: CycleState, info: PodInfo, nodeName: string): void;
  /** True where `preBind` has work for this Pod. */
  needsPreBind?(state: CycleState, info: PodInfo, nodeName: string): boolean;
  preBind?(state: CycleState, info: PodInfo, nodeName: string, signal: AbortSignal): Promise<Status | undefined>;
  /** Absent: any event may help. */
  events?(): readonly EventInterest[];
}
export interface WeightedPlugin {
  readonly plugin: Plugin;
  readonly weight: number;
}

/** Scales scores so that the highest becomes {@link MAX_NODE_SCORE}; reversed, so that the lowest does. */
export function normalizeToMax(scores: number[], reverse: boolean): void {
  let max = 0;
  for (const s of scores) if (s > max) max = s;
  for (let i = 0; i < scores.length; i++) {
    if (max === 0) {
      if (reverse) scores[i] = MAX_NODE_SCORE;
      continue;
    }
    const score = Math.trunc((scores[i]! * MAX_NODE_SCORE) / max);
    scores[i] = reverse ? MAX_NODE_SCORE - score : score;
  }
}
