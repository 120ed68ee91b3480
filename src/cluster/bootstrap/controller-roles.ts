/** One cluster role for each controller, bound to a service account of its name in kube-system. Source: as `cluster-roles.ts`. */
import type * as rbacV1 from '#api/gen/rbac-v1.ts';
import { allow, clusterRole, clusterRoleBinding, CORE, EVENTS, READ, serviceAccount } from './rbac-notation.ts';

const APPS = 'apps extensions';
const PREFIX = 'system:controller:';

const ROLES: Readonly<Record<string, readonly rbacV1.PolicyRule[]>> = {
  'attachdetach-controller': [
    allow('list watch', CORE, 'persistentvolumeclaims persistentvolumes'), allow(READ, CORE, 'nodes'), allow('patch update', CORE, 'nodes/status'), allow('list watch', CORE, 'pods'), EVENTS,
    allow('create delete get list watch', 'storage.k8s.io', 'volumeattachments'), allow(READ, 'storage.k8s.io', 'csidrivers'), allow(READ, 'storage.k8s.io', 'csinodes'),
  ],
  'certificate-controller': [
    allow('delete get list watch', 'certificates.k8s.io', 'certificatesigningrequests'), allow('update', 'certificates.k8s.io', 'certificatesigningrequests/approval certificatesigningrequests/status'),
    allow('approve', 'certificates.k8s.io', 'signers', 'kubernetes.io/kube-apiserver-client-kubelet'),
    allow('sign', 'certificates.k8s.io', 'signers', 'kubernetes.io/kube-apiserver-client kubernetes.io/kube-apiserver-client-kubelet kubernetes.io/kubelet-serving kubernetes.io/legacy-unknown'),
    allow('create', 'authorization.k8s.io', 'subjectaccessreviews'), EVENTS,
  ],
  'clusterrole-aggregation-controller': [allow('escalate get list patch update watch', 'rbac.authorization.k8s.io', 'clusterroles')],
  'cronjob-controller': [
    allow('get list update watch', 'batch', 'cronjobs'), allow('create delete get list patch update watch', 'batch', 'jobs'), allow('update', 'batch', 'cronjobs/status'), allow('update', 'batch', 'cronjobs/finalizers'),
    allow('delete list watch', CORE, 'pods'), EVENTS,
  ],
  'daemon-set-controller': [
    allow(READ, APPS, 'daemonsets'), allow('update', APPS, 'daemonsets/status'), allow('update', APPS, 'daemonsets/finalizers'), allow('list watch', CORE, 'nodes'),
    allow('create delete list patch watch', CORE, 'pods'), allow('create', CORE, 'pods/binding'), allow('create delete get list patch update watch', 'apps', 'controllerrevisions'), EVENTS,
  ],
  'deployment-controller': [
    allow('get list update watch', APPS, 'deployments'), allow('update', APPS, 'deployments/status'), allow('update', APPS, 'deployments/finalizers'),
    allow('create delete get list patch update watch', APPS, 'replicasets'), allow('get list update watch', CORE, 'pods'), EVENTS,
  ],
  'device-taint-eviction-controller': [
    allow('delete get list watch', CORE, 'pods'), allow('patch update', CORE, 'pods/status'), allow(READ, 'resource.k8s.io', 'resourceclaims'), allow(READ, 'resource.k8s.io', 'resourceslices'),
    allow(READ, 'resource.k8s.io', 'deviceclasses'), EVENTS,
  ],
  'disruption-controller': [
    allow(READ, APPS, 'deployments'), allow(READ, APPS, 'replicasets'), allow(READ, CORE, 'replicationcontrollers'), allow(READ, 'policy', 'poddisruptionbudgets'), allow(READ, 'apps', 'statefulsets'),
    allow('update', 'policy', 'poddisruptionbudgets/status'), allow('patch update', CORE, 'pods/status'), allow('get', '*', '*/scale'), EVENTS,
  ],
  'endpoint-controller': [allow(READ, CORE, 'pods services'), allow('create delete get list update watch', CORE, 'endpoints'), allow('create', CORE, 'endpoints/restricted'), EVENTS],
  'endpointslice-controller': [allow(READ, CORE, 'nodes pods services'), allow('update', CORE, 'services/finalizers'), allow('create delete get list update watch', 'discovery.k8s.io', 'endpointslices'), allow('create', 'discovery.k8s.io', 'endpointslices/restricted'), EVENTS],
  'endpointslicemirroring-controller': [
    allow(READ, CORE, 'endpoints services'), allow('update', CORE, 'services/finalizers'), allow('update', CORE, 'endpoints/finalizers'), allow('create delete get list update watch', 'discovery.k8s.io', 'endpointslices'),
    allow('create', 'discovery.k8s.io', 'endpointslices/restricted'), EVENTS,
  ],
  'ephemeral-volume-controller': [allow(READ, CORE, 'pods'), allow('update', CORE, 'pods/finalizers'), allow('create get list watch', CORE, 'persistentvolumeclaims'), EVENTS],
  'expand-controller': [
    allow('get list patch update watch', CORE, 'persistentvolumes'), allow('patch update', CORE, 'persistentvolumeclaims/status'), allow(READ, CORE, 'persistentvolumeclaims'), EVENTS,
  ],
  'generic-garbage-collector': [allow('delete get list patch update watch', '*', '*'), EVENTS],
  'horizontal-pod-autoscaler': [
    allow(READ, 'autoscaling', 'horizontalpodautoscalers'), allow('update', 'autoscaling', 'horizontalpodautoscalers/status'), allow('get update', '*', '*/scale'), allow('list watch', CORE, 'pods'),
    allow('list watch', 'metrics.k8s.io', 'pods'), allow(READ, 'custom.metrics.k8s.io', '*'), allow(READ, 'external.metrics.k8s.io', '*'), EVENTS,
  ],
  'job-controller': [
    allow('get list patch update watch', 'batch', 'jobs'), allow('update', 'batch', 'jobs/status'), allow('update', 'batch', 'jobs/finalizers'), allow('create delete list patch watch', CORE, 'pods'), EVENTS,
  ],
  'kube-apiserver-serving-clustertrustbundle-publisher': [
    allow('attest', 'certificates.k8s.io', 'signers', 'kubernetes.io/kube-apiserver-serving'), allow('create delete list update watch', 'certificates.k8s.io', 'clustertrustbundles'), EVENTS,
  ],
  'legacy-service-account-token-cleaner': [allow('get', CORE, 'configmaps', 'kube-apiserver-legacy-service-account-token-tracking'), allow('delete patch', CORE, 'secrets')],
  'local-path-provisioner': [
    allow('create delete get list patch watch', CORE, 'persistentvolumes'), allow('get list update watch', CORE, 'persistentvolumeclaims'), allow('update', CORE, 'persistentvolumeclaims/status'),
    allow(READ, 'storage.k8s.io', 'storageclasses'), allow(READ, CORE, 'nodes'), EVENTS,
  ],
  'namespace-controller': [allow('delete get list watch', CORE, 'namespaces'), allow('update', CORE, 'namespaces/finalize namespaces/status'), allow('delete deletecollection get list watch', '*', '*')],
  'node-controller': [
    allow('delete get list patch update watch', CORE, 'nodes'), allow('patch update', CORE, 'nodes/status'), allow('patch update', CORE, 'pods/status'), allow('delete get list watch', CORE, 'pods'), EVENTS,
  ],
  'persistent-volume-binder': [
    allow('create delete get list update watch', CORE, 'persistentvolumes'), allow('update', CORE, 'persistentvolumes/status'), allow('get list update watch', CORE, 'persistentvolumeclaims'),
    allow('update', CORE, 'persistentvolumeclaims/status'), allow('create delete get list watch', CORE, 'pods'), allow(READ, 'storage.k8s.io', 'storageclasses'), allow('list watch', CORE, 'nodes'), EVENTS,
    allow('watch', CORE, 'events'),
  ],
  'pod-garbage-collector': [allow('delete list watch', CORE, 'pods'), allow(READ, CORE, 'nodes'), allow('patch', CORE, 'pods/status')],
  'podcertificaterequestcleaner': [allow('delete get list watch', 'certificates.k8s.io', 'podcertificaterequests')],
  'podyard-serving-approver': [
    allow(READ, 'certificates.k8s.io', 'certificatesigningrequests'), allow('update', 'certificates.k8s.io', 'certificatesigningrequests/approval'),
    allow('approve', 'certificates.k8s.io', 'signers', 'kubernetes.io/kubelet-serving'), allow(READ, CORE, 'nodes'), EVENTS,
  ],
  'pv-protection-controller': [allow('get list update watch', CORE, 'persistentvolumes'), EVENTS],
  'pvc-protection-controller': [allow('get list update watch', CORE, 'persistentvolumeclaims'), allow('update', CORE, 'persistentvolumeclaims/status'), allow(READ, CORE, 'pods'), EVENTS],
  'replicaset-controller': [
    allow('get list update watch', APPS, 'replicasets'), allow('update', APPS, 'replicasets/status'), allow('update', APPS, 'replicasets/finalizers'), allow('create delete list patch watch', CORE, 'pods'), EVENTS,
  ],
  'replication-controller': [
    allow('get list update watch', CORE, 'replicationcontrollers'), allow('update', CORE, 'replicationcontrollers/status'), allow('update', CORE, 'replicationcontrollers/finalizers'),
    allow('create delete list patch watch', CORE, 'pods'), EVENTS,
  ],
  'resource-claim-controller': [
    allow(READ, CORE, 'pods'), allow('update', CORE, 'pods/finalizers'), allow('create delete get list watch', 'resource.k8s.io', 'resourceclaims'),
    allow('patch update', 'resource.k8s.io', 'resourceclaims resourceclaims/status'), allow('patch update', CORE, 'pods/status'), EVENTS,
    allow('patch update', 'resource.k8s.io', 'resourceclaims/binding'),
  ],
  'resourcequota-controller': [allow('list watch', '*', '*'), allow('update', CORE, 'resourcequotas/status'), EVENTS],
  'root-ca-cert-publisher': [allow('create update', CORE, 'configmaps'), EVENTS],
  'route-controller': [allow('list watch', CORE, 'nodes'), allow('patch', CORE, 'nodes/status'), EVENTS],
  'selinux-warning-controller': [EVENTS, allow(READ, CORE, 'persistentvolumes'), allow(READ, CORE, 'persistentvolumeclaims'), allow(READ, CORE, 'pods'), allow(READ, 'storage.k8s.io', 'csidrivers')],
  'service-account-controller': [allow('create', CORE, 'serviceaccounts'), EVENTS],
  'service-cidrs-controller': [
    allow('get list patch update watch', 'networking.k8s.io', 'servicecidrs'), allow('patch update', 'networking.k8s.io', 'servicecidrs/finalizers'), allow('patch update', 'networking.k8s.io', 'servicecidrs/status'),
    allow(READ, 'networking.k8s.io', 'ipaddresses'), EVENTS,
  ],
  'service-controller': [allow(READ, CORE, 'services'), allow('patch update', CORE, 'services/status'), allow('list watch', CORE, 'nodes'), EVENTS],
  'statefulset-controller': [
    allow('list watch', CORE, 'pods'), allow(READ, 'apps', 'statefulsets'), allow('update', 'apps', 'statefulsets/status'), allow('update', 'apps', 'statefulsets/finalizers'),
    allow('create delete get patch update', CORE, 'pods'), allow('create delete get list patch update watch', 'apps', 'controllerrevisions'), allow('create get list watch', CORE, 'persistentvolumeclaims'),
    allow('delete update', CORE, 'persistentvolumeclaims'), allow('update', CORE, 'pods/finalizers'), EVENTS,
  ],
  'ttl-after-finished-controller': [allow('delete get list watch', 'batch', 'jobs'), EVENTS],
  'ttl-controller': [allow('list patch update watch', CORE, 'nodes'), EVENTS],
  'validatingadmissionpolicy-status-controller': [
    allow(READ, 'admissionregistration.k8s.io', 'validatingadmissionpolicies'), allow('get patch update', 'admissionregistration.k8s.io', 'validatingadmissionpolicies/status'), EVENTS,
  ],
  'volumeattributesclass-protection-controller': [allow(READ, CORE, 'persistentvolumeclaims'), allow(READ, CORE, 'persistentvolumes'), allow('get list update watch', 'storage.k8s.io', 'volumeattributesclasses'), EVENTS],
};

export const CONTROLLER_ROLES: readonly rbacV1.ClusterRole[] = Object.entries(ROLES).map(([name, rules]) => clusterRole(PREFIX + name, rules));
export const CONTROLLER_ROLE_BINDINGS: readonly rbacV1.ClusterRoleBinding[] = Object.keys(ROLES).map((name) => clusterRoleBinding(PREFIX + name, [serviceAccount('kube-system', name)]));
