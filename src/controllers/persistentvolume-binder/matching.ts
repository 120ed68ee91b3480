/** Which volume a claim gets, and who belongs to whom. Source: concepts/storage/persistent-volumes, "Binding". */
import type { PersistentVolume, PersistentVolumeClaim } from '#api/gen/core-v1.ts';
import type { StorageClass } from '#api/gen/storage-v1.ts';
import { nameOf, namespaceOf, uidOf } from '#api/object.ts';
import { parseQuantity, type Quantity } from '#machinery/quantity.ts';
import { labelMatcherOf } from '#machinery/selectors.ts';

export const BIND_COMPLETED = 'pv.kubernetes.io/bind-completed';
export const BOUND_BY_CONTROLLER = 'pv.kubernetes.io/bound-by-controller';
export const PROVISIONED_BY = 'pv.kubernetes.io/provisioned-by';
export const SELECTED_NODE = 'volume.kubernetes.io/selected-node';
export const PROVISIONER = 'volume.kubernetes.io/storage-provisioner';
export const OLD_PROVISIONER = 'volume.beta.kubernetes.io/storage-provisioner';
export const NO_PROVISIONER = 'kubernetes.io/no-provisioner';
/** The annotation of before `spec.storageClassName`. */
const OLD_CLASS = 'volume.beta.kubernetes.io/storage-class';
const DEFAULT_CLASS = ['storageclass.kubernetes.io/is-default-class', 'storageclass.beta.kubernetes.io/is-default-class'];

export function classOfClaim({ metadata, spec }: PersistentVolumeClaim): string {
  return metadata.annotations?.[OLD_CLASS] ?? spec.storageClassName ?? '';
}
export function classOfVolume({ metadata, spec }: PersistentVolume): string {
  return metadata.annotations?.[OLD_CLASS] ?? spec.storageClassName ?? '';
}
/** Whether a claim leaves its class open. */
export function hasNoClass({ metadata, spec }: PersistentVolumeClaim): boolean {
  return metadata.annotations?.[OLD_CLASS] === undefined && spec.storageClassName === undefined;
}
/** The newest of the classes that are marked as default. */
export function defaultClass(classes: readonly StorageClass[]): StorageClass | undefined {
  const created = (c: StorageClass): string => c.metadata.creationTimestamp ?? '';
  const marked = classes.filter((c) => DEFAULT_CLASS.some((a) => c.metadata.annotations?.[a] === 'true'));
  return marked.toSorted((a, b) => (created(a) === created(b) ? (nameOf(a) < nameOf(b) ? -1 : 1) : created(a) > created(b) ? -1 : 1))[0];
}
/** Whether the volume is set aside for the claim, or for one of its name. */
export function isBoundTo(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  const ref = volume.spec.claimRef;
  return ref !== undefined && ref.name === nameOf(claim) && ref.namespace === namespaceOf(claim) && (!ref.uid || ref.uid === uidOf(claim));
}
const capacityOf = (volume: PersistentVolume): Quantity => parseQuantity(volume.spec.capacity?.['storage'] ?? '0');
const requestOf = (claim: PersistentVolumeClaim): Quantity => parseQuantity(claim.spec.resources?.requests?.['storage'] ?? '0');
const modeOf = (mode: string | undefined): string => mode ?? 'Filesystem';
function hasModes(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  return (claim.spec.accessModes ?? []).every((m) => volume.spec.accessModes?.includes(m) ?? false);
}

/** Why a volume that was asked for by name will not do, in upstream's words. */
export function mismatch(volume: PersistentVolume, claim: PersistentVolumeClaim): string | undefined {
  if (capacityOf(volume).cmp(requestOf(claim)) < 0) return 'requested PV is too small';
  if (classOfVolume(volume) !== classOfClaim(claim)) return 'storageClassName does not match';
  if (modeOf(volume.spec.volumeMode) !== modeOf(claim.spec.volumeMode)) return 'incompatible volumeMode';
  return hasModes(volume, claim) ? undefined : 'incompatible accessMode';
}
/** The volume set aside for the claim, or else the smallest free one that will do; with `onlyReserved` no free one. */
export function findVolume(claim: PersistentVolumeClaim, volumes: readonly PersistentVolume[], onlyReserved: boolean): PersistentVolume | undefined {
  const selector = claim.spec.selector && labelMatcherOf(claim.spec.selector);
  let best: PersistentVolume | undefined;
  for (const volume of volumes) {
    if (volume.metadata.deletionTimestamp !== undefined || !hasModes(volume, claim)) continue;
    if (volume.spec.claimRef && !isBoundTo(volume, claim)) continue;
    if (modeOf(volume.spec.volumeMode) !== modeOf(claim.spec.volumeMode) || capacityOf(volume).cmp(requestOf(claim)) < 0) continue;
    if (volume.spec.claimRef) return volume;
    if (onlyReserved || volume.status?.phase !== 'Available' || classOfVolume(volume) !== classOfClaim(claim)) continue;
    if ((claim.spec.volumeAttributesClassName ?? '') !== (volume.spec.volumeAttributesClassName ?? '')) continue;
    if (selector && !selector.matches(volume.metadata.labels)) continue;
    if (!best || capacityOf(volume).cmp(capacityOf(best)) < 0) best = volume;
  }
  return best;
}
