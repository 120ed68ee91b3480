/** The RBAC authorizer. Source: the Kubernetes page "Using RBAC Authorization". */
import type * as rbacV1 from '#api/gen/rbac-v1.ts';
import { nameOf, namespaceOf } from '#api/object.ts';
import { SYSTEM_PRIVILEGED_GROUP } from '../authentication/users.ts';
import type { AuthorizationAttributes, AuthorizationResult, Authorizer, ObjectReader, RuleResolver, SubjectRules, UserInfo } from '../interfaces.ts';
import { rulesAllow } from './rules.ts';
import { CLUSTER_ROLES, ROLES, SubjectIndex, type Binding, type Grant } from './subject-index.ts';

const quote = JSON.stringify;

/** `RBAC: allowed by …`: the audit log's and the reviews' reason. */
function describe({ binding, subject }: Grant): string {
  const namespace = namespaceOf(binding);
  const who = subject.kind === 'ServiceAccount' ? `${subject.name}/${subject.namespace || namespace}` : subject.name;
  const what = namespace === '' ? `ClusterRoleBinding ${quote(nameOf(binding))}` : `RoleBinding ${quote(`${nameOf(binding)}/${namespace}`)}`;
  return `RBAC: allowed by ${what} of ${binding.roleRef.kind} ${quote(binding.roleRef.name)} to ${subject.kind} ${quote(who)}`;
}

/** The rules a role reference means in a namespace ('' for cluster role bindings); undefined: there is no such role. */
export function rulesOfRef(reader: ObjectReader, ref: rbacV1.RoleRef, namespace: string): readonly rbacV1.PolicyRule[] | undefined {
  const role = ref.kind === 'Role' ? reader.get<rbacV1.Role>(ROLES, namespace, ref.name) : reader.get<rbacV1.ClusterRole>(CLUSTER_ROLES, '', ref.name);
  return role && (role.rules ?? []);
}
export function missingRole(ref: rbacV1.RoleRef): string {
  return `${ref.kind === 'Role' ? 'role' : 'clusterrole'}.rbac.authorization.k8s.io ${quote(ref.name)} not found`;
}

export class RbacAuthorizer implements Authorizer, RuleResolver {
  readonly #reader: ObjectReader;
  readonly #index: SubjectIndex;
  constructor(reader: ObjectReader) {
    this.#reader = reader;
    this.#index = new SubjectIndex(reader);
  }
  stop(): void {
    this.#index.stop();
  }
  authorize(attributes: AuthorizationAttributes): AuthorizationResult {
    const missing: string[] = [];
    for (const grant of this.#grants(attributes.user, attributes.isResourceRequest ? attributes.namespace : '')) {
      const rules = this.#rulesOf(grant.binding);
      if (!rules) missing.push(missingRole(grant.binding.roleRef));
      else if (rulesAllow(rules, attributes)) return { decision: 'allow', reason: describe(grant) };
    }
    if (missing.length === 0) return { decision: 'noOpinion', reason: '' };
    const unique = [...new Set(missing)];
    return { decision: 'noOpinion', reason: `RBAC: ${unique.length === 1 ? unique[0]! : `[${unique.join(', ')}]`}` };
  }
  /** Every rule that the user has in a namespace ('': in the whole cluster), and the roles that bindings name but nobody made. */
  rules(user: UserInfo, namespace: string): { readonly rules: readonly rbacV1.PolicyRule[]; readonly missing: readonly string[] } {
    const rules: rbacV1.PolicyRule[] = [];
    const missing: string[] = [];
    for (const { binding } of this.#grants(user, namespace)) {
      const found = this.#rulesOf(binding);
      if (found) rules.push(...found);
      else missing.push(missingRole(binding.roleRef));
    }
    return { rules, missing: [...new Set(missing)] };
  }
  rulesFor(user: UserInfo, namespace: string): SubjectRules {
    const { rules, missing } = this.rules(user, namespace);
    return {
      resourceRules: rules.filter((r) => r.resources?.length).map(({ verbs, apiGroups = [], resources = [], resourceNames }) => ({ verbs, apiGroups, resources, ...(resourceNames?.length ? { resourceNames } : {}) })),
      nonResourceRules: rules.filter((r) => r.nonResourceURLs?.length).map(({ verbs, nonResourceURLs = [] }) => ({ verbs, nonResourceURLs })),
      incomplete: false,
      ...(missing.length ? { evaluationError: missing.length === 1 ? missing[0]! : `[${missing.join(', ')}]` } : {}),
    };
  }
  *#grants(user: UserInfo, namespace: string): Generator<Grant> {
    yield* this.#index.grants(user, '');
    if (namespace !== '') yield* this.#index.grants(user, namespace);
  }
  #rulesOf(binding: Binding): readonly rbacV1.PolicyRule[] | undefined {
    return rulesOfRef(this.#reader, binding.roleRef, namespaceOf(binding));
  }
}

/** `system:masters` may do everything, whatever the roles say: the way back in when they are broken. */
export class PrivilegedGroupAuthorizer implements Authorizer {
  authorize({ user }: AuthorizationAttributes): AuthorizationResult {
    return user.groups.includes(SYSTEM_PRIVILEGED_GROUP) ? { decision: 'allow', reason: '' } : { decision: 'noOpinion', reason: '' };
  }
}
