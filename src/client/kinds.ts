/** Every resource that our own components use, with the type of its objects: `client.of(PODS).list()` gives Pods. */
import type * as apiregistration from '#api/gen/apiregistration-v1.ts';
import type * as apps from '#api/gen/apps-v1.ts';
import type * as autoscaling from '#api/gen/autoscaling-v2.ts';
import type * as batch from '#api/gen/batch-v1.ts';
import type * as certificates from '#api/gen/certificates-v1.ts';
import type * as certificatesBeta from '#api/gen/certificates-v1beta1.ts';
import type * as coordination from '#api/gen/coordination-v1.ts';
import type * as core from '#api/gen/core-v1.ts';
import type * as discovery from '#api/gen/discovery-v1.ts';
import type * as networking from '#api/gen/networking-v1.ts';
import type * as node from '#api/gen/node-v1.ts';
import type * as policy from '#api/gen/policy-v1.ts';
import type * as rbac from '#api/gen/rbac-v1.ts';
import type * as resource from '#api/gen/resource-v1.ts';
import type * as scheduling from '#api/gen/scheduling-v1.ts';
import type * as storage from '#api/gen/storage-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { resourceOf, type ResourceInfo } from '#api/resources.ts';

declare const objectType: unique symbol;
/** A row of the resource table that knows the type of its objects. */
export type KindRef<T extends KubeObject> = ResourceInfo & { readonly [objectType]?: T };

/** A typed row of the resource table. Throws when the table has none: a bug of the caller's. */
export function kind<T extends KubeObject>(group: string, version: string, plural: string): KindRef<T> {
  return resourceOf(group, version, plural);
}

export const CONFIG_MAPS = kind<core.ConfigMap>('', 'v1', 'configmaps');
export const ENDPOINTS = kind<core.Endpoints>('', 'v1', 'endpoints');
export const API_SERVICES = kind<apiregistration.APIService>('apiregistration.k8s.io', 'v1', 'apiservices');
export const EVENTS = kind<core.Event>('', 'v1', 'events');
export const LIMIT_RANGES = kind<core.LimitRange>('', 'v1', 'limitranges');
export const NAMESPACES = kind<core.Namespace>('', 'v1', 'namespaces');
export const NODES = kind<core.Node>('', 'v1', 'nodes');
export const PERSISTENT_VOLUMES = kind<core.PersistentVolume>('', 'v1', 'persistentvolumes');
export const PERSISTENT_VOLUME_CLAIMS = kind<core.PersistentVolumeClaim>('', 'v1', 'persistentvolumeclaims');
export const PODS = kind<core.Pod>('', 'v1', 'pods');
export const POD_TEMPLATES = kind<core.PodTemplate>('', 'v1', 'podtemplates');
export const REPLICATION_CONTROLLERS = kind<core.ReplicationController>('', 'v1', 'replicationcontrollers');
export const RESOURCE_QUOTAS = kind<core.ResourceQuota>('', 'v1', 'resourcequotas');
export const SECRETS = kind<core.Secret>('', 'v1', 'secrets');
export const SERVICE_ACCOUNTS = kind<core.ServiceAccount>('', 'v1', 'serviceaccounts');
export const SERVICES = kind<core.Service>('', 'v1', 'services');
export const CONTROLLER_REVISIONS = kind<apps.ControllerRevision>('apps', 'v1', 'controllerrevisions');
export const DAEMON_SETS = kind<apps.DaemonSet>('apps', 'v1', 'daemonsets');
export const DEPLOYMENTS = kind<apps.Deployment>('apps', 'v1', 'deployments');
export const REPLICA_SETS = kind<apps.ReplicaSet>('apps', 'v1', 'replicasets');
export const STATEFUL_SETS = kind<apps.StatefulSet>('apps', 'v1', 'statefulsets');
export const HORIZONTAL_POD_AUTOSCALERS = kind<autoscaling.HorizontalPodAutoscaler>('autoscaling', 'v2', 'horizontalpodautoscalers');
export const CRON_JOBS = kind<batch.CronJob>('batch', 'v1', 'cronjobs');
export const JOBS = kind<batch.Job>('batch', 'v1', 'jobs');
export const CERTIFICATE_SIGNING_REQUESTS = kind<certificates.CertificateSigningRequest>('certificates.k8s.io', 'v1', 'certificatesigningrequests');
export const CLUSTER_TRUST_BUNDLES = kind<certificatesBeta.ClusterTrustBundle>('certificates.k8s.io', 'v1beta1', 'clustertrustbundles');
export const POD_CERTIFICATE_REQUESTS = kind<certificatesBeta.PodCertificateRequest>('certificates.k8s.io', 'v1beta1', 'podcertificaterequests');
export const LEASES = kind<coordination.Lease>('coordination.k8s.io', 'v1', 'leases');
export const ENDPOINT_SLICES = kind<discovery.EndpointSlice>('discovery.k8s.io', 'v1', 'endpointslices');
export const INGRESSES = kind<networking.Ingress>('networking.k8s.io', 'v1', 'ingresses');
export const SERVICE_CIDRS = kind<networking.ServiceCIDR>('networking.k8s.io', 'v1', 'servicecidrs');
export const NETWORK_POLICIES = kind<networking.NetworkPolicy>('networking.k8s.io', 'v1', 'networkpolicies');
export const DEVICE_CLASSES = kind<resource.DeviceClass>('resource.k8s.io', 'v1', 'deviceclasses');
export const RESOURCE_CLAIMS = kind<resource.ResourceClaim>('resource.k8s.io', 'v1', 'resourceclaims');
export const RESOURCE_CLAIM_TEMPLATES = kind<resource.ResourceClaimTemplate>('resource.k8s.io', 'v1', 'resourceclaimtemplates');
export const RESOURCE_SLICES = kind<resource.ResourceSlice>('resource.k8s.io', 'v1', 'resourceslices');
export const RUNTIME_CLASSES = kind<node.RuntimeClass>('node.k8s.io', 'v1', 'runtimeclasses');
export const POD_DISRUPTION_BUDGETS = kind<policy.PodDisruptionBudget>('policy', 'v1', 'poddisruptionbudgets');
export const CLUSTER_ROLES = kind<rbac.ClusterRole>('rbac.authorization.k8s.io', 'v1', 'clusterroles');
export const CLUSTER_ROLE_BINDINGS = kind<rbac.ClusterRoleBinding>('rbac.authorization.k8s.io', 'v1', 'clusterrolebindings');
export const ROLES = kind<rbac.Role>('rbac.authorization.k8s.io', 'v1', 'roles');
export const ROLE_BINDINGS = kind<rbac.RoleBinding>('rbac.authorization.k8s.io', 'v1', 'rolebindings');
export const PRIORITY_CLASSES = kind<scheduling.PriorityClass>('scheduling.k8s.io', 'v1', 'priorityclasses');
export const CSI_DRIVERS = kind<storage.CSIDriver>('storage.k8s.io', 'v1', 'csidrivers');
export const CSI_NODES = kind<storage.CSINode>('storage.k8s.io', 'v1', 'csinodes');
export const STORAGE_CLASSES = kind<storage.StorageClass>('storage.k8s.io', 'v1', 'storageclasses');
export const VOLUME_ATTACHMENTS = kind<storage.VolumeAttachment>('storage.k8s.io', 'v1', 'volumeattachments');
export const VOLUME_ATTRIBUTES_CLASSES = kind<storage.VolumeAttributesClass>('storage.k8s.io', 'v1', 'volumeattributesclasses');
