/** What a Pod and its containers want of resource claims: pure. Source: KEP-4381, KEP-5004 (extended resources). */
import type { Container, Pod } from '#api/gen/core-v1.ts';
import type { ResourceClaim } from '#api/gen/resource-v1.ts';
import { nameOf, namespaceOf, uidOf } from '#api/object.ts';
import { claimNameOf } from '#api/pod-claims.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import { isExtendedResource } from '#machinery/resource-names.ts';
import type { AnyContainer } from '../interfaces.ts';

export interface WantedClaim {
  readonly name: string;
  /** Was made for this Pod alone: nobody else's of that name will do. */
  readonly made: boolean;
}
/** The claims that have to be prepared for the Pod, each once. Throws, in upstream's words, where one is not there yet. */
export function claimsOf(pod: Pod): WantedClaim[] {
  const wanted = new Map<string, WantedClaim>();
  for (const podClaim of pod.spec.resourceClaims ?? []) {
    const name = claimNameOf(pod, podClaim);
    if (name === undefined) throw new Error(`pod "${namespaceOf(pod)}/${nameOf(pod)}": ResourceClaim not created yet`);
    if (name !== null) wanted.set(name, { name, made: podClaim.resourceClaimName === undefined });
  }
  const extended = pod.status?.extendedResourceClaimStatus?.resourceClaimName;
  if (extended) wanted.set(extended, { name: extended, made: false });
  return [...wanted.values()];
}
/** Whether anything of the Pod has to do with claims. */
export function hasClaims(pod: Pod): boolean {
  return (pod.spec.resourceClaims ?? []).length > 0 || pod.status?.extendedResourceClaimStatus !== undefined;
}
/** Throws where the claim is not the Pod's to use. */
export function checkClaim(pod: Pod, claim: ResourceClaim, { name, made }: WantedClaim): void {
  const [podName, uid] = [nameOf(pod), uidOf(pod)];
  const isOwn = claim.metadata.ownerReferences?.some((o) => o.controller && o.uid === uid) ?? false;
  if (made && !isOwn) throw new Error(`ResourceClaim ${namespaceOf(claim)}/${name} was not created for Pod ${namespaceOf(pod)}/${podName} (Pod is not owner)`);
  if (!claim.status?.reservedFor?.some((r) => r.uid === uid)) throw new Error(`pod ${podName} (${uid}) is not allowed to use ResourceClaim ${name} (${uidOf(claim)})`);
  if (!claim.status.allocation) throw new Error(`ResourceClaim ${name}: not allocated`);
}
/** Names of the drivers whose devices were allocated. */
export function driversOf(claim: ResourceClaim): Set<string> {
  return new Set((claim.status?.allocation?.devices?.results ?? []).map((r) => r.driver));
}

/** What a container uses of a claim: a request of it, or all where that is ''. */
export interface ClaimUse {
  /** The claim's name in the Pod. */
  readonly podClaim: string;
  /** The name of the object. */
  readonly claim: string;
  readonly request: string;
}
/** In the order of the container's list. Claims that were not needed are left out. */
export function claimUses(pod: Pod, container: AnyContainer): ClaimUse[] {
  return (container.resources?.claims ?? []).flatMap(({ name, request = '' }) => {
    const podClaim = pod.spec.resourceClaims?.find((c) => c.name === name);
    const claim = podClaim && claimNameOf(pod, podClaim);
    return claim ? [{ podClaim: name, claim, request }] : [];
  });
}
/** What it uses of the claim that was made for the extended resources in its requests. */
export function extendedUses(pod: Pod, container: AnyContainer): ClaimUse[] {
  const status = pod.status?.extendedResourceClaimStatus;
  if (!status) return [];
  const asksFor = (resource: string): boolean => {
    const text = container.resources?.requests?.[resource];
    return isOfClaims(resource) && text !== undefined && parseQuantity(text).sign() !== 0;
  };
  return status.requestMappings.filter((m) => m.containerName === container.name && asksFor(m.resourceName)).map((m) => ({ podClaim: '', claim: status.resourceClaimName, request: m.requestName }));
}
/** The container's resource is devices of a claim, not a device plugin's. */
export function isBackedByClaim(pod: Pod, container: string, resource: string): boolean {
  return pod.status?.extendedResourceClaimStatus?.requestMappings.some((m) => m.containerName === container && m.resourceName === resource) ?? false;
}
/** The Pod without its requests of what claims give it: that is not the node's to have. */
export function withoutClaimed(pod: Pod): Pod {
  if (!pod.status?.extendedResourceClaimStatus) return pod;
  const strip = (c: Container): Container => ({ ...c, resources: { ...c.resources, requests: Object.fromEntries(Object.entries(c.resources?.requests ?? {}).filter(([name]) => !isBackedByClaim(pod, c.name, name))) } });
  return { ...pod, spec: { ...pod.spec, containers: pod.spec.containers.map(strip), ...(pod.spec.initContainers ? { initContainers: pod.spec.initContainers.map(strip) } : {}) } };
}
/** Names under which devices can be asked for without a claim: an extended resource, or a class of devices. */
function isOfClaims(resource: string): boolean {
  return isExtendedResource(resource) || resource.startsWith('deviceclass.resource.kubernetes.io/');
}
/** Whether a device serves a request. One that names no requests serves all of them; an alternative (`request/alternative`) belongs to its request. */
export function serves(device: { readonly requests: readonly string[] }, request: string): boolean {
  const base = (name: string): string => name.split('/', 1)[0]!;
  return request === '' || device.requests.length === 0 || device.requests.some((r) => base(r) === base(request));
}
