/** DefaultStorageClass: claims that name no class get the default one. */
import type * as coreV1 from '#api/gen/core-v1.ts';
import type * as storageV1 from '#api/gen/storage-v1.ts';
import { nameOf } from '#api/object.ts';
import { resourceOf } from '#api/resources.ts';
import type { Draft } from '#base/draft.ts';
import type { AdmissionPlugin, MutableAdmissionAttributes, ObjectReader } from '../interfaces.ts';
import { defaultClass } from './default-class.ts';
import { isAbout, oneOf } from './refusal.ts';

const CLASSES = resourceOf('storage.k8s.io', 'v1', 'storageclasses');
const ANNOTATIONS = ['storageclass.kubernetes.io/is-default-class', 'storageclass.beta.kubernetes.io/is-default-class'];
const CLASS_ANNOTATION = 'volume.beta.kubernetes.io/storage-class';

export class DefaultStorageClass implements AdmissionPlugin {
  readonly name = 'DefaultStorageClass';
  readonly handles = oneOf('CREATE');
  readonly #reader: ObjectReader;
  constructor(options: { readonly reader: ObjectReader }) {
    this.#reader = options.reader;
  }
  admit(a: MutableAdmissionAttributes): void {
    if (!isAbout(a, '', 'persistentvolumeclaims')) return;
    const claim = a.object as Draft<coreV1.PersistentVolumeClaim>;
    if (claim.spec?.storageClassName !== undefined || claim.metadata.annotations?.[CLASS_ANNOTATION] !== undefined) return;
    const found = defaultClass(this.#reader.list<storageV1.StorageClass>(CLASSES), ANNOTATIONS);
    if (found) (claim.spec ??= {}).storageClassName = nameOf(found);
  }
}
