import type { LoadBalancerStatus, Service, ServicePort, ServiceSpec } from '#api/gen/core-v1.ts';
import { duplicate, fieldPath, forbiddenField, invalidValue, notSupported, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Label, isDNS1123Subdomain, isQualifiedName } from '#machinery/names.ts';
import { validateLabels } from '#machinery/object-meta.ts';
import { fromMessages, inRange, oneOf, requiredOneOf } from '../field-checks.ts';
import { cidrErrors, familyOf, ipErrors, specialIPErrors } from '../ip-checks.ts';
import { PROTOCOLS, validatePortNumber, validatePortNumberOrName } from './ports.ts';
import { validateClusterIPs } from './service-ips.ts';
import { HEADLESS, isExternallyAccessible, isHeadless, needsHealthCheckNodePort } from './service-spec.ts';
import { structByFactsName } from '#api/schema.ts';
import { internalForm } from '../internal-form.ts';

const TYPES = ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'];
const AFFINITIES = ['ClientIP', 'None'];
export const POLICIES = ['Cluster', 'Local'];
const DISTRIBUTIONS = ['PreferClose', 'PreferSameZone', 'PreferSameNode'];
const MAX_AFFINITY_SECONDS = 86400;
const SPEC = fieldPath('spec');
const ONLY_LOAD_BALANCER = "may only be used when `type` is 'LoadBalancer'";

function validateTopologyAnnotations(service: Service): FieldError[] {
  const hints = service.metadata.annotations?.['service.kubernetes.io/topology-aware-hints'];
  const mode = service.metadata.annotations?.['service.kubernetes.io/topology-mode'];
  if (hints === undefined || mode === undefined || hints === mode) return [];
  const path = fieldPath('metadata', 'annotations').key('service.kubernetes.io/topology-mode');
  return [invalidValue(path, mode, 'must match annotations[service.kubernetes.io/topology-aware-hints] when both are specified')];
}

function validateByType(spec: ServiceSpec): FieldError[] {
  const errors: FieldError[] = [];
  if (!spec.ports?.length && !isHeadless(spec) && spec.type !== 'ExternalName') errors.push(required(SPEC.child('ports')));
  if ((spec.type === 'LoadBalancer' || spec.type === 'NodePort') && isHeadless(spec)) {
    errors.push(invalidValue(SPEC.child('clusterIPs').index(0), HEADLESS, `may not be set to 'None' for ${spec.type} services`));
  }
  if (spec.type !== 'ExternalName') return errors;
  const unset = 'may not be set for ExternalName services';
  if (spec.clusterIPs?.length) errors.push(forbiddenField(SPEC.child('clusterIPs'), unset));
  if (spec.ipFamilies?.length) errors.push(forbiddenField(SPEC.child('ipFamilies'), unset));
  if (spec.ipFamilyPolicy !== undefined) errors.push(forbiddenField(SPEC.child('ipFamilyPolicy'), unset));
  // A trailing dot marks a fully qualified name.
  const cname = (spec.externalName ?? '').replace(/\.$/, '');
  errors.push(...(cname === '' ? [required(SPEC.child('externalName'))] : fromMessages(SPEC.child('externalName'), cname, isDNS1123Subdomain(cname))));
  return errors;
}

