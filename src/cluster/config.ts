/** What one cluster on one machine is: where its files are, its addresses and names. Written down at the first `up`, so that every later command agrees. */
import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { isIP } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import { join, resolve } from 'node:path';
import { parseRuntimeConfig, servedResources } from '#apiserver/registry/runtime-config.ts';
import { POD_NETWORKS, type PodNetwork } from '#network/route-plan.ts';
import { readIfThere, writeSecretFile } from './pki.ts';

/** What a node of this machine is, whether the cluster's server runs beside it or elsewhere. */
export interface NodeConfig {
  readonly dataDir: string;
  /** Sockets, locks and secrets of Pods: on a tmpfs, gone at the next boot. */
  readonly runDir: string;
  /** Of the administrator where the server runs, else of the node itself. */
  readonly kubeconfig: string;
  readonly nodeName: string;
  readonly nodeIP: string;
  /** The user chose the address: it is not looked for again at the next start. */
  readonly hasChosenIP?: boolean | undefined;
  readonly kubeletPort: number;
  readonly clusterDomain: string;
  /** Range of all Pods. */
  readonly clusterCIDR: string;
  readonly dnsIP: string;
  /** How Pods of different nodes reach each other. Absent in files of before there was a choice: routes. */
  readonly podNetwork?: PodNetwork | undefined;
  readonly bridge: string;
  readonly cgroupRoot: string;
  readonly nftTable: string;
  /** Another CRI runtime's socket, instead of a containerd of our own. */
  readonly containerRuntimeEndpoint?: string | undefined;
  /** Log level of the process. */
  readonly logLevel: string;
}
export interface ClusterConfig extends NodeConfig {
  readonly apiPort: number;
  /** Together the seats of the API server: how many requests run at a time. */
  readonly maxRequestsInFlight: number;
  readonly maxMutatingRequestsInFlight: number;
  /** This node's part of the Pods' range. */
  readonly podCIDR: string;
  readonly serviceCIDR: string;
  /** More names and addresses by which clients reach the API server: `kube.example.com,192.0.2.7`. */
  readonly tlsSan?: string | undefined;
  /** Versions of the API that are served beside those that are on by default: `certificates.k8s.io/v1beta1=true`. */
  readonly runtimeConfig?: string | undefined;
}
/** What a user may choose. */
export interface ClusterChoices {
  readonly dataDir?: string | undefined;
  readonly nodeName?: string | undefined;
  readonly nodeIP?: string | undefined;
  readonly apiPort?: number | undefined;
  readonly kubeletPort?: number | undefined;
  readonly maxRequestsInFlight?: number | undefined;
  readonly maxMutatingRequestsInFlight?: number | undefined;
  readonly clusterCIDR?: string | undefined;
  readonly serviceCIDR?: string | undefined;
  /** One of {@link POD_NETWORKS}. */
  readonly podNetwork?: string | undefined;
  readonly containerRuntimeEndpoint?: string | undefined;
  readonly tlsSan?: string | undefined;
  readonly runtimeConfig?: string | undefined;
  readonly logLevel?: string | undefined;
}

/** The flag of `podyard up` for each choice. */
export const CHOICE_FLAGS = {
  dataDir: 'data-dir',
  nodeName: 'node-name',
  nodeIP: 'node-ip',
  apiPort: 'api-port',
  kubeletPort: 'kubelet-port',
  maxRequestsInFlight: 'max-requests-inflight',
  maxMutatingRequestsInFlight: 'max-mutating-requests-inflight',
  clusterCIDR: 'cluster-cidr',
  serviceCIDR: 'service-cidr',
  podNetwork: 'pod-network',
  containerRuntimeEndpoint: 'container-runtime-endpoint',
  tlsSan: 'tls-san',
  runtimeConfig: 'runtime-config',
  logLevel: 'log-level',
} as const satisfies Readonly<Record<keyof ClusterChoices, string>>;
/** What holds for each flag; '' for what is not set. */
export function flagValues(config: ClusterConfig): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(CHOICE_FLAGS).map(([choice, flag]) => [flag, String(config[choice as keyof ClusterChoices] ?? '')]));
}

export const DEFAULT_DATA_DIR = '/var/lib/podyard';

/** Paths and names that follow from the data directory alone: two clusters of one machine share none of them. */
export function placesOf(dataDir: string): Pick<NodeConfig, 'dataDir' | 'runDir' | 'kubeconfig' | 'bridge' | 'cgroupRoot' | 'nftTable'> {
  const dir = resolve(dataDir);
  if (dir === DEFAULT_DATA_DIR) return { dataDir: dir, runDir: '/run/podyard', kubeconfig: '/etc/podyard/kubeconfig.yaml', bridge: 'podyard0', cgroupRoot: '/podyard', nftTable: 'podyard' };
  const id = createHash('sha256').update(dir).digest('hex').slice(0, 8);
  return { dataDir: dir, runDir: `/run/podyard-${id}`, kubeconfig: join(dir, 'kubeconfig.yaml'), bridge: `py${id}`, cgroupRoot: `/podyard-${id}`, nftTable: `podyard_${id}` };
}

