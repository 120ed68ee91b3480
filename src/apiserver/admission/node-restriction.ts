/** NodeRestriction: what the Node authorizer cannot see because it is in the object. Source: the Kubernetes page "Admission Control", NodeRestriction. */
import { isDeepStrictEqual } from 'node:util';
import type * as authenticationV1 from '#api/gen/authentication-v1.ts';
import type * as certificatesV1beta1 from '#api/gen/certificates-v1beta1.ts';
import type * as coreV1 from '#api/gen/core-v1.ts';
import type * as resourceV1 from '#api/gen/resource-v1.ts';
import type * as storageV1 from '#api/gen/storage-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { configMapNamesOf, secretNamesOf } from '#api/pod-visitors.ts';
import { resourceOf, type ResourceInfo } from '#api/resources.ts';
import { badRequest, notFound, StatusError } from '#machinery/status-error.ts';
import { nodeOf } from '../authentication/users.ts';
import type { AdmissionAttributes, AdmissionPlugin, Authorizer, ObjectReader } from '../interfaces.ts';
import { oneOf, quote, refusal } from './refusal.ts';

const PODS = resourceOf('', 'v1', 'pods');
const NODES = resourceOf('', 'v1', 'nodes');
const ACCOUNTS = resourceOf('', 'v1', 'serviceaccounts');
const CLAIMS = resourceOf('', 'v1', 'persistentvolumeclaims');
const VOLUMES = resourceOf('', 'v1', 'persistentvolumes');
const DRIVERS = resourceOf('storage.k8s.io', 'v1', 'csidrivers');
const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';
const LEASE_NAMESPACE = 'kube-node-lease';

/** Labels in Kubernetes' own domains that a kubelet may set. */
const KUBELET_LABELS: ReadonlySet<string> = new Set([
  'kubernetes.io/hostname', 'topology.kubernetes.io/zone', 'topology.kubernetes.io/region', 'failure-domain.beta.kubernetes.io/zone', 'failure-domain.beta.kubernetes.io/region',
  'node.kubernetes.io/instance-type', 'beta.kubernetes.io/instance-type', 'kubernetes.io/os', 'kubernetes.io/arch', 'beta.kubernetes.io/os', 'beta.kubernetes.io/arch',
]);
const KUBELET_LABEL_DOMAINS = ['kubelet.kubernetes.io', 'node.kubernetes.io'];
const inDomain = (domain: string, parent: string): boolean => domain === parent || domain.endsWith(`.${parent}`);

/** Whether a kubelet may not touch this label on its node. */
function isForbiddenLabel(key: string): boolean {
  const slash = key.indexOf('/');
  const domain = slash < 0 ? '' : key.slice(0, slash);
  if (inDomain(domain, 'node-restriction.kubernetes.io')) return true;
  if (!inDomain(domain, 'kubernetes.io') && !inDomain(domain, 'k8s.io')) return false;
  return !KUBELET_LABELS.has(key) && !KUBELET_LABEL_DOMAINS.some((d) => inDomain(domain, d));
}
function forbiddenChanges(labels: Readonly<Record<string, string>> = {}, old: Readonly<Record<string, string>> = {}): string[] {
  return [...new Set([...Object.keys(labels), ...Object.keys(old)])].filter((k) => labels[k] !== old[k] && isForbiddenLabel(k)).toSorted();
}