function validatePort(port: ServicePort, needsName: boolean, names: Set<string>, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  const name = port.name ?? '';
  if (name !== '') {
    errors.push(...fromMessages(path.child('name'), name, isDNS1123Label(name)));
    if (names.has(name)) errors.push(duplicate(path.child('name'), name));
    names.add(name);
  } else if (needsName) errors.push(required(path.child('name')));
  errors.push(...validatePortNumber(port.port ?? 0, path.child('port')), ...requiredOneOf(port.protocol, PROTOCOLS, path.child('protocol')));
  errors.push(...validatePortNumberOrName(port.targetPort, path.child('targetPort')));
  if (port.appProtocol !== undefined) errors.push(...fromMessages(path.child('appProtocol'), port.appProtocol, isQualifiedName(port.appProtocol)));
  return errors;
}
function validatePorts(ports: readonly ServicePort[]): FieldError[] {
  const names = new Set<string>();
  return ports.flatMap((port, i) => validatePort(port, ports.length > 1, names, SPEC.child('ports').index(i)));
}
/** Node ports only where the type has them; no two ports alike. */
function validatePortUse(spec: ServiceSpec): FieldError[] {
  const errors: FieldError[] = [];
  const ports = spec.ports ?? [];
  const path = (i: number) => SPEC.child('ports').index(i);
  if (spec.type === 'ClusterIP') {
    for (const [i, port] of ports.entries()) if (port.nodePort) errors.push(forbiddenField(path(i).child('nodePort'), "may not be used when `type` is 'ClusterIP'"));
  }
  const seen = (key: (port: ServicePort) => string, i: number) => ports.slice(0, i).some((p) => key(p) === key(ports[i]!));
  for (const [i, port] of ports.entries()) {
    if (port.nodePort && seen((p) => `${p.protocol} ${p.nodePort}`, i)) errors.push(duplicate(path(i).child('nodePort'), port.nodePort));
  }
  for (const [i, { protocol, port }] of ports.entries()) {
    if (seen((p) => `${p.protocol} ${p.port}`, i)) errors.push(duplicate(path(i), internalForm(structByFactsName('api/core/v1.ServicePort'), { protocol, port })));
  }
  return errors;
}

function validateAffinity(spec: ServiceSpec): FieldError[] {
  const errors = requiredOneOf(spec.sessionAffinity, AFFINITIES, SPEC.child('sessionAffinity'));
  const path = SPEC.child('sessionAffinityConfig');
  if (spec.sessionAffinity === 'None' && spec.sessionAffinityConfig) errors.push(forbiddenField(path, 'must not be set when session affinity is None'));
  if (spec.sessionAffinity !== 'ClientIP') return errors;
  const seconds = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds;
  if (!spec.sessionAffinityConfig) errors.push(required(path, 'when session affinity type is ClientIP'));
  else if (!spec.sessionAffinityConfig.clientIP) errors.push(required(path.child('clientIP'), 'when session affinity type is ClientIP'));
  else if (seconds === undefined) errors.push(required(path.child('clientIP', 'timeoutSeconds'), 'when session affinity type is ClientIP'));
  else if (seconds <= 0 || seconds > MAX_AFFINITY_SECONDS) {
    errors.push(invalidValue(path.child('clientIP', 'timeoutSeconds'), seconds, `must be greater than 0 and less than ${MAX_AFFINITY_SECONDS}`));
  }
  return errors;
}

const SOURCE_RANGES = 'service.beta.kubernetes.io/load-balancer-source-ranges';
function validateSourceRanges(service: Service): FieldError[] {
  const { spec } = service;
  const balanced = spec.type === 'LoadBalancer';
  if (spec.loadBalancerSourceRanges?.length) {
    const path = SPEC.child('LoadBalancerSourceRanges');
    const errors = balanced ? [] : [forbiddenField(path, ONLY_LOAD_BALANCER)];
    return [...errors, ...spec.loadBalancerSourceRanges.flatMap((cidr, i) => cidrErrors(cidr.trim(), path.index(i)))];
  }
  const annotation = service.metadata.annotations?.[SOURCE_RANGES];
  if (annotation === undefined) return [];
  const path = fieldPath('metadata', 'annotations').key(SOURCE_RANGES);
  const errors = balanced ? [] : [forbiddenField(path, ONLY_LOAD_BALANCER)];
  return annotation.trim() === '' ? errors : [...errors, ...annotation.trim().split(',').flatMap((cidr) => cidrErrors(cidr.trim(), path))];
}

