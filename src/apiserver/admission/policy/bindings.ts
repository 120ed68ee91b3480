/** Policies with their bindings, kept current from the watch caches. */
import { nameOf, type KubeObject } from '#api/object.ts';
import type { ResourceInfo } from '#api/resources.ts';
import type { ObjectReader } from '../../interfaces.ts';

export interface BoundPolicy<P, B> {
  readonly policy: P;
  readonly bindings: readonly B[];
}
export class PolicyList<P extends KubeObject, B extends KubeObject & { readonly spec: { readonly policyName?: string | undefined } }> {
  #policies: readonly BoundPolicy<P, B>[] | undefined;
  readonly #reader: ObjectReader;
  readonly #resources: { readonly policies: ResourceInfo; readonly bindings: ResourceInfo };
  readonly #stops: readonly (() => void)[];
  constructor(reader: ObjectReader, resources: { readonly policies: ResourceInfo; readonly bindings: ResourceInfo }) {
    this.#reader = reader;
    this.#resources = resources;
    const forget = (): void => void (this.#policies = undefined);
    this.#stops = [reader.subscribe(resources.policies, forget), reader.subscribe(resources.bindings, forget)];
  }
  stop(): void {
    for (const stop of this.#stops) stop();
  }
  /** By name; policies without bindings do nothing and are left out. */
  get policies(): readonly BoundPolicy<P, B>[] {
    if (this.#policies) return this.#policies;
    const byName = (x: KubeObject, y: KubeObject): number => (nameOf(x) < nameOf(y) ? -1 : 1);
    const bindings = Map.groupBy(this.#reader.list<B>(this.#resources.bindings).toSorted(byName), (b) => b.spec.policyName ?? '');
    this.#policies = this.#reader.list<P>(this.#resources.policies).toSorted(byName).flatMap((policy) => {
      const own = bindings.get(nameOf(policy));
      return own ? [{ policy, bindings: own }] : [];
    });
    return this.#policies;
  }
}
