/** Names and quantities of resources: what containers, quotas, limit ranges and nodes may name. */
import { invalidValue, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isQualifiedName } from '#machinery/names.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import { isExtendedResource, isHugePages, isNativeResource } from '#machinery/resource-names.ts';
import { fromMessages, quantityErrors } from '../field-checks.ts';

const CONTAINER = ['cpu', 'memory', 'ephemeral-storage'];
const QUOTA = [
  'cpu', 'memory', 'ephemeral-storage', 'requests.cpu', 'requests.memory', 'requests.storage', 'requests.ephemeral-storage', 'limits.cpu', 'limits.memory',
  'limits.ephemeral-storage', 'pods', 'resourcequotas', 'services', 'replicationcontrollers', 'secrets', 'persistentvolumeclaims', 'configmaps',
  'services.nodeports', 'services.loadbalancers',
];
const STANDARD = [...QUOTA, 'storage'];
/** Counts: never a fraction. */
const INTEGER = ['pods', 'resourcequotas', 'services', 'replicationcontrollers', 'secrets', 'configmaps', 'persistentvolumeclaims', 'services.nodeports', 'services.loadbalancers'];

function isQuotaHugePages(name: string): boolean {
  return isHugePages(name) || name.startsWith('requests.hugepages-');
}
/** Requests may be below limits. */
export function isOvercommitAllowed(name: string): boolean {
  return isNativeResource(name) && !isHugePages(name);
}
export function isStandardQuotaResource(name: string): boolean {
  return QUOTA.includes(name) || isQuotaHugePages(name);
}
function isStandardResource(name: string): boolean {
  return STANDARD.includes(name) || isQuotaHugePages(name);
}
function isIntegerResource(name: string): boolean {
  return INTEGER.includes(name) || isExtendedResource(name);
}

export function validateResourceName(name: string, path: FieldPath): FieldError[] {
  const errors = fromMessages(path, name, isQualifiedName(name));
  if (errors.length > 0) return errors;
  return name.includes('/') || isStandardResource(name) ? [] : [invalidValue(path, name, 'must be a standard resource type or fully qualified')];
}
export function validateContainerResourceName(name: string, path: FieldPath): FieldError[] {
  const errors = validateResourceName(name, path);
  if (!name.includes('/')) {
    if (!CONTAINER.includes(name) && !isHugePages(name)) errors.push(invalidValue(path, name, 'must be a standard resource for containers'));
  } else if (!isNativeResource(name) && !isExtendedResource(name)) {
    errors.push(invalidValue(path, name, "doesn't follow extended resource name standard"));
  }
  return errors;
}
export function validateQuotaResourceName(name: string, path: FieldPath): FieldError[] {
  const errors = validateResourceName(name, path);
  if (!name.includes('/') && !isStandardQuotaResource(name)) errors.push(invalidValue(path, name, 'must be a standard resource for quota'));
  return errors;
}
/** Not negative; whole where the resource counts things. */
export function validateResourceQuantity(name: string, value: string, path: FieldPath): FieldError[] {
  const errors = quantityErrors(value, path);
  if (isIntegerResource(name) && parseQuantity(value).milliValue() % 1000n !== 0n) errors.push(invalidValue(path, value, 'must be an integer'));
  return errors;
}
