/**
 * The objects of the cluster's DNS: the account that it acts as, what that may read, and the Service `kube-system/kube-dns` with the
 * slice that says where our process answers on this node. Source: kubeadm's addon phase, for names and labels.
 */
import type * as coreV1 from '#api/gen/core-v1.ts';
import type * as discoveryV1 from '#api/gen/discovery-v1.ts';
import type * as rbacV1 from '#api/gen/rbac-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { resourceOf, type ResourceInfo } from '#api/resources.ts';
import type { Transport } from '#client/transport.ts';
import { isReason } from '#machinery/status-error.ts';

const NAMESPACE = 'kube-system';
const SERVICE = 'kube-dns';
export const DNS_ACCOUNT = 'coredns';
const RBAC = 'rbac.authorization.k8s.io';
const SLICES = resourceOf('discovery.k8s.io', 'v1', 'endpointslices');

const account: coreV1.ServiceAccount = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: DNS_ACCOUNT, namespace: NAMESPACE } };
const role: rbacV1.ClusterRole = {
  apiVersion: `${RBAC}/v1`, kind: 'ClusterRole', metadata: { name: 'system:coredns' },
  rules: [
    { apiGroups: [''], resources: ['endpoints', 'services', 'pods', 'namespaces'], verbs: ['list', 'watch'] },
    { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
  ],
};
const binding: rbacV1.ClusterRoleBinding = {
  apiVersion: `${RBAC}/v1`, kind: 'ClusterRoleBinding', metadata: { name: 'system:coredns' },
  roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: 'system:coredns' }, subjects: [{ kind: 'ServiceAccount', name: DNS_ACCOUNT, namespace: NAMESPACE }],
};
/** Without a selector: no Pod is behind it. */
function dnsService(ip: string): coreV1.Service {
  return {
    apiVersion: 'v1', kind: 'Service',
    metadata: { name: SERVICE, namespace: NAMESPACE, labels: { 'k8s-app': 'kube-dns', 'kubernetes.io/cluster-service': 'true', 'kubernetes.io/name': 'CoreDNS' } },
    spec: { type: 'ClusterIP', clusterIP: ip, ports: [{ name: 'dns', port: 53, protocol: 'UDP', targetPort: 53 }, { name: 'dns-tcp', port: 53, protocol: 'TCP', targetPort: 53 }] },
  };
}

async function createMissing(transport: Transport, resource: ResourceInfo, body: KubeObject, signal?: AbortSignal): Promise<void> {
  const { namespace, name } = body.metadata;
  try {
    await transport.call({ verb: 'get', resource, namespace, name }, signal);
  } catch (err) {
    if (!isReason(err, 'NotFound')) throw err;
    await transport.call({ verb: 'create', resource, namespace, body }, signal);
  }
}
/** Makes what DNS needs to start. Idempotent; what a user changed stays. */
export async function ensureClusterDns(transport: Transport, dnsIP: string, signal?: AbortSignal): Promise<void> {
  await createMissing(transport, resourceOf('', 'v1', 'serviceaccounts'), account, signal);
  await createMissing(transport, resourceOf(RBAC, 'v1', 'clusterroles'), role, signal);
  await createMissing(transport, resourceOf(RBAC, 'v1', 'clusterrolebindings'), binding, signal);
  await createMissing(transport, resourceOf('', 'v1', 'services'), dnsService(dnsIP), signal);
}
/** Says where this node's DNS answers. */
export async function announceClusterDns(transport: Transport, options: { readonly nodeName: string; readonly address: string; readonly port: number }, signal?: AbortSignal): Promise<void> {
  const { nodeName, address, port } = options;
  const name = `${SERVICE}-${nodeName}`;
  const slice: discoveryV1.EndpointSlice = {
    apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice',
    metadata: { name, namespace: NAMESPACE, labels: { 'kubernetes.io/service-name': SERVICE, 'endpointslice.kubernetes.io/managed-by': 'podyard' } },
    addressType: address.includes(':') ? 'IPv6' : 'IPv4',
    endpoints: [{ addresses: [address], conditions: { ready: true, serving: true, terminating: false }, nodeName }],
    ports: [{ name: 'dns', port, protocol: 'UDP' }, { name: 'dns-tcp', port, protocol: 'TCP' }],
  };
  const where = { resource: SLICES, namespace: NAMESPACE };
  try {
    const found = (await transport.call({ verb: 'get', ...where, name }, signal)) as discoveryV1.EndpointSlice;
    await transport.call({ verb: 'update', ...where, name, body: { ...slice, metadata: { ...slice.metadata, resourceVersion: found.metadata.resourceVersion } } }, signal);
  } catch (err) {
    if (!isReason(err, 'NotFound')) throw err;
    await transport.call({ verb: 'create', ...where, body: slice }, signal);
  }
}
