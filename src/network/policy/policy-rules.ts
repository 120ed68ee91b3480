/**
 * What a policy and a Pod have in the table. A policy has a chain of each direction that lets through what its rules say, and the sets that these rules
 * look into; a Pod is a member of the sets of those rules that name it, and, where it is isolated here, has a chain that asks its policies. So a Pod that
 * comes or goes changes members of sets, and no rule of another Pod or policy. Pure.
 */
import { NOTHING, type Rendered } from '#base/nft-rule-set.ts';
import { DIRECTIONS, isPeer, isSelectedPeer, namedPortsOf, nameFor, selects, type CompiledPolicy, type CompiledRule, type Direction, type NamespaceLabels, type Ports } from './compiled-policy.ts';
import { addressesText, ANYWHERE, portsText } from './ipv4-ranges.ts';
import type { PolicyPod } from './policy-pod.ts';
import type { Member } from './memberships.ts';
import { podsMap } from './policy-table.ts';

/** Longest name of a chain or set: NFT_NAME_MAXLEN less the end of the string. */
const MAX_NAME = 127;
const PEERS = 'type ipv4_addr;';
const PORTS = 'type ipv4_addr . inet_proto . inet_service;';

/** Field of the packet that holds the other end's address. */
const otherEnd = (direction: Direction): string => (direction === 'ingress' ? 'ip saddr' : 'ip daddr');

const named = (kind: string, name: string): string => `${kind}-${name}`.slice(0, MAX_NAME);
const chainOf = (policy: CompiledPolicy, direction: Direction): string => named(direction, policy.name);
const peersSet = (policy: CompiledPolicy, direction: Direction, rule: number): string => named(`${direction}-peers-${rule}`, policy.name);
const portsSet = (policy: CompiledPolicy, direction: Direction, rule: number): string => named(`${direction}-ports-${rule}`, policy.name);

/** Matches of which any will do. */
function peerMatches(policy: CompiledPolicy, direction: Direction, { peers }: CompiledRule, at: number): string[] {
  if (!peers) return [''];
  const { selected, blocks } = peers;
  if (blocks.some((r) => r.from === ANYWHERE.from && r.to === ANYWHERE.to)) return [''];
  const end = otherEnd(direction);
  return [...(selected.length ? [`${end} @${peersSet(policy, direction, at)} `] : []), ...(blocks.length ? [`${end} ${addressesText(blocks)} `] : [])];
}
function numberedMatches(ports: Ports | undefined): string[] {
  if (!ports) return [''];
  return Array.from(ports.numbered, ([protocol, ranges]) => (ranges === 'all' ? `meta l4proto ${protocol} ` : `meta l4proto ${protocol} th dport ${portsText(ranges)} `));
}
function rulesOf(policy: CompiledPolicy, direction: Direction, rule: CompiledRule, at: number): string[] {
  const peers = peerMatches(policy, direction, rule, at);
  const matches = peers.flatMap((peer) => numberedMatches(rule.ports).map((port) => `${peer}${port}`));
  if (rule.ports?.named.length) {
    const port = `ip daddr . meta l4proto . th dport @${portsSet(policy, direction, at)} `;
    // On the way out the set has the peers' ports alone; on the way in it has those of the Pods that the policy is about.
    matches.push(...(direction === 'egress' ? [port] : peers.map((peer) => `${peer}${port}`)));
  }
  return matches.map((match) => `${match}accept`);
}

/** What the policy has by itself. */
export function renderPolicy(policy: CompiledPolicy): Rendered {
  const chains = new Map<string, readonly string[]>();
  const sets = new Map<string, string>();
  for (const direction of DIRECTIONS) {
    const rules = policy.rules[direction];
    if (!rules) continue;
    chains.set(chainOf(policy, direction), rules.flatMap((rule, i) => rulesOf(policy, direction, rule, i)));
    rules.forEach((rule, i) => {
      if (rule.peers?.selected.length) sets.set(peersSet(policy, direction, i), PEERS);
      if (rule.ports?.named.length) sets.set(portsSet(policy, direction, i), PORTS);
    });
  }
  return { ...NOTHING, chains, sets };
}

/** The sets of the policy that the Pod is a member of, and as what: at most once each. */
export function membersOf(policy: CompiledPolicy, pod: PolicyPod, labelsOf: NamespaceLabels): Member[] {
  const members: Member[] = [];
  for (const direction of DIRECTIONS) {
    policy.rules[direction]?.forEach((rule, i) => {
      if (rule.peers?.selected.length && isSelectedPeer(policy, rule.peers, pod, labelsOf)) members.push({ set: peersSet(policy, direction, i), value: pod.ip });
      if (!rule.ports?.named.length) return;
      if (direction === 'egress' ? !isPeer(policy, rule, pod, labelsOf) : !(pod.local && selects(policy, pod))) return;
      const ports = new Set(namedPortsOf(rule, pod).map(({ protocol, port }) => `${pod.ip} . ${protocol} . ${port}`));
      for (const value of ports) members.push({ set: portsSet(policy, direction, i), value });
    });
  }
  return members;
}
/** The chains of a Pod that `policies` select, in a fixed order, and the ways to them. */
export function renderIsolated(pod: PolicyPod, policies: readonly CompiledPolicy[]): Rendered {
  const chains = new Map<string, readonly string[]>();
  const entries: Rendered['entries'][number][] = [];
  for (const direction of DIRECTIONS) {
    const asked = policies.filter((policy) => policy.rules[direction]).map((policy) => `jump ${chainOf(policy, direction)}`);
    if (asked.length === 0) continue;
    const chain = named(`pod-${direction}`, nameFor(`${pod.key}/${pod.ip}`));
    // A Pod reaches itself, by a Service's address too.
    chains.set(chain, [`${otherEnd(direction)} ${pod.ip} accept`, ...asked, 'drop']);
    entries.push({ map: podsMap(direction), key: pod.ip, value: `goto ${chain}` });
  }
  return { ...NOTHING, chains, entries };
}
