/**
 * What the scheduler knows of nodes and the Pods on them. A Pod that was given a node is *assumed*: it counts at once, is
 * confirmed when the watch tells of it, and forgotten when its binding fails.
 *
 * ```
 *            assume                    add (watch)
 *   (none) ─────────▶ assumed ─────────────────────▶ bound ──remove──▶ (none)
 *                        │ forget                      ▲ │
 *                        └──────▶ (none)   add (watch) ┘ └ update
 * ```
 * Upstream expires assumed Pods only on request and by default never; neither do we.
 */
import type { Node, Pod } from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';
import { NodeInfo, type ImageState } from '../framework/node-info.ts';
import { PodInfo } from '../framework/pod-info.ts';
import { ImageStates } from './image-states.ts';
import { NodeTree } from './node-tree.ts';
import { Snapshot } from './snapshot.ts';

interface PodState {
  readonly nodeName: string;
  readonly assumed: boolean;
}

export class SchedulerCache {
  readonly #nodes = new Map<string, NodeInfo>();
  readonly #pods = new Map<string, PodState>();
  readonly #tree = new NodeTree();
  readonly #images = new ImageStates();
  readonly #snapshot = new Snapshot();
  #orderChanged = false;

  /** A view that holds until the next change of the cache, and so through one synchronous cycle. Costs nothing while no node comes or goes. */
  snapshot(): Snapshot {
    if (this.#orderChanged) {
      this.#snapshot.rebuild(this.#tree.names().map((name) => this.#nodes.get(name)!));
      this.#orderChanged = false;
    }
    return this.#snapshot;
  }
  get nodeCount(): number {
    return this.#tree.size;
  }
  node(name: string): NodeInfo | undefined {
    const info = this.#nodes.get(name);
    return info?.node ? info : undefined;
  }
  isAssumed(uid: string): boolean {
    return this.#pods.get(uid)?.assumed ?? false;
  }
  has(uid: string): boolean {
    return this.#pods.has(uid);
  }

  setNode(node: Node): void {
    const info = this.#infoOf(nameOf(node));
    this.#images.set(node);
    info.setNode(node);
    info.images = this.#images.of(info.name);
    if (this.#tree.set(node)) this.#orderChanged = true;
  }
  removeNode(name: string): void {
    const info = this.#nodes.get(name);
    if (!info) return;
    info.node = undefined;
    this.#images.remove(name);
    if (this.#tree.remove(name)) this.#orderChanged = true;
    // Its Pods are still to be told as deleted; until then the sums must stay in case the node comes back.
    if (info.pods.size === 0) this.#nodes.delete(name);
  }
  imagesOf(name: string): ReadonlyMap<string, ImageState> {
    return this.#images.of(name);
  }

  /** Counts a Pod on a node before it is bound there. */
  assume(info: PodInfo, nodeName: string): PodInfo {
    const assumed = info.onNode(nodeName);
    this.#put(assumed, nodeName, true);
    return assumed;
  }
  /** Undoes {@link assume}; does nothing to a Pod that was confirmed meanwhile. */
  forget(uid: string): void {
    if (this.isAssumed(uid)) this.#take(uid);
  }
  /** Takes in a bound Pod, new or changed, as the watch tells it. */
  setPod(pod: Pod): void {
    const info = new PodInfo(pod);
    this.#put(info, pod.spec.nodeName!, false);
  }
  removePod(uid: string): void {
    this.#take(uid);
  }

  #infoOf(name: string): NodeInfo {
    let info = this.#nodes.get(name);
    if (!info) this.#nodes.set(name, (info = new NodeInfo(name)));
    return info;
  }
  #put(info: PodInfo, nodeName: string, assumed: boolean): void {
    this.#take(info.uid);
    const node = this.#infoOf(nodeName);
    node.add(info);
    this.#pods.set(info.uid, { nodeName, assumed });
    this.#snapshot.track(node);
  }
  #take(uid: string): void {
    const state = this.#pods.get(uid);
    if (!state) return;
    this.#pods.delete(uid);
    const node = this.#nodes.get(state.nodeName)!;
    node.remove(uid);
    this.#snapshot.track(node);
    if (!node.node && node.pods.size === 0) this.#nodes.delete(state.nodeName);
  }
}
