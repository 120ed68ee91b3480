/** Node names by zone, so that looking at some of the nodes looks at all zones alike. */
import type { Node } from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';

const ZONE = 'topology.kubernetes.io/zone';
const REGION = 'topology.kubernetes.io/region';
const OLD_ZONE = 'failure-domain.beta.kubernetes.io/zone';
const OLD_REGION = 'failure-domain.beta.kubernetes.io/region';

function zoneOf(node: Node): string {
  const labels = node.metadata.labels ?? {};
  return `${labels[REGION] ?? labels[OLD_REGION] ?? ''}\0${labels[ZONE] ?? labels[OLD_ZONE] ?? ''}`;
}

export class NodeTree {
  readonly #zones = new Map<string, Set<string>>();
  readonly #zoneOfNode = new Map<string, string>();

  get size(): number {
    return this.#zoneOfNode.size;
  }
  /** Returns true where the order of {@link names} has changed. */
  set(node: Node): boolean {
    const name = nameOf(node);
    const zone = zoneOf(node);
    if (this.#zoneOfNode.get(name) === zone) return false;
    this.remove(name);
    const members = this.#zones.get(zone) ?? new Set();
    this.#zones.set(zone, members.add(name));
    this.#zoneOfNode.set(name, zone);
    return true;
  }
  remove(name: string): boolean {
    const zone = this.#zoneOfNode.get(name);
    if (zone === undefined) return false;
    this.#zoneOfNode.delete(name);
    const members = this.#zones.get(zone)!;
    members.delete(name);
    if (members.size === 0) this.#zones.delete(zone);
    return true;
  }
  /** All names, taking one of each zone in turn. */
  names(): string[] {
    const zones = Array.from(this.#zones.values(), (members) => [...members]);
    const out: string[] = [];
    for (let i = 0; out.length < this.size; i++) for (const members of zones) if (i < members.length) out.push(members[i]!);
    return out;
  }
}
