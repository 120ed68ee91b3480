/** For tests: a cluster from plain lists, and questions as bytes. */
import { decode, encode, RECURSION_DESIRED, type RecordType } from 'dns-packet';
import type { Service } from '#api/gen/core-v1.ts';
import type { EndpointSlice } from '#api/gen/discovery-v1.ts';
import { SERVICE_NAME, type ClusterView } from './cluster-view.ts';

export interface PlainCluster {
  readonly namespaces: readonly string[];
  readonly services: readonly Service[];
  readonly slices?: readonly EndpointSlice[];
  /** Namespace by Pod address. */
  readonly pods?: Readonly<Record<string, string>>;
}
export function viewOf({ namespaces, services, slices = [], pods = {} }: PlainCluster): ClusterView {
  return {
    hasNamespace: (name) => namespaces.includes(name),
    service: (namespace, name) => services.find((s) => s.metadata.namespace === namespace && s.metadata.name === name),
    slicesOf: (namespace, name) => slices.filter((s) => s.metadata.namespace === namespace && s.metadata.labels?.[SERVICE_NAME] === name),
    servicesWithIP: (ip) => services.filter((s) => s.spec.clusterIPs?.includes(ip)),
    slicesWithIP: (ip) => slices.filter((s) => s.endpoints?.some((e) => e.addresses.includes(ip))),
    namespaceOfPod: (ip) => pods[ip],
  };
}
export function service(name: string, spec: Service['spec'], namespace = 'default'): Service {
  return { metadata: { name, namespace }, spec: { ports: [{ name: 'http', port: 80, protocol: 'TCP' }], ...spec } };
}
export function slice(of: string, endpoints: EndpointSlice['endpoints'], more: Partial<EndpointSlice> = {}): EndpointSlice {
  return { metadata: { name: `${of}-x`, namespace: 'default', labels: { [SERVICE_NAME]: of } }, addressType: 'IPv4', ports: [{ name: 'http', port: 8080, protocol: 'TCP' }], endpoints: endpoints ?? [], ...more };
}
export function query(name: string, type: RecordType, options: { id?: number; udpSize?: number } = {}): Buffer {
  const opt = options.udpSize === undefined ? [] : [{ type: 'OPT' as const, name: '.', udpPayloadSize: options.udpSize, flags: 0, flag_do: false, extendedRcode: 0, ednsVersion: 0, options: [] }];
  return encode({ type: 'query', id: options.id ?? 7, flags: RECURSION_DESIRED, questions: [{ type, name }], additionals: opt });
}
/** The answer in short: code, and each record as text. */
export function shortly(message: Buffer): { rcode: string; answers: string[]; authorities: string[]; additionals: string[]; truncated: boolean; authoritative: boolean } {
  const packet = decode(message) as ReturnType<typeof decode> & { rcode: string; flag_tc: boolean; flag_aa: boolean };
  const texts = (records: typeof packet.answers) => (records ?? []).filter((r) => r.type !== 'OPT').map((r) => `${r.name} ${r.type} ${typeof r.data === 'string' ? r.data : Array.isArray(r.data) ? r.data.join() : JSON.stringify(r.data)}`);
  return { rcode: packet.rcode, answers: texts(packet.answers), authorities: texts(packet.authorities), additionals: texts(packet.additionals), truncated: packet.flag_tc, authoritative: packet.flag_aa };
}
