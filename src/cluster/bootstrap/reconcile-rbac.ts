/**
 * Brings a default role or binding up to date without taking away what people added: missing rules and subjects are added, marks
 * restored. `rbac.authorization.kubernetes.io/autoupdate: "false"` keeps an object as it is.
 * Source: the Kubernetes page "Using RBAC Authorization", auto-reconciliation.
 */
import { isDeepStrictEqual } from 'node:util';
import type * as rbacV1 from '#api/gen/rbac-v1.ts';
import { compactRules, uncovered } from '#apiserver/authorization/rules.ts';

export type RbacObject = rbacV1.ClusterRole | rbacV1.Role | rbacV1.ClusterRoleBinding | rbacV1.RoleBinding;
const AUTOUPDATE = 'rbac.authorization.kubernetes.io/autoupdate';
/** What to do with the object that is there. */
export type Plan = { readonly action: 'none' } | { readonly action: 'update' | 'recreate'; readonly object: RbacObject };

function metadataOf(found: RbacObject, wanted: RbacObject): RbacObject['metadata'] {
  return { ...found.metadata, labels: { ...wanted.metadata.labels, ...found.metadata.labels }, annotations: { ...wanted.metadata.annotations, ...found.metadata.annotations } };
}
const sameSubject = (x: rbacV1.Subject, y: rbacV1.Subject): boolean => x.kind === y.kind && x.name === y.name && (x.namespace ?? '') === (y.namespace ?? '');

export function planRbac(found: RbacObject, wanted: RbacObject): Plan {
  if (found.metadata.annotations?.[AUTOUPDATE] === 'false') return { action: 'none' };
  const metadata = metadataOf(found, wanted);
  if ('roleRef' in wanted) {
    const binding = found as rbacV1.RoleBinding;
    const subjects = binding.subjects ?? [];
    const missing = (wanted.subjects ?? []).filter((s) => !subjects.some((known) => sameSubject(known, s)));
    // A role reference cannot be changed: the binding is made again.
    if (binding.roleRef.kind !== wanted.roleRef.kind || binding.roleRef.name !== wanted.roleRef.name) return { action: 'recreate', object: wanted };
    if (missing.length === 0 && isDeepStrictEqual(metadata, found.metadata)) return { action: 'none' };
    return { action: 'update', object: { ...binding, metadata, subjects: [...subjects, ...missing] } };
  }
  const role = found as rbacV1.ClusterRole;
  const selectors = role.aggregationRule?.clusterRoleSelectors ?? [];
  const wantedSelectors = (wanted as rbacV1.ClusterRole).aggregationRule?.clusterRoleSelectors ?? [];
  const newSelectors = wantedSelectors.filter((s) => !selectors.some((known) => isDeepStrictEqual(known, s)));
  // Rules of aggregated roles belong to the aggregation controller.
  const missing = wantedSelectors.length ? [] : uncovered(role.rules ?? [], wanted.rules ?? []);
  if (missing.length === 0 && newSelectors.length === 0 && isDeepStrictEqual(metadata, found.metadata)) return { action: 'none' };
  return {
    action: 'update',
    object: { ...role, metadata, rules: [...(role.rules ?? []), ...compactRules(missing)], ...(wantedSelectors.length ? { aggregationRule: { clusterRoleSelectors: [...selectors, ...newSelectors] } } : {}) },
  };
}
