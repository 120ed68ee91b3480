/** What a Pod is to a Service: its address, ports and condition. Upstream's counterpart: `k8s.io/endpointslice` utils. */
import type { Node, Pod, Service, ServicePort } from '#api/gen/core-v1.ts';
import type { Endpoint, EndpointPort } from '#api/gen/discovery-v1.ts';
import { nameOf, namespaceOf, uidOf } from '#api/object.ts';

export type AddressType = 'IPv4' | 'IPv6';
const ZONE = 'topology.kubernetes.io/zone';

export const isIPv6 = (ip: string): boolean => ip.includes(':');
export function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.find((c) => c.type === 'Ready')?.status === 'True';
}
export function addressesOf(pod: Pod): string[] {
  const ips = (pod.status?.podIPs ?? []).map((i) => i.ip ?? '').filter((ip) => ip !== '');
  return ips.length ? ips : pod.status?.podIP ? [pod.status.podIP] : [];
}
export function isTerminal(pod: Pod): boolean {
  return pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded';
}
/** Whether the Pod is listed at all. A Pod that is being deleted is, as terminating, where `includeTerminating`. */
export function belongsInEndpoints(pod: Pod, includeTerminating: boolean): boolean {
  return !isTerminal(pod) && addressesOf(pod).length > 0 && (includeTerminating || pod.metadata.deletionTimestamp === undefined);
}
/** Headless: no virtual address. */
export function hasClusterIP(service: Service): boolean {
  return (service.spec.clusterIP ?? '') !== '' && service.spec.clusterIP !== 'None';
}
/** The Pod's own name below the Service's: for headless Services that are the Pod's `subdomain`. */
export function hostnameOf(pod: Pod, service: Service): string | undefined {
  return pod.spec.hostname && pod.spec.subdomain === nameOf(service) && namespaceOf(pod) === namespaceOf(service) ? pod.spec.hostname : undefined;
}

/** The port of the Pod that a Service's port leads to: a number, or the container port of that name and protocol. */
export function targetPortOf(pod: Pod, port: ServicePort): number | undefined {
  const target = port.targetPort ?? port.port;
  if (typeof target === 'number') return target;
  const sidecars = (pod.spec.initContainers ?? []).filter((c) => c.restartPolicy === 'Always');
  for (const container of [...pod.spec.containers, ...sidecars]) {
    const found = container.ports?.find((p) => p.name === target && (p.protocol ?? 'TCP') === (port.protocol ?? 'TCP'));
    if (found) return found.containerPort;
  }
  return undefined;
}
/** The Service's ports as the Pod has them; a named port that it lacks is left out. */
export function endpointPortsOf(pod: Pod, service: Service): EndpointPort[] {
  return (service.spec.ports ?? []).flatMap((port) => {
    const number = targetPortOf(pod, port);
    if (number === undefined) return [];
    return [{ name: port.name ?? '', port: number, protocol: port.protocol ?? 'TCP', ...(port.appProtocol === undefined ? {} : { appProtocol: port.appProtocol }) }];
  });
}

export function endpointOf(pod: Pod, service: Service, node: Node | undefined, type: AddressType): Endpoint | undefined {
  const addresses = addressesOf(pod).filter((ip) => isIPv6(ip) === (type === 'IPv6'));
  if (addresses.length === 0) return undefined;
  const serving = isReady(pod);
  const terminating = pod.metadata.deletionTimestamp !== undefined;
  const hostname = hostnameOf(pod, service);
  const zone = node?.metadata.labels?.[ZONE];
  return {
    addresses: addresses.slice(0, 1),
    conditions: { ready: service.spec.publishNotReadyAddresses === true || (serving && !terminating), serving, terminating },
    ...(hostname === undefined ? {} : { hostname }),
    ...(pod.spec.nodeName ? { nodeName: pod.spec.nodeName } : {}),
    ...(zone ? { zone } : {}),
    targetRef: { kind: 'Pod', namespace: namespaceOf(pod), name: nameOf(pod), uid: uidOf(pod) },
  };
}
/** Hints by the Service's `trafficDistribution`, for endpoints that take traffic. Source: KEP-4444, KEP-3015. */
export function withHints(endpoint: Endpoint, distribution: string | undefined): Endpoint {
  if (endpoint.conditions?.ready !== true || !endpoint.zone || distribution === undefined) return endpoint;
  const forZones = [{ name: endpoint.zone }];
  if (distribution === 'PreferClose' || distribution === 'PreferSameZone') return { ...endpoint, hints: { forZones } };
  if (distribution === 'PreferSameNode' && endpoint.nodeName) return { ...endpoint, hints: { forZones, forNodes: [{ name: endpoint.nodeName }] } };
  return endpoint;
}
/** Whether a change of a Pod can change what Services say of it. */
export function endpointFieldsOf(pod: Pod): string {
  const { spec, status, metadata } = pod;
  return JSON.stringify([addressesOf(pod), isReady(pod), isTerminal(pod), metadata.deletionTimestamp !== undefined, spec.nodeName, spec.hostname, spec.subdomain, status?.phase === undefined, metadata.labels]);
}
