/** The parameter objects of a policy's binding. Source: the Kubernetes page "Validating Admission Policy", parameter resources. */
import type { ParamKind, ParamRef } from '#api/gen/admissionregistration-v1.ts';
import type { KubeObject } from '#api/object.ts';
import type { ResourceInfo } from '#api/resources.ts';
import { labelMatcherOf } from '#machinery/selectors.ts';
import type { ObjectReader } from '../../interfaces.ts';

/** The resource that serves a kind, custom ones included; undefined when nobody does. */
export type ResourceResolver = (apiVersion: string, kind: string) => ResourceInfo | undefined;

/** Objects for which the policy is to be evaluated, `null` for a policy without parameters. Empty: the binding does nothing. Throws configuration errors. */
export function collectParams(kind: ParamKind | undefined, ref: ParamRef | undefined, namespace: string, services: { readonly reader: ObjectReader; readonly resolve: ResourceResolver }): readonly (KubeObject | null)[] {
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
  return found;
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
