/** Nodes for tests, built fluently: `makeNode('a').capacity({ cpu: '4' }).label('zone', 'z1').obj()`. */
import type { Node, Taint } from '#api/gen/core-v1.ts';
import { deepFreeze } from '#base/draft.ts';

export class NodeBuilder {
  readonly #name: string;
  #labels: Record<string, string>;
  #allocatable: Record<string, string> = { cpu: '4', memory: '8Gi', pods: '110' };
  readonly #taints: Taint[] = [];
  readonly #images: { names: string[]; sizeBytes: number }[] = [];
  #unschedulable = false;
  #features: readonly string[] | undefined;
  #resourceVersion = '1';

  constructor(name: string) {
    this.#name = name;
    this.#labels = { 'kubernetes.io/hostname': name };
  }
  /** The Node, deeply frozen. */
  obj(): Node {
    return deepFreeze({
      apiVersion: 'v1', kind: 'Node',
      metadata: { name: this.#name, uid: this.#name, resourceVersion: this.#resourceVersion, labels: { ...this.#labels } },
      spec: { ...(this.#unschedulable ? { unschedulable: true } : {}), ...(this.#taints.length ? { taints: [...this.#taints] } : {}) },
      status: { capacity: { ...this.#allocatable }, allocatable: { ...this.#allocatable }, images: this.#images.map((i) => ({ ...i, names: [...i.names] })), ...(this.#features ? { declaredFeatures: [...this.#features] } : {}) },
    });
  }
  label(key: string, value: string): this {
    this.#labels = { ...this.#labels, [key]: value };
    return this;
  }
  zone(zone: string): this {
    return this.label('topology.kubernetes.io/zone', zone);
  }
  /** In place of the default of 4 cores, 8Gi and 110 Pods, name by name. */
  capacity(allocatable: Record<string, string>): this {
    this.#allocatable = { ...this.#allocatable, ...allocatable };
    return this;
  }
  taint(key: string, value: string, effect: Taint['effect']): this {
    this.#taints.push({ key, value, effect });
    return this;
  }
  image(name: string, sizeBytes: number): this {
    this.#images.push({ names: [name], sizeBytes });
    return this;
  }
  declares(...features: string[]): this {
    this.#features = features;
    return this;
  }
  unschedulable(): this {
    this.#unschedulable = true;
    return this;
  }
  resourceVersion(resourceVersion: string): this {
    this.#resourceVersion = resourceVersion;
    return this;
  }
}
export function makeNode(name: string): NodeBuilder {
  return new NodeBuilder(name);
}
