/**
 * The table of resources that release 1.36 serves in its stable groups, and of those that it serves on demand: the one place that
 * names them. Discovery, routing, RBAC's view of the API, kubectl's mapper and the garbage collector all read it.
 */

export const ALL_VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'] as const;
export interface Subresource {
  readonly name: string;
  /** Kind of the request's body (or of the answer where there is no body). */
  readonly kind: string;
  /** Group and version of {@link kind} where they are not those of the resource. */
  readonly group?: string;
  readonly version?: string;
  readonly verbs: readonly string[];
}

export interface ResourceInfo {
  readonly group: string;
  readonly version: string;
  /** Plural name in paths: `pods`. */
  readonly plural: string;
  readonly singular: string;
  readonly kind: string;
  /** Kind of a list: `PodList`. */
  readonly listKind: string;
  readonly namespaced: boolean;
  /** Sorted, as discovery prints them. Resources that are not stored (reviews) have `create` alone. */
  readonly verbs: readonly string[];
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly subresources: readonly Subresource[];
  /** Stored with another group's resource: events of `events.k8s.io` are the core ones. `group/plural`. */
  readonly storedAs?: string;
  /** The version of the same kind, field for field, that is stored instead of this one. */
  readonly sameAs?: string;
}

interface Row {
  /** Short names, space-separated. */
  readonly s?: string;
  /** Categories, space-separated. */
  readonly c?: string;
  readonly verbs?: readonly string[];
  readonly sub?: readonly Subresource[];
  readonly cluster?: boolean;
  readonly singular?: string;
  readonly storedAs?: string;
}

const STATUS_VERBS = ['get', 'patch', 'update'];
const CREATE_ONLY = ['create'];
const CONNECT = ['create', 'get'];
const PROXY_VERBS = ['create', 'delete', 'get', 'patch', 'update'];
const status = (kind: string): Subresource => ({ name: 'status', kind, verbs: STATUS_VERBS });
const scale: Subresource = { name: 'scale', kind: 'Scale', group: 'autoscaling', version: 'v1', verbs: STATUS_VERBS };
const proxy = (kind: string): Subresource => ({ name: 'proxy', kind, verbs: PROXY_VERBS });
const CLUSTER = { cluster: true } as const;

function group(name: string, version: string, rows: Readonly<Record<string, [kind: string, row?: Row]>>): ResourceInfo[] {
  return Object.entries(rows).map(([plural, [kind, row = {}]]) => ({
    group: name,
    version,
    plural,
    singular: row.singular ?? kind.toLowerCase(),
    kind,
    listKind: `${kind}List`,
    namespaced: !row.cluster,
    verbs: row.verbs ?? ALL_VERBS,
    shortNames: row.s?.split(' ') ?? [],
    categories: row.c?.split(' ') ?? [],
    subresources: row.sub ?? [],
    ...(row.storedAs ? { storedAs: row.storedAs } : {}),
  }));
}

const POD_SUBRESOURCES: readonly Subresource[] = [
  { name: 'attach', kind: 'PodAttachOptions', verbs: CONNECT },
  { name: 'binding', kind: 'Binding', verbs: CREATE_ONLY },
  { name: 'ephemeralcontainers', kind: 'Pod', verbs: STATUS_VERBS },
  { name: 'eviction', kind: 'Eviction', group: 'policy', version: 'v1', verbs: CREATE_ONLY },
  { name: 'exec', kind: 'PodExecOptions', verbs: CONNECT },
  { name: 'log', kind: 'Pod', verbs: ['get'] },
  { name: 'portforward', kind: 'PodPortForwardOptions', verbs: CONNECT },
  proxy('PodProxyOptions'),
  { name: 'resize', kind: 'Pod', verbs: STATUS_VERBS },
  status('Pod'),
];

