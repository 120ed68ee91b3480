/**
 * The Service `default/kubernetes` and its endpoints: how Pods reach the API server. Kept right for as long as the server runs: every
 * server of the cluster adds its own address and takes it away when it stops.
 * Source: the Kubernetes page "Service", and kube-apiserver's endpoint reconciler.
 */
import type * as coreV1 from '#api/gen/core-v1.ts';
import type * as discoveryV1 from '#api/gen/discovery-v1.ts';
import { resourceOf } from '#api/resources.ts';
import type { Transport } from '#client/transport.ts';
import { isReason } from '#machinery/status-error.ts';

const SERVICES = resourceOf('', 'v1', 'services');
const ENDPOINTS = resourceOf('', 'v1', 'endpoints');
const SLICES = resourceOf('discovery.k8s.io', 'v1', 'endpointslices');
const NAMESPACE = 'default';
const NAME = 'kubernetes';

export interface KubernetesServiceOptions {
  /** Default 10.96.0.1. */
  readonly serviceIp: string;
  /** Addresses under which Pods reach the API servers that are up now. */
  readonly addresses: readonly string[];
  /** Port of the API servers. */
  readonly port: number;
}
const isIPv6 = (ip: string): boolean => ip.includes(':');

export function kubernetesService(options: KubernetesServiceOptions): coreV1.Service {
  return {
    apiVersion: 'v1', kind: 'Service',
    metadata: { name: NAME, namespace: NAMESPACE, labels: { component: 'apiserver', provider: 'kubernetes' } },
    spec: {
      type: 'ClusterIP', clusterIP: options.serviceIp, clusterIPs: [options.serviceIp], ipFamilies: [isIPv6(options.serviceIp) ? 'IPv6' : 'IPv4'], ipFamilyPolicy: 'SingleStack', sessionAffinity: 'None',
      ports: [{ name: 'https', protocol: 'TCP', port: 443, targetPort: options.port }],
    },
  };
}
export function kubernetesEndpoints(options: KubernetesServiceOptions): coreV1.Endpoints {
  return {
    apiVersion: 'v1', kind: 'Endpoints',
    // Its slice is written here too: the mirroring controller shall leave it alone.
    metadata: { name: NAME, namespace: NAMESPACE, labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } },
    subsets: options.addresses.length ? [{ addresses: options.addresses.toSorted().map((ip) => ({ ip })), ports: [{ name: 'https', port: options.port, protocol: 'TCP' }] }] : [],
  };
}
export function kubernetesEndpointSlice(options: KubernetesServiceOptions): discoveryV1.EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice',
    metadata: { name: NAME, namespace: NAMESPACE, labels: { 'kubernetes.io/service-name': NAME } },
    addressType: (options.addresses.some(isIPv6) ? 'IPv6' : 'IPv4') as discoveryV1.EndpointSlice['addressType'],
    endpoints: options.addresses.length ? [{ addresses: options.addresses.toSorted(), conditions: { ready: true } }] : [],
    ports: [{ name: 'https', port: options.port, protocol: 'TCP' }],
  };
}

/** Makes the Service, its Endpoints and its EndpointSlice say what `options` say. Idempotent. */
export async function ensureKubernetesService(transport: Transport, options: KubernetesServiceOptions, signal?: AbortSignal): Promise<void> {
  const where = { namespace: NAMESPACE, name: NAME };
  try {
    await transport.call({ verb: 'get', resource: SERVICES, ...where }, signal);
  } catch (err) {
    if (!isReason(err, 'NotFound')) throw err;
    await transport.call({ verb: 'create', resource: SERVICES, namespace: NAMESPACE, body: kubernetesService(options) }, signal);
  }
  for (const [resource, wanted] of [[ENDPOINTS, kubernetesEndpoints(options)], [SLICES, kubernetesEndpointSlice(options)]] as const) {
    try {
      const found = (await transport.call({ verb: 'get', resource, ...where }, signal)) as coreV1.Endpoints;
      await transport.call({ verb: 'update', resource, ...where, body: { ...wanted, metadata: { ...wanted.metadata, resourceVersion: found.metadata.resourceVersion } } }, signal);
    } catch (err) {
      if (!isReason(err, 'NotFound')) throw err;
      await transport.call({ verb: 'create', resource, namespace: NAMESPACE, body: wanted }, signal);
    }
  }
}
