import type { NodeSelectorRequirement, NodeSelectorTerm, PersistentVolume, PersistentVolumeSpec } from '#api/gen/core-v1.ts';
import { structByFactsName } from '#api/schema.ts';
import { fieldPath, forbiddenField, invalidValue, type FieldError } from '#machinery/field-errors.ts';
import { defineStrategy } from '../define.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { immutable } from '../field-checks.ts';
import { goName, internalForm } from '../internal-form.ts';
import { AGE, age, fieldDoc, NAME, text, UNSET, wide } from '../printing.ts';
import { unifiedDiff } from '../unified-diff.ts';
import { defaultRemoteSources, SOURCE_FIELDS } from './persistentvolume-sources.ts';
import { roundUpToMilli } from './resource-lists.ts';
import { validateVolumeSpec } from './persistentvolume-validation.ts';
import { termWarnings } from './deprecated-labels.ts';

export const STORAGE_CLASS_ANNOTATION = 'volume.beta.kubernetes.io/storage-class';
const SPEC = fieldPath('spec');
const SOURCE_ORDER = [
  'gcePersistentDisk', 'awsElasticBlockStore', 'hostPath', 'glusterfs', 'nfs', 'rbd', 'quobyte', 'iscsi', 'flexVolume', 'cinder', 'cephfs', 'fc', 'flocker', 'azureFile', 'vsphereVolume',
  'azureDisk', 'photonPersistentDisk', 'portworxVolume', 'scaleIO', 'local', 'storageos', 'csi',
];
const sourceOf = (spec: PersistentVolumeSpec) => Object.fromEntries(SOURCE_FIELDS.map((field) => [field, spec[field]]));

/** The source as upstream's diff shows it. */
function shownSource(spec: PersistentVolumeSpec): Record<string, unknown> {
  const form = internalForm(structByFactsName('api/core/v1.PersistentVolumeSpec'), sourceOf(spec), SOURCE_ORDER);
  return Object.fromEntries(SOURCE_ORDER.map((field) => [goName(field), form[goName(field)]]));
}

/** Labels that cloud providers and node components had before they were settled. */
const SETTLED_LABELS: Readonly<Record<string, string>> = {
  'failure-domain.beta.kubernetes.io/zone': 'topology.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region': 'topology.kubernetes.io/region',
  'beta.kubernetes.io/instance-type': 'node.kubernetes.io/instance-type',
  'beta.kubernetes.io/os': 'kubernetes.io/os',
  'beta.kubernetes.io/arch': 'kubernetes.io/arch',
};
function settled(requirement: NodeSelectorRequirement, target: NodeSelectorRequirement | undefined): NodeSelectorRequirement {
  const now = SETTLED_LABELS[requirement.key];
  return now !== undefined && target?.key === now ? { ...requirement, key: now } : requirement;
}
/** The old affinity with those beta labels renamed that the new one has in their settled form. */
function settledTerms(old: readonly NodeSelectorTerm[], now: readonly NodeSelectorTerm[]): NodeSelectorTerm[] {
  return old.map((term, i) => ({ ...term, matchExpressions: (term.matchExpressions ?? []).map((r, j) => settled(r, now[i]?.matchExpressions?.[j])) }));
}
function validateAffinityUpdate(spec: PersistentVolumeSpec, old: PersistentVolumeSpec): FieldError[] {
  const [before, now] = [old.nodeAffinity, spec.nodeAffinity];
  if (!before || semanticEqual(before, now)) return [];
  const terms = settledTerms(before.required?.nodeSelectorTerms ?? [], now?.required?.nodeSelectorTerms ?? []);
  if (now?.required && before.required && semanticEqual({ ...before.required, nodeSelectorTerms: terms }, now.required)) return [];
  return [invalidValue(fieldPath('nodeAffinity'), now ?? null, 'field is immutable, except for updating from beta label to GA')];
}
function validateUpdate(volume: PersistentVolume, old: PersistentVolume): FieldError[] {
  const [spec, before] = [volume.spec, old.spec];
  // The release validates it twice.
  const once = validateVolumeSpec(spec, volume.metadata.name ?? '', SPEC);
  const errors = [...once, ...once];
  const expandRefAdded = !before.csi?.controllerExpandSecretRef && spec.csi?.controllerExpandSecretRef !== undefined && before.csi !== undefined;
  const from = expandRefAdded ? { ...before, csi: { ...before.csi!, controllerExpandSecretRef: spec.csi!.controllerExpandSecretRef } } : before;
  if (!semanticEqual(sourceOf(spec), sourceOf(from))) {
    const diff = unifiedDiff(shownSource(from), shownSource(spec));
    errors.push(forbiddenField(SPEC.child('persistentvolumesource'), `spec.persistentvolumesource is immutable after creation\n${diff}`));
  }
  errors.push(...immutable(spec.volumeMode, before.volumeMode, fieldPath('volumeMode')), ...validateAffinityUpdate(spec, before));
  if (before.volumeAttributesClassName !== undefined && spec.volumeAttributesClassName === undefined) {
    errors.push(forbiddenField(SPEC.child('volumeAttributesClassName'), 'update from non-nil value to nil is forbidden'));
  }
  return errors;
}

