/**
 * Bindings by subject, kept up to date from the watch caches: a request looks at the bindings of its own user and groups only,
 * however many there are in the cluster.
 */
import type * as rbacV1 from '#api/gen/rbac-v1.ts';
import { keyOf, namespaceOf } from '#api/object.ts';
import { resourceOf } from '#api/resources.ts';
import { serviceAccountUserName } from '../authentication/users.ts';
import type { ObjectChange, ObjectReader, UserInfo } from '../interfaces.ts';

const GROUP = 'rbac.authorization.k8s.io';
export const CLUSTER_ROLES = resourceOf(GROUP, 'v1', 'clusterroles');
export const ROLES = resourceOf(GROUP, 'v1', 'roles');
const CLUSTER_ROLE_BINDINGS = resourceOf(GROUP, 'v1', 'clusterrolebindings');
const ROLE_BINDINGS = resourceOf(GROUP, 'v1', 'rolebindings');

export type Binding = rbacV1.ClusterRoleBinding | rbacV1.RoleBinding;
/** A binding as one of its subjects has it. */
export interface Grant {
  readonly binding: Binding;
  readonly subject: rbacV1.Subject;
}

/** Key of a subject, or undefined when it can be nobody. `namespace` is the binding's. */
function subjectKey(subject: rbacV1.Subject, namespace: string): string | undefined {
  switch (subject.kind) {
    case 'User':
      return `u ${subject.name}`;
    case 'Group':
      return `g ${subject.name}`;
    case 'ServiceAccount': {
      const ns = subject.namespace || namespace;
      return ns === '' ? undefined : `u ${serviceAccountUserName(ns, subject.name)}`;
    }
    default:
      return undefined;
  }
}

/** Grants of one scope (the cluster, or one namespace) by subject, then by binding. */
type Scope = Map<string, Map<string, Grant>>;

export class SubjectIndex {
  /** By namespace; '' is the cluster. */
  readonly #scopes = new Map<string, Scope>();
  readonly #stops: readonly (() => void)[];
  constructor(reader: ObjectReader) {
    const follow = (resource: typeof ROLE_BINDINGS): (() => void) => {
      // Subscribed before listed: what happens in between is applied twice, which does no harm.
      const stop = reader.subscribe<Binding>(resource, (change) => this.#apply(change));
      for (const binding of reader.list<Binding>(resource)) this.#add(binding);
      return stop;
    };
    this.#stops = [follow(CLUSTER_ROLE_BINDINGS), follow(ROLE_BINDINGS)];
  }
  stop(): void {
    for (const stop of this.#stops) stop();
  }
  /** Grants to the user and its groups: of the whole cluster for '', else of that namespace's role bindings. */
  *grants(user: UserInfo, namespace: string): Generator<Grant> {
    const scope = this.#scopes.get(namespace);
    if (!scope) return;
    const own = scope.get(`u ${user.name}`);
    if (own) yield* own.values();
    for (const group of user.groups) {
      const shared = scope.get(`g ${group}`);
      if (shared) yield* shared.values();
    }
  }
  #apply(change: ObjectChange<Binding>): void {
    if (change.previous) this.#remove(change.previous);
    if (change.type === 'DELETED') this.#remove(change.object);
    else this.#add(change.object);
  }
  #add(binding: Binding): void {
    const namespace = namespaceOf(binding);
    const scope = this.#scopes.getOrInsertComputed(namespace, (): Scope => new Map());
    for (const subject of binding.subjects ?? []) {
      const key = subjectKey(subject, namespace);
      if (key !== undefined) scope.getOrInsertComputed(key, () => new Map()).set(keyOf(binding), { binding, subject });
    }
  }
  #remove(binding: Binding): void {
    const namespace = namespaceOf(binding);
    const scope = this.#scopes.get(namespace);
    if (!scope) return;
    for (const subject of binding.subjects ?? []) {
      const key = subjectKey(subject, namespace);
      const grants = key === undefined ? undefined : scope.get(key);
      grants?.delete(keyOf(binding));
      if (grants?.size === 0) scope.delete(key!);
    }
    if (scope.size === 0) this.#scopes.delete(namespace);
  }
}
