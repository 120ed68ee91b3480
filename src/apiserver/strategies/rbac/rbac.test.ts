import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rowOf, tryCreate, tryUpdate } from '../trial.ts';
import { clusterrolebindings } from './clusterrolebindings.ts';
import { clusterroles } from './clusterroles.ts';
import { rolebindings } from './rolebindings.ts';
import { roles } from './roles.ts';

const binding = { metadata: { name: 'b', namespace: 'a' }, roleRef: { kind: 'Role', name: 'r' }, subjects: [{ kind: 'User', name: 'jane' }, { kind: 'ServiceAccount', name: 'sa', namespace: 'a' }] };

test('roles names what a rule lacks', () => {
  assert.deepEqual(tryCreate(roles, { metadata: { name: 'r' }, rules: [{}, { verbs: ['get'], nonResourceURLs: ['/x'] }] }).errors, [
    'rules[0].verbs: Required value: verbs must contain at least one value',
    'rules[0].apiGroups: Required value: resource rules must supply at least one api group',
    'rules[0].resources: Required value: resource rules must supply at least one resource',
    'rules[1].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs',
  ]);
});
test('roles may name objects of several resources', () => {
  assert.deepEqual(tryCreate(roles, { metadata: { name: 'r' }, rules: [{ verbs: ['get'], apiGroups: [''], resources: ['pods', 'pods/log'], resourceNames: ['web'] }] }).errors, []);
});
test('clusterroles takes non-resource URLs and needs selectors to aggregate', () => {
  assert.deepEqual(tryCreate(clusterroles, { metadata: { name: 'r' }, rules: [{ verbs: ['get'], nonResourceURLs: ['/x'] }], aggregationRule: {} }).errors, [
    'aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil',
  ]);
});
test('rolebindings fills in the API group and shows its subjects', () => {
  const { object, errors } = tryCreate(rolebindings, binding);
  assert.deepEqual(errors, []);
  assert.deepEqual(object['roleRef'], { kind: 'Role', name: 'r', apiGroup: 'rbac.authorization.k8s.io' });
  const row = rowOf(rolebindings, object);
  assert.deepEqual([row['Role'], row['Users'], row['Groups'], row['ServiceAccounts']], ['Role/r', 'jane', '', 'a/sa']);
});
test('rolebindings keeps its role', () => {
  const { errors } = tryUpdate(rolebindings, binding, (b) => ((b['roleRef'] as { name: string }).name = 'other'));
  assert.deepEqual(errors, ['roleRef: Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"Role","Name":"other"}: cannot change roleRef']);
});
test('clusterrolebindings refers to cluster roles only', () => {
  assert.deepEqual(tryCreate(clusterrolebindings, { ...binding, subjects: [{ kind: 'ServiceAccount', name: 'sa' }, { kind: 'Robot', name: 'x' }] }).errors, [
    'roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"',
    'subjects[0].namespace: Required value',
    'subjects[1].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group"',
  ]);
});
