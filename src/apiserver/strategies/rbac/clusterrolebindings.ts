import type { ClusterRoleBinding } from '#api/gen/rbac-v1.ts';
import { defineStrategy } from '../define.ts';
import { bindingColumns, bindingRow, defaultBinding, RBAC_GROUP, validateBinding, validateBindingUpdate, validateRbacName } from './rules.ts';

export const clusterrolebindings = defineStrategy<ClusterRoleBinding>(RBAC_GROUP, 'v1', 'clusterrolebindings', {
  allowCreateOnUpdate: true,
  default: defaultBinding,
  validateName: validateRbacName,
  validate: (binding) => validateBinding(binding, false),
  validateUpdate: (binding, old) => validateBindingUpdate(binding, old, false),
  columns: bindingColumns('clusterRoleBinding'),
  row: bindingRow,
});
