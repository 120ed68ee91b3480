/** The cluster roles that every cluster has. Source: the Kubernetes page "Using RBAC Authorization", default roles; release 1.36. */
import type * as rbacV1 from '#api/gen/rbac-v1.ts';
import { NODE_RULES } from '#apiserver/authorization/node-rules.ts';
import { aggregatedRole, allow, allowPaths, clusterRole, CORE, EVENT_GROUPS, EVENTS, READ, READ_WRITE, WRITE } from './rbac-notation.ts';

const TO_ADMIN = 'rbac.authorization.k8s.io/aggregate-to-admin';
const TO_EDIT = 'rbac.authorization.k8s.io/aggregate-to-edit';
const TO_VIEW = 'rbac.authorization.k8s.io/aggregate-to-view';
const CERTIFICATES = 'certificates.k8s.io';
const CSR = 'system:certificates.k8s.io:';

const APPS_WRITABLE = 'daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets statefulsets/scale';
const APPS_READABLE = 'controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status';
const EXTENSIONS_WRITABLE = 'daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets replicasets/scale replicationcontrollers/scale';
const EXTENSIONS_READABLE = 'daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status networkpolicies replicasets replicasets/scale replicasets/status replicationcontrollers/scale';

/** What people get: administrators, editors, viewers. */
const USER_FACING: readonly rbacV1.ClusterRole[] = [
  clusterRole('cluster-admin', [allow('*', '*', '*'), allowPaths('*', '*')]),
  aggregatedRole('admin', TO_ADMIN),
  aggregatedRole('edit', TO_EDIT, { [TO_ADMIN]: 'true' }),
  aggregatedRole('view', TO_VIEW, { [TO_EDIT]: 'true' }),
  clusterRole('system:aggregate-to-admin', [
    allow('create', 'authorization.k8s.io', 'localsubjectaccessreviews'),
    allow(READ_WRITE, 'rbac.authorization.k8s.io', 'rolebindings roles'),
  ], { [TO_ADMIN]: 'true' }),
  clusterRole('system:aggregate-to-edit', [
    allow(READ, CORE, 'pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy'),
    allow('impersonate', CORE, 'serviceaccounts'),
    allow(WRITE, CORE, 'pods pods/attach pods/exec pods/portforward pods/proxy'),
    allow('create', CORE, 'pods/eviction'),
    allow(WRITE, CORE, 'configmaps persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets serviceaccounts services services/proxy'),
    allow('create', CORE, 'serviceaccounts/token'),
    allow(WRITE, EVENT_GROUPS, 'events'),
    allow(WRITE, 'apps', APPS_WRITABLE),
    allow(WRITE, 'autoscaling', 'horizontalpodautoscalers'),
    allow(WRITE, 'batch', 'cronjobs jobs'),
    allow(WRITE, 'extensions', EXTENSIONS_WRITABLE),
    allow(WRITE, 'policy', 'poddisruptionbudgets'),
    allow(WRITE, 'networking.k8s.io', 'ingresses networkpolicies'),
    allow(READ_WRITE, 'coordination.k8s.io', 'leases'),
    allow(WRITE, 'resource.k8s.io', 'resourceclaims resourceclaimtemplates'),
  ], { [TO_EDIT]: 'true' }),
  clusterRole('system:aggregate-to-view', [
    allow(READ, CORE, 'configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status'),
    allow(READ, CORE, 'bindings limitranges namespaces/status pods/log pods/status replicationcontrollers/status resourcequotas resourcequotas/status'),
    allow(READ, CORE, 'namespaces'),
    allow(READ, EVENT_GROUPS, 'events'),
    allow(READ, 'discovery.k8s.io', 'endpointslices'),
    allow(READ, 'apps', APPS_READABLE),
    allow(READ, 'autoscaling', 'horizontalpodautoscalers horizontalpodautoscalers/status'),
    allow(READ, 'batch', 'cronjobs cronjobs/status jobs jobs/status'),
    allow(READ, 'extensions', EXTENSIONS_READABLE),
    allow(READ, 'policy', 'poddisruptionbudgets poddisruptionbudgets/status'),
    allow(READ, 'networking.k8s.io', 'ingresses ingresses/status networkpolicies'),
    allow(READ, 'resource.k8s.io', 'resourceclaims resourceclaims/status resourceclaimtemplates'),
  ], { [TO_VIEW]: 'true' }),
];

/** What everybody who is known, or everybody at all, may ask. */
const DISCOVERY: readonly rbacV1.ClusterRole[] = [
  clusterRole('system:discovery', [allowPaths('get', '/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/')]),
  clusterRole('system:public-info-viewer', [allowPaths('get', '/healthz /livez /readyz /version /version/')]),
  clusterRole('system:basic-user', [
    allow('create', 'authorization.k8s.io', 'selfsubjectaccessreviews selfsubjectrulesreviews'),
    allow('create', 'authentication.k8s.io', 'selfsubjectreviews'),
  ]),
  clusterRole('system:service-account-issuer-discovery', [allowPaths('get', '/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/')]),
  clusterRole('system:monitoring', [allowPaths('get', '/flagz /healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/* /statusz'), allow('get', CORE, 'nodes/metrics')]),
  clusterRole('system:cluster-trust-bundle-discovery', [allow(READ, CERTIFICATES, 'clustertrustbundles')]),
  clusterRole('system:auth-delegator', [allow('create', 'authentication.k8s.io', 'tokenreviews'), allow('create', 'authorization.k8s.io', 'subjectaccessreviews')]),
];

