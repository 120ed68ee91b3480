/** What each kind of storage of a PersistentVolume requires. */
import type { AzureFilePersistentVolumeSource, CSIPersistentVolumeSource, GlusterfsPersistentVolumeSource, LocalVolumeSource, PersistentVolumeSpec, SecretReference } from '#api/gen/core-v1.ts';
import type { Draft } from '#base/draft.ts';
import { forbiddenField, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Label, isDNS1123Subdomain } from '#machinery/names.ts';
import { fromMessages } from '../field-checks.ts';
import { validateNoBacksteps } from './volume-paths.ts';
import * as sources from './volume-sources.ts';

function validateSecretReference(ref: SecretReference | undefined, path: FieldPath): FieldError[] {
  if (!ref) return [];
  const { name, namespace } = ref;
  return [
    ...(name ? fromMessages(path.child('name'), name, isDNS1123Subdomain(name)) : [required(path.child('name'))]),
    ...(namespace ? fromMessages(path.child('namespace'), namespace, isDNS1123Label(namespace)) : [required(path.child('namespace'))]),
  ];
}
function validateCSI(source: CSIPersistentVolumeSource, path: FieldPath): FieldError[] {
  const refs = ['controllerPublishSecretRef', 'controllerExpandSecretRef', 'nodePublishSecretRef', 'nodeExpandSecretRef'] as const;
  return [
    ...sources.validateCSIDriverName(source.driver ?? '', path.child('driver')),
    ...sources.requireTexts(source, path, 'volumeHandle'),
    ...refs.flatMap((ref) => validateSecretReference(source[ref], path.child(ref))),
  ];
}
function validateGlusterfs(source: GlusterfsPersistentVolumeSource, path: FieldPath): FieldError[] {
  const errors = sources.requireTexts(source, path, 'endpoints', 'path');
  const namespace = source.endpointsNamespace;
  if (namespace === undefined) return errors;
  const at = path.child('endpointsNamespace');
  return [...errors, ...(namespace === '' ? [required(at, 'if the endpointnamespace is set, it must be a valid namespace name')] : fromMessages(at, namespace, isDNS1123Label(namespace)))];
}
function validateAzureFile(source: AzureFilePersistentVolumeSource, path: FieldPath): FieldError[] {
  const errors = sources.requireTexts(source, path, 'secretName', 'shareName');
  return source.secretNamespace === '' ? [...errors, required(path.child('secretNamespace'))] : errors;
}
function validateLocal(source: LocalVolumeSource, path: FieldPath): FieldError[] {
  return source.path ? validateNoBacksteps(source.path, path.child('path')) : [required(path.child('path'))];
}

/** The fields of a PersistentVolume's spec that are kinds of storage, in upstream's order, which decides who is the one too many. */
export const SOURCE_FIELDS = [
  'hostPath', 'gcePersistentDisk', 'awsElasticBlockStore', 'glusterfs', 'flocker', 'nfs', 'rbd', 'quobyte', 'cephfs', 'iscsi', 'cinder', 'fc', 'flexVolume', 'azureFile',
  'vsphereVolume', 'photonPersistentDisk', 'portworxVolume', 'azureDisk', 'scaleIO', 'local', 'storageos', 'csi',
] as const;
type SourceField = (typeof SOURCE_FIELDS)[number];
type Checks = { readonly [K in SourceField]: (source: NonNullable<PersistentVolumeSpec[K]>, path: FieldPath, name: string) => FieldError[] };

const CHECKS: Checks = {
  hostPath: sources.validateHostPath,
  gcePersistentDisk: sources.validateGCEDisk,
  awsElasticBlockStore: sources.validateAWSDisk,
  glusterfs: validateGlusterfs,
  flocker: sources.validateFlocker,
  nfs: sources.validateNFS,
  rbd: sources.validateRBD,
  quobyte: sources.validateQuobyte,
  cephfs: sources.validateCephFS,
  iscsi: (source, path, name) => sources.validateISCSI(source, name, false, path),
  cinder: (source, path) => [...sources.requireTexts(source, path, 'volumeID'), ...sources.requireSecretRef(source.secretRef, false, path)],
  fc: sources.validateFC,
  flexVolume: sources.validateFlex,
  azureFile: validateAzureFile,
  vsphereVolume: (source, path) => sources.requireTexts(source, path, 'volumePath'),
  photonPersistentDisk: (source, path) => sources.requireTexts(source, path, 'pdID'),
  portworxVolume: (source, path) => sources.requireTexts(source, path, 'volumeID'),
  azureDisk: sources.validateAzureDisk,
  scaleIO: (source, path) => sources.requireTexts(source, path, 'gateway', 'system', 'volumeName'),
  local: validateLocal,
  storageos: (source, path) => sources.validateStorageOS(source, false, path),
  csi: validateCSI,
};
/** Upstream's paths where they are not the field's own name: in the messages inside, and for one kind too many. */
const INNER: Partial<Record<SourceField, string>> = { gcePersistentDisk: 'persistentDisk' };
const OUTER: Partial<Record<SourceField, string>> = { cephfs: 'cephFS' };

/** Exactly one kind of storage. */
export function validateSources(spec: PersistentVolumeSpec, name: string, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  const given = SOURCE_FIELDS.filter((field) => spec[field] !== undefined);
  for (const [i, field] of given.entries()) {
    // Upstream lets this one stand beside another.
    if (i > 0 && field === 'flexVolume') continue;
    if (i > 0) errors.push(forbiddenField(path.child(OUTER[field] ?? field), 'may not specify more than 1 volume type'));
    else {
      const check = CHECKS[field] as (source: unknown, path: FieldPath, name: string) => FieldError[];
      errors.push(...check(spec[field], path.child(INNER[field] ?? field), name));
      if (field === 'local' && !spec.nodeAffinity) errors.push(required(path.child('nodeAffinity'), 'Local volume requires node affinity'));
    }
  }
  return given.length === 0 ? [required(path, 'must specify a volume type')] : errors;
}

type RemoteSources = Pick<PersistentVolumeSpec, 'iscsi' | 'rbd' | 'azureDisk' | 'scaleIO'>;
/** Defaults of storage that is reached over a network: of PersistentVolumes and of volumes in Pods. */
export function defaultRemoteSources(volume: Draft<RemoteSources>): void {
  if (volume.iscsi) volume.iscsi.iscsiInterface ||= 'default';
  if (volume.rbd) {
    volume.rbd.pool ||= 'rbd';
    volume.rbd.user ||= 'admin';
    volume.rbd.keyring ||= '/etc/ceph/keyring';
  }
  if (volume.azureDisk) {
    volume.azureDisk.cachingMode ??= 'ReadWrite';
    volume.azureDisk.kind ??= 'Shared';
    volume.azureDisk.fsType ??= 'ext4';
    volume.azureDisk.readOnly ??= false;
  }
  if (volume.scaleIO) {
    volume.scaleIO.storageMode ||= 'ThinProvisioned';
    volume.scaleIO.fsType ||= 'xfs';
  }
}
