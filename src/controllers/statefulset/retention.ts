/** Who owns the claims of a StatefulSet's Pods, so that garbage collection carries out `persistentVolumeClaimRetentionPolicy`. Source: KEP-1847. */
import type { StatefulSet } from '#api/gen/apps-v1.ts';
import type { PersistentVolumeClaim, Pod } from '#api/gen/core-v1.ts';
import type { OwnerReference } from '#api/gen/meta-v1.ts';
import { nameOf, uidOf, type KubeObject } from '#api/object.ts';
import { PODS, STATEFUL_SETS } from '#client/kinds.ts';
import { newControllerRef } from '../workload/controller-ref.ts';
import { isInRange } from './identity.ts';

function refersTo(ref: OwnerReference, kind: 'StatefulSet' | 'Pod', owner: KubeObject): boolean {
  return ref.kind === kind && ref.uid === uidOf(owner);
}
function isOurs(ref: OwnerReference, set: StatefulSet, pod: Pod): boolean {
  return (ref.kind === 'StatefulSet' && ref.name === nameOf(set)) || (ref.kind === 'Pod' && ref.name === nameOf(pod));
}
/** Someone else manages the claim: a policy that deletes anything must not touch it. */
export function hasForeignController(claim: PersistentVolumeClaim, set: StatefulSet, pod: Pod): boolean {
  const { whenDeleted, whenScaled } = set.spec.persistentVolumeClaimRetentionPolicy ?? {};
  if (whenDeleted !== 'Delete' && whenScaled !== 'Delete') return false;
  return claim.metadata.ownerReferences?.some((r) => r.controller && !isOurs(r, set, pod)) ?? false;
}
/** The claim still waits to be deleted with a former Pod of the name. */
export function isStale(claim: PersistentVolumeClaim, pod: Pod): boolean {
  return claim.metadata.ownerReferences?.some((r) => r.kind === 'Pod' && r.name === nameOf(pod) && r.uid !== uidOf(pod)) ?? false;
}
/** The owners that the policy asks for; undefined where the claim has them, and where it belongs to a former set or Pod of the name. */
export function ownersByPolicy(set: StatefulSet, pod: Pod, claim: PersistentVolumeClaim): OwnerReference[] | undefined {
  const { whenDeleted, whenScaled } = set.spec.persistentVolumeClaimRetentionPolicy ?? {};
  const before = claim.metadata.ownerReferences ?? [];
  const owned = (r: OwnerReference): boolean => refersTo(r, 'StatefulSet', set) || refersTo(r, 'Pod', pod);
  if (before.some((r) => isOurs(r, set, pod) && !owned(r))) return undefined;
  const others = before.filter((r) => !isOurs(r, set, pod));
  if (hasForeignController(claim, set, pod)) return others.length < before.length ? others : undefined;
  const withPod = whenScaled === 'Delete' && !isInRange(set, pod);
  const withSet = whenDeleted === 'Delete' && !withPod;
  const right = before.some((r) => refersTo(r, 'StatefulSet', set)) === withSet && before.some((r) => refersTo(r, 'Pod', pod)) === withPod && before.every((r) => !owned(r) || r.controller);
  return right ? undefined : [...others, ...(withSet ? [newControllerRef(set, STATEFUL_SETS)] : []), ...(withPod ? [newControllerRef(pod, PODS)] : [])];
}
