/**
 * The nodes as one scheduling cycle sees them. A cycle runs without interruption, so the view shares the cache's own NodeInfos instead
 * of copying them; what upstream copies by generation, this keeps up to date change by change.
 */
import type { NodeInfo } from '../framework/node-info.ts';

export class Snapshot {
  /** Nodes that are known, taking one of each zone in turn. */
  nodes: readonly NodeInfo[] = [];
  #byName = new Map<string, NodeInfo>();
  readonly #withScoringTerms = new Set<NodeInfo>();
  readonly #withRequiredAntiAffinity = new Set<NodeInfo>();

  get(name: string): NodeInfo | undefined {
    return this.#byName.get(name);
  }
  /** Nodes with Pods whose affinity counts in the scoring of others. Nodes that are not known are among them only while they hold Pods. */
  get nodesWithScoringTerms(): Iterable<NodeInfo> {
    return this.#withScoringTerms;
  }
  get nodesWithRequiredAntiAffinity(): Iterable<NodeInfo> {
    return this.#withRequiredAntiAffinity;
  }

  rebuild(nodes: readonly NodeInfo[]): void {
    this.nodes = nodes;
    this.#byName = new Map(nodes.map((n) => [n.name, n]));
  }
  /** To be called after the Pods of a node have changed. */
  track(node: NodeInfo): void {
    if (node.podsWithScoringTerms.size > 0) this.#withScoringTerms.add(node);
    else this.#withScoringTerms.delete(node);
    if (node.podsWithRequiredAntiAffinity.size > 0) this.#withRequiredAntiAffinity.add(node);
    else this.#withRequiredAntiAffinity.delete(node);
  }
}