const OLD_ANNOTATIONS = Object.entries({
  'volume.beta.kubernetes.io/storage-class': 'deprecated since v1.8; use "storageClassName" attribute instead',
  'volume.beta.kubernetes.io/mount-options': 'deprecated since v1.31; use "mountOptions" attribute instead',
});
const RECYCLE = 'spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.';
const OLD_SOURCES = Object.entries<string>({
  cephfs: 'deprecated in v1.28, non-functional in v1.31+',
  photonPersistentDisk: 'deprecated in v1.11, non-functional in v1.16+',
  scaleIO: 'deprecated in v1.16, non-functional in v1.22+',
  storageos: 'deprecated in v1.22, non-functional in v1.25+',
  glusterfs: 'deprecated in v1.25, non-functional in v1.26+',
  rbd: 'deprecated in v1.28, non-functional in v1.31+',
} satisfies Partial<Record<keyof PersistentVolumeSpec, string>>) as [keyof PersistentVolumeSpec, string][];

const SHORT_MODES = { ReadWriteOnce: 'RWO', ReadOnlyMany: 'ROX', ReadWriteMany: 'RWX', ReadWriteOncePod: 'RWOP' } as const;
/** `RWO,ROX`: each mode once, in this order. */
export function accessModesText(modes: readonly string[] | undefined): string {
  return Object.entries(SHORT_MODES).filter(([mode]) => modes?.includes(mode)).map(([, short]) => short).join(',');
}

export const persistentvolumes = defineStrategy<PersistentVolume>('', 'v1', 'persistentvolumes', {
  default(volume) {
    ((volume.status ??= {}) as { phase?: string }).phase ||= 'Pending';
    const { spec } = volume;
    if (!spec) return;
    spec.persistentVolumeReclaimPolicy ||= 'Retain';
    spec.volumeMode ??= 'Filesystem';
    roundUpToMilli(spec.capacity);
    if (spec.hostPath) spec.hostPath.type ??= '';
    defaultRemoteSources(spec);
  },
  prepareForCreate(volume, ctx) {
    volume.status = { phase: 'Pending', lastPhaseTransitionTime: new Date(Math.floor(ctx.now / 1000) * 1000).toISOString().replace('.000Z', 'Z') };
  },
  prepareForUpdate(volume, old, ctx) {
    const status = volume.status;
    if (ctx.subresource !== 'status' || !status || status.phase === old.status?.phase) return;
    const untouched = status.lastPhaseTransitionTime === undefined || status.lastPhaseTransitionTime === old.status?.lastPhaseTransitionTime;
    if (untouched) status.lastPhaseTransitionTime = new Date(Math.floor(ctx.now / 1000) * 1000).toISOString().replace('.000Z', 'Z');
  },
  validate: ({ metadata, spec }) => validateVolumeSpec(spec ?? {}, metadata.name ?? '', SPEC),
  validateUpdate,
  validateStatusUpdate: () => [],
  warnings: ({ metadata, spec }) => [
    ...OLD_ANNOTATIONS.filter(([key]) => metadata.annotations?.[key] !== undefined).map(([key, text]) => `metadata.annotations[${key}]: ${text}`),
    ...(spec.persistentVolumeReclaimPolicy === 'Recycle' ? [RECYCLE] : []),
    ...(spec.nodeAffinity?.required?.nodeSelectorTerms ?? []).flatMap((term, i) => termWarnings(term, SPEC.child('nodeAffinity', 'required', 'nodeSelectorTerms').index(i))),
    ...OLD_SOURCES.filter(([source]) => spec[source]).map(([source, text]) => `${SPEC.child(source === 'storageos' ? 'storageOS' : source).toString()}: ${text}`),
  ],
  columns: [
    NAME,
    text('Capacity', fieldDoc('api/core/v1.PersistentVolumeSpec', 'capacity')),
    text('Access Modes', fieldDoc('api/core/v1.PersistentVolumeSpec', 'accessModes')),
    text('Reclaim Policy', fieldDoc('api/core/v1.PersistentVolumeSpec', 'persistentVolumeReclaimPolicy')),
    text('Status', fieldDoc('api/core/v1.PersistentVolumeStatus', 'phase')),
    text('Claim', 'claimRef is part of a bi-directional binding between PersistentVolume and PersistentVolumeClaim. Expected to be non-nil when bound. claim.VolumeName is the authoritative bind between PV and PVC. More info: https://kubernetes.io/docs/concepts/storage/persistent-volumes#binding'),
    text('StorageClass', 'StorageClass of the pv'),
    text('VolumeAttributesClass', 'VolumeAttributesClass of the pv'),
    text('Reason', fieldDoc('api/core/v1.PersistentVolumeStatus', 'reason')),
    AGE,
    wide('VolumeMode', fieldDoc('api/core/v1.PersistentVolumeSpec', 'volumeMode')),
  ],
  row({ metadata, spec, status }, now) {
    const claim = spec.claimRef ? `${spec.claimRef.namespace ?? ''}/${spec.claimRef.name ?? ''}` : '';
    return [
      metadata.name ?? '', spec.capacity?.['storage'] ?? '0', accessModesText(spec.accessModes), spec.persistentVolumeReclaimPolicy ?? '',
      metadata.deletionTimestamp ? 'Terminating' : (status?.phase ?? ''), claim, metadata.annotations?.[STORAGE_CLASS_ANNOTATION] ?? spec.storageClassName ?? '',
      spec.volumeAttributesClassName ?? UNSET, status?.reason ?? '', age(metadata, now), spec.volumeMode ?? UNSET,
    ];
  },
});