/** Every resource that is served by default, in discovery's order of groups. */
export const RESOURCES: readonly ResourceInfo[] = [
  ...group('', 'v1', {
    bindings: ['Binding', { verbs: CREATE_ONLY }],
    componentstatuses: ['ComponentStatus', { cluster: true, s: 'cs', verbs: ['get', 'list'] }],
    configmaps: ['ConfigMap', { s: 'cm' }],
    endpoints: ['Endpoints', { s: 'ep', singular: 'endpoints' }],
    events: ['Event', { s: 'ev' }],
    limitranges: ['LimitRange', { s: 'limits' }],
    namespaces: ['Namespace', { cluster: true, s: 'ns', verbs: ALL_VERBS.filter((v) => v !== 'deletecollection'), sub: [{ name: 'finalize', kind: 'Namespace', verbs: ['update'] }, status('Namespace')] }],
    nodes: ['Node', { cluster: true, s: 'no', sub: [proxy('NodeProxyOptions'), status('Node')] }],
    persistentvolumeclaims: ['PersistentVolumeClaim', { s: 'pvc', sub: [status('PersistentVolumeClaim')] }],
    persistentvolumes: ['PersistentVolume', { cluster: true, s: 'pv', sub: [status('PersistentVolume')] }],
    pods: ['Pod', { s: 'po', c: 'all', sub: POD_SUBRESOURCES }],
    podtemplates: ['PodTemplate'],
    replicationcontrollers: ['ReplicationController', { s: 'rc', c: 'all', sub: [scale, status('ReplicationController')] }],
    resourcequotas: ['ResourceQuota', { s: 'quota', sub: [status('ResourceQuota')] }],
    secrets: ['Secret'],
    serviceaccounts: ['ServiceAccount', { s: 'sa', sub: [{ name: 'token', kind: 'TokenRequest', group: 'authentication.k8s.io', version: 'v1', verbs: CREATE_ONLY }] }],
    services: ['Service', { s: 'svc', c: 'all', sub: [proxy('ServiceProxyOptions'), status('Service')] }],
  }),
  ...group('apiregistration.k8s.io', 'v1', { apiservices: ['APIService', { cluster: true, c: 'api-extensions', sub: [status('APIService')] }] }),
  ...group('apps', 'v1', {
    controllerrevisions: ['ControllerRevision'],
    daemonsets: ['DaemonSet', { s: 'ds', c: 'all', sub: [status('DaemonSet')] }],
    deployments: ['Deployment', { s: 'deploy', c: 'all', sub: [scale, status('Deployment')] }],
    replicasets: ['ReplicaSet', { s: 'rs', c: 'all', sub: [scale, status('ReplicaSet')] }],
    statefulsets: ['StatefulSet', { s: 'sts', c: 'all', sub: [scale, status('StatefulSet')] }],
  }),
  ...group('events.k8s.io', 'v1', { events: ['Event', { s: 'ev', storedAs: '/events' }] }),
  ...group('authentication.k8s.io', 'v1', {
    selfsubjectreviews: ['SelfSubjectReview', { cluster: true, verbs: CREATE_ONLY }],
    tokenreviews: ['TokenReview', { cluster: true, verbs: CREATE_ONLY }],
  }),
  ...group('authorization.k8s.io', 'v1', {
    localsubjectaccessreviews: ['LocalSubjectAccessReview', { verbs: CREATE_ONLY }],
    selfsubjectaccessreviews: ['SelfSubjectAccessReview', { cluster: true, verbs: CREATE_ONLY }],
    selfsubjectrulesreviews: ['SelfSubjectRulesReview', { cluster: true, verbs: CREATE_ONLY }],
    subjectaccessreviews: ['SubjectAccessReview', { cluster: true, verbs: CREATE_ONLY }],
  }),
  ...group('autoscaling', 'v2', { horizontalpodautoscalers: ['HorizontalPodAutoscaler', { s: 'hpa', c: 'all', sub: [status('HorizontalPodAutoscaler')] }] }),
  ...group('autoscaling', 'v1', { horizontalpodautoscalers: ['HorizontalPodAutoscaler', { s: 'hpa', c: 'all', sub: [status('HorizontalPodAutoscaler')] }] }),
  ...group('batch', 'v1', {
    cronjobs: ['CronJob', { s: 'cj', c: 'all', sub: [status('CronJob')] }],
    jobs: ['Job', { c: 'all', sub: [status('Job')] }],
  }),
  ...group('certificates.k8s.io', 'v1', {
    certificatesigningrequests: ['CertificateSigningRequest', { cluster: true, s: 'csr', sub: [{ name: 'approval', kind: 'CertificateSigningRequest', verbs: STATUS_VERBS }, status('CertificateSigningRequest')] }],
  }),
  ...group('networking.k8s.io', 'v1', {
    ingressclasses: ['IngressClass', CLUSTER],
    ingresses: ['Ingress', { s: 'ing', sub: [status('Ingress')] }],
    ipaddresses: ['IPAddress', { cluster: true, s: 'ip' }],
    networkpolicies: ['NetworkPolicy', { s: 'netpol' }],
    servicecidrs: ['ServiceCIDR', { cluster: true, sub: [status('ServiceCIDR')] }],
  }),
  ...group('policy', 'v1', { poddisruptionbudgets: ['PodDisruptionBudget', { s: 'pdb', sub: [status('PodDisruptionBudget')] }] }),
  ...group('rbac.authorization.k8s.io', 'v1', {
    clusterrolebindings: ['ClusterRoleBinding', CLUSTER],
    clusterroles: ['ClusterRole', CLUSTER],
    rolebindings: ['RoleBinding'],
    roles: ['Role'],
  }),
  ...group('storage.k8s.io', 'v1', {
    csidrivers: ['CSIDriver', CLUSTER],
    csinodes: ['CSINode', CLUSTER],
    csistoragecapacities: ['CSIStorageCapacity'],
    storageclasses: ['StorageClass', { cluster: true, s: 'sc' }],
    volumeattachments: ['VolumeAttachment', { cluster: true, sub: [status('VolumeAttachment')] }],
    volumeattributesclasses: ['VolumeAttributesClass', { cluster: true, s: 'vac' }],
  }),
  ...group('admissionregistration.k8s.io', 'v1', {
    mutatingadmissionpolicies: ['MutatingAdmissionPolicy', { cluster: true, c: 'api-extensions' }],
    mutatingadmissionpolicybindings: ['MutatingAdmissionPolicyBinding', { cluster: true, c: 'api-extensions' }],
    mutatingwebhookconfigurations: ['MutatingWebhookConfiguration', { cluster: true, c: 'api-extensions' }],
    validatingadmissionpolicies: ['ValidatingAdmissionPolicy', { cluster: true, c: 'api-extensions', sub: [status('ValidatingAdmissionPolicy')] }],
    validatingadmissionpolicybindings: ['ValidatingAdmissionPolicyBinding', { cluster: true, c: 'api-extensions' }],
    validatingwebhookconfigurations: ['ValidatingWebhookConfiguration', { cluster: true, c: 'api-extensions' }],
  }),
  ...group('apiextensions.k8s.io', 'v1', {
    customresourcedefinitions: ['CustomResourceDefinition', { cluster: true, s: 'crd crds', c: 'api-extensions', sub: [status('CustomResourceDefinition')] }],
  }),
  ...group('scheduling.k8s.io', 'v1', { priorityclasses: ['PriorityClass', { cluster: true, s: 'pc' }] }),
  ...group('coordination.k8s.io', 'v1', { leases: ['Lease'] }),
  ...group('node.k8s.io', 'v1', { runtimeclasses: ['RuntimeClass', CLUSTER] }),
  ...group('discovery.k8s.io', 'v1', { endpointslices: ['EndpointSlice'] }),
  ...group('flowcontrol.apiserver.k8s.io', 'v1', {
    flowschemas: ['FlowSchema', { cluster: true, sub: [status('FlowSchema')] }],
    prioritylevelconfigurations: ['PriorityLevelConfiguration', { cluster: true, sub: [status('PriorityLevelConfiguration')] }],
  }),
  ...group('resource.k8s.io', 'v1', {
    deviceclasses: ['DeviceClass', CLUSTER],
    resourceclaims: ['ResourceClaim', { sub: [status('ResourceClaim')] }],
    resourceclaimtemplates: ['ResourceClaimTemplate'],
    resourceslices: ['ResourceSlice', CLUSTER],
  }),
];

