/**
 * A Service's derived fields: which it needs by its type, and how an update that leaves allocated values out keeps them.
 * The allocator of cluster IPs and node ports reads the `needs…` questions; it runs after `prepareForCreate`/`prepareForUpdate`
 * and before validation, and writes `clusterIPs` (with `clusterIP` the first of them), `nodePort` and `healthCheckNodePort`.
 */
import type { ServiceSpec } from '#api/gen/core-v1.ts';
import type { Draft } from '#base/draft.ts';
import { familyOf, type IPFamily } from '../ip-checks.ts';

type Spec = Draft<ServiceSpec>;
export const HEADLESS = 'None';

export function isHeadless(spec: ServiceSpec): boolean {
  return spec.clusterIPs?.length === 1 && spec.clusterIPs[0] === HEADLESS;
}
/** Reached from outside by node port, load balancer or external address. */
export function isExternallyAccessible(spec: ServiceSpec): boolean {
  return spec.type === 'LoadBalancer' || spec.type === 'NodePort' || (spec.type === 'ClusterIP' && (spec.externalIPs?.length ?? 0) > 0);
}
export function needsClusterIP(spec: ServiceSpec): boolean {
  return spec.type !== 'ExternalName';
}
export function needsNodePort(spec: ServiceSpec): boolean {
  return spec.type === 'NodePort' || (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false);
}
export function needsHealthCheckNodePort(spec: ServiceSpec): boolean {
  return spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local';
}

/**
 * Keeps `clusterIP` and `clusterIPs` one value where a client knows only the first.
 * Source: KEP-563, "the API rules for clusterIP and clusterIPs".
 */
export function normaliseClusterIPs(after: Spec, before: ServiceSpec | undefined): void {
  if (!before) {
    if (after.clusterIP && !after.clusterIPs?.length) after.clusterIPs = [after.clusterIP];
    return;
  }
  const old = before.clusterIP ?? '';
  const now = after.clusterIP ?? '';
  const sameList = JSON.stringify(before.clusterIPs ?? []) === JSON.stringify(after.clusterIPs ?? []);
  if (old !== '' && now === '') {
    if (sameList) delete after.clusterIPs;
  } else if (old === '' && now !== '') {
    if (sameList || !after.clusterIPs?.length) after.clusterIPs = [now];
  } else if (old !== now && sameList) after.clusterIPs = [now];
}

/** An update that does not name an allocated value keeps it, as long as the type still needs it. */
export function keepAllocated(after: Spec, before: ServiceSpec): void {
  if (needsClusterIP(before) && needsClusterIP(after)) {
    if (!after.clusterIP && before.clusterIP) after.clusterIP = before.clusterIP;
    if (!after.clusterIPs?.length && before.clusterIPs && after.clusterIP === before.clusterIP) after.clusterIPs = [...before.clusterIPs];
  }
  if (needsNodePort(before) && needsNodePort(after)) keepNodePorts(after, before);
  if (needsHealthCheckNodePort(before) && needsHealthCheckNodePort(after) && !after.healthCheckNodePort && before.healthCheckNodePort) {
    after.healthCheckNodePort = before.healthCheckNodePort;
  }
}
function keepNodePorts(after: Spec, before: ServiceSpec): void {
  const used = new Set(after.ports?.map((p) => `${p.protocol}/${p.nodePort ?? 0}`));
  const known = new Map(before.ports?.map((p) => [`${p.protocol}/${p.port}`, p.nodePort ?? 0]));
  for (const port of after.ports ?? []) {
    if (port.nodePort) continue;
    const old = known.get(`${port.protocol}/${port.port}`) ?? 0;
    if (old !== 0 && !used.has(`${port.protocol}/${old}`)) port.nodePort = old;
  }
}

/** A change of type lets go of what the new type has no use for, unless the same update set it anew. */
export function dropUnused(after: Spec, before: ServiceSpec): void {
  if (needsClusterIP(before) && !needsClusterIP(after)) {
    const same = (key: 'clusterIPs' | 'ipFamilies') => JSON.stringify(after[key] ?? []) === JSON.stringify(before[key] ?? []);
    if (same('clusterIPs')) {
      delete after.clusterIP;
      delete after.clusterIPs;
    }
    if (same('ipFamilies')) delete after.ipFamilies;
    if (after.ipFamilyPolicy === before.ipFamilyPolicy) delete after.ipFamilyPolicy;
  }
  const sameNodePorts = (after.ports ?? []).every((p) => !p.nodePort || before.ports?.some((q) => q.nodePort === p.nodePort));
  const hadNodePorts = before.type === 'NodePort' || before.type === 'LoadBalancer';
  const hasNodePorts = after.type === 'NodePort' || after.type === 'LoadBalancer';
  if (hadNodePorts && !hasNodePorts && sameNodePorts) for (const port of after.ports ?? []) delete port.nodePort;
  const drop = (needs: (spec: ServiceSpec) => boolean, key: 'healthCheckNodePort' | 'allocateLoadBalancerNodePorts' | 'loadBalancerClass' | 'externalTrafficPolicy') => {
    if (needs(before) && !needs(after) && after[key] === before[key]) delete after[key];
  };
  const isLoadBalancer = (spec: ServiceSpec) => spec.type === 'LoadBalancer';
  drop(needsHealthCheckNodePort, 'healthCheckNodePort');
  drop(isLoadBalancer, 'allocateLoadBalancerNodePorts');
  drop(isLoadBalancer, 'loadBalancerClass');
  drop(isExternallyAccessible, 'externalTrafficPolicy');
}

/**
 * `ipFamilyPolicy` and `ipFamilies` where the client left them out, for a cluster that serves `clusterFamilies` (the primary first).
 * An explicit request for two families on a cluster with one stays, for validation to refuse.
 */
export function assignFamilies(spec: Spec, clusterFamilies: readonly IPFamily[]): void {
  if (spec.type === 'ExternalName') return;
  const selectorless = isHeadless(spec) && Object.keys(spec.selector ?? {}).length === 0;
  const given = (spec.clusterIPs ?? []).map(familyOf).filter((f) => f !== undefined);
  const families = [...new Set([...(spec.ipFamilies ?? []), ...given])].filter((f) => f !== '');
  spec.ipFamilyPolicy ??= selectorless || families.length > 1 ? 'RequireDualStack' : 'SingleStack';
  if (families.length === 0) families.push(clusterFamilies[0] ?? 'IPv4');
  const second: IPFamily = families[0] === 'IPv4' ? 'IPv6' : 'IPv4';
  const wantsSecond = selectorless ? spec.ipFamilyPolicy !== 'SingleStack' : spec.ipFamilyPolicy !== 'SingleStack' && clusterFamilies.includes(second);
  if (families.length === 1 && wantsSecond) families.push(second);
  if (!spec.ipFamilies?.length || spec.ipFamilies.length < families.length) spec.ipFamilies = families;
}

