/**
 * Where an object lies in the store: `/registry/<plural>/<namespace>/<name>` in the core group, `/registry/<group>/<plural>/…`
 * in the others, without the namespace for cluster-scoped resources. As upstream lays it out in etcd, but without its
 * historical exceptions (`minions`, `services/specs`).
 *
 * Most names are DNS labels, but those of RBAC may hold anything save `/` and `%`. What is not printable ASCII is
 * percent-encoded, so that keys are ASCII, no name reaches into another's place, and every key can be taken apart again.
 */

/** The part of a resource that a key needs; a row of the resource table is one. */
export interface StoredResource {
  readonly group: string;
  readonly plural: string;
  readonly namespaced: boolean;
  /** `group/plural` whose place in the store this resource shares: events of `events.k8s.io` are the core ones. */
  readonly storedAs?: string | undefined;
}

const ROOT = '/registry/';
const PLAIN = /^[!-$&-.0-~]+$/;

/** Rows of the resource table live as long as the process, those of custom resources as long as they are served. */
const prefixes = new WeakMap<StoredResource, string>();

/** The prefix of every object of a resource; ends with `/`. */
export function resourcePrefix(resource: StoredResource): string {
  let prefix = prefixes.get(resource);
  if (prefix === undefined) {
    const path = resource.storedAs ?? `${resource.group}/${resource.plural}`;
    prefix = `${ROOT}${path.startsWith('/') ? path.slice(1) : path}/`;
    prefixes.set(resource, prefix);
  }
  return prefix;
}

/** The prefix of a resource's objects in a namespace, or in all when it is '' (or the resource is cluster-scoped). */
export function listPrefix(resource: StoredResource, namespace = ''): string {
  const prefix = resourcePrefix(resource);
  return resource.namespaced && namespace !== '' ? `${prefix}${segment(namespace)}/` : prefix;
}

/** The key of one object. Throws for an empty name, and for an empty namespace of a namespaced resource: bugs of the caller's. */
export function objectKey(resource: StoredResource, namespace: string, name: string): string {
  const prefix = resourcePrefix(resource);
  return resource.namespaced ? `${prefix}${segment(namespace)}/${segment(name)}` : prefix + segment(name);
}

function segment(text: string): string {
  if (PLAIN.test(text)) return text;
  if (text === '') throw new TypeError('a key of the store needs a namespace and a name that are not empty');
  return text.toWellFormed().replace(/[^!-$&-.0-~]/gu, (c) => encodeURIComponent(c));
}