/** Older versions of kinds of the table above that have not changed since. */
function sameKinds(name: string, version: string, sameAs: string, ...plurals: readonly string[]): ResourceInfo[] {
  return RESOURCES.filter((r) => r.group === name && r.version === sameAs && plurals.includes(r.plural)).map((r) => ({ ...r, version, sameAs }));
}
/** Versions that are off by default, as upstream has them, and served when `--runtime-config` asks for them. */
export const OPTIONAL_RESOURCES: readonly ResourceInfo[] = [
  ...group('certificates.k8s.io', 'v1beta1', {
    clustertrustbundles: ['ClusterTrustBundle', CLUSTER],
    podcertificaterequests: ['PodCertificateRequest', { sub: [status('PodCertificateRequest')] }],
  }),
  ...sameKinds('networking.k8s.io', 'v1beta1', 'v1', 'ipaddresses', 'servicecidrs'),
  ...sameKinds('storage.k8s.io', 'v1beta1', 'v1', 'volumeattributesclasses'),
  ...sameKinds('admissionregistration.k8s.io', 'v1beta1', 'v1', 'mutatingadmissionpolicies', 'mutatingadmissionpolicybindings', 'validatingadmissionpolicies', 'validatingadmissionpolicybindings'),
  ...sameKinds('resource.k8s.io', 'v1beta2', 'v1', 'deviceclasses', 'resourceclaims', 'resourceclaimtemplates', 'resourceslices'),
];
export const ALL_RESOURCES: readonly ResourceInfo[] = [...RESOURCES, ...OPTIONAL_RESOURCES];

