import type { Service, ServiceSpec } from '#api/gen/core-v1.ts';
import type { Draft } from '#base/draft.ts';
import { nameIsDNSLabel } from '#machinery/names.ts';
import { fieldPath } from '#machinery/field-errors.ts';
import { defineStrategy } from '../define.ts';
import { AGE, age, fieldDoc, labelsText, NAME, NONE, text, UNKNOWN, wide } from '../printing.ts';
import { validateServiceChanges } from './service-ips.ts';
import { assignFamilies, dropUnused, isExternallyAccessible, keepAllocated, normaliseClusterIPs } from './service-spec.ts';
import { POLICIES, validateLoadBalancerStatus, validateService } from './service-validation.ts';
import { warningsForCIDR, warningsForIP } from '#machinery/ip.ts';

const AFFINITY_SECONDS = 10800;
/** Families of the cluster's Service network, the primary first. */
const CLUSTER_FAMILIES = ['IPv4'] as const;

function defaultAffinity(spec: Draft<ServiceSpec>): void {
  spec.sessionAffinity ||= 'None';
  if (spec.sessionAffinity === 'None') delete spec.sessionAffinityConfig;
  if (spec.sessionAffinity === 'ClientIP') {
    const config = (spec.sessionAffinityConfig ??= {});
    config.clientIP ??= {};
    config.clientIP.timeoutSeconds ??= AFFINITY_SECONDS;
  }
}
function defaultService(service: Draft<Service>): void {
  const spec = (service.spec ??= {});
  defaultAffinity(spec);
  spec.type ||= 'ClusterIP';
  for (const port of spec.ports ?? []) {
    port.protocol ||= 'TCP';
    if (!port.targetPort) port.targetPort = port.port;
  }
  if (isExternallyAccessible(spec)) spec.externalTrafficPolicy ||= 'Cluster';
  if (spec.type === 'ClusterIP' || spec.type === 'NodePort' || spec.type === 'LoadBalancer') spec.internalTrafficPolicy ??= 'Cluster';
  if (spec.type === 'LoadBalancer') {
    spec.allocateLoadBalancerNodePorts ??= true;
    for (const point of service.status?.loadBalancer?.ingress ?? []) if (point.ip) point.ipMode ??= 'VIP';
  }
}

function loadBalancerText(service: Service): string {
  const points = (service.status?.loadBalancer?.ingress ?? []).map((p) => p.ip || p.hostname || '').filter((p) => p !== '');
  return [...new Set(points)].toSorted().join(',');
}
function externalText(service: Service): string {
  const { type, externalIPs = [], externalName } = service.spec;
  if (type === 'ExternalName') return externalName ?? '';
  if (type === 'LoadBalancer') {
    const balanced = loadBalancerText(service);
    const all = [...(balanced === '' ? [] : [balanced]), ...externalIPs];
    return all.length === 0 ? '<pending>' : all.join(',');
  }
  if (type !== 'ClusterIP' && type !== 'NodePort') return UNKNOWN;
  return externalIPs.length > 0 ? externalIPs.join(',') : NONE;
}
function portsText(service: Service): string {
  const ports = (service.spec.ports ?? []).map((p) => (p.nodePort ? `${p.port}:${p.nodePort}/${p.protocol}` : `${p.port}/${p.protocol}`));
  return ports.length === 0 ? NONE : ports.join(',');
}

