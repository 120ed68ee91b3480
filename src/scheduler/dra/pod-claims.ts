/** Which claims a Pod uses, and whether they are its to use. Source: KEP-4381. */
import type { Pod } from '#api/gen/core-v1.ts';
import type { ResourceClaim } from '#api/gen/resource-v1.ts';
import { keyOf, namespaceOf, uidOf } from '#api/object.ts';
import { claimNameOf } from '#api/pod-claims.ts';
import type { ClaimTracker } from './claim-tracker.ts';

/** The claims, each once; or why the Pod must wait, in upstream's words. A claim that was found not to be needed is left out. */
export function claimsOf(pod: Pod, tracker: Pick<ClaimTracker, 'get'>): readonly ResourceClaim[] | string {
  const found = new Map<string, ResourceClaim>();
  for (const podClaim of pod.spec.resourceClaims ?? []) {
    const name = claimNameOf(pod, podClaim);
    if (name === undefined) return `pod ${JSON.stringify(keyOf(pod))}: ResourceClaim not created yet`;
    if (name === null) continue;
    const claim = tracker.get(namespaceOf(pod), name);
    if (!claim) return `could not find v1.ResourceClaim ${JSON.stringify(`${namespaceOf(pod)}/${name}`)}`;
    if (claim.metadata.deletionTimestamp) return `resourceclaim ${JSON.stringify(name)} is being deleted`;
    if (podClaim.resourceClaimName === undefined && !isOwnedBy(claim, pod)) return `ResourceClaim ${keyOf(claim)} was not created for Pod ${keyOf(pod)} (Pod is not owner)`;
    found.set(uidOf(claim), claim);
  }
  return [...found.values()];
}
function isOwnedBy(claim: ResourceClaim, pod: Pod): boolean {
  return claim.metadata.ownerReferences?.find((ref) => ref.controller)?.uid === uidOf(pod);
}
export function isReservedFor(claim: ResourceClaim, pod: Pod): boolean {
  return claim.status?.reservedFor?.some((ref) => ref.uid === uidOf(pod)) ?? false;
}
/** The Pod uses the claim. False as well where its claims are not all there. */
export function usesClaim(pod: Pod, claim: ResourceClaim, tracker: Pick<ClaimTracker, 'get'>): boolean | undefined {
  const claims = claimsOf(pod, tracker);
  return typeof claims === 'string' ? undefined : claims.some((c) => uidOf(c) === uidOf(claim));
}
/** The name of a class that a claim names and that is not there, with the request that does; undefined: all are there. */
export function missingClass(claim: ResourceClaim, isThere: (name: string) => boolean): string | undefined {
  for (const { name, exactly, firstAvailable = [] } of claim.spec.devices?.requests ?? []) {
    const named = exactly ? [[name, exactly.deviceClassName] as const] : firstAvailable.map((sub) => [`${name}/${sub.name}`, sub.deviceClassName] as const);
    if (named.length === 0) return `resource claim ${keyOf(claim)}, request ${name}: unknown request type`;
    for (const [request, className] of named) if (!isThere(className)) return `request ${request}: device class ${className} does not exist`;
  }
  return undefined;
}
