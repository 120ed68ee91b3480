/**
 * What an object counts as against a ResourceQuota, and which quotas count it.
 * Source: the Kubernetes page "Resource Quotas".
 */
import type * as coreV1 from '#api/gen/core-v1.ts';
import type { DeviceSubRequest, ExactDeviceRequest, ResourceClaim } from '#api/gen/resource-v1.ts';
import type { KubeObject } from '#api/object.ts';
import type { ResourceInfo } from '#api/resources.ts';
import { parseQuantity, quantityOf, type Quantity } from './quantity.ts';
import { podAmounts } from './pod-resources.ts';

export type Usage = Map<string, Quantity>;
const ONE = quantityOf(1);
/** Most devices of a claim. */
const MOST_DEVICES = 32;
const CLASS_ANNOTATION = 'volume.beta.kubernetes.io/storage-class';
/** Kinds that quotas counted under their plain name before `count/…`. */
const PLAIN_COUNTS: ReadonlySet<string> = new Set(['configmaps', 'secrets', 'replicationcontrollers', 'resourcequotas', 'services', 'persistentvolumeclaims']);
/** Resources of containers that a quota can require to be set. */
const COMPUTE = ['cpu', 'memory', 'requests.cpu', 'requests.memory', 'limits.cpu', 'limits.memory'];

function countName(resource: ResourceInfo): string {
  return `count/${resource.plural}${resource.group === '' ? '' : `.${resource.group}`}`;
}
/** `example.com/gpu`: not one of Kubernetes' own. */
function isExtended(name: string): boolean {
  return name.includes('/') && !name.split('/', 1)[0]!.endsWith('kubernetes.io') && !name.startsWith('requests.');
}

