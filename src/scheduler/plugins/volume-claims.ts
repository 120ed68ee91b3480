/** The claims of a Pod, by what they still need. Source: the API reference, "Persistent Volumes", "Volume binding mode". */
import type { PersistentVolumeClaim, Pod } from '#api/gen/core-v1.ts';
import { nameOf, namespaceOf, uidOf } from '#api/object.ts';
import type { Listers } from '../framework/handle.ts';
import { claimNameOf } from '../framework/pod-info.ts';

export const SELECTED_NODE = 'volume.kubernetes.io/selected-node';
const BIND_COMPLETED = 'pv.kubernetes.io/bind-completed';
const OLD_CLASS = 'volume.beta.kubernetes.io/storage-class';

export interface PodClaims {
  readonly bound: readonly PersistentVolumeClaim[];
  /** To be bound, or provisioned for, where the Pod goes (`WaitForFirstConsumer`). */
  readonly delayed: readonly PersistentVolumeClaim[];
  /** Others must bind these first. */
  readonly immediate: readonly PersistentVolumeClaim[];
}

export function storageClassOf(claim: PersistentVolumeClaim): string {
  return claim.metadata.annotations?.[OLD_CLASS] ?? claim.spec.storageClassName ?? '';
}
/** True where the claim has its volume, both sides agreeing. */
export function isFullyBound(claim: PersistentVolumeClaim): boolean {
  return !!claim.spec.volumeName && claim.metadata.annotations?.[BIND_COMPLETED] !== undefined;
}

/** The claims that exist; or why the Pod cannot go anywhere. Undefined where it has none. */
export function podClaims(pod: Pod, listers: Pick<Listers, 'persistentVolumeClaims' | 'storageClasses'>): PodClaims | { readonly refusal: string } | undefined {
  const claims: PersistentVolumeClaim[] = [];
  for (const volume of pod.spec.volumes ?? []) {
    const name = claimNameOf(pod, volume);
    if (name === undefined) continue;
    const claim = listers.persistentVolumeClaims.get(namespaceOf(pod), name);
    const refusal = claim ? unusable(claim, pod, volume.ephemeral !== undefined) : missing(name, volume.ephemeral !== undefined);
    if (refusal !== undefined) return { refusal };
    claims.push(claim!);
  }
  if (claims.length === 0) return undefined;
  const unbound = claims.filter((c) => !isFullyBound(c));
  const isDelayed = (claim: PersistentVolumeClaim) => !claim.spec.volumeName && listers.storageClasses.get('', storageClassOf(claim))?.volumeBindingMode === 'WaitForFirstConsumer';
  return { bound: claims.filter(isFullyBound), delayed: unbound.filter(isDelayed), immediate: unbound.filter((c) => !isDelayed(c)) };
}
function missing(name: string, ephemeral: boolean): string {
  return ephemeral ? `waiting for ephemeral volume controller to create the persistentvolumeclaim ${JSON.stringify(name)}` : `persistentvolumeclaim ${JSON.stringify(name)} not found`;
}
function unusable(claim: PersistentVolumeClaim, pod: Pod, ephemeral: boolean): string | undefined {
  const name = JSON.stringify(nameOf(claim));
  if (claim.status?.phase === 'Lost') return `persistentvolumeclaim ${name} bound to non-existent persistentvolume ${JSON.stringify(claim.spec.volumeName ?? '')}`;
  if (claim.metadata.deletionTimestamp) return `persistentvolumeclaim ${name} is being deleted`;
  if (ephemeral && !claim.metadata.ownerReferences?.some((o) => o.controller && o.uid === uidOf(pod))) {
    return `PVC ${namespaceOf(claim)}/${nameOf(claim)} was not created for pod ${namespaceOf(pod)}/${nameOf(pod)} (pod is not owner)`;
  }
  return undefined;
}
