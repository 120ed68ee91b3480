/** References to a Pod's own fields and resources, from the environment and from volumes. */
import type { ObjectFieldSelector, ResourceFieldSelector } from '#api/gen/core-v1.ts';
import { invalidValue, notSupported, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isQualifiedName } from '#machinery/names.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import { fromMessages } from '../../field-checks.ts';

export const VOLUME_FIELDS = ['metadata.name', 'metadata.namespace', 'metadata.labels', 'metadata.annotations', 'metadata.uid'];
export const ENV_FIELDS = [
  'metadata.name', 'metadata.namespace', 'metadata.uid', 'spec.nodeName', 'spec.serviceAccountName', 'status.hostIP', 'status.hostIPs', 'status.podIP', 'status.podIPs',
];
/** Fields that the API's own label conversion knows; upstream refuses others before it looks at the list above. */
const CONVERTIBLE = [
  'metadata.annotations', 'metadata.labels', 'metadata.name', 'metadata.namespace', 'metadata.uid', 'spec.nodeName', 'spec.restartPolicy', 'spec.serviceAccountName',
  'spec.schedulerName', 'status.phase', 'status.hostIP', 'status.hostIPs', 'status.podIP', 'status.podIPs',
];

/** `metadata.labels['key']` → path and key. */
function splitSubscript(fieldPath: string): { path: string; subscript: string } | undefined {
  const match = /^([^[]+)\['(.*)'\]$/s.exec(fieldPath);
  return match ? { path: match[1]!, subscript: match[2]! } : undefined;
}

export function validateFieldRef(ref: ObjectFieldSelector, supported: readonly string[], path: FieldPath): FieldError[] {
  if (!ref.apiVersion) return [required(path.child('apiVersion'))];
  if (!ref.fieldPath) return [required(path.child('fieldPath'))];
  const at = path.child('fieldPath');
  if (ref.apiVersion !== 'v1') return [invalidValue(at, ref.fieldPath, `error converting fieldPath: unsupported pod version: ${ref.apiVersion}`)];
  // The old name of a field stands for the new one.
  const name = ref.fieldPath === 'spec.host' ? 'spec.nodeName' : ref.fieldPath;
  const subscripted = splitSubscript(name);
  if (subscripted) {
    const { path: field, subscript } = subscripted;
    if (field === 'metadata.annotations') return fromMessages(path, subscript.toLowerCase(), isQualifiedName(subscript.toLowerCase()));
    if (field === 'metadata.labels') return fromMessages(path, subscript, isQualifiedName(subscript));
    return [invalidValue(at, ref.fieldPath, `error converting fieldPath: field label does not support subscript: ${ref.fieldPath}`)];
  }
  if (!CONVERTIBLE.includes(name)) return [invalidValue(at, ref.fieldPath, `error converting fieldPath: field label not supported: ${ref.fieldPath}`)];
  return supported.includes(name) ? [] : [notSupported(at, name, supported)];
}

const RESOURCES = ['limits.cpu', 'limits.memory', 'limits.ephemeral-storage', 'requests.cpu', 'requests.memory', 'requests.ephemeral-storage'];
const isHugePagesField = (name: string) => name.startsWith('limits.hugepages-') || name.startsWith('requests.hugepages-');
const SIZES = ['1', '1k', '1M', '1G', '1T', '1P', '1E', '1Ki', '1Mi', '1Gi', '1Ti', '1Pi', '1Ei'];

export function validateResourceFieldRef(ref: ResourceFieldSelector, inVolume: boolean, path: FieldPath): FieldError[] {
  const name = ref.resource ?? '';
  const errors: FieldError[] = [];
  if (inVolume && !ref.containerName) errors.push(required(path.child('containerName')));
  else if (name === '') errors.push(required(path.child('resource')));
  else if (!RESOURCES.includes(name) && !isHugePagesField(name)) errors.push(notSupported(path.child('resource'), name, RESOURCES));
  return [...errors, ...validateDivisor(name, ref.divisor, path.child('divisor'))];
}
function validateDivisor(name: string, divisor: string | undefined, path: FieldPath): FieldError[] {
  if (divisor === undefined || parseQuantity(divisor).isZero()) return [];
  const kind = name.replace(/^(limits|requests)\./, '');
  if (kind === 'cpu') return ['1m', '1'].includes(divisor) ? [] : [invalidValue(path, name, "only divisor's values 1m and 1 are supported with the cpu resource")];
  const label = kind === 'memory' ? 'memory' : kind === 'ephemeral-storage' ? 'local ephemeral storage' : isHugePagesField(name) ? 'hugepages' : undefined;
  if (label === undefined || SIZES.includes(divisor)) return [];
  return [invalidValue(path, name, `only divisor's values ${SIZES.join(', ')} are supported with the ${label} resource`)];
}
