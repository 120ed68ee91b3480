/** What NetworkPolicies say of one connection, read off the API reference word by word, without any thought of rules. For tests. */
import type { Namespace, Pod } from '#api/gen/core-v1.ts';
import type { NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from '#api/gen/networking-v1.ts';
import { namespaceOf } from '#api/object.ts';
import { cidrContains, parseCIDR, parseIP } from '#machinery/ip.ts';
import { labelMatcherOf } from '#machinery/selectors.ts';
import type { Packet } from './nft-model.ts';

export interface World {
  readonly pods: readonly Pod[];
  readonly namespaces: readonly Namespace[];
  readonly policies: readonly NetworkPolicy[];
}

const hasOwnNetwork = (pod: Pod): boolean => !pod.spec.hostNetwork && !['Succeeded', 'Failed'].includes(pod.status?.phase ?? '');
const inBlock = (cidr: string, ip: string): boolean => cidrContains(parseCIDR(cidr)!, parseIP(ip)!);

export class Evaluator {
  readonly #world: World;
  constructor(world: World) {
    this.#world = world;
  }
  /** Whether the node `nodeName` lets a new connection through, which it may for another node to refuse. */
  passes(packet: Packet, nodeName: string): boolean {
    if (packet.from === packet.to) return true;
    const [from, to] = [this.#podAt(packet.from), this.#podAt(packet.to)];
    return !(from?.spec.nodeName === nodeName && !this.#allowed(from, 'Egress', to, packet.to, packet)) && !(to?.spec.nodeName === nodeName && !this.#allowed(to, 'Ingress', from, packet.from, packet));
  }
  #podAt(ip: string): Pod | undefined {
    return this.#world.pods.find((pod) => hasOwnNetwork(pod) && pod.status?.podIP === ip);
  }
  #allowed(pod: Pod, direction: 'Ingress' | 'Egress', other: Pod | undefined, otherIP: string, packet: Packet): boolean {
    const policies = this.#world.policies.filter((p) => namespaceOf(p) === namespaceOf(pod) && labelMatcherOf(p.spec.podSelector ?? {}).matches(pod.metadata.labels) && this.#types(p).includes(direction));
    if (policies.length === 0) return true;
    const target = direction === 'Ingress' ? pod : other;
    return policies.some((policy) => {
      const rules = direction === 'Ingress' ? (policy.spec.ingress ?? []).map((r) => ({ peers: r.from, ports: r.ports })) : (policy.spec.egress ?? []).map((r) => ({ peers: r.to, ports: r.ports }));
      return rules.some(({ peers = [], ports = [] }) => (peers.length === 0 || peers.some((p) => this.#isPeer(p, policy, other, otherIP))) && (ports.length === 0 || ports.some((p) => this.#isPort(p, target, packet))));
    });
  }
  #types({ spec }: NetworkPolicy): readonly string[] {
    return spec.policyTypes ?? (spec.egress?.length ? ['Ingress', 'Egress'] : ['Ingress']);
  }
  #isPeer(peer: NetworkPolicyPeer, policy: NetworkPolicy, pod: Pod | undefined, ip: string): boolean {
    if (peer.ipBlock) return inBlock(peer.ipBlock.cidr, ip) && !(peer.ipBlock.except ?? []).some((cidr) => inBlock(cidr, ip));
    if (!pod || (peer.podSelector && !labelMatcherOf(peer.podSelector).matches(pod.metadata.labels))) return false;
    if (!peer.namespaceSelector) return namespaceOf(pod) === namespaceOf(policy);
    const namespace = this.#world.namespaces.find((n) => n.metadata.name === namespaceOf(pod));
    return namespace !== undefined && labelMatcherOf(peer.namespaceSelector).matches(namespace.metadata.labels);
  }
  #isPort({ protocol = 'TCP', port, endPort }: NetworkPolicyPort, target: Pod | undefined, packet: Packet): boolean {
    if (protocol.toLowerCase() !== packet.protocol) return false;
    if (typeof port === 'number') return port <= packet.port && packet.port <= (endPort ?? port);
    return port === undefined || (target?.spec.containers.flatMap((c) => c.ports ?? []) ?? []).some((p) => p.name === port && (p.protocol ?? 'TCP') === protocol && p.containerPort === packet.port);
  }
}
