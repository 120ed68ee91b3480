/**
 * Who owns whom: the nodes are objects by UID, the edges owner references. An owner that is only known from a reference is a
 * virtual node until it is seen or proved absent. Upstream's counterpart: GraphBuilder.
 */
import type { OwnerReference } from '#api/gen/meta-v1.ts';
import type { KubeObject } from '#api/object.ts';
import type { ResourceInfo } from '#api/resources.ts';

export interface GraphNode {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** undefined for a virtual node: known from `reference` alone. */
  resource: ResourceInfo | undefined;
  object: KubeObject | undefined;
  /** How dependents refer to it. */
  readonly reference: OwnerReference | undefined;
  /** Changed by the graph alone. */
  dependents: ReadonlySet<GraphNode>;
  /** Deletion waits for the dependents that block (`foregroundDeletion`). */
  deletingDependents: boolean;
}

/** Most objects own nothing, and a set of its own costs as much as the node. */
const NONE: ReadonlySet<GraphNode> = new Set();
function addDependent(owner: GraphNode, node: GraphNode): void {
  if (owner.dependents === NONE) owner.dependents = new Set([node]);
  else (owner.dependents as Set<GraphNode>).add(node);
}
function removeDependent(owner: GraphNode | undefined, node: GraphNode): void {
  if (!owner || !(owner.dependents as Set<GraphNode>).delete(node)) return;
  if (owner.dependents.size === 0) owner.dependents = NONE;
}

export class OwnerGraph {
  readonly #nodes = new Map<string, GraphNode>();

  get(uid: string): GraphNode | undefined {
    return this.#nodes.get(uid);
  }
  get size(): number {
    return this.#nodes.size;
  }
  /** Takes in an object's newest state; returns its node. */
  set(resource: ResourceInfo, object: KubeObject): GraphNode {
    const { uid = '', namespace = '', name = '' } = object.metadata;
    let node = this.#nodes.get(uid);
    const oldOwners = ownersOf(node?.object);
    if (!node || (node.object === undefined && (node.name !== name || node.namespace !== namespace))) {
      // What was guessed from a reference gives way to what is there.
      const dependents = node?.dependents ?? NONE;
      node = { uid, namespace, name, resource, object, reference: undefined, dependents, deletingDependents: false };
      this.#nodes.set(uid, node);
    }
    node.resource = resource;
    node.object = object;
    for (const ref of oldOwners) if (!ownersOf(object).some((o) => o.uid === ref.uid)) removeDependent(this.#nodes.get(ref.uid), node);
    for (const ref of ownersOf(object)) addDependent(this.#owner(ref, namespace), node);
    return node;
  }
  /** Forgets an object; returns the dependents it leaves behind. */
  remove(uid: string): GraphNode[] {
    const node = this.#nodes.get(uid);
    if (!node) return [];
    this.#nodes.delete(uid);
    for (const ref of ownersOf(node.object)) removeDependent(this.#nodes.get(ref.uid), node);
    return [...node.dependents];
  }
  #owner(ref: OwnerReference, namespace: string): GraphNode {
    let owner = this.#nodes.get(ref.uid);
    if (!owner) {
      owner = { uid: ref.uid, namespace, name: ref.name, resource: undefined, object: undefined, reference: ref, dependents: NONE, deletingDependents: false };
      this.#nodes.set(ref.uid, owner);
    }
    return owner;
  }
}

/** All that this needs of an object; the rest of it would be held for nothing. */
export function ownershipOf({ metadata }: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion, ownerReferences, finalizers, deletionTimestamp } = metadata;
  return {
    metadata: {
      name, namespace, uid, resourceVersion,
      ...(ownerReferences ? { ownerReferences } : {}), ...(finalizers ? { finalizers } : {}), ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    },
  };
}
export function ownersOf(object: KubeObject | undefined): readonly OwnerReference[] {
  return object?.metadata.ownerReferences ?? [];
}
