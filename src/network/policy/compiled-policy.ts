/**
 * A NetworkPolicy, read once: which Pods it isolates in which direction, and whom its rules let through. Pure.
 * Source: the API reference, NetworkPolicySpec; the page "Network Policies".
 */
import { createHash } from 'node:crypto';
import type { NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from '#api/gen/networking-v1.ts';
import { keyOf, namespaceOf } from '#api/object.ts';
import { EVERYTHING, labelMatcherOf, type LabelMatcher, type Labels } from '#machinery/selectors.ts';
import { includes, ipv4Number, merged, rangesOf, type Range } from './ipv4-ranges.ts';
import { protocolOf, type NamedPort, type PolicyPod, type Protocol } from './policy-pod.ts';

export type Direction = 'ingress' | 'egress';
export const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];

/** Pods that match both. */
interface PodPeers {
  /** Undefined: the policy's own namespace. */
  readonly namespaces: LabelMatcher | undefined;
  readonly pods: LabelMatcher;
}
/** Who is let through. */
export interface Peers {
  readonly selected: readonly PodPeers[];
  readonly blocks: readonly Range[];
}
/** Which ports are let through. */
export interface Ports {
  /** By protocol; `all` where a protocol is let through on every port. */
  readonly numbered: ReadonlyMap<Protocol, readonly Range[] | 'all'>;
  /** What the destination calls its ports. */
  readonly named: readonly Omit<NamedPort, 'port'>[];
}
export interface CompiledRule {
  /** Undefined: everybody. */
  readonly peers: Peers | undefined;
  /** Undefined: every protocol and port. */
  readonly ports: Ports | undefined;
}
export interface CompiledPolicy {
  readonly key: string;
  /** Part of the names of its chains and sets. */
  readonly name: string;
  readonly namespace: string;
  readonly pods: LabelMatcher;
  /** By direction; absent where the policy does not isolate in it. */
  readonly rules: Readonly<Partial<Record<Direction, readonly CompiledRule[]>>>;
}
/** Labels of a namespace; undefined where it is not known (yet). */
export type NamespaceLabels = (namespace: string) => Labels | undefined;

/** Part of a name of nftables: unlike for each key, and readable. */
export function nameFor(key: string): string {
  return `${createHash('sha256').update(key).digest('hex').slice(0, 12)}-${key}`;
}
function compilePeers(peers: readonly NetworkPolicyPeer[] | undefined): Peers | undefined {
  if (!peers?.length) return undefined;
  const selectors = peers.filter((p) => p.podSelector !== undefined || p.namespaceSelector !== undefined);
  return {
    selected: selectors.map(({ podSelector, namespaceSelector }) => ({ namespaces: namespaceSelector && labelMatcherOf(namespaceSelector), pods: podSelector ? labelMatcherOf(podSelector) : EVERYTHING })),
    blocks: rangesOf(peers.flatMap((p) => p.ipBlock ?? [])),
  };
}
function compilePorts(ports: readonly NetworkPolicyPort[] | undefined): Ports | undefined {
  if (!ports?.length) return undefined;
  const numbered = new Map<Protocol, readonly Range[] | 'all'>();
  const named: Omit<NamedPort, 'port'>[] = [];
  for (const { protocol: text, port, endPort } of ports) {
    const protocol = protocolOf(text);
    const before = numbered.get(protocol) ?? [];
    if (port === undefined) numbered.set(protocol, 'all');
    else if (typeof port === 'string') named.push({ name: port, protocol });
    else if (before !== 'all') numbered.set(protocol, merged([...before, { from: port, to: Math.max(port, endPort ?? port) }]));
  }
  return { numbered, named };
}

/** Where `policyTypes` is absent, a policy is about ingress, and about egress if it has rules for it. */
export function compilePolicy(policy: NetworkPolicy): CompiledPolicy {
  const { podSelector, ingress = [], egress = [], policyTypes } = policy.spec;
  const types = policyTypes?.length ? policyTypes : ['Ingress', ...(egress.length ? ['Egress'] : [])];
  return {
    key: keyOf(policy), name: nameFor(keyOf(policy)), namespace: namespaceOf(policy), pods: labelMatcherOf(podSelector ?? {}),
    rules: {
      ...(types.includes('Ingress') && { ingress: ingress.map((rule) => ({ peers: compilePeers(rule.from), ports: compilePorts(rule.ports) })) }),
      ...(types.includes('Egress') && { egress: egress.map((rule) => ({ peers: compilePeers(rule.to), ports: compilePorts(rule.ports) })) }),
    },
  };
}

/** Whether the policy is about the Pod. */
export function selects(policy: CompiledPolicy, pod: { readonly namespace: string; readonly labels: Labels }): boolean {
  return policy.namespace === pod.namespace && policy.pods.matches(pod.labels);
}
/** Whether a selector names the Pod; blocks are another matter. */
export function isSelectedPeer(policy: CompiledPolicy, peers: Peers, pod: PolicyPod, labelsOf: NamespaceLabels): boolean {
  return peers.selected.some(({ namespaces, pods }) => {
    if (namespaces === undefined) return pod.namespace === policy.namespace && pods.matches(pod.labels);
    const labels = labelsOf(pod.namespace);
    return labels !== undefined && namespaces.matches(labels) && pods.matches(pod.labels);
  });
}
/** Whether the Pod is let through by the rule's peers, by name or by address. */
export function isPeer(policy: CompiledPolicy, { peers }: CompiledRule, pod: PolicyPod, labelsOf: NamespaceLabels): boolean {
  return peers === undefined || isSelectedPeer(policy, peers, pod, labelsOf) || includes(peers.blocks, ipv4Number(pod.ip)!);
}
/** Ports of the Pod that the rule names. */
export function namedPortsOf({ ports }: CompiledRule, pod: PolicyPod): NamedPort[] {
  return pod.ports.filter((p) => ports?.named.some((n) => n.name === p.name && n.protocol === p.protocol));
}
