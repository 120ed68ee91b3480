/** Kinds of resource names. Source: API reference Container, ResourceRequirements; tasks/administer-cluster/extended-resource-node. */
import { isQualifiedName } from './names.ts';

/** `hugepages-2Mi` */
export function isHugePages(name: string): boolean {
  return name.startsWith('hugepages-');
}
/** No domain, or Kubernetes' own: `cpu`, `kubernetes.io/batch-cpu`. */
export function isNativeResource(name: string): boolean {
  return !name.includes('/') || name.includes('kubernetes.io/');
}
/** A device plugin's or administrator's resource: `example.com/widget`. */
export function isExtendedResource(name: string): boolean {
  return !isNativeResource(name) && !name.startsWith('requests.') && isQualifiedName(`requests.${name}`).length === 0;
}
