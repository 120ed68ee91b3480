import type { PersistentVolumeClaim, PersistentVolumeClaimSpec } from '#api/gen/core-v1.ts';
import type { Draft } from '#base/draft.ts';
import { structByFactsName } from '#api/schema.ts';
import { fieldPath, forbiddenField, notSupported, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isQualifiedName } from '#machinery/names.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import { defineStrategy } from '../define.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { eachKey, fromMessages, immutable } from '../field-checks.ts';
import { internalForm } from '../internal-form.ts';
import { AGE, age, fieldDoc, NAME, text, UNSET, wide } from '../printing.ts';
import { unifiedDiff } from '../unified-diff.ts';
import { defaultClaimSpec } from './persistentvolumeclaim-defaults.ts';
import { roundUpToMilli } from './resource-lists.ts';
import { validateClaimSpec } from './persistentvolumeclaim-validation.ts';
import { validateSize } from './persistentvolume-validation.ts';
import { accessModesText, STORAGE_CLASS_ANNOTATION } from './persistentvolumes.ts';
import { claimSpecWarnings } from './pod/warnings.ts';
import { isNativeResource } from '#machinery/resource-names.ts';

const SPEC = fieldPath('spec');
const STATUS = fieldPath('status');
const RESIZE_STATES = ['ControllerResizeInfeasible', 'ControllerResizeInProgress', 'NodeResizeInfeasible', 'NodeResizeInProgress', 'NodeResizePending'];

const shown = (spec: PersistentVolumeClaimSpec) => internalForm(structByFactsName('api/core/v1.PersistentVolumeClaimSpec'), spec);
const sizeOf = (requests: Readonly<Record<string, string>> | undefined) => parseQuantity(requests?.['storage'] ?? '0');

const SOURCES_ALWAYS: ReadonlySet<string> = new Set(['/PersistentVolumeClaim', 'snapshot.storage.k8s.io/VolumeSnapshot']);
/**
 * What the old field cannot name is dropped from it without a word, as it was before the new one came; sources in other namespaces are not
 * offered. A claim that has a source keeps it.
 */
function dropDataSources(spec: Draft<PersistentVolumeClaimSpec>, old: PersistentVolumeClaimSpec | undefined): void {
  if (spec.dataSourceRef?.namespace && !old?.dataSourceRef) delete spec.dataSourceRef;
  const { dataSource } = spec;
  if (dataSource && !old?.dataSource && !spec.dataSourceRef && !SOURCES_ALWAYS.has(`${dataSource.apiGroup ?? ''}/${dataSource.kind}`)) delete spec.dataSource;
}
/** The old and the new way to name a data source say the same: each fills the other. */
function alignDataSources(spec: Draft<PersistentVolumeClaimSpec>): void {
  const { dataSource, dataSourceRef } = spec;
  if (dataSource && !dataSourceRef) spec.dataSourceRef = { ...dataSource };
  if (dataSourceRef && !dataSource && !dataSourceRef.namespace) {
    const { namespace: _, ...local } = dataSourceRef;
    spec.dataSource = local;
  }
}
/** A claim may move its class from the annotation, or from nowhere, into its spec once. */
function movesClass(claim: PersistentVolumeClaim, old: PersistentVolumeClaim): boolean {
  const [before, now] = [old.spec.storageClassName, claim.spec.storageClassName];
  if (before !== undefined || now === undefined) return false;
  const annotated = old.metadata.annotations?.[STORAGE_CLASS_ANNOTATION];
  return annotated === undefined ? claim.metadata.annotations?.[STORAGE_CLASS_ANNOTATION] === undefined : annotated === now;
}
function validateSpecUpdate(claim: PersistentVolumeClaim, old: PersistentVolumeClaim): FieldError[] {
  const bound = claim.status?.phase === 'Bound';
  const before: PersistentVolumeClaimSpec = old.spec.volumeName ? old.spec : { ...old.spec, volumeName: claim.spec.volumeName };
  let now: PersistentVolumeClaimSpec = claim.spec;
  if (movesClass(claim, old)) now = { ...now, storageClassName: undefined };
  if (bound && now.resources?.requests) {
    now = { ...now, resources: { ...now.resources, requests: { ...now.resources.requests, storage: before.resources?.requests?.['storage'] ?? '0' } } };
  }
  if (bound) now = { ...now, volumeAttributesClassName: before.volumeAttributesClassName };
  if (semanticEqual({ ...now, volumeName: now.volumeName ?? '' }, { ...before, volumeName: before.volumeName ?? '' })) return [];
  const diff = unifiedDiff(shown(before), shown(now));
  return [forbiddenField(SPEC, `spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n${diff}`)];
}
function validateUpdate(claim: PersistentVolumeClaim, old: PersistentVolumeClaim): FieldError[] {
  const errors = validateClaimSpec(claim.spec, SPEC);
  if (!movesClass(claim, old)) {
    const at = fieldPath('metadata', 'annotations').child(STORAGE_CLASS_ANNOTATION);
    errors.push(...immutable(claim.metadata.annotations?.[STORAGE_CLASS_ANNOTATION] ?? '', old.metadata.annotations?.[STORAGE_CLASS_ANNOTATION] ?? '', at));
  }
  errors.push(...validateSpecUpdate(claim, old));
  const size = sizeOf(claim.spec.resources?.requests);
  if (size.cmp(sizeOf(old.spec.resources?.requests)) < 0 && size.cmp(sizeOf(old.status?.capacity)) <= 0) {
    errors.push(forbiddenField(SPEC.child('resources', 'requests', 'storage'), 'field can not be less than status.capacity'));
  }
  errors.push(...immutable(claim.spec.volumeMode, old.spec.volumeMode, fieldPath('volumeMode')));
  const [attributes, before] = [claim.spec.volumeAttributesClassName, old.spec.volumeAttributesClassName];
  if (before !== undefined && attributes !== before) {
    const at = SPEC.child('volumeAttributesClassName');
    if (attributes === undefined) errors.push(forbiddenField(at, 'update from non-nil value to nil is forbidden'));
    else if (attributes === '') errors.push(forbiddenField(at, 'update from non-nil value to an empty string is forbidden'));
  }
  return errors;
}

