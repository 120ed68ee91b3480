/** Which volume a claim can have on a node, and whether one can be made for it there. */
import type { Node, PersistentVolume, PersistentVolumeClaim } from '#api/gen/core-v1.ts';
import type { StorageClass } from '#api/gen/storage-v1.ts';
import { nameOf, namespaceOf, uidOf } from '#api/object.ts';
import type { Listers } from '../framework/handle.ts';
import { matcher } from '../framework/pod-info.ts';
import { amountOf } from '../framework/resources.ts';
import { CompiledNodeSelector } from '#machinery/node-selector.ts';
import { storageClassOf } from './volume-claims.ts';

const NO_PROVISIONER = 'kubernetes.io/no-provisioner';
/** An annotation of old, which still counts for the class of a volume. */
const OLD_CLASS = 'volume.beta.kubernetes.io/storage-class';

/** Can the volume be used from the node? */
export function volumeFitsNode(volume: PersistentVolume, node: Node): boolean {
  const required = volume.spec?.nodeAffinity?.required;
  return required === undefined || new CompiledNodeSelector(required).matches(node);
}
export function requestedBytes(claim: PersistentVolumeClaim): number {
  return amountOf('storage', claim.spec.resources?.requests?.['storage'] ?? '0');
}
function capacityBytes(volume: PersistentVolume): number {
  return amountOf('storage', volume.spec?.capacity?.['storage'] ?? '0');
}
function isFor(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  const ref = volume.spec?.claimRef;
  return ref !== undefined && ref.name === nameOf(claim) && ref.namespace === namespaceOf(claim) && (!ref.uid || ref.uid === uidOf(claim));
}
/** Would the volume do, whoever it is for now? */
function satisfies(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  const { spec } = volume;
  if (!spec || volume.metadata.deletionTimestamp) return false;
  return (volume.metadata.annotations?.[OLD_CLASS] ?? spec.storageClassName ?? '') === storageClassOf(claim)
    && (spec.volumeMode ?? 'Filesystem') === (claim.spec.volumeMode ?? 'Filesystem')
    && (spec.volumeAttributesClassName ?? '') === (claim.spec.volumeAttributesClassName ?? '')
    && capacityBytes(volume) >= requestedBytes(claim)
    && (claim.spec.accessModes ?? []).every((mode) => spec.accessModes?.includes(mode) ?? false)
    && (claim.spec.selector === undefined || matcher(claim.spec.selector).matches(volume.metadata.labels));
}

/** The volume that was set aside for the claim, or the smallest free one that does; `taken` are not to be had. */
export function findVolume(claim: PersistentVolumeClaim, node: Node, volumes: readonly PersistentVolume[], taken: ReadonlySet<string>): PersistentVolume | undefined {
  let best: PersistentVolume | undefined;
  for (const volume of volumes) {
    if (taken.has(nameOf(volume)) || !satisfies(volume, claim) || !volumeFitsNode(volume, node)) continue;
    if (volume.spec?.claimRef) {
      if (isFor(volume, claim)) return volume;
      continue;
    }
    if (volume.status?.phase === 'Available' && (!best || capacityBytes(volume) < capacityBytes(best))) best = volume;
  }
  return best;
}

/** Can a volume be made for the claim where the node can use it? `space`: all but that there is not enough of it. */
export function canProvision(claim: PersistentVolumeClaim, node: Node, listers: Pick<Listers, 'storageClasses' | 'csiDrivers' | 'csiStorageCapacities'>): 'yes' | 'no' | 'space' {
  const storageClass = listers.storageClasses.get('', storageClassOf(claim));
  if (!storageClass || storageClass.provisioner === '' || storageClass.provisioner === NO_PROVISIONER) return 'no';
  if (!topologyAllows(storageClass, node)) return 'no';
  if (!listers.csiDrivers.get('', storageClass.provisioner)?.spec.storageCapacity) return 'yes';
  const enough = listers.csiStorageCapacities.list().some((c) => {
    const limit = c.maximumVolumeSize ?? c.capacity;
    return c.storageClassName === nameOf(storageClass) && limit !== undefined && amountOf('storage', limit) >= requestedBytes(claim) && matcher(c.nodeTopology).matches(node.metadata.labels);
  });
  return enough ? 'yes' : 'space';
}
function topologyAllows({ allowedTopologies = [] }: StorageClass, node: Node): boolean {
  const labels = node.metadata.labels ?? {};
  return allowedTopologies.length === 0 || allowedTopologies.some((term) => (term.matchLabelExpressions ?? []).every((e) => Object.hasOwn(labels, e.key) && e.values.includes(labels[e.key]!)));
}
