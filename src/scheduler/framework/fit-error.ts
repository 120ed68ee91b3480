/** Why a Pod fits nowhere, for people and for preemption. */
import type { NodeInfo } from './node-info.ts';
import type { NodeStatuses } from './plugin.ts';
import { isRejected, type Status } from './status.ts';

export const NO_NODES_AVAILABLE = 'no nodes available to schedule pods';

/** Statuses of the nodes that were looked at; those that were not share one. */
export class NodeToStatus implements NodeStatuses {
  readonly #explicit = new Map<string, Status>();
  readonly #nodes: readonly NodeInfo[];
  /** Of nodes that no filter was run for; absent: as if refused for good, without a reason to tell. */
  absent: Status | undefined;

  constructor(nodes: readonly NodeInfo[]) {
    this.#nodes = nodes;
  }
  get size(): number {
    return this.#explicit.size;
  }
  set(nodeName: string, status: Status): void {
    this.#explicit.set(nodeName, status);
  }
  get(nodeName: string): Status | undefined {
    return this.#explicit.get(nodeName) ?? this.absent;
  }
  preemptable(): NodeInfo[] {
    return this.#nodes.filter((n) => this.get(n.name)?.code === 'Unschedulable');
  }
  statuses(): Iterable<Status> {
    return this.#explicit.values();
  }
}

export class Diagnosis {
  readonly nodes: NodeToStatus;
  /** Names of the plugins that refused the Pod: their events may bring it back. */
  readonly plugins = new Set<string>();
  preFilterMessage = '';
  postFilterMessage = '';

  constructor(nodes: readonly NodeInfo[]) {
    this.nodes = new NodeToStatus(nodes);
  }
  addPlugin(status: Status): void {
    if (isRejected(status)) this.plugins.add(status.plugin);
  }
}

/** `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable. …`: upstream's sentence. */
export function fitErrorMessage(allNodes: number, diagnosis: Diagnosis): string {
  const { nodes, preFilterMessage, postFilterMessage } = diagnosis;
  let message = `0/${allNodes} nodes are available:`;
  if (preFilterMessage !== '') message += ` ${preFilterMessage}.`;
  else {
    const counts = new Map<string, number>();
    const count = (status: Status, times: number) => { for (const reason of status.reasons) counts.set(reason, (counts.get(reason) ?? 0) + times); };
    for (const status of nodes.statuses()) count(status, 1);
    if (nodes.absent && nodes.size < allNodes) count(nodes.absent, allNodes - nodes.size);
    const histogram = Array.from(counts, ([reason, n]) => `${n} ${reason}`).toSorted(byCodeUnits);
    if (histogram.length > 0) message += ` ${histogram.join(', ')}.`;
  }
  return postFilterMessage === '' ? message : `${message} ${postFilterMessage}`;
}
function byCodeUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
