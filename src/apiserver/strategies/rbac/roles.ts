import type { Role } from '#api/gen/rbac-v1.ts';
import { defineStrategy } from '../define.ts';
import { CREATED_AT, NAME } from '../printing.ts';
import { RBAC_GROUP, validateRbacName, validateRules } from './rules.ts';

const validate = (role: Role) => validateRules(role.rules, true);

export const roles = defineStrategy<Role>(RBAC_GROUP, 'v1', 'roles', {
  allowCreateOnUpdate: true,
  validateName: validateRbacName,
  validate,
  validateUpdate: validate,
  columns: [NAME, CREATED_AT],
  row: (role) => [role.metadata.name ?? '', role.metadata.creationTimestamp ?? null],
});