export class NodeRestriction implements AdmissionPlugin {
  readonly name = 'NodeRestriction';
  readonly handles = oneOf('CREATE', 'UPDATE', 'DELETE');
  readonly #reader: ObjectReader;
  readonly #authorizer: Authorizer;
  constructor(options: { readonly reader: ObjectReader; readonly authorizer: Authorizer }) {
    this.#reader = options.reader;
    this.#authorizer = options.authorizer;
  }
  // As upstream in the mutating phase, before anybody acts on an object that the node may not write.
  admit(a: AdmissionAttributes, signal: AbortSignal): void | Promise<void> {
    const node = nodeOf(a.user);
    if (node === undefined) return undefined;
    if (node === '') throw refusal(a, `could not determine node from user ${quote(a.user.name)}`);
    switch (`${a.resource.group}/${a.resource.plural}`) {
      case '/pods':
        return this.#pod(node, a);
      case '/nodes':
        return ownNode(node, a);
      case '/persistentvolumeclaims':
        return claimStatus(node, a);
      case '/serviceaccounts':
        return this.#token(node, a, signal);
      case 'coordination.k8s.io/leases':
        if (a.namespace !== LEASE_NAMESPACE) throw refusal(a, `can only access leases in the ${quote(LEASE_NAMESPACE)} system namespace`);
        return sameName(node, a, 'can only access node lease with the same name as the requesting node');
      case 'storage.k8s.io/csinodes':
        return sameName(node, a, 'can only access CSINode with the same name as the requesting node');
      case 'resource.k8s.io/resourceslices':
        return ownSlice(node, a);
      case 'certificates.k8s.io/podcertificaterequests':
        return this.#certificateRequest(node, a);
      default:
        return undefined;
    }
  }
  #pod(node: string, a: AdmissionAttributes): void {
    if (a.subresource === 'status') return podStatus(node, a);
    if (a.subresource === 'eviction') {
      if (a.operation !== 'CREATE') throw refusal(a, `unexpected operation ${a.operation}`);
      const name = a.name || (a.object?.metadata.name ?? '');
      if (name === '') throw refusal(a, 'could not determine pod from request data');
      if (this.#find(a, name).spec?.nodeName !== node) throw refusal(a, `node ${node} can only evict pods with spec.nodeName set to itself`);
      return;
    }
    if (a.subresource !== '') throw refusal(a, `unexpected pod subresource ${quote(a.subresource)}, only 'status' and 'eviction' are allowed`);
    if (a.operation === 'CREATE') return this.#mirrorPod(node, a);
    if (a.operation !== 'DELETE') throw refusal(a, `unexpected operation ${quote(a.operation)}, node ${quote(node)} can only create and delete mirror pods`);
    if (this.#find(a, a.name).spec?.nodeName !== node) throw refusal(a, `node ${quote(node)} can only delete pods with spec.nodeName set to itself`);
  }
  #find(a: AdmissionAttributes, name: string): coreV1.Pod {
    const pod = this.#reader.get<coreV1.Pod>(PODS, a.namespace, name);
    if (!pod) throw notFound({ group: '', resource: 'pods' }, name);
    return pod;
  }
  #mirrorPod(node: string, a: AdmissionAttributes): void {
    const pod = a.object as coreV1.Pod;
    const me = `node ${quote(node)}`;
    if (pod.metadata.annotations?.[MIRROR_ANNOTATION] === undefined) throw refusal(a, `pod does not have ${quote(MIRROR_ANNOTATION)} annotation, ${me} can only create mirror pods`);
    if (pod.spec?.nodeName !== node) throw refusal(a, `${me} can only create pods with spec.nodeName set to itself`);
    const owners = pod.metadata.ownerReferences ?? [];
    if (owners.length > 1) throw refusal(a, `${me} can only create pods with a single owner reference set to itself`);
    const [owner] = owners;
    if (!owner || owner.apiVersion !== 'v1' || owner.kind !== 'Node' || owner.name !== node) throw refusal(a, `${me} can only create pods with an owner reference set to itself`);
    if (!owner.controller) throw refusal(a, `${me} can only create pods with a controller owner reference set to itself`);
    if (owner.blockOwnerDeletion) throw refusal(a, `${me} must not set blockOwnerDeletion on an owner reference`);
    const object = this.#reader.get(NODES, '', node);
    if (!object) throw notFound({ group: '', resource: 'nodes' }, node);
    if (owner.uid !== object.metadata.uid) throw refusal(a, `node ${node} UID mismatch: expected ${owner.uid} got ${object.metadata.uid ?? ''}`);
    if (pod.spec.serviceAccountName) throw refusal(a, `${me} can not create pods that reference a service account`);
    if (secretNamesOf(pod.spec).length) throw refusal(a, `${me} can not create pods that reference secrets`);
    if (configMapNamesOf(pod.spec).length) throw refusal(a, `${me} can not create pods that reference configmaps`);
    if (pod.spec.volumes?.some((v) => v.projected?.sources?.some((s) => s.clusterTrustBundle))) throw refusal(a, `${me} can not create pods that reference clustertrustbundles`);
    if (pod.spec.volumes?.some((v) => v.persistentVolumeClaim)) throw refusal(a, `${me} can not create pods that reference persistentvolumeclaims`);
  }
  #token(node: string, a: AdmissionAttributes, signal: AbortSignal): void | Promise<void> {
    if (a.operation !== 'CREATE' || a.subresource !== 'token') return undefined;
    const { boundObjectRef: ref, audiences = [] } = (a.object as authenticationV1.TokenRequest).spec;
    if (!ref || ref.apiVersion !== 'v1' || ref.kind !== 'Pod' || !ref.name) throw refusal(a, 'node requested token not bound to a pod');
    if (!ref.uid) throw refusal(a, 'node requested token with a pod binding without a uid');
    const pod = this.#find(a, ref.name);
    if (ref.uid !== pod.metadata.uid) throw refusal(a, `the UID in the bound object reference (${ref.uid}) does not match the UID in record. The object might have been deleted and then recreated`);
    if (pod.spec?.nodeName !== node) throw refusal(a, 'node requested token bound to a pod scheduled on a different node');
    if (audiences.length > 1) throw refusal(a, 'node may only request 0 or 1 audiences');
    const audience = audiences[0] ?? '';
    return this.#audiencesOf(pod).has(audience) ? undefined : this.#mayAsk(a, audience, signal);
  }
  /** Of a Pod of the node's own, with the names and uids that all of them have now. */
  #certificateRequest(node: string, a: AdmissionAttributes): void {
    if (a.operation !== 'CREATE') throw refusal(a, `unexpected operation ${a.operation}`);
    if (a.subresource !== '') throw refusal(a, `unexpected subresource ${a.subresource}`);
    const { spec } = a.object as certificatesV1beta1.PodCertificateRequest;
    const pod = `${a.namespace}/${spec.podName}`;
    if (spec.nodeName !== node) throw refusal(a, `PodCertificateRequest.Spec.NodeName=${quote(spec.nodeName)}, which is not the requesting node ${quote(node)}`);
    const find = <T extends KubeObject>(resource: ResourceInfo, namespace: string, name: string, what: string, shown: string): T => {
      const object = this.#reader.get<T>(resource, namespace, name);
      if (object) return object;
      const { status } = notFound({ group: '', resource: resource.plural }, name);
      throw new StatusError({ ...status, message: `while retrieving ${what} ${quote(shown)} named in the PodCertificateRequest: ${status.message ?? ''}` });
    };
    const object = find(NODES, '', spec.nodeName, 'node', spec.nodeName);
    if (object.metadata.uid !== spec.nodeUID) throw badRequest(`PodCertificateRequest for pod ${quote(pod)} names node UID ${quote(spec.nodeUID)}, inconsistent with the running node (${quote(object.metadata.uid ?? '')})`);
    const found = find<coreV1.Pod>(PODS, a.namespace, spec.podName, 'pod', pod);
    if (found.metadata.uid !== spec.podUID) throw badRequest(`PodCertificateRequest for pod ${quote(pod)} contains pod UID (${quote(spec.podUID)}) which differs from running pod ${quote(found.metadata.uid ?? '')}`);
    if (found.spec.nodeName !== spec.nodeName) throw refusal(a, `pod ${quote(pod)} is not running on node ${quote(spec.nodeName)} named in the PodCertificateRequest`);
    if (found.metadata.annotations?.[MIRROR_ANNOTATION] !== undefined) throw refusal(a, `pod ${quote(pod)} is a mirror pod`);
    const account = found.spec.serviceAccountName ?? '';
    if (spec.serviceAccountName !== account) throw refusal(a, `PodCertificateRequest for pod ${quote(pod)} contains serviceAccountName (${quote(spec.serviceAccountName)}) that differs from running pod (${quote(account)})`);
    const { metadata } = find(ACCOUNTS, a.namespace, account, 'service account', `${a.namespace}/${account}`);
    if (metadata.uid !== spec.serviceAccountUID) throw badRequest(`PodCertificateRequest for pod ${quote(pod)} names service account UID ${quote(spec.serviceAccountUID)}, which differs from the running service account (${quote(metadata.uid ?? '')})`);
  }
  /** Audiences that the Pod's volumes have tokens for (KEP-4412). */
  #audiencesOf(pod: coreV1.Pod): ReadonlySet<string> {
    const namespace = pod.metadata.namespace ?? '';
    const drivers: (string | undefined)[] = [];
    const audiences = new Set<string>();
    for (const v of pod.spec?.volumes ?? []) {
      for (const s of v.projected?.sources ?? []) if (s.serviceAccountToken) audiences.add(s.serviceAccountToken.audience ?? '');
      drivers.push(v.csi?.driver);
      const claimName = v.persistentVolumeClaim?.claimName ?? (v.ephemeral ? `${pod.metadata.name ?? ''}-${v.name}` : undefined);
      const volumeName = claimName && this.#reader.get<coreV1.PersistentVolumeClaim>(CLAIMS, namespace, claimName)?.spec?.volumeName;
      if (volumeName) drivers.push(this.#reader.get<coreV1.PersistentVolume>(VOLUMES, '', volumeName)?.spec?.csi?.driver);
    }
    for (const driver of drivers) {
      for (const request of (driver && this.#reader.get<storageV1.CSIDriver>(DRIVERS, '', driver)?.spec.tokenRequests) || []) audiences.add(request.audience);
    }
    return audiences;
  }
  async #mayAsk(a: AdmissionAttributes, audience: string, signal: AbortSignal): Promise<void> {
    const { decision } = await this.#authorizer.authorize({
      isResourceRequest: true, verb: 'request-serviceaccounts-token-audience', path: '', apiGroup: '', apiVersion: 'v1', namespace: a.namespace, resource: audience, subresource: '', name: a.name, user: a.user,
    }, signal);
    if (decision !== 'allow') throw refusal(a, `audience ${quote(audience)} not found in pod spec volume, ${a.user.name} is not authorized to request tokens for this audience`);
  }
}
function podStatus(node: string, a: AdmissionAttributes): void {
  if (a.operation !== 'UPDATE') throw refusal(a, `unexpected operation ${quote(a.operation)}`);
  const [old, pod] = [a.oldObject as coreV1.Pod, a.object as coreV1.Pod];
  if (old.spec?.nodeName !== node) throw refusal(a, `node ${quote(node)} can only update pod status for pods with spec.nodeName set to itself`);
  if (!isDeepStrictEqual({ ...old.metadata.labels }, { ...pod.metadata.labels })) throw refusal(a, `node ${quote(node)} cannot update labels through pod status`);
  if (!isDeepStrictEqual(plain(old.status?.resourceClaimStatuses), plain(pod.status?.resourceClaimStatuses))) throw refusal(a, `node ${quote(node)} cannot update resource claim statues`);
  if (!isDeepStrictEqual(plain(old.status?.extendedResourceClaimStatus), plain(pod.status?.extendedResourceClaimStatus))) throw refusal(a, `node ${quote(node)} cannot update extended resource claim status`);
}
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value ?? []));
}
function ownNode(node: string, a: AdmissionAttributes): void {
  const requested = a.name || (a.object?.metadata.name ?? '');
  if (requested !== node) throw refusal(a, `node ${quote(node)} is not allowed to modify node ${quote(requested)}`);
  const object = a.object as coreV1.Node | undefined;
  const old = a.oldObject as coreV1.Node | undefined;
  if (a.operation === 'CREATE') {
    if (object?.spec?.configSource) throw refusal(a, `node ${quote(node)} is not allowed to create pods with a non-nil configSource`);
    const labels = forbiddenChanges(object?.metadata.labels);
    if (labels.length) throw refusal(a, `node ${quote(node)} is not allowed to set the following labels: ${labels.join(', ')}`);
  } else if (a.operation === 'UPDATE') {
    if (object?.spec?.configSource && !isDeepStrictEqual(plain(object.spec.configSource), plain(old?.spec?.configSource))) throw refusal(a, `node ${quote(node)} is not allowed to update configSource to a new non-nil configSource`);
    if (!isDeepStrictEqual(plain(object?.spec?.taints), plain(old?.spec?.taints))) throw refusal(a, `node ${quote(node)} is not allowed to modify taints`);
    const labels = forbiddenChanges(object?.metadata.labels, old?.metadata.labels);
    if (labels.length) throw refusal(a, `is not allowed to modify labels: ${labels.join(', ')}`);
  }
}
function claimStatus(node: string, a: AdmissionAttributes): void {
  if (a.subresource !== 'status') throw refusal(a, 'may only update PVC status');
  if (a.operation !== 'UPDATE') throw refusal(a, `unexpected operation ${quote(a.operation)}`);
  const rest = (object: unknown): unknown => {
    const { metadata: { resourceVersion: _r, managedFields: _m, ...metadata }, status, ...more } = object as coreV1.PersistentVolumeClaim;
    const { capacity: _c, conditions: _d, allocatedResources: _a, allocatedResourceStatuses: _s, ...kept } = status ?? {};
    return plain({ ...more, metadata, status: kept });
  };
  if (!isDeepStrictEqual(rest(a.oldObject), rest(a.object))) throw refusal(a, `node ${quote(node)} is not allowed to update fields other than status.capacity and status.conditions`);
}
function sameName(node: string, a: AdmissionAttributes, why: string): void {
  if ((a.operation === 'CREATE' ? (a.object?.metadata.name ?? '') : a.name) !== node) throw refusal(a, why);
}
function ownSlice(node: string, a: AdmissionAttributes): void {
  if (a.operation === 'CREATE' && (a.object as resourceV1.ResourceSlice).spec.nodeName !== node) throw refusal(a, 'can only create ResourceSlice with the same NodeName as the requesting node');
  if (a.operation === 'DELETE' && (a.oldObject as resourceV1.ResourceSlice).spec.nodeName !== node) throw refusal(a, 'can only delete ResourceSlice with the same NodeName as the requesting node');
}
