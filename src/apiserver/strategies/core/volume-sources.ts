/** Volume kinds that Pods and PersistentVolumes share: what each of them requires. */
import type * as core from '#api/gen/core-v1.ts';
import { invalidValue, notSupported, required, tooLong, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { inclusiveRangeError, isDNS1123Label, isDNS1123Subdomain } from '#machinery/names.ts';
import { eachKey, fromMessages, oneOf } from '../field-checks.ts';
import { validateNoBacksteps } from './volume-paths.ts';

/** Required texts of a source, in order. */
export function requireTexts(source: object, path: FieldPath, ...fields: string[]): FieldError[] {
  return fields.filter((field) => !(source as Readonly<Record<string, unknown>>)[field]).map((field) => required(path.child(field)));
}
function validatePartition(partition: number | undefined, path: FieldPath): FieldError[] {
  const value = partition ?? 0;
  return value < 0 || value > 255 ? [invalidValue(path.child('partition'), value, inclusiveRangeError(1, 255))] : [];
}

const HOST_PATH_TYPES = ['', 'DirectoryOrCreate', 'Directory', 'FileOrCreate', 'File', 'Socket', 'CharDevice', 'BlockDevice'];
export function validateHostPath(source: core.HostPathVolumeSource, path: FieldPath): FieldError[] {
  if (!source.path) return [required(path.child('path'))];
  return [...validateNoBacksteps(source.path, path.child('path')), ...(source.type === undefined ? [] : oneOf(source.type, HOST_PATH_TYPES, path.child('type')))];
}
export function validateGCEDisk(source: core.GCEPersistentDiskVolumeSource, path: FieldPath): FieldError[] {
  return [...requireTexts(source, path, 'pdName'), ...validatePartition(source.partition, path)];
}
export function validateAWSDisk(source: core.AWSElasticBlockStoreVolumeSource, path: FieldPath): FieldError[] {
  return [...requireTexts(source, path, 'volumeID'), ...validatePartition(source.partition, path)];
}
export function validateNFS(source: core.NFSVolumeSource, path: FieldPath): FieldError[] {
  const errors = requireTexts(source, path, 'server', 'path');
  if (!source.path?.startsWith('/')) errors.push(invalidValue(path.child('path'), source.path ?? '', 'must be an absolute path'));
  return errors;
}

const IQN = /iqn\.\d{4}-\d{2}\.([A-Za-z0-9\-.]+)(:[^,;*&$|\s]+)$/;
const EUI = /^eui.[A-Za-z0-9]{16}$/;
const NAA = /^naa.[A-Za-z0-9]{32}$/;
const ISCSI_TOO_LONG = 'Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.';

function validateInitiator(value: string, path: FieldPath, prefixMessage: string): FieldError[] {
  const format = value.startsWith('iqn') ? IQN : value.startsWith('eui') ? EUI : value.startsWith('naa') ? NAA : undefined;
  if (!format) return [invalidValue(path, value, prefixMessage)];
  return format.test(value) ? [] : [invalidValue(path, value, 'must be valid format')];
}
/** `inline` volumes stand in a Pod; the others are PersistentVolumes named `volumeName`. */
export function validateISCSI(source: core.ISCSIVolumeSource | core.ISCSIPersistentVolumeSource, volumeName: string, inline: boolean, path: FieldPath): FieldError[] {
  const prefixMessage = inline ? 'must be valid format starting with iqn, eui, or naa' : 'must be valid format';
  const errors = requireTexts(source, path, 'targetPortal');
  const long = source.initiatorName !== undefined && Buffer.byteLength(`${volumeName}:${source.targetPortal}`) > 64;
  if (long && !inline) errors.push(invalidValue(path.child('targetportal'), source.targetPortal, ISCSI_TOO_LONG));
  if (!source.iqn) errors.push(required(path.child('iqn')));
  else errors.push(...validateInitiator(source.iqn, path.child('iqn'), prefixMessage));
  const lun = source.lun ?? 0;
  if (lun < 0 || lun > 255) errors.push(invalidValue(path.child('lun'), lun, inclusiveRangeError(0, 255)));
  if ((source.chapAuthDiscovery || source.chapAuthSession) && !source.secretRef) errors.push(required(path.child('secretRef')));
  if (!inline && source.secretRef && !source.secretRef.name) errors.push(required(path.child('secretRef', 'name')));
  if (source.initiatorName !== undefined) errors.push(...validateInitiator(source.initiatorName, path.child('initiatorname'), prefixMessage));
  return errors;
}
/** The rule on an inline iSCSI volume that names the volume itself. */
export function validateISCSIName(source: core.ISCSIVolumeSource, volumeName: string, path: FieldPath): FieldError[] {
  const long = source.initiatorName !== undefined && Buffer.byteLength(`${volumeName}:${source.targetPortal}`) > 64;
  return long ? [invalidValue(path.child('name'), volumeName, ISCSI_TOO_LONG)] : [];
}
export function validateFC(source: core.FCVolumeSource, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  const targets = source.targetWWNs?.length ?? 0;
  const ids = source.wwids?.length ?? 0;
  if (targets + ids === 0) errors.push(required(path.child('targetWWNs'), 'must specify either targetWWNs or wwids, but not both'));
  if (targets > 0 && ids > 0) errors.push(invalidValue(path.child('targetWWNs'), source.targetWWNs, 'targetWWNs and wwids can not be specified simultaneously'));
  if (targets === 0) return errors;
  if (source.lun === undefined) errors.push(required(path.child('lun'), 'lun is required if targetWWNs is specified'));
  else if (source.lun < 0 || source.lun > 255) errors.push(invalidValue(path.child('lun'), source.lun, inclusiveRangeError(0, 255)));
  return errors;
}
const QUOBYTE_REGISTRY = 'must be a host:port pair or multiple pairs separated by commas';
export function validateQuobyte(source: core.QuobyteVolumeSource, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  if (!source.registry) errors.push(required(path.child('registry'), QUOBYTE_REGISTRY));
  else if ((source.tenant?.length ?? 0) >= 65) errors.push(required(path.child('tenant'), 'must be a UUID and may not exceed a length of 64 characters'));
  else {
    const bad = source.registry.split(',').filter((pair) => !/^(\[[^\]]*\]|[^:[\]]*):[^:]*$/.test(pair));
    errors.push(...bad.map(() => invalidValue(path.child('registry'), source.registry, QUOBYTE_REGISTRY)));
  }
  return [...errors, ...requireTexts(source, path, 'volume')];
}
export function validateFlocker(source: core.FlockerVolumeSource, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  if (!source.datasetName && !source.datasetUUID) errors.push(required(path, 'one of datasetName and datasetUUID is required'));
  if (source.datasetName && source.datasetUUID) errors.push(invalidValue(path, 'resource', 'datasetName and datasetUUID can not be specified simultaneously'));
  if (source.datasetName?.includes('/')) errors.push(invalidValue(path.child('datasetName'), source.datasetName, "must not contain '/'"));
  return errors;
}
export function validateRBD(source: core.RBDVolumeSource | core.RBDPersistentVolumeSource, path: FieldPath): FieldError[] {
  const errors = source.monitors?.length ? [] : [required(path.child('monitors'))];
  return [...errors, ...requireTexts(source, path, 'image')];
}
export function validateCephFS(source: core.CephFSVolumeSource | core.CephFSPersistentVolumeSource, path: FieldPath): FieldError[] {
  return source.monitors?.length ? [] : [required(path.child('monitors'))];
}
/** A reference to a Secret by name, and by namespace where the volume is a PersistentVolume. */
export function requireSecretRef(ref: object | undefined, inline: boolean, path: FieldPath): FieldError[] {
  return ref ? requireTexts(ref, path.child('secretRef'), ...(inline ? ['name'] : ['name', 'namespace'])) : [];
}
export function validateFlex(source: core.FlexVolumeSource | core.FlexPersistentVolumeSource, path: FieldPath): FieldError[] {
  return [
    ...requireTexts(source, path, 'driver'),
    ...eachKey(source.options, path.child('options'), (key, _value, at) => {
      const domain = `.${key.split('/', 1)[0]!.toLowerCase()}`;
      return domain.endsWith('.kubernetes.io') || domain.endsWith('.k8s.io') ? [invalidValue(at, key, 'kubernetes.io and k8s.io namespaces are reserved')] : [];
    }),
  ];
}
export function validateAzureDisk(source: core.AzureDiskVolumeSource, path: FieldPath): FieldError[] {
  const errors = requireTexts(source, path, 'diskName', 'diskURI');
  const uri = source.diskURI ?? '';
  if (source.cachingMode !== undefined) errors.push(...oneOf(source.cachingMode, ['None', 'ReadOnly', 'ReadWrite'], path.child('cachingMode')));
  if (source.kind === undefined) return errors;
  errors.push(...oneOf(source.kind, ['Shared', 'Dedicated', 'Managed'], path.child('kind')));
  if (source.kind === 'Managed' && !uri.startsWith('/subscriptions/')) {
    errors.push(notSupported(path.child('diskURI'), uri, ['/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}']));
  }
  if (source.kind !== 'Managed' && !uri.startsWith('https://')) {
    errors.push(notSupported(path.child('diskURI'), uri, ['https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd']));
  }
  return errors;
}
export function validateStorageOS(source: core.StorageOSVolumeSource | core.StorageOSPersistentVolumeSource, inline: boolean, path: FieldPath): FieldError[] {
  const { volumeName, volumeNamespace } = source;
  const errors = volumeName ? fromMessages(path.child('volumeName'), volumeName, isDNS1123Label(volumeName)) : [required(path.child('volumeName'))];
  if (volumeNamespace) errors.push(...fromMessages(path.child('volumeNamespace'), volumeNamespace, isDNS1123Label(volumeNamespace)));
  return [...errors, ...requireSecretRef(source.secretRef, inline, path)];
}
export function validateCSIDriverName(driver: string, path: FieldPath): FieldError[] {
  if (driver === '') return [required(path)];
  const errors: FieldError[] = [];
  if (Buffer.byteLength(driver) > 63) errors.push(tooLong(path, 63));
  return [...errors, ...fromMessages(path, driver, isDNS1123Subdomain(driver.toLowerCase()))];
}
