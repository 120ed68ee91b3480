/** Which claims Pods have, and who uses them: pure. Source: KEP-4381, "ResourceClaim controller". */
import type { Pod } from '#api/gen/core-v1.ts';
import type { ResourceClaim, ResourceClaimConsumerReference, ResourceClaimTemplate } from '#api/gen/resource-v1.ts';
import { nameOf, namespaceOf, uidOf } from '#api/object.ts';
import { controllerOf } from '../workload/controller-ref.ts';
import { isPodTerminal } from '../workload/pods.ts';

/** Keeps an allocated claim until its devices are given back. */
export const FINALIZER = 'resource.kubernetes.io/delete-protection';
export const POD_CLAIM_NAME = 'resource.kubernetes.io/pod-claim-name';
/** On claims that the scheduler makes for extended resources. */
export const EXTENDED_RESOURCE_CLAIM = 'resource.kubernetes.io/extended-resource-claim';
const MAX_CONSUMERS = 256;
/** Leaves room in a name for the random end. */
const MAX_BASE = 57;

/** Both parts of the name are cut alike where it would be too long. */
export function generateNameFor(podName: string, claimName: string): string {
  const whole = `${podName}-${claimName}-`;
  const cut = (text: string) => text.slice(0, Math.floor((text.length * MAX_BASE) / whole.length));
  return whole.length > MAX_BASE ? `${cut(podName)}-${cut(claimName)}` : whole;
}
export function claimFrom(pod: Pod, name: string, { spec: { metadata = {}, spec } }: ResourceClaimTemplate): ResourceClaim {
  return {
    metadata: {
      generateName: generateNameFor(nameOf(pod), name), namespace: namespaceOf(pod), annotations: { ...metadata.annotations, [POD_CLAIM_NAME]: name }, ...(metadata.labels ? { labels: metadata.labels } : {}),
      ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: nameOf(pod), uid: uidOf(pod), controller: true }],
    },
    spec,
  };
}
/** The claim was made for the Pod by that name of its spec. */
export function isMadeFor(claim: ResourceClaim, pod: Pod, name: string): boolean {
  return controllerOf(claim)?.uid === uidOf(pod) && claim.metadata.annotations?.[POD_CLAIM_NAME] === name;
}
/** The Pod will not run any more, or not at all. */
export function isPodDone(pod: Pod): boolean {
  return isPodTerminal(pod) || (pod.metadata.deletionTimestamp !== undefined && !pod.spec.nodeName);
}
export function isPodReference(ref: ResourceClaimConsumerReference): boolean {
  return !ref.apiGroup && ref.resource === 'pods';
}
/** Allocated, and not yet kept for the Pod, for which there is room. */
export function needsReservation(claim: ResourceClaim, pod: Pod): boolean {
  const { allocation, reservedFor = [] } = claim.status ?? {};
  return allocation !== undefined && reservedFor.length < MAX_CONSUMERS && !reservedFor.some((r) => r.uid === uidOf(pod));
}