function validateTraffic(spec: ServiceSpec): FieldError[] {
  const errors: FieldError[] = [];
  const external = SPEC.child('externalTrafficPolicy');
  if (isExternallyAccessible(spec)) errors.push(...requiredOneOf(spec.externalTrafficPolicy, POLICIES, external));
  else if (spec.externalTrafficPolicy) errors.push(invalidValue(external, spec.externalTrafficPolicy, 'may only be set for externally-accessible services'));
  const health = SPEC.child('healthCheckNodePort');
  const port = spec.healthCheckNodePort ?? 0;
  if (needsHealthCheckNodePort(spec)) errors.push(...(port === 0 ? [required(health)] : inRange(port, 1, 65535, health)));
  else if (port !== 0) errors.push(invalidValue(health, port, "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"));
  const internal = SPEC.child('internalTrafficPolicy');
  if (spec.internalTrafficPolicy !== undefined) errors.push(...oneOf(spec.internalTrafficPolicy, POLICIES, internal));
  else if (spec.type !== 'ExternalName' && TYPES.includes(spec.type ?? '')) errors.push(required(internal));
  if (spec.trafficDistribution !== undefined) errors.push(...oneOf(spec.trafficDistribution, DISTRIBUTIONS, SPEC.child('trafficDistribution'), 'listed'));
  return errors;
}
function validateLoadBalancer(spec: ServiceSpec): FieldError[] {
  const errors: FieldError[] = [];
  const balanced = spec.type === 'LoadBalancer';
  if (!balanced && spec.allocateLoadBalancerNodePorts !== undefined) errors.push(forbiddenField(SPEC.child('allocateLoadBalancerNodePorts'), ONLY_LOAD_BALANCER));
  if (balanced && spec.allocateLoadBalancerNodePorts === undefined) errors.push(required(fieldPath('allocateLoadBalancerNodePorts')));
  const path = SPEC.child('loadBalancerClass');
  if (spec.loadBalancerClass !== undefined) {
    errors.push(...(balanced ? fromMessages(path, spec.loadBalancerClass, isQualifiedName(spec.loadBalancerClass)) : [forbiddenField(path, ONLY_LOAD_BALANCER)]));
  }
  return errors;
}

export function validateService(service: Service): FieldError[] {
  const { spec } = service;
  return [
    ...validateTopologyAnnotations(service),
    ...validateByType(spec),
    ...validatePorts(spec.ports ?? []),
    ...validateLabels(spec.selector, SPEC.child('selector')),
    ...validateAffinity(spec),
    ...validateClusterIPs(spec),
    ...(spec.externalIPs ?? []).flatMap((ip, i) => {
      const path = SPEC.child('externalIPs').index(i);
      const errors = ipErrors(ip, path);
      return errors.length > 0 ? errors : specialIPErrors(ip, path);
    }),
    ...requiredOneOf(spec.type, TYPES, SPEC.child('type')),
    ...validatePortUse(spec),
    ...validateSourceRanges(service),
    ...validateLoadBalancer(spec),
    ...validateTraffic(spec),
  ];
}

const IP_MODES = ['VIP', 'Proxy'];
/** Status of a load balancer, of a Service or of an Ingress (which has no `ipMode`). */
export function validateLoadBalancerStatus(status: LoadBalancerStatus | undefined, isLoadBalancer: boolean, path: FieldPath): FieldError[] {
  const ingress = status?.ingress ?? [];
  const list = path.child('ingress');
  if (!isLoadBalancer && ingress.length > 0) return [forbiddenField(list, "may only be used when `spec.type` is 'LoadBalancer'")];
  return ingress.flatMap((point, i) => {
    const at = list.index(i);
    const errors = point.ip ? ipErrors(point.ip, at.child('ip')) : [];
    if (point.ipMode === undefined) {
      if (point.ip) errors.push(required(at.child('ipMode'), 'must be specified when `ip` is set'));
    } else if (!point.ip) errors.push(forbiddenField(at.child('ipMode'), 'may not be specified when `ip` is not set'));
    else if (!IP_MODES.includes(point.ipMode)) errors.push(notSupported(at.child('ipMode'), point.ipMode, IP_MODES));
    if (point.hostname) {
      errors.push(...fromMessages(at.child('hostname'), point.hostname, isDNS1123Subdomain(point.hostname)));
      if (familyOf(point.hostname)) errors.push(invalidValue(at.child('hostname'), point.hostname, 'must be a DNS name, not an IP address'));
    }
    return errors;
  });
}
