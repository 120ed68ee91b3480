/** Validation shared by the four RBAC kinds. */
import type { PolicyRule, RoleRef, Subject } from '#api/gen/rbac-v1.ts';
import { fieldPath, invalidValue, notSupported, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Subdomain, nameIsPathSegment } from '#machinery/names.ts';
import type { Cell, Column } from '../../registry/strategy.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { fromMessages } from '../field-checks.ts';
import { AGE, age, NAME, text, wide } from '../printing.ts';
import type { KubeObject } from '#api/object.ts';

export const RBAC_GROUP = 'rbac.authorization.k8s.io';

/** Names of RBAC objects are any path segment: `system:node` is one. */
export const validateRbacName = nameIsPathSegment;

function validateRule(rule: PolicyRule, namespaced: boolean, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  const count = (list: readonly string[] | undefined) => list?.length ?? 0;
  if (count(rule.verbs) === 0) errors.push(required(path.child('verbs'), 'verbs must contain at least one value'));
  if (count(rule.nonResourceURLs) > 0) {
    const at = path.child('nonResourceURLs');
    if (namespaced) errors.push(invalidValue(at, rule.nonResourceURLs, 'namespaced rules cannot apply to non-resource URLs'));
    if (count(rule.apiGroups) + count(rule.resources) + count(rule.resourceNames) > 0) {
      errors.push(invalidValue(at, rule.nonResourceURLs, 'rules cannot apply to both regular resources and non-resource URLs'));
    }
    return errors;
  }
  if (count(rule.apiGroups) === 0) errors.push(required(path.child('apiGroups'), 'resource rules must supply at least one api group'));
  if (count(rule.resources) === 0) errors.push(required(path.child('resources'), 'resource rules must supply at least one resource'));
  return errors;
}
export function validateRules(rules: readonly PolicyRule[] | undefined, namespaced: boolean): FieldError[] {
  return (rules ?? []).flatMap((rule, i) => validateRule(rule, namespaced, fieldPath('rules').index(i)));
}

const serviceAccountName = isDNS1123Subdomain;

function validateSubject(subject: Subject, namespaced: boolean, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  const group = subject.apiGroup ?? '';
  const name = subject.name ?? '';
  if (name === '') errors.push(required(path.child('name')));
  switch (subject.kind) {
    case 'ServiceAccount':
      if (name !== '') errors.push(...fromMessages(path.child('name'), name, serviceAccountName(name)));
      if (group !== '') errors.push(notSupported(path.child('apiGroup'), group, ['']));
      if (!namespaced && !subject.namespace) errors.push(required(path.child('namespace')));
      break;
    case 'User':
    case 'Group':
      if (group !== RBAC_GROUP) errors.push(notSupported(path.child('apiGroup'), group, [RBAC_GROUP]));
      break;
    default:
      errors.push(notSupported(path.child('kind'), subject.kind ?? '', ['ServiceAccount', 'User', 'Group'], 'listed'));
  }
  return errors;
}

interface Binding extends KubeObject {
  readonly subjects?: readonly Subject[] | undefined;
  readonly roleRef: RoleRef;
}
export function validateBinding(binding: Binding, namespaced: boolean): FieldError[] {
  const errors: FieldError[] = [];
  const at = fieldPath('roleRef');
  const ref = binding.roleRef ?? { kind: '', name: '' };
  const kinds = namespaced ? ['Role', 'ClusterRole'] : ['ClusterRole'];
  if ((ref.apiGroup ?? '') !== RBAC_GROUP) errors.push(notSupported(at.child('apiGroup'), ref.apiGroup ?? '', [RBAC_GROUP]));
  if (!kinds.includes(ref.kind)) errors.push(notSupported(at.child('kind'), ref.kind ?? '', kinds, 'listed'));
  if (!ref.name) errors.push(required(at.child('name')));
  else errors.push(...fromMessages(at.child('name'), ref.name, validateRbacName(ref.name, false)));
  return [...errors, ...(binding.subjects ?? []).flatMap((s, i) => validateSubject(s, namespaced, fieldPath('subjects').index(i)))];
}
export function validateBindingUpdate(binding: Binding, old: Binding, namespaced: boolean): FieldError[] {
  const errors = validateBinding(binding, namespaced);
  if (!semanticEqual(binding.roleRef, old.roleRef)) errors.push(invalidValue(fieldPath('roleRef'), { APIGroup: binding.roleRef.apiGroup, Kind: binding.roleRef.kind, Name: binding.roleRef.name }, 'cannot change roleRef'));
  return errors;
}

/** API group of a role reference and of subjects, where the client left it out. */
export function defaultBinding(binding: { roleRef: { apiGroup?: string | undefined }; subjects?: { kind: string; apiGroup?: string | undefined }[] | undefined }): void {
  if (binding.roleRef) binding.roleRef.apiGroup ||= RBAC_GROUP;
  for (const subject of binding.subjects ?? []) {
    if (!subject.apiGroup && (subject.kind === 'User' || subject.kind === 'Group')) subject.apiGroup = RBAC_GROUP;
  }
}

export function bindingColumns(binding: 'roleBinding' | 'clusterRoleBinding'): readonly Column[] {
  const roles = binding === 'roleBinding' ? 'reference a Role in the current namespace or a ClusterRole' : 'only reference a ClusterRole';
  const subjects = ['Users', 'Groups', 'ServiceAccounts'].map((name) => wide(name, `${name} in the ${binding}`));
  return [NAME, text('Role', `RoleRef can ${roles} in the global namespace. If the RoleRef cannot be resolved, the Authorizer must return an error.`), AGE, ...subjects];
}
export function bindingRow(binding: Binding, now: number): readonly Cell[] {
  const names = (kind: string) => (binding.subjects ?? []).filter((s) => s.kind === kind).map((s) => (kind === 'ServiceAccount' ? `${s.namespace ?? ''}/${s.name}` : s.name)).join(', ');
  return [binding.metadata.name ?? '', `${binding.roleRef.kind}/${binding.roleRef.name}`, age(binding.metadata, now), names('User'), names('Group'), names('ServiceAccount')];
}
