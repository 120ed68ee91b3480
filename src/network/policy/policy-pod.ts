/** What policies see of a Pod. Pure. */
import type { Container, Pod } from '#api/gen/core-v1.ts';
import { keyOf, namespaceOf } from '#api/object.ts';
import type { Labels } from '#machinery/selectors.ts';
import { ipv4Number } from './ipv4-ranges.ts';

export type Protocol = 'tcp' | 'udp' | 'sctp';
export interface NamedPort {
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
}
/** A Pod that has an address of its own and has not finished: no other is a peer or is isolated. */
export interface PolicyPod {
  readonly key: string;
  readonly namespace: string;
  readonly labels: Labels;
  /** IPv4, in dotted decimal. */
  readonly ip: string;
  /** It runs on this node. */
  readonly local: boolean;
  readonly ports: readonly NamedPort[];
  /** Decides who has an address that two Pods claim, as after one was deleted and another one got its address: the greater. */
  readonly claim: string;
}

export const protocolOf = (protocol: string | undefined): Protocol => (protocol ?? 'TCP').toLowerCase() as Protocol;

/** Containers that run as long as the Pod does. */
const lasting = ({ spec }: Pod): Container[] => [...spec.containers, ...(spec.initContainers ?? []).filter((c) => c.restartPolicy === 'Always')];

/** `podIP`: the address that the Pod has on this node, where the API does not know it yet. Undefined: policies have nothing to do with the Pod. */
export function policyPodOf(pod: Pod, nodeName: string, podIP?: string): PolicyPod | undefined {
  const { spec, status, metadata } = pod;
  const ip = podIP ?? [status?.podIP, ...(status?.podIPs ?? []).map((p) => p.ip)].find((text) => text && ipv4Number(text) !== undefined);
  if (!ip || spec.hostNetwork || status?.phase === 'Succeeded' || status?.phase === 'Failed') return undefined;
  const ports = lasting(pod).flatMap((c) => c.ports ?? []).filter((p) => p.name).map((p) => ({ name: p.name!, protocol: protocolOf(p.protocol), port: p.containerPort }));
  const claim = [podIP ? 2 : metadata.deletionTimestamp ? 0 : 1, metadata.creationTimestamp ?? '', metadata.uid ?? ''].join(' ');
  return { key: keyOf(pod), namespace: namespaceOf(pod), labels: metadata.labels ?? {}, ip, local: podIP !== undefined || spec.nodeName === nodeName, ports, claim };
}

/** What is kept of each Pod of the cluster: what {@link policyPodOf} reads. */
export function littlePod({ apiVersion, kind, metadata, spec, status }: Pod): Pod {
  const { name, namespace, uid, resourceVersion, creationTimestamp, deletionTimestamp, labels } = metadata;
  const named = (containers: readonly Container[]): Container[] => containers.flatMap((c) => {
    const ports = c.ports?.filter((p) => p.name);
    return ports?.length ? [{ name: c.name, ports, restartPolicy: c.restartPolicy }] : [];
  });
  return {
    apiVersion, kind, metadata: { name, namespace, uid, resourceVersion, creationTimestamp, deletionTimestamp, labels },
    spec: { nodeName: spec.nodeName, hostNetwork: spec.hostNetwork, containers: named(spec.containers), initContainers: spec.initContainers && named(spec.initContainers) },
    status: { phase: status?.phase, podIP: status?.podIP, podIPs: status?.podIPs },
  };
}
