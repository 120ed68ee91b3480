/** The table of controllers: what runs in a kube-controller-manager. A new controller is a row here. */
import type { ResourceInfo } from '#api/resources.ts';
import type { Clock } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import type { Registry } from '#base/metrics.ts';
import type { Client } from '#client/client.ts';
import { CLUSTER_TRUST_BUNDLES, POD_CERTIFICATE_REQUESTS } from '#client/kinds.ts';
import { EventSender } from '#client/event-sender.ts';
import { InformerFactory } from '#client/informer.ts';
import { newAttachDetachController } from '#controllers/attachdetach/attachdetach.ts';
import { newBootstrapSigner } from '#controllers/bootstrap-signer/bootstrap-signer.ts';
import { newCsrApprovingController } from '#controllers/certificatesigningrequest/approving.ts';
import { newCsrCleanerController } from '#controllers/certificatesigningrequest/cleaning.ts';
import { newServingApprover } from '#controllers/certificatesigningrequest/serving-approval.ts';
import type { ReservedNames } from '#controllers/certificatesigningrequest/serving-rules.ts';
import type { CertificateSigner } from '#controllers/certificatesigningrequest/signer-rules.ts';
import { newCsrSigningController } from '#controllers/certificatesigningrequest/signing.ts';
import { newClusterRoleAggregationController } from '#controllers/clusterrole-aggregation/clusterrole-aggregation.ts';
import type { ControllerContext } from '#controllers/controller.ts';
import { newDaemonSetController } from '#controllers/daemonset/daemonset.ts';
import { newCronJobController } from '#controllers/cronjob/cronjob.ts';
import { newDeploymentController } from '#controllers/deployment/deployment.ts';
import { newDeviceTaintEvictionController } from '#controllers/device-taint-eviction/device-taint-eviction.ts';
import { newDisruptionController } from '#controllers/disruption/disruption.ts';
import { newEndpointsController } from '#controllers/endpoints/endpoints.ts';
import { newEndpointSliceController } from '#controllers/endpointslice/endpointslice.ts';
import { newEndpointSliceMirroringController } from '#controllers/endpointslicemirroring/endpointslicemirroring.ts';
import { newEphemeralVolumeController } from '#controllers/ephemeral-volume/ephemeral-volume.ts';
import { newGarbageCollector } from '#controllers/garbage-collector/garbage-collector.ts';
import { newHorizontalPodAutoscaler } from '#controllers/horizontal-pod-autoscaler/horizontal-pod-autoscaler.ts';
import { newJobController } from '#controllers/job/job.ts';
import { newServingTrustBundlePublisher } from '#controllers/kube-apiserver-serving-clustertrustbundle-publisher/kube-apiserver-serving-clustertrustbundle-publisher.ts';
import { newLegacyTokenCleaner } from '#controllers/legacy-serviceaccount-token-cleaner/legacy-serviceaccount-token-cleaner.ts';
import { newNamespaceController } from '#controllers/namespace/namespace.ts';
import { newNodeIpamController } from '#controllers/node-ipam/node-ipam.ts';
import { newNodeLifecycleController } from '#controllers/node-lifecycle/node-lifecycle.ts';
import { newLocalPathProvisioner, type NodeStorage } from '#controllers/persistentvolume-binder/local-path.ts';
import { newLocalPathResizer } from '#controllers/persistentvolume-binder/local-path-resizer.ts';
import { newPersistentVolumeBinder } from '#controllers/persistentvolume-binder/persistentvolume-binder.ts';
import { newPersistentVolumeExpander } from '#controllers/persistentvolume-expander/persistentvolume-expander.ts';
import { newPodGarbageCollector } from '#controllers/pod-garbage-collector/pod-gc.ts';
import { newPodCertificateRequestCleaner } from '#controllers/podcertificaterequest-cleaner/podcertificaterequest-cleaner.ts';
import { newPvProtectionController } from '#controllers/pv-protection/pv-protection.ts';
import { newPvcProtectionController } from '#controllers/pvc-protection/pvc-protection.ts';
import { newReplicaSetController } from '#controllers/replicaset/replicaset.ts';
import { newReplicationController } from '#controllers/replicationcontroller/replicationcontroller.ts';
import { newResourceClaimController } from '#controllers/resourceclaim/resourceclaim.ts';
import { newResourceQuotaController } from '#controllers/resourcequota/resourcequota.ts';
import { newRootCaPublisher } from '#controllers/root-ca-certificate-publisher/root-ca-publisher.ts';
import { newServiceCidrController } from '#controllers/service-cidr/service-cidr.ts';
import { newServiceAccountTokenController } from '#controllers/serviceaccount-token/serviceaccount-token.ts';
import { newServiceAccountController } from '#controllers/serviceaccount/service-account.ts';
import { newStatefulSetController } from '#controllers/statefulset/statefulset.ts';
import { newTaintEvictionController } from '#controllers/taint-eviction/taint-eviction.ts';
import { newTokenCleaner } from '#controllers/token-cleaner/token-cleaner.ts';
import { newTtlController } from '#controllers/ttl/ttl.ts';
import { newTtlAfterFinishedController } from '#controllers/ttl-after-finished/ttl-after-finished.ts';
import { newValidatingAdmissionPolicyStatus } from '#controllers/validatingadmissionpolicy-status/validatingadmissionpolicy-status.ts';
import { newVolumeAttributesClassProtectionController } from '#controllers/volumeattributesclass-protection/volumeattributesclass-protection.ts';
import type { UserInfo } from '#apiserver/interfaces.ts';
import type { ResourceRegistry } from '#apiserver/registry/resource-registry.ts';
import { componentUser, serviceAccountUser } from './in-process-transport.ts';
import { policyTypeChecker } from './policy/type-checker.ts';
import { servedResources } from './served-resources.ts';

