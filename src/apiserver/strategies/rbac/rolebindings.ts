import type { RoleBinding } from '#api/gen/rbac-v1.ts';
import { defineStrategy } from '../define.ts';
import { bindingColumns, bindingRow, defaultBinding, RBAC_GROUP, validateBinding, validateBindingUpdate, validateRbacName } from './rules.ts';

export const rolebindings = defineStrategy<RoleBinding>(RBAC_GROUP, 'v1', 'rolebindings', {
  allowCreateOnUpdate: true,
  default: defaultBinding,
  validateName: validateRbacName,
  validate: (binding) => validateBinding(binding, true),
  validateUpdate: (binding, old) => validateBindingUpdate(binding, old, true),
  columns: bindingColumns('roleBinding'),
  row: bindingRow,
});
