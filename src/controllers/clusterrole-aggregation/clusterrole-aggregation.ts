/** Fills ClusterRoles that aggregate others. Source: rbac#aggregated-clusterroles; upstream's counterpart: clusterrole-aggregation-controller. */
import type { ClusterRole, PolicyRule } from '#api/gen/rbac-v1.ts';
import { nameOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { CLUSTER_ROLES } from '#client/kinds.ts';
import { labelMatcherOf } from '#machinery/selectors.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, source, type ControllerContext } from '../controller.ts';

const NAME = 'clusterrole-aggregation-controller';

export function newClusterRoleAggregationController(context: ControllerContext): Component {
  const { client, informers } = context;
  const roles = informers.informer(CLUSTER_ROLES);
  return newController({
    name: NAME,
    context,
    workers: 1,
    sources: (queue) => [
      // Any role may be part of any aggregate: each change looks at all of them, and there are few.
      source(context, queue, CLUSTER_ROLES, () => roles.list().filter((r) => r.aggregationRule).map(nameOf)),
    ],
    async reconcile(name, signal) {
      const role = roles.get('', name);
      if (!role?.aggregationRule) return undefined;
      const rules = aggregatedRules(role, roles.list());
      if (JSON.stringify(rules) === JSON.stringify(role.rules ?? [])) return undefined;
      const apply = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name }, rules };
      await client.of(CLUSTER_ROLES).patch('', name, 'application/apply-patch+yaml', apply, { fieldManager: NAME, force: true, signal }).catch((err: unknown) => {
        if (!isReason(err, 'NotFound')) throw err;
      });
      return undefined;
    },
  });
}

/** The rules of all roles that the selectors choose, by name, each rule once. */
export function aggregatedRules(role: ClusterRole, all: readonly ClusterRole[]): PolicyRule[] {
  const seen = new Set<string>();
  const out: PolicyRule[] = [];
  for (const selector of role.aggregationRule?.clusterRoleSelectors ?? []) {
    const matcher = labelMatcherOf(selector);
    for (const other of all.filter((r) => nameOf(r) !== nameOf(role) && matcher.matches(r.metadata.labels)).toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))) {
      for (const rule of other.rules ?? []) {
        const text = JSON.stringify(rule);
        if (!seen.has(text)) out.push(rule);
        seen.add(text);
      }
    }
  }
  return out;
}