const SPEC = fieldPath('spec');
const TOPOLOGY_HINTS = 'service.kubernetes.io/topology-aware-hints';
/** A name has no traffic of the cluster's. A policy that is none stays, for validation to refuse. */
function dropInternalPolicy(spec: Draft<ServiceSpec>): void {
  if (spec.type === 'ExternalName' && POLICIES.includes(spec.internalTrafficPolicy ?? '')) delete spec.internalTrafficPolicy;
}
/** A headless Service has no address that others could stand in for. */
function serviceWarnings(annotations: Readonly<Record<string, string>> | undefined, spec: ServiceSpec): string[] {
  const { clusterIPs = [], externalIPs = [], loadBalancerSourceRanges: ranges = [] } = spec;
  const headless = spec.type === 'ClusterIP' && spec.clusterIP === 'None';
  const named = spec.type === 'ExternalName';
  const ignored = [
    ...(spec.loadBalancerIP ? ['spec.loadBalancerIP is ignored for headless services'] : []), ...(externalIPs.length ? ['spec.externalIPs is ignored for headless services'] : []),
    ...(spec.sessionAffinity === 'None' ? [] : ['spec.SessionAffinity is ignored for headless services']),
  ];
  return [
    ...(annotations?.[TOPOLOGY_HINTS] === undefined ? [] : [`annotation ${TOPOLOGY_HINTS} is deprecated, please use service.kubernetes.io/topology-mode instead`]),
    ...(headless || named ? [] : clusterIPs.flatMap((ip, i) => warningsForIP(SPEC.child('clusterIPs').index(i), ip))),
    ...(headless ? ignored : []),
    ...externalIPs.flatMap((ip, i) => warningsForIP(SPEC.child('externalIPs').index(i), ip)),
    ...(externalIPs.length && !headless && !named ? ['spec.externalIPs is deprecated and may no longer be implemented in some clusters'] : []),
    ...(spec.loadBalancerIP ? warningsForIP(SPEC.child('loadBalancerIP'), spec.loadBalancerIP) : []),
    ...ranges.flatMap((range, i) => warningsForCIDR(SPEC.child('loadBalancerSourceRanges').index(i), range)),
    ...(named && externalIPs.length ? ['spec.externalIPs is ignored when spec.type is "ExternalName"'] : []),
    ...(!named && spec.externalName ? ['spec.externalName is ignored when spec.type is not "ExternalName"'] : []),
    ...(spec.trafficDistribution === 'PreferClose' ? ['spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'] : []),
  ];
}

export const services = defineStrategy<Service>('', 'v1', 'services', {
  default: defaultService,
  prepareForCreate(service) {
    dropInternalPolicy(service.spec);
    service.status = { loadBalancer: {} };
    normaliseClusterIPs(service.spec, undefined);
    assignFamilies(service.spec, CLUSTER_FAMILIES);
  },
  prepareForUpdate(service, old, ctx) {
    if (ctx.subresource === 'status') return;
    normaliseClusterIPs(service.spec, old.spec);
    keepAllocated(service.spec, old.spec);
    dropUnused(service.spec, old.spec);
    dropInternalPolicy(service.spec);
    assignFamilies(service.spec, CLUSTER_FAMILIES);
    if (service.spec.type !== 'LoadBalancer' && old.spec.type === 'LoadBalancer') service.status = { loadBalancer: {} };
  },
  validateName: nameIsDNSLabel,
  validate: validateService,
  validateUpdate: (service, old) => [...validateServiceChanges(service, old), ...validateService(service)],
  validateStatusUpdate: (service) => validateLoadBalancerStatus(service.status?.loadBalancer, service.spec.type === 'LoadBalancer', fieldPath('status', 'loadBalancer')),
  warnings: ({ metadata, spec }) => serviceWarnings(metadata.annotations, spec),
  allowCreateOnUpdate: true,
  columns: [
    NAME,
    text('Type', fieldDoc('api/core/v1.ServiceSpec', 'type')),
    text('Cluster-IP', fieldDoc('api/core/v1.ServiceSpec', 'clusterIP')),
    text('External-IP', fieldDoc('api/core/v1.ServiceSpec', 'externalIPs')),
    text('Port(s)', fieldDoc('api/core/v1.ServiceSpec', 'ports')),
    AGE,
    wide('Selector', fieldDoc('api/core/v1.ServiceSpec', 'selector')),
  ],
  row: (service, now) => [
    service.metadata.name ?? '', service.spec.type ?? '', service.spec.clusterIPs?.[0] ?? NONE, externalText(service), portsText(service),
    age(service.metadata, now), labelsText(service.spec.selector),
  ],
  selectableFields: { 'spec.clusterIP': (service) => service.spec.clusterIP ?? '', 'spec.type': (service) => service.spec.type ?? '' },
});
