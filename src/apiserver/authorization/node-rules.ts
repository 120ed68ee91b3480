/** What every node may do: the rules of the cluster role `system:node`, which the Node authorizer applies by itself. */
import type * as rbacV1 from '#api/gen/rbac-v1.ts';

const READ = ['get', 'list', 'watch'];
const rule = (apiGroups: string, resources: string, verbs: readonly string[]): rbacV1.PolicyRule => ({ apiGroups: apiGroups.split(' ').map((group) => (group === 'core' ? '' : group)), resources: resources.split(' '), verbs });

export const NODE_RULES: readonly rbacV1.PolicyRule[] = [
  rule('authentication.k8s.io', 'tokenreviews', ['create']),
  rule('authorization.k8s.io', 'localsubjectaccessreviews subjectaccessreviews', ['create']),
  rule('', 'services', READ),
  rule('', 'nodes', ['create', ...READ]),
  rule('', 'nodes/status', ['patch', 'update']),
  rule('', 'nodes', ['patch', 'update']),
  rule('core events.k8s.io', 'events', ['create', 'patch', 'update']),
  rule('', 'pods', READ),
  rule('', 'pods', ['create', 'delete']),
  rule('', 'pods/status', ['patch', 'update']),
  rule('', 'pods/eviction', ['create']),
  rule('', 'configmaps secrets', READ),
  rule('', 'persistentvolumeclaims persistentvolumes', ['get']),
  rule('', 'endpoints', ['get']),
  rule('certificates.k8s.io', 'certificatesigningrequests', ['create', ...READ]),
  rule('coordination.k8s.io', 'leases', ['create', 'delete', 'get', 'patch', 'update']),
  rule('storage.k8s.io', 'volumeattachments', ['get']),
  rule('', 'serviceaccounts/token', ['create']),
  rule('', 'persistentvolumeclaims/status', ['get', 'patch', 'update']),
  rule('storage.k8s.io', 'csidrivers', READ),
  rule('storage.k8s.io', 'csinodes', ['create', 'delete', 'get', 'patch', 'update']),
  rule('node.k8s.io', 'runtimeclasses', READ),
  rule('resource.k8s.io', 'resourceclaims', ['get']),
  rule('resource.k8s.io', 'resourceslices', ['deletecollection']),
  rule('certificates.k8s.io', 'clustertrustbundles', READ),
  rule('certificates.k8s.io', 'podcertificaterequests', ['create', ...READ]),
  rule('', 'serviceaccounts', ['get']),
];