/** A Pod that has ended, or whose time to end is over, holds nothing any more. */
function isOver(pod: coreV1.Pod, nowMs: number): boolean {
  if (pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed') return true;
  const { deletionTimestamp, deletionGracePeriodSeconds } = pod.metadata;
  return deletionTimestamp !== undefined && deletionGracePeriodSeconds !== undefined && nowMs > Date.parse(deletionTimestamp) + deletionGracePeriodSeconds * 1000;
}
function podUsage(pod: coreV1.Pod, usage: Usage, nowMs: number): void {
  if (isOver(pod, nowMs) || !pod.spec) return;
  usage.set('pods', ONE);
  for (const [name, q] of podAmounts(pod.spec, 'requests')) {
    const known = name === 'cpu' || name === 'memory' || name === 'ephemeral-storage' || name.startsWith('hugepages-');
    if (known) usage.set(name, q);
    if (known || isExtended(name)) usage.set(`requests.${name}`, q);
  }
  for (const [name, q] of podAmounts(pod.spec, 'limits')) if (name === 'cpu' || name === 'memory' || name === 'ephemeral-storage') usage.set(`limits.${name}`, q);
}
function serviceUsage(service: coreV1.Service, usage: Usage): void {
  const spec = service.spec;
  const ports = spec?.ports ?? [];
  if (spec?.type === 'NodePort') usage.set('services.nodeports', quantityOf(ports.length));
  if (spec?.type !== 'LoadBalancer') return;
  usage.set('services.loadbalancers', ONE);
  usage.set('services.nodeports', quantityOf(spec.allocateLoadBalancerNodePorts === false ? ports.filter((p) => p.nodePort).length : ports.length));
}
function claimUsage(claim: coreV1.PersistentVolumeClaim, usage: Usage): void {
  const requested = parseQuantity(claim.spec?.resources?.requests?.['storage'] ?? '0');
  const allocated = claim.status?.allocatedResources?.['storage'];
  const size = allocated !== undefined && parseQuantity(allocated).cmp(requested) > 0 ? parseQuantity(allocated) : requested;
  usage.set('requests.storage', size);
  const className = claim.metadata.annotations?.[CLASS_ANNOTATION] ?? claim.spec?.storageClassName;
  if (!className) return;
  usage.set(`${className}.storageclass.storage.k8s.io/requests.storage`, size);
  usage.set(`${className}.storageclass.storage.k8s.io/persistentvolumeclaims`, ONE);
}
/** Devices by their class; of alternatives the most that each class may have to give, of "all" the most that a claim can get. */
function deviceClaimUsage(claim: ResourceClaim, usage: Usage): void {
  const countOf = ({ allocationMode, count }: ExactDeviceRequest | DeviceSubRequest): number => (allocationMode === 'All' ? MOST_DEVICES : allocationMode === 'ExactCount' ? (count ?? 0) : 0);
  for (const { exactly, firstAvailable } of claim.spec?.devices?.requests ?? []) {
    const most = new Map<string, number>();
    for (const request of firstAvailable?.length ? firstAvailable : exactly ? [exactly] : []) {
      const name = `${request.deviceClassName}.deviceclass.resource.k8s.io/devices`;
      most.set(name, Math.max(most.get(name) ?? 0, countOf(request)));
    }
    for (const [name, count] of most) usage.set(name, (usage.get(name) ?? quantityOf(0)).add(quantityOf(count)));
  }
}
const isDeviceClaim = ({ group, plural }: ResourceInfo): boolean => group === 'resource.k8s.io' && plural === 'resourceclaims';
/** Everything that quotas may count of an object. */
export function usageOf(resource: ResourceInfo, object: KubeObject, nowMs: number): Usage {
  const usage: Usage = new Map([[countName(resource), ONE]]);
  if (isDeviceClaim(resource)) deviceClaimUsage(object as ResourceClaim, usage);
  if (resource.group !== '') return usage;
  if (PLAIN_COUNTS.has(resource.plural)) usage.set(resource.plural, ONE);
  if (resource.plural === 'pods') podUsage(object as coreV1.Pod, usage, nowMs);
  if (resource.plural === 'services') serviceUsage(object as coreV1.Service, usage);
  if (resource.plural === 'persistentvolumeclaims') claimUsage(object as coreV1.PersistentVolumeClaim, usage);
  return usage;
}
/** Whether a write of this form can change what is used. */
export function countsOn(operation: string, resource: ResourceInfo, subresource: string): boolean {
  if (operation === 'CREATE') return subresource === '';
  if (operation === 'UPDATE' && isDeviceClaim(resource)) return subresource === '';
  if (operation !== 'UPDATE' || resource.group !== '') return false;
  return resource.plural === 'pods' ? subresource === 'resize' : subresource === '' && (resource.plural === 'services' || resource.plural === 'persistentvolumeclaims');
}

const RESOURCE_KEYS = ['cpu', 'memory'];
/** Quality of service BestEffort: no container asks for CPU or memory. */
function isBestEffort(spec: coreV1.PodSpec): boolean {
  const asks = (r: { readonly requests?: Readonly<Record<string, string>> | undefined; readonly limits?: Readonly<Record<string, string>> | undefined } | undefined): boolean =>
    RESOURCE_KEYS.some((k) => [r?.requests?.[k], r?.limits?.[k]].some((q) => q !== undefined && parseQuantity(q).sign() > 0));
  return !asks(spec.resources) && ![...spec.containers, ...(spec.initContainers ?? [])].some((c) => asks(c.resources));
}
function usesOtherNamespaces(spec: coreV1.PodSpec): boolean {
  const { podAffinity, podAntiAffinity } = spec.affinity ?? {};
  const terms = [podAffinity, podAntiAffinity].flatMap((x) => [
    ...(x?.requiredDuringSchedulingIgnoredDuringExecution ?? []), ...(x?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map((w) => w.podAffinityTerm),
  ]);
  return terms.some((t) => (t.namespaces?.length ?? 0) > 0 || t.namespaceSelector !== undefined);
}
type ScopeRequirement = coreV1.ScopedResourceSelectorRequirement;
function matchesValue(value: string | undefined, { operator, values = [] }: ScopeRequirement): boolean {
  switch (operator) {
    case 'Exists':
      return !!value;
    case 'DoesNotExist':
      return !value;
    case 'In':
      return !!value && values.includes(value);
    case 'NotIn':
      return !value || !values.includes(value);
    default:
      return false;
  }
}
function podInScope(spec: coreV1.PodSpec, r: ScopeRequirement): boolean {
  const terminating = spec.activeDeadlineSeconds !== undefined && spec.activeDeadlineSeconds >= 0;
  switch (r.scopeName) {
    case 'Terminating':
      return terminating;
    case 'NotTerminating':
      return !terminating;
    case 'BestEffort':
      return isBestEffort(spec);
    case 'NotBestEffort':
      return !isBestEffort(spec);
    case 'PriorityClass':
      return matchesValue(spec.priorityClassName, r);
    case 'CrossNamespacePodAffinity':
      return usesOtherNamespaces(spec);
    default:
      return false;
  }
}
/** Whether a quota's scopes take the object in. Scopes are about Pods, and about claims' attributes classes; other kinds count only without scopes. */
export function inScopes(quota: coreV1.ResourceQuota, resource: ResourceInfo, object: KubeObject): boolean {
  const requirements: ScopeRequirement[] = [...(quota.spec?.scopes ?? []).map((scopeName): ScopeRequirement => ({ scopeName, operator: 'Exists' })), ...(quota.spec?.scopeSelector?.matchExpressions ?? [])];
  if (requirements.length === 0) return true;
  if (resource.group !== '') return false;
  if (resource.plural === 'pods') {
    const spec = (object as coreV1.Pod).spec;
    return spec !== undefined && requirements.every((r) => podInScope(spec, r));
  }
  if (resource.plural !== 'persistentvolumeclaims') return false;
  const { spec, status } = object as coreV1.PersistentVolumeClaim;
  // While a claim is moved from one class to another, it counts in both.
  const classes = [spec?.volumeAttributesClassName, status?.currentVolumeAttributesClassName, status?.modifyVolumeStatus?.targetVolumeAttributesClassName].filter(Boolean);
  return requirements.every((r) => r.scopeName === 'VolumeAttributesClass' && (classes.length ? classes : [undefined]).some((name) => matchesValue(name, r)));
}

/** A quota on compute resources makes every container name them: the message of what is missing, or undefined. */
export function missingRequirements(resource: ResourceInfo, object: KubeObject, hard: ReadonlySet<string>): string | undefined {
  const spec = resource.group === '' && resource.plural === 'pods' ? (object as coreV1.Pod).spec : undefined;
  if (!spec) return undefined;
  const required = COMPUTE.filter((name) => hard.has(name));
  const lines = required.toSorted().flatMap((name) => {
    const [kind, bare] = name.startsWith('limits.') ? (['limits', name.slice('limits.'.length)] as const) : (['requests', name.replace('requests.', '')] as const);
    if (spec.resources?.[kind]?.[bare] !== undefined) return [];
    const without = [...spec.containers, ...(spec.initContainers ?? [])].filter((c) => c.resources?.[kind]?.[bare] === undefined).map((c) => c.name);
    return without.length ? [`${name} for: ${without.toSorted().join(',')}`] : [];
  });
  return lines.length ? `must specify ${lines.join('; ')}` : undefined;
}
