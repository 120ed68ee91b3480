/** Who has the default roles, and the roles inside kube-system and kube-public. Source: as `cluster-roles.ts`. */
import type * as rbacV1 from '#api/gen/rbac-v1.ts';
import { allow, clusterRoleBinding, CORE, EVENTS, group, READ, role, roleBinding, serviceAccount, user } from './rbac-notation.ts';

const AUTHENTICATED = group('system:authenticated');
const KCM = user('system:kube-controller-manager');
const SCHEDULER = user('system:kube-scheduler');
const SYSTEM = 'kube-system';
const PUBLIC = 'kube-public';

export const CLUSTER_ROLE_BINDINGS: readonly rbacV1.ClusterRoleBinding[] = [
  clusterRoleBinding('cluster-admin', [group('system:masters')]),
  clusterRoleBinding('system:monitoring', [group('system:monitoring')]),
  clusterRoleBinding('system:discovery', [AUTHENTICATED]),
  clusterRoleBinding('system:basic-user', [AUTHENTICATED]),
  clusterRoleBinding('system:public-info-viewer', [AUTHENTICATED, group('system:unauthenticated')]),
  clusterRoleBinding('system:node-proxier', [user('system:kube-proxy')]),
  clusterRoleBinding('system:kube-controller-manager', [KCM]),
  clusterRoleBinding('system:kube-dns', [serviceAccount(SYSTEM, 'kube-dns')]),
  clusterRoleBinding('system:kube-scheduler', [SCHEDULER]),
  clusterRoleBinding('system:volume-scheduler', [SCHEDULER]),
  clusterRoleBinding('system:service-account-issuer-discovery', [group('system:serviceaccounts')]),
  clusterRoleBinding('system:cluster-trust-bundle-discovery', [group('system:serviceaccounts')]),
  // The Node authorizer gives nodes their rights, each its own.
  clusterRoleBinding('system:node', []),
];

const LEADER_ELECTION = [allow('create get list update watch', 'coordination.k8s.io', 'leases'), allow('create get list update watch', 'coordination.k8s.io', 'leasecandidates')];
export const NAMESPACE_ROLES: readonly rbacV1.Role[] = [
  role(SYSTEM, 'extension-apiserver-authentication-reader', [allow(READ, CORE, 'configmaps', 'extension-apiserver-authentication')]),
  role(SYSTEM, 'system:controller:bootstrap-signer', [allow(READ, CORE, 'secrets')]),
  role(SYSTEM, 'system:controller:cloud-provider', [allow('create get list watch', CORE, 'configmaps')]),
  role(SYSTEM, 'system:controller:token-cleaner', [allow('delete get list watch', CORE, 'secrets'), EVENTS]),
  role(SYSTEM, 'system::leader-locking-kube-controller-manager', LEADER_ELECTION),
  role(SYSTEM, 'system::leader-locking-kube-scheduler', LEADER_ELECTION),
  role(PUBLIC, 'system:controller:bootstrap-signer', [allow(READ, CORE, 'configmaps'), allow('update', CORE, 'configmaps', 'cluster-info'), EVENTS]),
];
export const NAMESPACE_ROLE_BINDINGS: readonly rbacV1.RoleBinding[] = [
  roleBinding(SYSTEM, 'system::extension-apiserver-authentication-reader', [KCM, SCHEDULER], 'extension-apiserver-authentication-reader'),
  roleBinding(SYSTEM, 'system::leader-locking-kube-controller-manager', [KCM, serviceAccount(SYSTEM, 'kube-controller-manager'), serviceAccount(SYSTEM, 'leader-election-controller')]),
  roleBinding(SYSTEM, 'system::leader-locking-kube-scheduler', [SCHEDULER, serviceAccount(SYSTEM, 'kube-scheduler')]),
  roleBinding(SYSTEM, 'system:controller:bootstrap-signer', [serviceAccount(SYSTEM, 'bootstrap-signer')]),
  roleBinding(SYSTEM, 'system:controller:cloud-provider', [serviceAccount(SYSTEM, 'cloud-provider')]),
  roleBinding(SYSTEM, 'system:controller:token-cleaner', [serviceAccount(SYSTEM, 'token-cleaner')]),
  roleBinding(PUBLIC, 'system:controller:bootstrap-signer', [serviceAccount(SYSTEM, 'bootstrap-signer')]),
];

/** Lets new nodes ask for their certificate with a bootstrap token, has the certificates of nodes approved by themselves, and lets nodes be whole ones. */
export const JOIN_BINDINGS: readonly rbacV1.ClusterRoleBinding[] = [
  clusterRoleBinding('podyard:kubelet-bootstrap', [group('system:bootstrappers')], 'system:node-bootstrapper'),
  clusterRoleBinding('podyard:node-autoapprove-bootstrap', [group('system:bootstrappers')], 'system:certificates.k8s.io:certificatesigningrequests:nodeclient'),
  clusterRoleBinding('podyard:node-autoapprove-certificate-rotation', [group('system:nodes')], 'system:certificates.k8s.io:certificatesigningrequests:selfnodeclient'),
  // The proxy and the routes of a joined node act as the node.
  clusterRoleBinding('podyard:node-proxier', [group('system:nodes')], 'system:node-proxier'),
  // So do its network policies, whose peers may be any Pods.
  clusterRoleBinding('podyard:network-policy', [group('system:nodes')]),
];
/** What is read on the way into the cluster: by everybody, and by who has a token or is a node. */
export const JOIN_ROLES: readonly rbacV1.Role[] = [
  role(PUBLIC, 'podyard:cluster-info', [allow('get', CORE, 'configmaps', 'cluster-info')]),
  role(SYSTEM, 'podyard:node-config', [allow('get', CORE, 'configmaps', 'podyard-node')]),
];
export const JOIN_ROLE_BINDINGS: readonly rbacV1.RoleBinding[] = [
  roleBinding(PUBLIC, 'podyard:cluster-info', [user('system:anonymous')]),
  roleBinding(SYSTEM, 'podyard:node-config', [group('system:nodes'), group('system:bootstrappers')]),
];
