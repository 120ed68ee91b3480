/** The parameter objects of a policy's binding. Source: the Kubernetes page "Validating Admission Policy", parameter resources. */
import type { ParamKind, ParamRef } from '#api/gen/admissionregistration-v1.ts';
import type { KubeObject } from '#api/object.ts';
import type { ResourceInfo } from '#api/resources.ts';
import { labelMatcherOf } from '#machinery/selectors.ts';
import { Entry } from '#store/entry.ts';
import type { ObjectReader } from '../../interfaces.ts';
import type { ResourceRegistry } from '../../registry/resource-registry.ts';

/** The resource that serves a kind, custom ones included; undefined when nobody does. */
export type ResourceResolver = (apiVersion: string, kind: string) => ResourceInfo | undefined;

export interface ParamServices {
  readonly reader: ObjectReader;
  readonly resolve: ResourceResolver;
  /** Absent: objects are taken as they are stored. */
  readonly resources?: ResourceRegistry | undefined;
}
/** Why a policy with such parameters cannot be evaluated at all; undefined where it can. */
export function paramKindFault(kind: ParamKind | undefined, { resolve }: Pick<ParamServices, 'resolve'>): string | undefined {
  const { apiVersion = '', kind: name = '' } = kind ?? {};
  return kind && !resolve(apiVersion, name) ? `failed to configure policy: failed to find resource referenced by paramKind: '${apiVersion}, Kind=${name}'` : undefined;
}
/** Objects for which the policy is to be evaluated, `null` for a policy without parameters. Empty: the binding does nothing. Throws configuration errors. */
export async function collectParams(kind: ParamKind | undefined, ref: ParamRef | undefined, namespace: string, services: ParamServices): Promise<readonly (KubeObject | null)[]> {
  if (!kind || !ref) return [null];
  const resource = services.resolve(kind.apiVersion ?? '', kind.kind ?? '');
  if (!resource) throw new Error(`paramKind kind \`${kind.apiVersion ?? ''}, Kind=${kind.kind ?? ''}\` not known`);
  const from = paramNamespace(resource, ref, namespace);
  if (ref.name && ref.selector) throw new Error('paramRef.name and paramRef.selector are mutually exclusive');
  let found: readonly KubeObject[];
  if (ref.name) {
    const one = services.reader.get(resource, from, ref.name);
    found = one ? [one] : [];
  } else if (ref.selector) {
    const matcher = labelMatcherOf(ref.selector);
    found = services.reader.list(resource, from).filter((o) => matcher.matches(o.metadata.labels));
  } else {
    throw new Error('one of name or selector must be provided');
  }
  if (found.length === 0 && ref.parameterNotFoundAction !== 'Allow') throw new Error('no params found for policy binding with `Deny` parameterNotFoundAction');
  return inVersion(found, resource, services);
}
const entries = new WeakMap<KubeObject, Entry>();
/** Caches hold objects as they are stored: the policy has named a version. What is converted is remembered with the object. */
async function inVersion(objects: readonly KubeObject[], { group, version, plural }: ResourceInfo, { resources }: ParamServices): Promise<readonly KubeObject[]> {
  const codec = resources?.find(group, version, plural)?.codec;
  if (!codec) return objects;
  const stored = objects.map((o) => entries.getOrInsertComputed(o, () => new Entry('', o, 0)));
  await codec.prepare?.(stored);
  return stored.map((entry) => codec.fromStorage(entry).object);
}
function paramNamespace(resource: ResourceInfo, ref: ParamRef, namespace: string): string {
  if (!resource.namespaced) {
    if (ref.namespace) throw new Error('paramRef.namespace must not be provided for a cluster-scoped `paramKind`');
    return '';
  }
  const from = ref.namespace || namespace;
  if (from === '') throw new Error('cannot use namespaced paramRef in policy binding that matches cluster-scoped resources');
  return from;
}
