/** `spec.volumes`: exactly one kind each, and what each kind requires. */
import type { CSIVolumeSource, EphemeralVolumeSource, GitRepoVolumeSource, ImageVolumeSource, Volume } from '#api/gen/core-v1.ts';
import { duplicate, forbiddenField, invalidValue, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Label, isDNS1123Subdomain, nameIsDNSSubdomain } from '#machinery/names.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import { each, fromMessages, requiredOneOf } from '../../field-checks.ts';
import { validateClaimSpec } from '../persistentvolumeclaim-validation.ts';
import { validateDescendingPath, validateFileMode } from '../volume-paths.ts';
import * as sources from '../volume-sources.ts';
import type { PodOptions } from './options.ts';
import { validateDownwardFile, validateKeyToPath, validateProjected } from './projected-volume.ts';
import { validateTemplateMetadata } from '../template-metadata.ts';

const PULL_POLICIES = ['Always', 'IfNotPresent', 'Never'];

function validateGitRepo(source: GitRepoVolumeSource, path: FieldPath): FieldError[] {
  return [...sources.requireTexts(source, path, 'repository'), ...validateDescendingPath(source.directory ?? '', path.child('directory'))];
}
function validateCSI(source: CSIVolumeSource, path: FieldPath): FieldError[] {
  const errors = sources.validateCSIDriverName(source.driver ?? '', path.child('driver'));
  if (!source.nodePublishSecretRef) return errors;
  const name = source.nodePublishSecretRef.name ?? '';
  return [...errors, ...(name === '' ? [required(path.child('nodePublishSecretRef', 'name'))] : fromMessages(path.child('name'), name, isDNS1123Subdomain(name)))];
}
function validateEphemeral(source: EphemeralVolumeSource, path: FieldPath): FieldError[] {
  const at = path.child('volumeClaimTemplate');
  const template = source.volumeClaimTemplate;
  if (!template) return [required(at)];
  return [...validateTemplateMetadata(template.metadata, at.child('metadata')), ...validateClaimSpec(template.spec, at.child('spec'))];
}
function validateImage(source: ImageVolumeSource, path: FieldPath, options: PodOptions): FieldError[] {
  const errors = options.isPod && !source.reference ? [required(path.child('reference'))] : [];
  return [...errors, ...requiredOneOf(source.pullPolicy, PULL_POLICIES, path.child('pullPolicy'))];
}

type Kind = Exclude<keyof Volume, 'name'>;
interface VolumeKind<K extends Kind = Kind> {
  readonly key: K;
  /** Upstream's path for the messages inside, where it is not the field's own name. */
  readonly inner?: string;
  /** Upstream's path for "more than one kind", likewise. */
  readonly outer?: string;
  readonly check: (source: NonNullable<Volume[K]>, path: FieldPath, options: PodOptions, volume: Volume) => FieldError[];
}
const kind = <K extends Kind>(key: K, check: VolumeKind<K>['check'], names: Pick<VolumeKind, 'inner' | 'outer'> = {}): VolumeKind => ({ key, check: check as unknown as VolumeKind['check'], ...names });

