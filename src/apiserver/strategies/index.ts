/**
 * Every kind's strategy. Adding a kind is one file under `strategies/<group>/` and one name in {@link STRATEGIES}.
 */
import type { ResourceInfo } from '#api/resources.ts';
import type { Strategy } from '../registry/strategy.ts';
import { controllerrevisions } from './apps/controllerrevisions.ts';
import { daemonsets } from './apps/daemonsets.ts';
import { deployments } from './apps/deployments.ts';
import { replicasets } from './apps/replicasets.ts';
import { statefulsets } from './apps/statefulsets.ts';
import { cronjobs } from './batch/cronjobs.ts';
import { jobs } from './batch/jobs.ts';
import { leases } from './coordination/leases.ts';
import { configmaps } from './core/configmaps.ts';
import { endpoints } from './core/endpoints.ts';
import { events as coreEvents } from './core/events.ts';
import { namespaces } from './core/namespaces.ts';
import { nodes } from './core/nodes.ts';
import { podtemplates } from './core/podtemplates.ts';
import { pods } from './core/pods.ts';
import { replicationcontrollers } from './core/replicationcontrollers.ts';
import { secrets } from './core/secrets.ts';
import { serviceaccounts } from './core/serviceaccounts.ts';
import { services } from './core/services.ts';
import { events } from './events/events.ts';
import { genericStrategy } from './generic.ts';
import { clusterrolebindings } from './rbac/clusterrolebindings.ts';
import { clusterroles } from './rbac/clusterroles.ts';
import { rolebindings } from './rbac/rolebindings.ts';
import { roles } from './rbac/roles.ts';

const STRATEGIES: readonly Strategy[] = [
  configmaps, endpoints, coreEvents, namespaces, nodes, pods, podtemplates, replicationcontrollers, secrets, serviceaccounts, services,
  controllerrevisions, daemonsets, deployments, replicasets, statefulsets,
  cronjobs, jobs,
  events,
  leases,
  clusterrolebindings, clusterroles, rolebindings, roles,
];

const idOf = (r: ResourceInfo) => `${r.group}/${r.version}/${r.plural}`;
const byResource = new Map(STRATEGIES.map((s) => [idOf(s.resource), s]));

/** The strategy of a resource; for resources without one of their own (custom ones among them), what all kinds have in common. */
export function strategyFor(resource: ResourceInfo): Strategy {
  return byResource.get(idOf(resource)) ?? genericStrategy(resource);
}
/** Whether a resource has a strategy of its own. */
export function hasOwnStrategy(resource: ResourceInfo): boolean {
  return byResource.has(idOf(resource));
}
