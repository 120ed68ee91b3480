/**
 * What each owner (a Service, a Pod, a policy) has in a table of nftables, and the script that leads from what is there to what should be. Scripts are
 * transactions: all of it holds at once or nothing does.
 */

/** Everything of one owner. Names are the table's. */
export interface Rendered {
  /** Rules by chain. */
  readonly chains: ReadonlyMap<string, readonly string[]>;
  /** Declarations of sets of the owner's own, by name. */
  readonly sets: ReadonlyMap<string, string>;
  /** Entries of the table's maps: one owner each. */
  readonly entries: readonly { readonly map: string; readonly key: string; readonly value: string }[];
  /** Members of the table's sets: an owner may share them with others. */
  readonly members: readonly { readonly set: string; readonly value: string }[];
}
export const NOTHING: Rendered = { chains: new Map(), sets: new Map(), entries: [], members: [] };

interface Entry {
  readonly owner: string;
  readonly value: string;
}
/** Of all owners together, for rules of one lead to chains of another, and look into its sets. */
interface Lines {
  /** Chains and sets, before any rule. */
  readonly declared: string[];
  readonly filled: string[];
  readonly emptied: string[];
  /** Chains and sets, when no rule is left that needs them. */
  readonly removed: string[];
}
const idOf = (a: string, b: string): string => `${a}\0${b}`;

export class RuleSet {
  readonly #table: string;
  #owners = new Map<string, Rendered>();
  #entries = new Map<string, Entry>();
  #members = new Map<string, number>();
  /** Owners that want an entry which another one has, by entry. */
  #waiting = new Map<string, Set<string>>();

  /** `table` with its family: `ip podyard_proxy`. */
  constructor(table: string) {
    this.#table = table;
  }
  get size(): number {
    return this.#owners.size;
  }
  /** Forgets everything: the table is made anew. */
  clear(): void {
    this.#owners = new Map();
    this.#entries = new Map();
    this.#members = new Map();
    this.#waiting = new Map();
  }
  of(owner: string): Rendered | undefined {
    return this.#owners.get(owner);
  }

  /**
   * Takes new states in; gives the script ('' when nothing changes), and owners that should be set again because an entry that they
   * wanted has become free. After a script that failed, {@link clear} and set everything.
   */
  change(states: ReadonlyMap<string, Rendered>): { script: string; again: Set<string> } {
    const rules: Lines = { declared: [], filled: [], emptied: [], removed: [] };
    const deletes: string[] = [];
    const adds: string[] = [];
    const again = new Set<string>();
    // All releases come first, so that an entry can pass from one owner to another in one step.
    for (const [owner, next] of states) this.#release(owner, next, deletes, again);
    for (const [owner, next] of states) {
      const old = this.#owners.get(owner) ?? NOTHING;
      this.#chainsAndSets(old, next, rules);
      this.#acquire(owner, next, adds);
      if (next.chains.size || next.entries.length || next.members.length) this.#owners.set(owner, next);
      else this.#owners.delete(owner);
    }
    for (const owner of states.keys()) again.delete(owner);
    const lines = [...rules.declared, ...rules.filled, ...deletes, ...adds, ...rules.emptied, ...rules.removed];
    return { script: lines.length ? `${lines.join('\n')}\n` : '', again };
  }

  #chainsAndSets(old: Rendered, next: Rendered, { declared, filled, emptied, removed }: Lines): void {
    const t = this.#table;
    for (const [name, declaration] of next.sets) if (!old.sets.has(name)) declared.push(`add set ${t} ${name} { ${declaration} }`);
    for (const name of next.chains.keys()) if (!old.chains.has(name)) declared.push(`add chain ${t} ${name}`);
    for (const [name, rules] of next.chains) {
      const was = old.chains.get(name);
      if (was && was.length === rules.length && was.every((r, i) => r === rules[i])) continue;
      if (was) filled.push(`flush chain ${t} ${name}`);
      for (const rule of rules) filled.push(`add rule ${t} ${name} ${rule}`);
    }
    const stale = [...old.chains.keys()].filter((name) => !next.chains.has(name));
    for (const name of stale) emptied.push(`flush chain ${t} ${name}`);
    for (const name of stale) removed.push(`delete chain ${t} ${name}`);
    for (const name of old.sets.keys()) if (!next.sets.has(name)) removed.push(`delete set ${t} ${name}`);
  }
  #release(owner: string, next: Rendered, deletes: string[], again: Set<string>): void {
    const old = this.#owners.get(owner);
    if (!old) return;
    const kept = new Map(next.entries.map((e) => [idOf(e.map, e.key), e.value]));
    for (const { map, key } of old.entries) {
      const id = idOf(map, key);
      const held = this.#entries.get(id);
      if (held?.owner !== owner) {
        if (!kept.has(id)) this.#waiting.get(id)?.delete(owner);
        continue;
      }
      if (kept.get(id) === held.value) continue;
      this.#entries.delete(id);
      deletes.push(`delete element ${this.#table} ${map} { ${key} }`);
      if (kept.has(id)) continue;
      for (const other of this.#waiting.get(id) ?? []) again.add(other);
      this.#waiting.delete(id);
    }
    const members = new Set(next.members.map((m) => idOf(m.set, m.value)));
    for (const { set, value } of old.members) {
      const id = idOf(set, value);
      if (members.has(id)) continue;
      const left = (this.#members.get(id) ?? 1) - 1;
      if (left > 0) this.#members.set(id, left);
      else {
        this.#members.delete(id);
        deletes.push(`delete element ${this.#table} ${set} { ${value} }`);
      }
    }
  }
  #acquire(owner: string, next: Rendered, adds: string[]): void {
    for (const { map, key, value } of next.entries) {
      const id = idOf(map, key);
      const held = this.#entries.get(id);
      if (held && held.owner !== owner) {
        this.#waiting.set(id, (this.#waiting.get(id) ?? new Set()).add(owner));
        continue;
      }
      if (held) continue;
      this.#entries.set(id, { owner, value });
      adds.push(`add element ${this.#table} ${map} { ${key} : ${value} }`);
    }
    const had = new Set((this.#owners.get(owner)?.members ?? []).map((m) => idOf(m.set, m.value)));
    for (const { set, value } of next.members) {
      const id = idOf(set, value);
      if (had.has(id)) continue;
      const count = this.#members.get(id) ?? 0;
      this.#members.set(id, count + 1);
      if (count === 0) adds.push(`add element ${this.#table} ${set} { ${value} }`);
    }
  }
}