const index = new Map(ALL_RESOURCES.map((r) => [`${r.group}/${r.version}/${r.plural}`, r]));
/** The resource served at a group, version and plural; undefined when the table has none. */
export function findResource(groupName: string, version: string, plural: string): ResourceInfo | undefined {
  return index.get(`${groupName}/${version}/${plural}`);
}
/** The same, for names in our own code: throws when the table has none. */
export function resourceOf(groupName: string, version: string, plural: string): ResourceInfo {
  const info = findResource(groupName, version, plural);
  if (!info) throw new Error(`resource "${groupName}/${version}/${plural}" is not in the resource table`);
  return info;
}

/** Resources, `group/plural`, whose delete answers with the object as it was and not with a Status, in every version. */
const RETURN_DELETED = new Set([
  '/persistentvolumeclaims', '/persistentvolumes', '/pods', '/podtemplates', '/resourcequotas', '/serviceaccounts', '/services',
  'resource.k8s.io/deviceclasses', 'resource.k8s.io/resourceclaims', 'resource.k8s.io/resourceclaimtemplates', 'resource.k8s.io/resourceslices',
  'storage.k8s.io/csidrivers', 'storage.k8s.io/csinodes', 'storage.k8s.io/storageclasses', 'storage.k8s.io/volumeattachments', 'storage.k8s.io/volumeattributesclasses',
]);
/** What a delete answers once the object is gone, as the API reference tells of each operation: the object, or a Status. */
export function returnsDeletedObject(resource: Pick<ResourceInfo, 'group' | 'plural'>): boolean {
  return RETURN_DELETED.has(`${resource.group}/${resource.plural}`);
}
