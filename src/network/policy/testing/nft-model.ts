/** What a kernel would do with our scripts: as much of nft as they use. Throws where the kernel would refuse one. For tests. */
import { ipv4Number } from '../ipv4-ranges.ts';

export interface Packet {
  readonly from: string;
  readonly to: string;
  readonly protocol: string;
  readonly port: number;
}
type Verdict = 'accept' | 'drop' | undefined;

const words = (text: string): string[] => text.trim().split(/\s+/);
const number = (text: string): number => ipv4Number(text) ?? Number(text);

export class NftModel {
  readonly chains = new Map<string, string[]>();
  readonly elements = new Map<string, Map<string, string>>();
  there = false;

  run(script: string): void {
    for (const line of script.replace(/table ip t \{\n[\s\S]*?\n\}\n/g, 'make\n').split('\n').filter((l) => l !== '')) this.#line(line);
  }
  /** Whether a new connection gets through: both hooks must let it. */
  passes(packet: Packet): boolean {
    return this.#hook('egress-pods', packet.from, packet) !== 'drop' && this.#hook('ingress-pods', packet.to, packet) !== 'drop';
  }
  /** Chains and elements, in a fixed order. */
  contents(): unknown {
    const sorted = <V>(map: ReadonlyMap<string, V>): [string, V][] => [...map].toSorted(([a], [b]) => (a < b ? -1 : 1));
    return { there: this.there, chains: sorted(this.chains), elements: sorted(this.elements).map(([name, elements]) => [name, sorted(elements)]) };
  }

  #line(line: string): void {
    if (line === 'table ip t') return;
    if (line === 'delete table ip t' || line === 'make') {
      this.there = line === 'make';
      this.chains.clear();
      this.elements.clear();
      if (this.there) for (const map of ['egress-pods', 'ingress-pods']) this.elements.set(map, new Map());
      return;
    }
    const [, verb, what, name, rest] = /^(\w+) (\w+) ip t (\S+) ?(.*)$/.exec(line) ?? [];
    if (!this.there || verb === undefined || name === undefined || rest === undefined) throw new Error(line);
    if (what === 'element') this.#elements(verb, this.#known(this.elements, name), rest.slice(2, -2).split(', '), line);
    else if (verb === 'add' && what === 'set') this.#fresh(this.elements, name, new Map());
    else if (verb === 'add' && what === 'chain') this.#fresh(this.chains, name, []);
    else if (verb === 'add' && what === 'rule') this.#known(this.chains, name).push(this.#checked(rest));
    else if (verb === 'flush') this.#known(this.chains, name).length = 0;
    else if (verb === 'delete') this.#delete(what === 'set' ? this.elements : this.chains, name);
    else throw new Error(line);
  }
  #elements(verb: string, set: Map<string, string>, elements: readonly string[], line: string): void {
    for (const element of elements) {
      const [key = '', value = ''] = element.split(' : ');
      if (verb === 'add') this.#fresh(set, key, value);
      else if (!set.delete(key)) throw new Error(line);
    }
  }
  /** What rules lead to and look into must be there before them, and as long as they are. */
  #checked(rule: string): string {
    for (const name of this.#namesIn(rule)) if (!this.chains.has(name) && !this.elements.has(name)) throw new Error(`${rule}: no ${name}`);
    return rule;
  }
  #namesIn(rule: string): string[] {
    return [...rule.matchAll(/(?:@|jump |goto )(\S+)/g)].map(([, name]) => name!);
  }
  #delete(map: Map<string, unknown>, name: string): void {
    const used = [...[...this.chains.values()].flat(), ...[...this.elements.values()].flatMap((e) => [...e.values()])].some((rule) => this.#namesIn(rule).includes(name));
    if (used || !map.delete(name)) throw new Error(`${name} is in use, or not there`);
  }
  #known<V>(map: Map<string, V>, name: string): V {
    const found = map.get(name);
    if (found === undefined) throw new Error(`no ${name}`);
    return found;
  }
  #fresh<V>(map: Map<string, V>, name: string, value: V): void {
    if (map.has(name)) throw new Error(`${name} is there`);
    map.set(name, value);
  }

  #hook(map: string, address: string, packet: Packet): Verdict {
    const verdict = this.elements.get(map)?.get(address);
    return verdict === undefined ? undefined : this.#chain(verdict.replace('goto ', ''), packet);
  }
  #chain(name: string, packet: Packet): Verdict {
    for (const rule of this.#known(this.chains, name)) {
      const verdict = this.#rule(rule, packet);
      if (verdict) return verdict;
    }
    return undefined;
  }
  #rule(rule: string, packet: Packet): Verdict {
    const tokens = words(rule.replace(/\{[^}]*\}/g, (set) => set.replaceAll(/[ {}]/g, '')));
    while (tokens.length) {
      const [a, b, c] = tokens;
      if (a === 'accept' || a === 'drop') return a;
      if (a === 'jump') return this.#chain(b!, packet);
      if (tokens.slice(0, 8).join(' ') === 'ip daddr . meta l4proto . th dport') {
        if (!this.#isIn(tokens[8]!, `${packet.to} . ${packet.protocol} . ${packet.port}`)) return undefined;
        tokens.splice(0, 9);
        continue;
      }
      const fields: Readonly<Record<string, string>> = { 'ip saddr': packet.from, 'ip daddr': packet.to, 'meta l4proto': packet.protocol, 'th dport': String(packet.port) };
      const value = fields[`${a} ${b}`];
      if (value === undefined || c === undefined) throw new Error(rule);
      if (!this.#isIn(c, value)) return undefined;
      tokens.splice(0, 3);
    }
    throw new Error(`${rule}: no verdict`);
  }
  #isIn(set: string, value: string): boolean {
    if (set.startsWith('@')) return this.#known(this.elements, set.slice(1)).has(value);
    return set.split(',').some((part) => {
      const [from = '', to = from] = part.split('-');
      return from === value || (number(from) <= number(value) && number(value) <= number(to));
    });
  }
}