/** Names under which the administrator stands in kubeconfigs. */
export function adminNames(config: Pick<NodeConfig, 'dataDir' | 'runDir'>): { cluster: string; user: string; context: string } {
  const name = config.runDir.replace(/^\/run\//, '');
  return { cluster: name, user: `${name}-admin`, context: name };
}

/** The nth address of a range: `addressIn('10.96.0.0/16', 10)` is `10.96.0.10`. IPv4. */
export function addressIn(cidr: string, n: number): string {
  const value = cidr.split('/')[0]!.split('.').reduce((v, part) => v * 256 + Number(part), 0) + n;
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}
/** The first address of the machine that is not its own loopback's; 127.0.0.1 where there is none. */
function ownAddress(): string {
  const candidates = Object.entries(networkInterfaces()).filter(([name]) => !/^(docker|br-|veth|cni|podyard|pyx?[0-9a-f]{8}|virbr)/.test(name));
  for (const [, addresses] of candidates) for (const a of addresses ?? []) if (a.family === 'IPv4' && !a.internal) return a.address;
  return '127.0.0.1';
}
/** A host name as a node's name: lower case, and a DNS subdomain. */
export function ownName(): string {
  return hostname().toLowerCase().replace(/[^a-z0-9.-]/g, '-').replace(/^[-.]+|[-.]+$/g, '') || 'node';
}

/** Throws for what is no way between nodes. `where`: what gave the value. */
export function podNetworkOf(value: string, where: string): PodNetwork {
  const known = POD_NETWORKS.find((name) => name === value);
  if (known === undefined) throw new Error(`${where} "${value}": must be ${POD_NETWORKS.join(' or ')}`);
  return known;
}
export function newClusterConfig(choices: ClusterChoices): ClusterConfig {
  const clusterCIDR = choices.clusterCIDR ?? '10.244.0.0/16';
  const serviceCIDR = choices.serviceCIDR ?? '10.96.0.0/16';
  const { maxRequestsInFlight = 400, maxMutatingRequestsInFlight = 200 } = choices;
  if (maxRequestsInFlight + maxMutatingRequestsInFlight === 0) throw new Error('--max-requests-inflight and --max-mutating-requests-inflight: one of them must be above 0');
  servedResources(parseRuntimeConfig(choices.runtimeConfig ?? ''));
  for (const san of sansOf(choices)) if (isIP(san) === 0 && !/^(\*\.)?([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(san)) throw new Error(`--tls-san "${san}": must be an IP address or a DNS name in lower case`);
  for (const [flag, cidr] of [['--cluster-cidr', clusterCIDR], ['--service-cidr', serviceCIDR]] as const) {
    const bits = Number(/^\d{1,3}(?:\.\d{1,3}){3}\/(\d{1,2})$/.exec(cidr)?.[1] ?? NaN);
    if (!(bits >= 8 && bits <= 24)) throw new Error(`${flag} "${cidr}": must be an IPv4 range with a prefix of 8 to 24 bits, such as 10.244.0.0/16`);
  }
  return {
    ...placesOf(choices.dataDir ?? DEFAULT_DATA_DIR),
    nodeName: choices.nodeName ?? ownName(),
    nodeIP: choices.nodeIP ?? ownAddress(),
    hasChosenIP: choices.nodeIP !== undefined,
    apiPort: choices.apiPort ?? 6443,
    kubeletPort: choices.kubeletPort ?? 10_250,
    maxRequestsInFlight,
    maxMutatingRequestsInFlight,
    clusterDomain: 'cluster.local',
    clusterCIDR,
    podCIDR: `${clusterCIDR.split('/')[0]}/24`,
    serviceCIDR,
    dnsIP: addressIn(serviceCIDR, 10),
    podNetwork: podNetworkOf(choices.podNetwork ?? 'routes', '--pod-network'),
    containerRuntimeEndpoint: choices.containerRuntimeEndpoint,
    tlsSan: choices.tlsSan,
    runtimeConfig: choices.runtimeConfig,
    logLevel: choices.logLevel ?? 'info',
  };
}

/** Names and addresses of the API server that the user added. */
export function sansOf({ tlsSan = '' }: Pick<ClusterChoices, 'tlsSan'>): string[] {
  return tlsSan.split(',').map((san) => san.trim()).filter((san) => san !== '');
}

const fileOf = (dataDir: string): string => join(resolve(dataDir), 'cluster.json');

/** The configuration of a data directory; undefined when no cluster was made there. */
export async function readClusterConfig(dataDir: string): Promise<ClusterConfig | undefined> {
  const text = await readIfThere(fileOf(dataDir));
  return text === undefined ? undefined : (JSON.parse(text) as ClusterConfig);
}
/**
 * What holds for this start: what is written down, with the choices given now over it. The node's address may have changed since, unless the user chose it.
 * Ranges of addresses are fixed once Pods have them: choosing others rejects.
 */
export async function ensureClusterConfig(choices: ClusterChoices): Promise<ClusterConfig> {
  const dataDir = choices.dataDir ?? DEFAULT_DATA_DIR;
  const before = await readClusterConfig(dataDir);
  const given = Object.fromEntries(Object.entries(choices).filter(([, v]) => v !== undefined)) as ClusterChoices;
  for (const key of ['clusterCIDR', 'serviceCIDR', 'nodeName'] as const) {
    if (before && given[key] !== undefined && given[key] !== before[key]) throw new Error(`${key} of the cluster in "${dataDir}" is ${before[key]} and cannot become ${given[key]}: uninstall it first, or choose another --data-dir`);
  }
  const { nodeIP, ...kept } = before ?? { nodeIP: undefined };
  const config = newClusterConfig({ ...kept, ...(before?.hasChosenIP ? { nodeIP } : {}), ...given, dataDir });
  await mkdir(config.dataDir, { recursive: true, mode: 0o711 });
  await writeSecretFile(fileOf(dataDir), `${JSON.stringify(config, undefined, 2)}\n`);
  return config;
}