export interface ControllerManagerOptions {
  /** A client that acts as a user: the informers' own, or a controller's service account. What it writes is that of the agent's name up to a slash. */
  clientAs(user: UserInfo, userAgent: string): Client;
  readonly clock: Clock;
  readonly resources: ResourceRegistry;
  readonly metrics: Registry;
  /** PEM of the authority that signs the API server's certificate. */
  readonly rootCa: string;
  readonly clusterCIDR: string;
  readonly signer: CertificateSigner;
  /** Names and addresses for which no node gets a serving certificate by itself. */
  readonly reservedNames: ReservedNames;
  /** Signs the tokens of secrets. */
  signToken(claims: Readonly<Record<string, string>>): Promise<string>;
  /** Where the built-in provisioner makes volumes. */
  readonly nodeStorage: NodeStorage;
}
const MANAGER = 'system:kube-controller-manager';
/** Name of the service account in kube-system that the controller acts as (upstream's), or the manager's own user; how it is made; and the resource that it is of no use without. */
type Row = readonly [account: string, create: (context: ControllerContext, options: ControllerManagerOptions) => Component, needs?: ResourceInfo];

/** As upstream's controllers name themselves: what they write is the manager's, whichever of them wrote it. The provisioner is a program of its own. */
function agentOf(account: string): string {
  return account === 'local-path-provisioner' ? account : account === MANAGER ? 'kube-controller-manager' : `kube-controller-manager/system:serviceaccount:kube-system:${account}`;
}
const CONTROLLERS: readonly Row[] = [
  ['service-account-controller', (c) => newServiceAccountController(c)],
  ['root-ca-cert-publisher', (c, o) => newRootCaPublisher(c, o.rootCa)],
  ['namespace-controller', (c) => newNamespaceController(c)],
  ['endpoint-controller', (c) => newEndpointsController(c)],
  ['endpointslice-controller', (c) => newEndpointSliceController(c)],
  ['endpointslicemirroring-controller', (c) => newEndpointSliceMirroringController(c)],
  ['service-cidrs-controller', (c) => newServiceCidrController(c)],
  ['generic-garbage-collector', (c) => newGarbageCollector(c)],
  ['pod-garbage-collector', (c) => newPodGarbageCollector(c)],
  ['node-controller', (c, o) => newNodeIpamController(c, o)],
  ['node-controller', (c) => newNodeLifecycleController(c)],
  ['node-controller', (c) => newTaintEvictionController(c)],
  ['clusterrole-aggregation-controller', (c) => newClusterRoleAggregationController(c)],
  ['daemon-set-controller', (c) => newDaemonSetController(c)],
  ['deployment-controller', (c) => newDeploymentController(c)],
  ['replicaset-controller', (c) => newReplicaSetController(c)],
  ['statefulset-controller', (c) => newStatefulSetController(c)],
  ['job-controller', (c) => newJobController(c)],
  ['cronjob-controller', (c) => newCronJobController(c)],
  ['ttl-controller', (c) => newTtlController(c)],
  ['ttl-after-finished-controller', (c) => newTtlAfterFinishedController(c)],
  ['device-taint-eviction-controller', (c) => newDeviceTaintEvictionController(c)],
  ['resource-claim-controller', (c) => newResourceClaimController(c)],
  ['resourcequota-controller', (c) => newResourceQuotaController(c)],
  ['disruption-controller', (c) => newDisruptionController(c)],
  ['horizontal-pod-autoscaler', (c) => newHorizontalPodAutoscaler(c)],
  ['attachdetach-controller', (c) => newAttachDetachController(c)],
  ['persistent-volume-binder', (c) => newPersistentVolumeBinder(c)],
  ['local-path-provisioner', (c, o) => newLocalPathProvisioner(c, o.nodeStorage)],
  ['local-path-provisioner', (c) => newLocalPathResizer(c)],
  ['expand-controller', (c) => newPersistentVolumeExpander(c)],
  ['pvc-protection-controller', (c) => newPvcProtectionController(c)],
  ['pv-protection-controller', (c) => newPvProtectionController(c)],
  ['volumeattributesclass-protection-controller', (c) => newVolumeAttributesClassProtectionController(c)],
  ['ephemeral-volume-controller', (c) => newEphemeralVolumeController(c)],
  ['certificate-controller', (c, o) => newCsrApprovingController(c, o.signer)],
  ['certificate-controller', (c, o) => newCsrSigningController(c, o.signer)],
  ['certificate-controller', (c) => newCsrCleanerController(c)],
  ['podyard-serving-approver', (c, o) => newServingApprover(c, o.signer, o.reservedNames)],
  [MANAGER, (c, o) => newServiceAccountTokenController(c, o)],
  ['legacy-service-account-token-cleaner', (c) => newLegacyTokenCleaner(c)],
  ['bootstrap-signer', (c) => newBootstrapSigner(c)],
  ['token-cleaner', (c) => newTokenCleaner(c)],
  ['validatingadmissionpolicy-status-controller', (c, o) => newValidatingAdmissionPolicyStatus(c, policyTypeChecker(o.resources))],
  ['replication-controller', (c) => newReplicationController(c)],
  ['podcertificaterequestcleaner', (c) => newPodCertificateRequestCleaner(c), POD_CERTIFICATE_REQUESTS],
  ['kube-apiserver-serving-clustertrustbundle-publisher', (c, o) => newServingTrustBundlePublisher(c, o.rootCa), CLUSTER_TRUST_BUNDLES],
];

/** All controllers as one component, over shared informers. */
export function newControllerManager(options: ControllerManagerOptions): Component {
  const { clientAs, clock, metrics } = options;
  const resources = servedResources(options.resources);
  const informers = new InformerFactory(clientAs(componentUser(MANAGER), 'kube-controller-manager'), clock);
  const events = new EventSender({ clock });
  const rows = CONTROLLERS.filter(([, , needs]) => !needs || options.resources.find(needs.group, needs.version, needs.plural));
  const components = rows.map(([account, create]) => create({ client: clientAs(account === MANAGER ? componentUser(MANAGER) : serviceAccountUser('kube-system', account), agentOf(account)), informers, clock, events, resources, metrics }, options));
  return {
    name: 'kube-controller-manager',
    async start(signal) {
      await Promise.all(components.map((c) => c.start(signal)));
    },
    async stop() {
      await Promise.all(components.map((c) => c.stop()));
      await Promise.all([informers.stop(), events.close()]);
    },
  };
}
