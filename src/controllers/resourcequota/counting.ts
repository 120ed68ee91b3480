/** Which resource each name of a quota counts, and the sums. Source: the Kubernetes page "Resource Quotas". */
import type { ResourceQuota } from '#api/gen/core-v1.ts';
import type { KubeObject } from '#api/object.ts';
import type { ResourceInfo } from '#api/resources.ts';
import { parseQuantity, quantityOf, type Quantity } from '#machinery/quantity.ts';
import { inScopes, usageOf } from '#machinery/quota-usage.ts';

const CORE_COUNTS: ReadonlySet<string> = new Set(['configmaps', 'secrets', 'replicationcontrollers', 'resourcequotas', 'services', 'persistentvolumeclaims', 'pods']);

/** `{ group, plural }` of what a name of `spec.hard` counts. */
export function countedBy(name: string): { readonly group: string; readonly plural: string } {
  if (name.startsWith('count/')) {
    const [plural = '', ...group] = name.slice('count/'.length).split('.');
    return { group: group.join('.'), plural };
  }
  if (CORE_COUNTS.has(name)) return { group: '', plural: name };
  if (name.startsWith('services.')) return { group: '', plural: 'services' };
  if (name === 'requests.storage' || name.includes('.storageclass.storage.k8s.io/')) return { group: '', plural: 'persistentvolumeclaims' };
  if (name.endsWith('.deviceclass.resource.k8s.io/devices')) return { group: 'resource.k8s.io', plural: 'resourceclaims' };
  return { group: '', plural: 'pods' };
}
/** The served resources that a quota counts, each with the names that count it. Names of resources that are not served are left out. */
export function countedResources(quota: ResourceQuota, served: readonly ResourceInfo[]): Map<ResourceInfo, string[]> {
  const counted = new Map<ResourceInfo, string[]>();
  for (const name of Object.keys(quota.spec?.hard ?? {})) {
    const { group, plural } = countedBy(name);
    const info = served.find((r) => r.group === group && r.plural === plural && r.namespaced && r.verbs.includes('list') && r.verbs.includes('watch'));
    if (info) counted.set(info, [...(counted.get(info) ?? []), name]);
  }
  return counted;
}
/** What the objects of one resource use of each name. */
export function sumUsage(quota: ResourceQuota, info: ResourceInfo, names: readonly string[], objects: readonly KubeObject[], now: number): Map<string, Quantity> {
  const sums = new Map(names.map((name) => [name, quantityOf(0)]));
  for (const object of objects) {
    if (!inScopes(quota, info, object)) continue;
    for (const [name, amount] of usageOf(info, object, now)) {
      const sum = sums.get(name);
      if (sum) sums.set(name, sum.sign() === 0 ? amount : sum.add(amount));
    }
  }
  return sums;
}
type Amounts = Readonly<Record<string, string>> | undefined;
export function sameAmounts(a: Amounts, b: Amounts): boolean {
  const names = Object.keys(a ?? {});
  return names.length === Object.keys(b ?? {}).length && names.every((name) => b?.[name] !== undefined && parseQuantity(a![name]!).cmp(parseQuantity(b[name])) === 0);
}
/** Whether something in `used` is less than the status says. */
export function isLess(used: ReadonlyMap<string, Quantity>, before: Amounts): boolean {
  return [...used].some(([name, q]) => before?.[name] !== undefined && q.cmp(parseQuantity(before[name])) < 0);
}
