import type { VolumeAttachment, VolumeAttachmentSource, VolumeError } from '#api/gen/storage-v1.ts';
import { fieldPath, forbiddenField, required, tooLong, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Subdomain } from '#machinery/names.ts';
import { validateInlineVolumeSpec } from '../core/persistentvolume-validation.ts';
import { validateCSIDriverName } from '../core/volume-sources.ts';
import { defineStrategy, emptyStatus } from '../define.ts';
import { fromMessages } from '../field-checks.ts';
import { AGE, age, boolean, fieldDoc, NAME, text } from '../printing.ts';
import { immutableSpec } from '../internal-form.ts';

const SPEC = fieldPath('spec');
const STATUS = fieldPath('status');
const MAX_MESSAGE = 1024;

function validateSource(source: VolumeAttachmentSource | undefined, path: FieldPath): FieldError[] {
  const { inlineVolumeSpec: inline, persistentVolumeName: name } = source ?? {};
  const at = path.child('persistentVolumeName');
  if (inline && name !== undefined) return [forbiddenField(path, 'must specify exactly one of inlineVolumeSpec and persistentVolumeName')];
  if (inline) return validateInlineVolumeSpec(inline, path.child('inlineVolumeSpec'));
  if (name === undefined) return [required(path, 'must specify exactly one of inlineVolumeSpec and persistentVolumeName')];
  return name === '' ? [required(at, 'must specify non empty persistentVolumeName')] : [];
}
function validateError(error: VolumeError | undefined, path: FieldPath): FieldError[] {
  return Buffer.byteLength(error?.message ?? '') > MAX_MESSAGE ? [tooLong(path.child('message'), MAX_MESSAGE)] : [];
}
function validateStatus({ status }: VolumeAttachment): FieldError[] {
  const metadata = Object.entries(status?.attachmentMetadata ?? {});
  const size = metadata.reduce((sum, [key, value]) => sum + key.length + value.length, 0);
  return [
    ...(size > 256 * 1024 ? [tooLong(STATUS.child('attachmentMetadata'), 256 * 1024)] : []),
    ...validateError(status?.attachError, STATUS.child('attachError')), ...validateError(status?.detachError, STATUS.child('detachError')),
  ];
}
function validate(attachment: VolumeAttachment): FieldError[] {
  const { attacher = '', source, nodeName = '' } = attachment.spec ?? {};
  const volume = source?.persistentVolumeName;
  return [
    ...validateCSIDriverName(attacher, SPEC.child('attacher')), ...validateSource(source, SPEC.child('source')),
    ...fromMessages(SPEC.child('nodeName'), nodeName, isDNS1123Subdomain(nodeName)), ...validateStatus(attachment),
    ...(volume === undefined ? [] : fromMessages(SPEC.child('source', 'persistentVolumeName'), volume, isDNS1123Subdomain(volume))),
  ];
}

export const volumeattachments = defineStrategy<VolumeAttachment>('storage.k8s.io', 'v1', 'volumeattachments', {
  default({ spec }) {
    const inline = spec?.source?.inlineVolumeSpec;
    if (inline) inline.volumeMode ??= 'Filesystem';
  },
  prepareForCreate(attachment) {
    attachment.status = emptyStatus('storage.k8s.io', 'v1', 'VolumeAttachment');
  },
  validate,
  validateUpdate: (attachment, old) => [...validate(attachment), ...immutableSpec(attachment.spec, old.spec, 'api/storage/v1.VolumeAttachmentSpec')],
  validateStatusUpdate: validateStatus,
  allowUnconditionalUpdate: false,
  columns: [
    NAME,
    { ...text('Attacher', fieldDoc('api/storage/v1.VolumeAttachmentSpec', 'attacher')), format: 'name' },
    text('PV', fieldDoc('api/storage/v1.VolumeAttachmentSource', 'persistentVolumeName')),
    text('Node', fieldDoc('api/storage/v1.VolumeAttachmentSpec', 'nodeName')),
    boolean('Attached', fieldDoc('api/storage/v1.VolumeAttachmentStatus', 'attached')),
    AGE,
  ],
  row({ metadata, spec, status }, now) {
    return [metadata.name ?? '', spec.attacher, spec.source?.persistentVolumeName ?? '', spec.nodeName, status?.attached ?? false, age(metadata, now)];
  },
});
