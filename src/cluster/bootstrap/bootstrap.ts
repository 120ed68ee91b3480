/**
 * The objects of a new cluster, made at every start where they are missing. Order matters: namespaces before what lives in them, roles
 * before bindings. Runs as the API server itself, before anybody else is let in.
 */
import type { KubeObject, KubeList } from '#api/object.ts';
import { nameOf, namespaceOf } from '#api/object.ts';
import { resourceOf, type ResourceInfo } from '#api/resources.ts';
import type { Transport } from '#client/transport.ts';
import { isReason } from '#machinery/status-error.ts';
import { CLUSTER_ROLES } from './cluster-roles.ts';
import { CONTROLLER_ROLE_BINDINGS, CONTROLLER_ROLES } from './controller-roles.ts';
import { FLOW_SCHEMAS, PRIORITY_LEVELS } from './flow-control.ts';
import { NAMESPACES, PRIORITY_CLASSES, STORAGE_CLASSES } from './objects.ts';
import { withoutUnserved } from './on-demand.ts';
import { planRbac, type Plan, type RbacObject } from './reconcile-rbac.ts';
import { CLUSTER_ROLE_BINDINGS, JOIN_BINDINGS, JOIN_ROLE_BINDINGS, JOIN_ROLES, NAMESPACE_ROLE_BINDINGS, NAMESPACE_ROLES } from './role-bindings.ts';

export { ensureExtensionAuthentication } from './authentication-config.ts';
export { ensureJoining } from './joining.ts';
export { ensureKubernetesService } from './kubernetes-service.ts';
export { ensureTokenTracking } from './token-tracking.ts';

const RBAC = 'rbac.authorization.k8s.io';
const MAX_AT_ONCE = 16;

interface Step {
  readonly resource: ResourceInfo;
  readonly objects: readonly KubeObject[];
  /** What to do with an object that is there; absent: nothing. */
  readonly plan?: (found: RbacObject, wanted: RbacObject) => Plan;
}
/** Everything, in order. The steps of one row may run side by side. */
const STEPS: readonly (readonly Step[])[] = [
  [
    { resource: resourceOf('', 'v1', 'namespaces'), objects: NAMESPACES },
    { resource: resourceOf('scheduling.k8s.io', 'v1', 'priorityclasses'), objects: PRIORITY_CLASSES },
    { resource: resourceOf('storage.k8s.io', 'v1', 'storageclasses'), objects: STORAGE_CLASSES },
    { resource: resourceOf('flowcontrol.apiserver.k8s.io', 'v1', 'prioritylevelconfigurations'), objects: PRIORITY_LEVELS },
    { resource: resourceOf('flowcontrol.apiserver.k8s.io', 'v1', 'flowschemas'), objects: FLOW_SCHEMAS },
    { resource: resourceOf(RBAC, 'v1', 'clusterroles'), objects: [...CLUSTER_ROLES, ...CONTROLLER_ROLES], plan: planRbac },
  ],
  [
    { resource: resourceOf(RBAC, 'v1', 'clusterrolebindings'), objects: [...CLUSTER_ROLE_BINDINGS, ...CONTROLLER_ROLE_BINDINGS, ...JOIN_BINDINGS], plan: planRbac },
    { resource: resourceOf(RBAC, 'v1', 'roles'), objects: [...NAMESPACE_ROLES, ...JOIN_ROLES], plan: planRbac },
  ],
  [{ resource: resourceOf(RBAC, 'v1', 'rolebindings'), objects: [...NAMESPACE_ROLE_BINDINGS, ...JOIN_ROLE_BINDINGS], plan: planRbac }],
];

export interface BootstrapOptions {
  /** Whether the server has a resource: what it lacks is left out, and what is of use with it alone. Default: it has all. */
  readonly serves?: (resource: ResourceInfo) => boolean;
}
/** Makes and repairs the cluster's own objects; `transport` acts as a member of `system:masters`. Idempotent. */
export async function bootstrapObjects(transport: Transport, options: BootstrapOptions = {}, signal?: AbortSignal): Promise<void> {
  const serves = options.serves ?? (() => true);
  for (const row of STEPS) await Promise.all(row.filter((s) => serves(s.resource)).map((s) => runStep(transport, { ...s, objects: withoutUnserved(s.objects, serves) }, signal)));
}

async function runStep(transport: Transport, { resource, objects, plan }: Step, signal: AbortSignal | undefined): Promise<void> {
  const list = (await transport.call({ verb: 'list', resource }, signal)) as KubeList;
  const idOf = (o: KubeObject): string => `${namespaceOf(o)}/${nameOf(o)}`;
  const there = new Map(list.items.map((o) => [idOf(o), o]));
  const one = async (wanted: KubeObject): Promise<void> => {
    const namespace = wanted.metadata.namespace;
    const found = there.get(idOf(wanted));
    if (!found) return create(transport, resource, wanted, signal);
    const todo = plan?.(found as RbacObject, wanted as RbacObject) ?? { action: 'none' };
    if (todo.action === 'update') {
      // Somebody else who changed it in the meantime wins: the next start repairs what is then missing.
      await transport.call({ verb: 'update', resource, namespace, name: nameOf(wanted), body: todo.object }, signal).catch(ignore('Conflict'));
    } else if (todo.action === 'recreate') {
      await transport.call({ verb: 'delete', resource, namespace, name: nameOf(wanted) }, signal).catch(ignore('NotFound'));
      await create(transport, resource, todo.object, signal);
    }
  };
  for (let i = 0; i < objects.length; i += MAX_AT_ONCE) await Promise.all(objects.slice(i, i + MAX_AT_ONCE).map(one));
}
/** Another server may be starting at the same time. */
async function create(transport: Transport, resource: ResourceInfo, object: KubeObject, signal: AbortSignal | undefined): Promise<void> {
  await transport.call({ verb: 'create', resource, namespace: object.metadata.namespace, body: object }, signal).catch(ignore('AlreadyExists'));
}
function ignore(reason: 'Conflict' | 'NotFound' | 'AlreadyExists'): (err: unknown) => void {
  return (err) => {
    if (!isReason(err, reason)) throw err;
  };
}
