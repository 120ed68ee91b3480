/** A node and the Pods on it, assumed ones too, with their sums. */
import type { Node } from '#api/gen/core-v1.ts';
import { HostPorts } from './host-ports.ts';
import type { PodGroupKey, PodInfo } from './pod-info.ts';
import { amountOf } from './resources.ts';

export interface ImageState {
  readonly sizeBytes: number;
  /** Names of all nodes that have the image. */
  readonly nodes: ReadonlySet<string>;
}

/** Mutable; owned by the cache, or by a dry run that has cloned it. Plugins only read. */
export class NodeInfo {
  readonly name: string;
  /** Undefined while Pods are known to be on a node that is not (yet, any more) known itself. */
  node: Node | undefined;
  readonly pods = new Map<string, PodInfo>();
  /** Those whose affinity counts in the scoring of others. */
  readonly podsWithScoringTerms = new Map<string, PodInfo>();
  readonly podsWithRequiredAntiAffinity = new Map<string, PodInfo>();
  /** How many Pods of each kind of labels there are. */
  readonly groups = new Map<PodGroupKey, number>();
  readonly ports = new HostPorts();
  /** How many Pods use a claim, by `namespace/name`. */
  readonly claims = new Map<string, number>();
  images: ReadonlyMap<string, ImageState> = new Map();

  allocatableMilliCPU = 0;
  allocatableMemory = 0;
  allocatablePods = 0;
  /** Everything allocatable, by name; `cpu` in thousandths. */
  allocatable: ReadonlyMap<string, number> = new Map();
  requestedMilliCPU = 0;
  requestedMemory = 0;
  /** Requests of everything but cpu and memory. */
  readonly requestedOther = new Map<string, number>();
  nonZeroMilliCPU = 0;
  nonZeroMemory = 0;

  constructor(name: string) {
    this.name = name;
  }
  setNode(node: Node): void {
    this.node = node;
    const allocatable = new Map<string, number>();
    for (const [name, text] of Object.entries(node.status?.allocatable ?? {})) allocatable.set(name, amountOf(name, text));
    this.allocatable = allocatable;
    this.allocatableMilliCPU = allocatable.get('cpu') ?? 0;
    this.allocatableMemory = allocatable.get('memory') ?? 0;
    this.allocatablePods = allocatable.get('pods') ?? 0;
  }
  add(info: PodInfo): void {
    this.pods.set(info.uid, info);
    if (info.hasScoringTerms) this.podsWithScoringTerms.set(info.uid, info);
    if (info.terms.requiredAntiAffinity.length > 0) this.podsWithRequiredAntiAffinity.set(info.uid, info);
    this.ports.add(info.hostPorts);
    this.#count(info, 1);
  }
  /** Takes away the Pod with that uid, as it was added. */
  remove(uid: string): PodInfo | undefined {
    const info = this.pods.get(uid);
    if (!info) return undefined;
    this.pods.delete(uid);
    this.podsWithScoringTerms.delete(uid);
    this.podsWithRequiredAntiAffinity.delete(uid);
    this.ports.remove(info.hostPorts);
    this.#count(info, -1);
    return info;
  }
  /** An independent copy, for a dry run. */
  clone(): NodeInfo {
    const copy = new NodeInfo(this.name);
    if (this.node) copy.setNode(this.node);
    copy.images = this.images;
    for (const info of this.pods.values()) copy.add(info);
    return copy;
  }
  label(key: string): string | undefined {
    const labels = this.node?.metadata.labels;
    return labels !== undefined && Object.hasOwn(labels, key) ? labels[key] : undefined;
  }

  #count(info: PodInfo, sign: 1 | -1): void {
    this.requestedMilliCPU += sign * info.milliCPU;
    this.requestedMemory += sign * info.memory;
    this.nonZeroMilliCPU += sign * info.nonZeroMilliCPU;
    this.nonZeroMemory += sign * info.nonZeroMemory;
    for (const [name, amount] of info.requests) if (name !== 'cpu' && name !== 'memory') bump(this.requestedOther, name, sign * amount);
    for (const key of info.claims) bump(this.claims, key, sign);
    bump(this.groups, info.group, sign);
  }
}

function bump<K>(map: Map<K, number>, key: K, by: number): void {
  const sum = (map.get(key) ?? 0) + by;
  if (sum === 0) map.delete(key);
  else map.set(key, sum);
}
/** Name of a node that is known. */
