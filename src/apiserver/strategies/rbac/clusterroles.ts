import type { ClusterRole } from '#api/gen/rbac-v1.ts';
import { fieldPath, invalidValue, required, type FieldError } from '#machinery/field-errors.ts';
import { validateLabelSelector } from '#machinery/object-meta.ts';
import { defineStrategy } from '../define.ts';
import { CREATED_AT, NAME } from '../printing.ts';
import { RBAC_GROUP, validateRbacName, validateRules } from './rules.ts';

function validate(role: ClusterRole): FieldError[] {
  const errors = validateRules(role.rules, false);
  if (!role.aggregationRule) return errors;
  const path = fieldPath('aggregationRule', 'clusterRoleSelectors');
  const selectors = role.aggregationRule.clusterRoleSelectors ?? [];
  if (selectors.length === 0) return [...errors, required(path, 'at least one clusterRoleSelector required if aggregationRule is non-nil')];
  const faults = selectors.flatMap((selector, i) => {
    const found = validateLabelSelector(selector, path.index(i));
    return found.length ? [...found, invalidValue(path.index(i), null, 'invalid label selector.')] : [];
  });
  return [...errors, ...faults];
}

export const clusterroles = defineStrategy<ClusterRole>(RBAC_GROUP, 'v1', 'clusterroles', {
  allowCreateOnUpdate: true,
  validateName: validateRbacName,
  validate,
  validateUpdate: validate,
  columns: [NAME, CREATED_AT],
  row: (role) => [role.metadata.name ?? '', role.metadata.creationTimestamp ?? null],
});
