/** ResourceSlices, found by node and by pool. */
import type { Node } from '#api/gen/core-v1.ts';
import type { ResourceSlice } from '#api/gen/resource-v1.ts';
import { nameOf } from '#api/object.ts';
import { gatherPools, poolKeyOf, type Pool } from './pools.ts';

export class SliceIndex {
  readonly #all = new Map<string, ResourceSlice>();
  /** Slices of one node by its name; under '' those that several nodes may use, or need to know. */
  readonly #byNode = new Map<string, Map<string, ResourceSlice>>();
  readonly #byPool = new Map<string, Map<string, ResourceSlice>>();
  #pools = new WeakMap<Node, readonly Pool[]>();

  set(slice: ResourceSlice): void {
    this.delete(nameOf(slice));
    this.#all.set(nameOf(slice), slice);
    into(this.#byNode, homeOf(slice), slice);
    into(this.#byPool, poolKeyOf(slice), slice);
  }
  delete(name: string): void {
    const old = this.#all.get(name);
    this.#pools = new WeakMap();
    if (!old) return;
    this.#all.delete(name);
    outOf(this.#byNode, homeOf(old), name);
    outOf(this.#byPool, poolKeyOf(old), name);
  }
  /** The pools with devices for the node, in the order in which devices are tried. Computed once for each state of slices and node. */
  poolsFor(node: Node): readonly Pool[] {
    let pools = this.#pools.get(node);
    if (!pools) {
      const slices = [...(this.#byNode.get(nameOf(node))?.values() ?? []), ...(this.#byNode.get('')?.values() ?? [])];
      pools = gatherPools(node, slices, (key) => [...(this.#byPool.get(key)?.values() ?? [])]);
      this.#pools.set(node, pools);
    }
    return pools;
  }
}
function homeOf({ spec }: ResourceSlice): string {
  return spec.sharedCounters?.length ? '' : (spec.nodeName ?? '');
}
function into(groups: Map<string, Map<string, ResourceSlice>>, key: string, slice: ResourceSlice): void {
  const group = groups.get(key) ?? new Map<string, ResourceSlice>();
  groups.set(key, group.set(nameOf(slice), slice));
}
function outOf(groups: Map<string, Map<string, ResourceSlice>>, key: string, name: string): void {
  const group = groups.get(key);
  group?.delete(name);
  if (group?.size === 0) groups.delete(key);
}