/** In upstream's order, which decides who is the one too many. */
const KINDS: readonly VolumeKind[] = [
  kind('emptyDir', (s, path) =>
    s.sizeLimit !== undefined && parseQuantity(s.sizeLimit).sign() < 0 ? [forbiddenField(path.child('sizeLimit'), 'SizeLimit field must be a valid resource quantity')] : []),
  kind('hostPath', sources.validateHostPath),
  kind('gitRepo', validateGitRepo),
  kind('gcePersistentDisk', sources.validateGCEDisk, { inner: 'persistentDisk' }),
  kind('awsElasticBlockStore', sources.validateAWSDisk),
  kind('secret', (s, path) => [
    ...sources.requireTexts(s, path, 'secretName'), ...validateFileMode(s.defaultMode, path.child('defaultMode')), ...each(s.items, path.child('items'), validateKeyToPath),
  ]),
  kind('nfs', sources.validateNFS),
  kind('iscsi', (s, path, _options, volume) => sources.validateISCSI(s, volume.name, true, path)),
  kind('glusterfs', (s, path) => sources.requireTexts(s, path, 'endpoints', 'path')),
  kind('flocker', sources.validateFlocker),
  kind('persistentVolumeClaim', (s, path) => sources.requireTexts(s, path, 'claimName')),
  kind('rbd', sources.validateRBD),
  kind('cinder', (s, path) => [...sources.requireTexts(s, path, 'volumeID'), ...sources.requireSecretRef(s.secretRef, true, path)]),
  kind('cephfs', sources.validateCephFS, { outer: 'cephFS' }),
  kind('quobyte', sources.validateQuobyte),
  kind('downwardAPI', (s, path) => [...validateFileMode(s.defaultMode, path.child('defaultMode')), ...(s.items ?? []).flatMap((file) => validateDownwardFile(file, path))], { outer: 'downwarAPI' }),
  kind('fc', sources.validateFC),
  kind('flexVolume', sources.validateFlex),
  kind('configMap', (s, path) => [
    ...sources.requireTexts(s, path, 'name'), ...validateFileMode(s.defaultMode, path.child('defaultMode')), ...each(s.items, path.child('items'), validateKeyToPath),
  ]),
  kind('azureFile', (s, path) => sources.requireTexts(s, path, 'secretName', 'shareName')),
  kind('vsphereVolume', (s, path) => sources.requireTexts(s, path, 'volumePath')),
  kind('photonPersistentDisk', (s, path) => sources.requireTexts(s, path, 'pdID')),
  kind('portworxVolume', (s, path) => sources.requireTexts(s, path, 'volumeID')),
  kind('azureDisk', sources.validateAzureDisk),
  kind('storageos', (s, path) => sources.validateStorageOS(s, true, path)),
  kind('projected', validateProjected),
  kind('scaleIO', (s, path) => sources.requireTexts(s, path, 'gateway', 'system', 'volumeName')),
  kind('csi', validateCSI),
  kind('ephemeral', validateEphemeral),
  kind('image', validateImage),
];

function validateSource(volume: Volume, path: FieldPath, options: PodOptions): FieldError[] {
  const errors: FieldError[] = [];
  let count = 0;
  for (const { key, inner, outer, check } of KINDS) {
    const source = volume[key];
    if (source === undefined) continue;
    count += 1;
    if (count > 1) errors.push(forbiddenField(path.child(outer ?? key), 'may not specify more than 1 volume type'));
    else errors.push(...check(source as never, path.child(inner ?? key), options, volume));
    if (key === 'iscsi') errors.push(...sources.validateISCSIName(volume.iscsi!, volume.name, path));
    if (key === 'ephemeral' && count === 1 && options.podName && volume.name) {
      const claim = `${options.podName}-${volume.name}`;
      errors.push(...nameIsDNSSubdomain(claim, false).map((m) => invalidValue(path.child('name'), volume.name, `PVC name ${JSON.stringify(claim)}: ${m}`)));
    }
  }
  return count === 0 ? [required(path, 'must specify a volume type')] : errors;
}

/** Errors, and the volumes without any by name: only those can be mounted. */
export function validateVolumes(volumes: readonly Volume[] | undefined, path: FieldPath, options: PodOptions): { errors: FieldError[]; byName: ReadonlyMap<string, Volume> } {
  const errors: FieldError[] = [];
  const byName = new Map<string, Volume>();
  for (const [i, volume] of (volumes ?? []).entries()) {
    const at = path.index(i);
    const name = volume.name ?? '';
    const own = validateSource(volume, at, options);
    own.push(...(name === '' ? [required(at.child('name'))] : fromMessages(at.child('name'), name, isDNS1123Label(name))));
    if (byName.has(name)) own.push(duplicate(at.child('name'), name));
    if (own.length === 0) byName.set(name, volume);
    errors.push(...own);
  }
  return { errors, byName };
}
