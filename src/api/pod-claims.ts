/** The resource claims that a Pod uses. Source: KEP-4381; API reference PodResourceClaim, PodResourceClaimStatus. */
import type { Pod, PodResourceClaim } from './gen/core-v1.ts';

/** The name of a Pod's claim; null for one that is not needed, undefined while it is yet to be made. */
export function claimNameOf(pod: Pod, { name, resourceClaimName }: PodResourceClaim): string | null | undefined {
  if (resourceClaimName !== undefined) return resourceClaimName;
  const made = pod.status?.resourceClaimStatuses?.find((s) => s.name === name);
  return made ? (made.resourceClaimName ?? null) : undefined;
}
/** Names of the claims in a Pod's spec, as far as they are there. */
export function claimNamesOf(pod: Pod): string[] {
  const extended = pod.status?.extendedResourceClaimStatus?.resourceClaimName;
  return [...(pod.spec.resourceClaims ?? []).map((c) => claimNameOf(pod, c)).filter((n) => typeof n === 'string'), ...(extended === undefined ? [] : [extended])];
}
