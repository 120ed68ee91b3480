/**
 * Which Pods are members of the sets of which policies, and the script that leads from what is there to what should be. An address is one Pod's, so no
 * member has two owners.
 */

export interface Member {
  readonly set: string;
  readonly value: string;
}
const NONE: readonly Member[] = [];

export class Memberships {
  readonly #table: string;
  /** By policy and Pod. */
  readonly #members = new Map<string, Map<string, readonly Member[]>>();
  /** By set and value: 1 to add it, -1 to delete it, 0 where it went from one Pod to another. */
  readonly #changes = new Map<string, Map<string, number>>();

  /** `table` with its family. */
  constructor(table: string) {
    this.#table = table;
  }
  /** Forgets everything: the table is made anew. */
  clear(): void {
    this.#members.clear();
    this.#changes.clear();
  }
  /** The policy's sets are not there any more. */
  forget(policy: string): void {
    this.#members.delete(policy);
  }
  set(policy: string, pod: string, members: readonly Member[]): void {
    const pods = this.#members.get(policy) ?? new Map<string, readonly Member[]>();
    const before = pods.get(pod) ?? NONE;
    for (const member of before) if (!has(members, member)) this.#count(member, -1);
    for (const member of members) if (!has(before, member)) this.#count(member, 1);
    if (members.length) this.#members.set(policy, pods.set(pod, members));
    else if (pods.delete(pod) && pods.size === 0) this.#members.delete(policy);
  }
  /** What has changed since the last time. `exists`: whether a set is there after the rules have changed; it takes its members along. */
  change(exists: (set: string) => boolean): string {
    let deletes = '';
    let adds = '';
    for (const [set, values] of this.#changes) {
      if (!exists(set)) continue;
      deletes += this.#line('delete', set, values, -1);
      adds += this.#line('add', set, values, 1);
    }
    this.#changes.clear();
    return deletes + adds;
  }
  #line(verb: string, set: string, values: ReadonlyMap<string, number>, sign: number): string {
    const those = [...values].flatMap(([value, count]) => (count === sign ? value : []));
    return those.length ? `${verb} element ${this.#table} ${set} { ${those.join(', ')} }\n` : '';
  }
  #count({ set, value }: Member, by: number): void {
    const values = this.#changes.get(set) ?? new Map<string, number>();
    this.#changes.set(set, values.set(value, (values.get(value) ?? 0) + by));
  }
}

const has = (members: readonly Member[], { set, value }: Member): boolean => members.some((m) => m.set === set && m.value === value);