/** Certificate signing. */
const SIGNING: readonly rbacV1.ClusterRole[] = [
  clusterRole(`${CSR}certificatesigningrequests:nodeclient`, [allow('create', CERTIFICATES, 'certificatesigningrequests/nodeclient')]),
  clusterRole(`${CSR}certificatesigningrequests:selfnodeclient`, [allow('create', CERTIFICATES, 'certificatesigningrequests/selfnodeclient')]),
  ...['kube-apiserver-client', 'kube-apiserver-client-kubelet', 'kubelet-serving', 'legacy-unknown'].map((signer) => clusterRole(`${CSR}${signer}-approver`, [allow('approve', CERTIFICATES, 'signers', `kubernetes.io/${signer}`)])),
];

/** Nodes and what runs beside them. */
const NODES: readonly rbacV1.ClusterRole[] = [
  clusterRole('system:node', NODE_RULES),
  clusterRole('system:node-bootstrapper', [allow('create get list watch', CERTIFICATES, 'certificatesigningrequests')]),
  clusterRole('system:node-problem-detector', [allow('get', CORE, 'nodes'), allow('patch', CORE, 'nodes/status'), EVENTS]),
  clusterRole('system:node-proxier', [
    allow('list watch', CORE, 'endpoints services'),
    allow(READ, CORE, 'nodes'),
    EVENTS,
    allow('list watch', 'networking.k8s.io', 'servicecidrs'),
    allow('list watch', 'discovery.k8s.io', 'endpointslices'),
  ]),
  clusterRole('podyard:network-policy', [allow('list watch', CORE, 'namespaces pods'), allow('list watch', 'networking.k8s.io', 'networkpolicies')]),
  clusterRole('system:kubelet-api-admin', [
    allow(READ, CORE, 'nodes'),
    allow('proxy', CORE, 'nodes'),
    allow('*', CORE, 'nodes/log nodes/metrics nodes/proxy nodes/stats'),
    allow('*', CORE, 'nodes/configz nodes/healthz nodes/pods'),
  ]),
];

/** The control plane's own parts. */
const COMPONENTS: readonly rbacV1.ClusterRole[] = [
  clusterRole('system:heapster', [allow(READ, CORE, 'events namespaces nodes pods'), allow(READ, 'extensions', 'deployments')]),
  clusterRole('system:kube-aggregator', [allow(READ, CORE, 'endpoints services')]),
  clusterRole('system:kube-dns', [allow('list watch', CORE, 'endpoints services')]),
  clusterRole('system:kube-controller-manager', [
    EVENTS,
    allow('create', 'coordination.k8s.io', 'leases'),
    allow('get update', 'coordination.k8s.io', 'leases', 'kube-controller-manager'),
    allow('create', CORE, 'secrets serviceaccounts'),
    allow('delete', CORE, 'secrets'),
    allow('get', CORE, 'configmaps namespaces secrets serviceaccounts'),
    allow('update', CORE, 'secrets serviceaccounts'),
    allow('create', 'authentication.k8s.io', 'tokenreviews'),
    allow('create', 'authorization.k8s.io', 'subjectaccessreviews'),
    allow('list watch', '*', '*'),
    allow('create', CORE, 'serviceaccounts/token'),
  ]),
  clusterRole('system:kube-scheduler', [
    EVENTS,
    allow('create', 'coordination.k8s.io', 'leases'),
    allow('get list update watch', 'coordination.k8s.io', 'leases', 'kube-scheduler'),
    allow(READ_WRITE, 'coordination.k8s.io', 'leasecandidates'),
    allow(READ, CORE, 'nodes'),
    allow('delete get list watch', CORE, 'pods'),
    allow('create', CORE, 'bindings pods/binding'),
    allow('patch update', CORE, 'pods/status'),
    allow(READ, CORE, 'replicationcontrollers services'),
    allow(READ, 'apps extensions', 'replicasets'),
    allow(READ, 'apps', 'statefulsets'),
    allow(READ, 'policy', 'poddisruptionbudgets'),
    allow(READ, CORE, 'persistentvolumeclaims persistentvolumes'),
    allow('create', 'authentication.k8s.io', 'tokenreviews'),
    allow('create', 'authorization.k8s.io', 'subjectaccessreviews'),
    allow(READ, 'storage.k8s.io', 'csinodes'),
    allow(READ, 'storage.k8s.io', 'volumeattachments'),
    allow(READ, CORE, 'namespaces'),
    allow(READ, 'storage.k8s.io', 'csidrivers'),
    allow(READ, 'storage.k8s.io', 'csistoragecapacities'),
    allow(READ, 'resource.k8s.io', 'deviceclasses'),
    allow('get list patch update watch', 'resource.k8s.io', 'resourceclaims'),
    allow('get list patch update watch', 'resource.k8s.io', 'resourceclaims/status'),
    allow('update', CORE, 'pods/finalizers'),
    allow(READ, 'resource.k8s.io', 'resourceslices'),
    allow('create delete', 'resource.k8s.io', 'resourceclaims'),
    allow('patch update', 'resource.k8s.io', 'resourceclaims/binding'),
  ]),
  clusterRole('system:volume-scheduler', [
    allow('get list patch update watch', CORE, 'persistentvolumes'),
    allow(READ, 'storage.k8s.io', 'storageclasses'),
    allow('get list patch update watch', CORE, 'persistentvolumeclaims'),
  ]),
  clusterRole('system:persistent-volume-provisioner', [
    allow('create delete get list watch', CORE, 'persistentvolumes'),
    allow('get list update watch', CORE, 'persistentvolumeclaims'),
    allow(READ, 'storage.k8s.io', 'storageclasses'),
    allow('watch', CORE, 'events'),
    EVENTS,
  ]),
];

export const CLUSTER_ROLES: readonly rbacV1.ClusterRole[] = [...USER_FACING, ...DISCOVERY, ...SIGNING, ...NODES, ...COMPONENTS];
