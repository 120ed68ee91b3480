/** Pods that wait for a node on which others are making room for them: they count there for Pods of lower priority. */
import { PodInfo } from '../framework/pod-info.ts';

const NONE: readonly PodInfo[] = [];

export class Nominator {
  readonly #byNode = new Map<string, Map<string, PodInfo>>();
  readonly #nodeOf = new Map<string, string>();

  get empty(): boolean {
    return this.#nodeOf.size === 0;
  }
  /** Nominates the Pod for a node in place of an earlier one; '' takes the nomination away. */
  set(info: PodInfo, nodeName: string): void {
    this.delete(info.uid);
    if (nodeName === '') return;
    const pods = this.#byNode.get(nodeName) ?? new Map<string, PodInfo>();
    this.#byNode.set(nodeName, pods.set(info.uid, info));
    this.#nodeOf.set(info.uid, nodeName);
  }
  delete(uid: string): void {
    const node = this.#nodeOf.get(uid);
    if (node === undefined) return;
    this.#nodeOf.delete(uid);
    const pods = this.#byNode.get(node)!;
    pods.delete(uid);
    if (pods.size === 0) this.#byNode.delete(node);
  }
  nodeOf(uid: string): string {
    return this.#nodeOf.get(uid) ?? '';
  }
  podsOn(nodeName: string): readonly PodInfo[] {
    const pods = this.#byNode.get(nodeName);
    return pods ? [...pods.values()] : NONE;
  }
}