/** Of Kubernetes' own resources a volume has only its size. */
function validateResizable(name: string, path: FieldPath): FieldError[] {
  const errors = fromMessages(path, name, isQualifiedName(name));
  return errors.length === 0 && isNativeResource(name) && name !== 'storage' ? [notSupported(path, name, ['storage'])] : errors;
}

export const persistentvolumeclaims = defineStrategy<PersistentVolumeClaim>('', 'v1', 'persistentvolumeclaims', {
  default(claim) {
    ((claim.status ??= {}) as { phase?: string }).phase ||= 'Pending';
    if (claim.spec) defaultClaimSpec(claim.spec);
    roundUpToMilli(claim.status.capacity);
    roundUpToMilli(claim.status.allocatedResources);
  },
  prepareForCreate(claim) {
    claim.status = { phase: 'Pending' };
    if (!claim.spec) return;
    dropDataSources(claim.spec, undefined);
    alignDataSources(claim.spec);
  },
  prepareForUpdate(claim, old) {
    if (!claim.spec) return;
    dropDataSources(claim.spec, old.spec);
    alignDataSources(claim.spec);
  },
  validate: ({ spec }) => validateClaimSpec(spec, SPEC),
  validateUpdate,
  warnings: ({ metadata, spec }) => [
    ...(metadata.annotations?.[STORAGE_CLASS_ANNOTATION] === undefined ? [] : [`metadata.annotations[${STORAGE_CLASS_ANNOTATION}]: deprecated since v1.8; use "storageClassName" attribute instead`]),
    ...claimSpecWarnings(spec, SPEC),
  ],
  validateStatusUpdate({ metadata, spec, status }) {
    const resizing = STATUS.child('allocatedResourceStatuses');
    const allocated = STATUS.child('allocatedResources');
    return [
      ...(metadata.resourceVersion === '' ? [required(fieldPath('resourceVersion'))] : []),
      ...(spec.accessModes?.length ? [] : [required(fieldPath('Spec', 'accessModes'))]),
      ...eachKey(status?.capacity, STATUS.child('capacity'), (_name, value, at) => validateSize(value, at)),
      ...eachKey(status?.allocatedResourceStatuses, resizing, (name, state) => [...validateResizable(name, resizing), ...(RESIZE_STATES.includes(state) ? [] : [notSupported(resizing, name, RESIZE_STATES)])]),
      ...eachKey(status?.allocatedResources, allocated, (name, value, at) => {
        const errors = validateResizable(name, allocated);
        return errors.length ? errors : validateSize(value, at);
      }),
    ];
  },
  columns: [
    NAME,
    text('Status', fieldDoc('api/core/v1.PersistentVolumeClaimStatus', 'phase')),
    text('Volume', fieldDoc('api/core/v1.PersistentVolumeClaimSpec', 'volumeName')),
    text('Capacity', fieldDoc('api/core/v1.PersistentVolumeClaimStatus', 'capacity')),
    text('Access Modes', fieldDoc('api/core/v1.PersistentVolumeClaimStatus', 'accessModes')),
    text('StorageClass', 'StorageClass of the pvc'),
    text('VolumeAttributesClass', 'VolumeAttributesClass of the pvc'),
    AGE,
    wide('VolumeMode', fieldDoc('api/core/v1.PersistentVolumeClaimSpec', 'volumeMode')),
  ],
  row({ metadata, spec, status }, now) {
    const bound = (spec.volumeName ?? '') !== '';
    return [
      metadata.name ?? '', metadata.deletionTimestamp ? 'Terminating' : (status?.phase ?? ''), spec.volumeName ?? '', bound ? (status?.capacity?.['storage'] ?? '0') : '',
      bound ? accessModesText(status?.accessModes) : '', metadata.annotations?.[STORAGE_CLASS_ANNOTATION] ?? spec.storageClassName ?? '', spec.volumeAttributesClassName ?? UNSET,
      age(metadata, now), spec.volumeMode ?? UNSET,
    ];
  },
});
