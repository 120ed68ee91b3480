/**
 * Nobody gives away what they do not have: writing a role takes holding all its rules (or the verb `escalate`), binding one likewise
 * (or the verb `bind`). Runs as the last admission step of the RBAC kinds, where upstream has it in their storage.
 * Source: the Kubernetes page "Using RBAC Authorization", privilege escalation prevention.
 */
import { isDeepStrictEqual } from 'node:util';
import type * as rbacV1 from '#api/gen/rbac-v1.ts';
import { nameOf, type KubeObject } from '#api/object.ts';
import { forbidden, notFound } from '#machinery/status-error.ts';
import { SYSTEM_PRIVILEGED_GROUP } from '../authentication/users.ts';
import type { AdmissionAttributes, AdmissionOperation, AdmissionPlugin, Authorizer, ObjectReader, UserInfo } from '../interfaces.ts';
import { rulesOfRef, type RbacAuthorizer } from './rbac.ts';
import { compactRules, goList, ruleText, uncovered } from './rules.ts';

const GROUP = 'rbac.authorization.k8s.io';
const FULL_AUTHORITY: readonly rbacV1.PolicyRule[] = [
  { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
  { verbs: ['*'], nonResourceURLs: ['*'] },
];

/** Changes of owner references and finalizers alone grant nothing: the garbage collector makes them. */
function onlyForGarbageCollector(object: KubeObject, old: KubeObject | undefined): boolean {
  if (!old) return false;
  const rest = (o: KubeObject) => {
    const { ownerReferences: _o, finalizers: _f, managedFields: _m, resourceVersion: _r, generation: _g, ...metadata } = o.metadata;
    return { ...o, metadata };
  };
  return isDeepStrictEqual(JSON.parse(JSON.stringify(rest(object))), JSON.parse(JSON.stringify(rest(old))));
}

export class RbacEscalationPlugin implements AdmissionPlugin {
  readonly name = 'RBACEscalation';
  readonly #rbac: RbacAuthorizer;
  readonly #authorizer: Authorizer;
  readonly #reader: ObjectReader;
  constructor(options: { readonly rbac: RbacAuthorizer; /** The API server's whole authorizer: `escalate` and `bind` may come from anywhere. */ readonly authorizer: Authorizer; readonly reader: ObjectReader }) {
    this.#rbac = options.rbac;
    this.#authorizer = options.authorizer;
    this.#reader = options.reader;
  }
  handles(operation: AdmissionOperation): boolean {
    return operation === 'CREATE' || operation === 'UPDATE';
  }
  validate(a: AdmissionAttributes, signal: AbortSignal): void | Promise<void> {
    if (a.resource.group !== GROUP || a.subresource !== '' || !a.object) return undefined;
    if (a.user.groups.includes(SYSTEM_PRIVILEGED_GROUP) || onlyForGarbageCollector(a.object, a.oldObject)) return undefined;
    switch (a.resource.plural) {
      case 'roles':
      case 'clusterroles':
        return this.#role(a, signal);
      case 'rolebindings':
      case 'clusterrolebindings':
        return this.#binding(a, signal);
      default:
        return undefined;
    }
  }
  async #role(a: AdmissionAttributes, signal: AbortSignal): Promise<void> {
    const role = a.object as rbacV1.ClusterRole;
    if (await this.#may('escalate', a.resource.plural, a.namespace, a.name || nameOf(role), a.user, signal)) return;
    this.#confirm(a, role.rules ?? []);
    const aggregates = (r: rbacV1.ClusterRole | undefined): boolean => (r?.aggregationRule?.clusterRoleSelectors?.length ?? 0) > 0;
    if (!aggregates(role) && !aggregates(a.oldObject as rbacV1.ClusterRole | undefined)) return;
    if (uncovered(this.#rbac.rules(a.user, '').rules, FULL_AUTHORITY).length) {
      throw forbidden({ group: GROUP, resource: a.resource.plural }, nameOf(role), 'must have cluster-admin privileges to use the aggregationRule');
    }
  }
  async #binding(a: AdmissionAttributes, signal: AbortSignal): Promise<void> {
    const { roleRef } = a.object as rbacV1.RoleBinding;
    const plural = roleRef.kind === 'Role' ? 'roles' : 'clusterroles';
    if (await this.#may('bind', plural, a.namespace, roleRef.name, a.user, signal)) return;
    const rules = rulesOfRef(this.#reader, roleRef, a.namespace);
    if (!rules) throw notFound({ group: GROUP, resource: roleRef.kind === 'Role' ? 'role' : 'clusterrole' }, roleRef.name);
    this.#confirm(a, rules);
  }
  async #may(verb: 'escalate' | 'bind', resource: string, namespace: string, name: string, user: UserInfo, signal: AbortSignal): Promise<boolean> {
    const answer = await this.#authorizer.authorize({ isResourceRequest: true, verb, path: '', apiGroup: GROUP, apiVersion: '*', namespace, resource, subresource: '', name, user }, signal);
    return answer.decision === 'allow';
  }
  #confirm(a: AdmissionAttributes, wanted: readonly rbacV1.PolicyRule[]): void {
    const { rules: owned, missing } = this.#rbac.rules(a.user, a.namespace);
    const beyond = uncovered(owned, wanted);
    if (beyond.length === 0) return;
    const list = compactRules(beyond).map(ruleText).toSorted().join('\n');
    const errors = missing.length ? `; resolution errors: [${missing.join(', ')}]` : '';
    throw forbidden({ group: GROUP, resource: a.resource.plural }, nameOf(a.object!), `user ${JSON.stringify(a.user.name)} (groups=${goList(a.user.groups)}) is attempting to grant RBAC permissions not currently held:\n${list}${errors}`);
  }
}
