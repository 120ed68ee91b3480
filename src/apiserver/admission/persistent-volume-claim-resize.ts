/** PersistentVolumeClaimResize: a claim grows only when its class allows it. */
import type * as coreV1 from '#api/gen/core-v1.ts';
import type * as storageV1 from '#api/gen/storage-v1.ts';
import { resourceOf } from '#api/resources.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import type { AdmissionAttributes, AdmissionPlugin, ObjectReader } from '../interfaces.ts';
import { isAbout, oneOf, refusal } from './refusal.ts';

const CLASSES = resourceOf('storage.k8s.io', 'v1', 'storageclasses');
const CLASS_ANNOTATION = 'volume.beta.kubernetes.io/storage-class';
const sizeOf = (claim: coreV1.PersistentVolumeClaim) => parseQuantity(claim.spec?.resources?.requests?.['storage'] ?? '0');
const classOf = (claim: coreV1.PersistentVolumeClaim): string => claim.metadata.annotations?.[CLASS_ANNOTATION] ?? claim.spec?.storageClassName ?? '';

export class PersistentVolumeClaimResize implements AdmissionPlugin {
  readonly name = 'PersistentVolumeClaimResize';
  readonly handles = oneOf('UPDATE');
  readonly #reader: ObjectReader;
  constructor(options: { readonly reader: ObjectReader }) {
    this.#reader = options.reader;
  }
  validate(a: AdmissionAttributes): void {
    if (!isAbout(a, '', 'persistentvolumeclaims')) return;
    const claim = a.object as coreV1.PersistentVolumeClaim;
    const old = a.oldObject as coreV1.PersistentVolumeClaim;
    if (sizeOf(claim).cmp(sizeOf(old)) <= 0) return;
    if (old.status?.phase !== 'Bound') throw refusal(a, 'Only bound persistent volume claims can be expanded');
    const name = classOf(claim);
    const allowed = name !== '' && name === classOf(old) && this.#reader.get<storageV1.StorageClass>(CLASSES, '', name)?.allowVolumeExpansion === true;
    if (!allowed) throw refusal(a, 'only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize');
  }
}
