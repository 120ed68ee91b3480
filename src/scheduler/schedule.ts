/** Chooses a node for a Pod: filter, then score. Pure of side effects but for the plugins' own. */
import type { CycleState } from './framework/cycle-state.ts';
import { Diagnosis } from './framework/fit-error.ts';
import type { Framework } from './framework/framework.ts';
import type { NodeInfo } from './framework/node-info.ts';
import type { PodInfo } from './framework/pod-info.ts';
import { isRejected, messageOf, unresolvable, type Status } from './framework/status.ts';
import type { Snapshot } from './cache/snapshot.ts';

const MIN_FEASIBLE_NODES = 100;
const MIN_PERCENTAGE = 5;

export type ScheduleResult =
  | { readonly kind: 'node'; readonly nodeName: string }
  | { readonly kind: 'unfit'; readonly diagnosis: Diagnosis }
  | { readonly kind: 'error'; readonly status: Status };

/** How many nodes that fit are enough: all of a small cluster, a share of a big one that falls from 50 % to 5 %. */
export function feasibleNodesToFind(allNodes: number): number {
  if (allNodes < MIN_FEASIBLE_NODES) return allNodes;
  const percentage = Math.max(50 - Math.trunc(allNodes / 125), MIN_PERCENTAGE);
  return Math.max(Math.trunc((allNodes * percentage) / 100), MIN_FEASIBLE_NODES);
}

export class NodeChooser {
  readonly #framework: Framework;
  readonly #random: () => number;
  /** Where the next search starts, so that all nodes get their turn. */
  #start = 0;

  constructor(framework: Framework, random: () => number) {
    this.#framework = framework;
    this.#random = random;
  }
  choose(state: CycleState, info: PodInfo, snapshot: Snapshot): ScheduleResult {
    const { nodes } = snapshot;
    const diagnosis = new Diagnosis(nodes);
    const pre = this.#framework.preFilter(state, info, nodes);
    if (pre.status) {
      if (!isRejected(pre.status)) return { kind: 'error', status: pre.status };
      diagnosis.nodes.absent = pre.status;
      diagnosis.preFilterMessage = messageOf(pre.status);
      for (const name of pre.narrowedBy) diagnosis.plugins.add(name);
      if (pre.status.plugin !== '') diagnosis.addPlugin(pre.status);
      return { kind: 'unfit', diagnosis };
    }
    for (const name of pre.narrowedBy) diagnosis.plugins.add(name);
    const fitting = this.#feasible(state, info, snapshot, pre.nodeNames, pre.narrowedBy, diagnosis);
    if (!Array.isArray(fitting)) return { kind: 'error', status: fitting };
    if (fitting.length === 0) return { kind: 'unfit', diagnosis };
    if (fitting.length === 1) return { kind: 'node', nodeName: fitting[0]!.name };
    return { kind: 'node', nodeName: this.#best(fitting, this.#framework.score(state, info, fitting)).name };
  }

  #feasible(state: CycleState, info: PodInfo, snapshot: Snapshot, nodeNames: ReadonlySet<string> | undefined, narrowedBy: ReadonlySet<string>, diagnosis: Diagnosis): NodeInfo[] | Status {
    const filter = this.#framework.filters(state, info);
    const nominated = snapshot.get(info.pod.status?.nominatedNodeName ?? '');
    if (nominated && (nodeNames?.has(nominated.name) ?? true) && filter(nominated) === undefined) return [nominated];
    let candidates = snapshot.nodes;
    if (nodeNames) {
      candidates = Array.from(nodeNames, (name) => snapshot.get(name)).filter((n) => n !== undefined);
      diagnosis.nodes.absent = unresolvable('', `node(s) didn't satisfy plugin(s) [${[...narrowedBy].toSorted().join(' ')}]`);
    }
    const wanted = feasibleNodesToFind(candidates.length);
    const found: NodeInfo[] = [];
    let looked = 0;
    for (; looked < candidates.length && found.length < wanted; looked++) {
      const node = candidates[(this.#start + looked) % candidates.length]!;
      const status = filter(node);
      if (!status) found.push(node);
      else if (!isRejected(status)) return status;
      else {
        diagnosis.nodes.set(node.name, status);
        diagnosis.addPlugin(status);
      }
    }
    this.#start = snapshot.nodes.length === 0 ? 0 : (this.#start + looked) % snapshot.nodes.length;
    return found;
  }
  /** One of the nodes with the highest score, each with the same chance (reservoir sampling). */
  #best(nodes: readonly NodeInfo[], scores: readonly number[]): NodeInfo {
    let best = 0;
    let ties = 1;
    for (let i = 1; i < nodes.length; i++) {
      if (scores[i]! > scores[best]!) [best, ties] = [i, 1];
      else if (scores[i] === scores[best] && this.#random() * ++ties < 1) best = i;
    }
    return nodes[best]!;
  }
}
