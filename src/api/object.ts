import type { ListMeta, ObjectMeta } from './gen/meta-v1.ts';

/** Any object of the API: what every kind has in common. */
export interface KubeObject {
  readonly apiVersion?: string | undefined;
  readonly kind?: string | undefined;
  readonly metadata: ObjectMeta;
}
export interface KubeList<T extends KubeObject = KubeObject> {
  readonly apiVersion?: string | undefined;
  readonly kind?: string | undefined;
  readonly metadata: ListMeta;
  readonly items: readonly T[];
}

/** Name of a stored object; '' for one that has none yet. */
export function nameOf(obj: KubeObject): string {
  return obj.metadata.name ?? '';
}
/** Namespace, '' for cluster-scoped objects. */
export function namespaceOf(obj: KubeObject): string {
  return obj.metadata.namespace ?? '';
}
export function uidOf(obj: KubeObject): string {
  return obj.metadata.uid ?? '';
}
/** `namespace/name`, or `name` for cluster-scoped objects: client-go's key of caches and work queues. */
export function keyOf(obj: KubeObject): string {
  const ns = namespaceOf(obj);
  return ns === '' ? nameOf(obj) : `${ns}/${nameOf(obj)}`;
}
/** The parts of a key made by {@link keyOf}. */
export function splitKey(key: string): { namespace: string; name: string } {
  const slash = key.indexOf('/');
  return slash < 0 ? { namespace: '', name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}
/** `group/version` as in `apiVersion`; the core group has no slash. */
export function apiVersionOf(group: string, version: string): string {
  return group === '' ? version : `${group}/${version}`;
}
/** The parts of an `apiVersion`. */
export function splitApiVersion(apiVersion: string): { group: string; version: string } {
  const slash = apiVersion.indexOf('/');
  return slash < 0 ? { group: '', version: apiVersion } : { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1) };
}
