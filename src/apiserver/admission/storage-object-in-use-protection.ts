/** StorageObjectInUseProtection: claims, volumes and volume attributes classes get the finalizer that keeps them while they are used. */
import type { AdmissionPlugin, MutableAdmissionAttributes } from '../interfaces.ts';
import { oneOf } from './refusal.ts';

const FINALIZERS: Readonly<Record<string, string>> = {
  '/persistentvolumeclaims': 'kubernetes.io/pvc-protection',
  '/persistentvolumes': 'kubernetes.io/pv-protection',
  'storage.k8s.io/volumeattributesclasses': 'kubernetes.io/vac-protection',
};

export class StorageObjectInUseProtection implements AdmissionPlugin {
  readonly name = 'StorageObjectInUseProtection';
  readonly handles = oneOf('CREATE');
  admit(a: MutableAdmissionAttributes): void {
    const finalizer = FINALIZERS[`${a.resource.group}/${a.resource.plural}`];
    if (finalizer === undefined || a.subresource !== '' || !a.object) return;
    const finalizers = (a.object.metadata.finalizers ??= []);
    if (!finalizers.includes(finalizer)) finalizers.push(finalizer);
  }
}
