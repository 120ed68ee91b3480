import { type CHOICE_FLAGS, DEFAULT_DATA_DIR, type ClusterChoices } from '#cluster/config.ts';
import { countOf, portOf, textOf, type FlagSpec, type Parsed } from './arguments.ts';

export const DATA_DIR_FLAG: Readonly<Record<'data-dir', FlagSpec>> = { 'data-dir': { type: 'string', value: 'DIR', help: `where the cluster's data is (default ${DEFAULT_DATA_DIR})` } };

/** Flags that say what a cluster is to be. */
export const CLUSTER_FLAGS: Readonly<Record<(typeof CHOICE_FLAGS)[keyof ClusterChoices], FlagSpec>> = {
  ...DATA_DIR_FLAG,
  'node-name': { type: 'string', value: 'NAME', help: "name of this node (default: the host's name)" },
  'node-ip': { type: 'string', value: 'IP', help: 'address of this node (default: the first of the host)' },
  'api-port': { type: 'string', value: 'PORT', help: 'port of the API server (default 6443)' },
  'kubelet-port': { type: 'string', value: 'PORT', help: "port of the kubelet's server (default 10250)" },
  'cluster-cidr': { type: 'string', value: 'CIDR', help: 'addresses of Pods (default 10.244.0.0/16)' },
  'service-cidr': { type: 'string', value: 'CIDR', help: 'addresses of Services (default 10.96.0.0/16)' },
  'pod-network': { type: 'string', value: 'WAY', help: 'between Pods of different nodes: routes, for nodes on one network, or vxlan (default routes)' },
  'container-runtime-endpoint': { type: 'string', value: 'SOCKET', help: 'use this CRI runtime instead of a containerd of our own' },
  'tls-san': { type: 'string', value: 'LIST', help: 'more names and addresses by which clients reach the API server: kube.example.com,192.0.2.7' },
  'runtime-config': { type: 'string', value: 'LIST', help: 'versions of the API that are off by default: certificates.k8s.io/v1beta1=true,...' },
  'max-requests-inflight': { type: 'string', value: 'N', help: 'reads that the API server handles at a time (default 400)' },
  'max-mutating-requests-inflight': { type: 'string', value: 'N', help: 'writes, which share their seats with the reads (default 200)' },
  'log-level': { type: 'string', value: 'LEVEL', help: 'debug, info, warn or error (default info)' },
};

export function clusterChoices(parsed: Parsed): ClusterChoices {
  return {
    dataDir: textOf(parsed, 'data-dir'),
    nodeName: textOf(parsed, 'node-name'),
    nodeIP: textOf(parsed, 'node-ip'),
    apiPort: portOf(parsed, 'api-port'),
    kubeletPort: portOf(parsed, 'kubelet-port'),
    maxRequestsInFlight: countOf(parsed, 'max-requests-inflight'),
    maxMutatingRequestsInFlight: countOf(parsed, 'max-mutating-requests-inflight'),
    clusterCIDR: textOf(parsed, 'cluster-cidr'),
    serviceCIDR: textOf(parsed, 'service-cidr'),
    podNetwork: textOf(parsed, 'pod-network'),
    containerRuntimeEndpoint: textOf(parsed, 'container-runtime-endpoint'),
    tlsSan: textOf(parsed, 'tls-san'),
    runtimeConfig: textOf(parsed, 'runtime-config'),
    logLevel: textOf(parsed, 'log-level'),
  };
}
export function dataDirOf(parsed: Parsed): string {
  return textOf(parsed, 'data-dir') ?? DEFAULT_DATA_DIR;
}
