/** A short notation for RBAC rules, so that the tables of roles read like tables. */
import type * as rbacV1 from '#api/gen/rbac-v1.ts';

const GROUP = 'rbac.authorization.k8s.io';
export const READ = 'get list watch';
export const WRITE = 'create delete deletecollection patch update';
export const READ_WRITE = 'create delete deletecollection get list patch update watch';
/** How the rules write the core group. */
export const CORE = 'core';

const split = (text: string): string[] => text.split(' ');
/** A rule over resources; lists are separated by spaces, `core` is the core group. */
export function allow(verbs: string, groups: string, resources: string, names?: string): rbacV1.PolicyRule {
  return { verbs: split(verbs), apiGroups: split(groups).map((g) => (g === CORE ? '' : g)), resources: split(resources), ...(names === undefined ? {} : { resourceNames: split(names) }) };
}
/** A rule over paths. */
export function allowPaths(verbs: string, paths: string): rbacV1.PolicyRule {
  return { verbs: split(verbs), nonResourceURLs: split(paths) };
}
/** Events are read and written in two groups. */
export const EVENT_GROUPS = `${CORE} events.k8s.io`;
/** Writing events, as every component does. */
export const EVENTS = allow('create patch update', EVENT_GROUPS, 'events');

export const user = (name: string): rbacV1.Subject => ({ kind: 'User', apiGroup: GROUP, name });
export const group = (name: string): rbacV1.Subject => ({ kind: 'Group', apiGroup: GROUP, name });
export const serviceAccount = (namespace: string, name: string): rbacV1.Subject => ({ kind: 'ServiceAccount', name, namespace });

/** Marks of objects that the API server brings along and keeps up to date. */
function metadata(name: string, more: { readonly namespace?: string; readonly labels?: Readonly<Record<string, string>> } = {}): rbacV1.Role['metadata'] {
  return {
    name,
    ...(more.namespace === undefined ? {} : { namespace: more.namespace }),
    labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults', ...more.labels },
    annotations: { 'rbac.authorization.kubernetes.io/autoupdate': 'true' },
  };
}
const API = `${GROUP}/v1`;
export function clusterRole(name: string, rules: readonly rbacV1.PolicyRule[], labels: Readonly<Record<string, string>> = {}): rbacV1.ClusterRole {
  return { apiVersion: API, kind: 'ClusterRole', metadata: metadata(name, { labels }), rules };
}
/** A role whose rules are gathered from all roles with a label. */
export function aggregatedRole(name: string, aggregate: string, labels: Readonly<Record<string, string>> = {}): rbacV1.ClusterRole {
  return { apiVersion: API, kind: 'ClusterRole', metadata: metadata(name, { labels }), aggregationRule: { clusterRoleSelectors: [{ matchLabels: { [aggregate]: 'true' } }] } };
}
export function role(namespace: string, name: string, rules: readonly rbacV1.PolicyRule[]): rbacV1.Role {
  return { apiVersion: API, kind: 'Role', metadata: metadata(name, { namespace }), rules };
}
export function clusterRoleBinding(name: string, subjects: readonly rbacV1.Subject[], roleName = name): rbacV1.ClusterRoleBinding {
  return { apiVersion: API, kind: 'ClusterRoleBinding', metadata: metadata(name), roleRef: { apiGroup: GROUP, kind: 'ClusterRole', name: roleName }, subjects };
}
export function roleBinding(namespace: string, name: string, subjects: readonly rbacV1.Subject[], roleName = name): rbacV1.RoleBinding {
  return { apiVersion: API, kind: 'RoleBinding', metadata: metadata(name, { namespace }), roleRef: { apiGroup: GROUP, kind: 'Role', name: roleName }, subjects };
}
