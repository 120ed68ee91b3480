/**
 * Makes a node of this machine: from a token to what `podyard up` needs to run it. Source: reference/setup-tools/kubeadm/kubeadm-join,
 * reference/access-authn-authz/kubelet-tls-bootstrapping.
 */
import { connect } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import { Client } from '#client/client.ts';
import { HttpTransport } from '#client/http-transport.ts';
import { CONFIG_MAPS, NODES } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';
import { adminTransport, isReady } from '../admin.ts';
import { podNetworkOf, readClusterConfig } from '../config.ts';
import type { KeyPair } from '../pki.ts';
import { holding } from '../runtime/hold.ts';
import { requestCertificate } from './certificate-request.ts';
import { newJoinedConfig, nodeNameOf, readJoinedConfig, writeJoinedConfig, type ClusterFacts, type JoinedConfig, type NodeChoices } from './config.ts';
import { discoverCluster, parseToken } from './discovery.ts';
import { clientCertificateOf, writeNodeCredentials } from './node-certificates.ts';

export interface JoinRequest extends NodeChoices {
  /** `10.0.0.5:6443` */
  readonly server: string;
  readonly token: string;
  /** `sha256:<hex>` of the authority's public key. */
  readonly caHashes: readonly string[];
}
export interface JoinSteps {
  /** Runs one step and shows it. */
  step<T>(what: string, task: () => Promise<T>): Promise<T>;
}
/** A token that was just made is signed within a second. */
const DISCOVERY_WAIT_MS = 20_000;
const CERTIFICATE_WAIT_MS = 60_000;
const REFRESH_WAIT_MS = 5000;

/** The address by which this machine reaches a server. Rejects when it does not, or the signal aborts. */
function addressTowards(server: string, signal: AbortSignal): Promise<string> {
  const { hostname, port } = new URL(server.includes('://') ? server : `https://${server}`);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 443), signal });
    socket.once('connect', () => {
      resolve(socket.localAddress!);
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

/**
 * The configuration with what the cluster says of its network now, and the address that the machine has now, written down. An address that the user chose stays,
 * and where the server cannot be asked, all stays.
 */
export async function refreshConfig(config: JoinedConfig): Promise<JoinedConfig> {
  const limit = AbortSignal.timeout(REFRESH_WAIT_MS);
  const ownIP = config.hasChosenIP ? config.nodeIP : await addressTowards(config.server, limit).catch(() => config.nodeIP);
  const facts = await holding(withTransport(await adminTransport(config), (transport) => readClusterFacts(new Client(transport), limit))).catch(() => ({}));
  const now = { ...config, nodeIP: ownIP, ...facts };
  if (!isDeepStrictEqual(now, config)) await writeJoinedConfig(now);
  return now;
}

/** Why a joined node cannot use its server now; undefined when it can. */
export async function serverProblem(config: JoinedConfig): Promise<string | undefined> {
  const looked = withTransport(await adminTransport(config), (transport) => new Client(transport).of(NODES).get('', config.nodeName));
  return await holding(looked).then(() => undefined, (err: Error) => (isReason(err, 'NotFound') ? undefined : err.message));
}

/** Gets the node its certificate and writes down what it is. Nothing is written before the cluster has let it in. */
export async function joinCluster(request: JoinRequest, { step }: JoinSteps, signal: AbortSignal): Promise<JoinedConfig> {
  const { dataDir, token: text, caHashes } = request;
  if (await readClusterConfig(dataDir)) throw new Error(`there is a cluster of its own in ${dataDir}: uninstall it first, or choose another --data-dir`);
  const before = await readJoinedConfig(dataDir);
  const nodeName = nodeNameOf(request, before);
  if (before && before.nodeName !== nodeName) throw new Error(`the machine has joined as node "${before.nodeName}" already and cannot become "${nodeName}": uninstall it first, or choose another --data-dir`);
  const token = parseToken(text);
  const { server, ca } = await step(`cluster at ${request.server} found`, () => discoverCluster({ server: request.server, token, caHashes, signal: AbortSignal.any([signal, AbortSignal.timeout(DISCOVERY_WAIT_MS)]) }));
  const wait = AbortSignal.any([signal, AbortSignal.timeout(CERTIFICATE_WAIT_MS)]);
  const client = await step(`certificate for node ${nodeName}`, () => withTransport(new HttpTransport({ server, ca, token: () => text, userAgent: 'podyard-join' }), (transport) => requestCertificate(new Client(transport), clientCertificateOf(nodeName), wait)));
  return await withTransport(new HttpTransport({ server, ca, ...client, userAgent: 'podyard-join' }), (transport) => settle(request, new Client(transport), { server, ca, client, before, nodeName }, signal));
}

interface Admitted {
  readonly server: string;
  readonly ca: string;
  readonly client: KeyPair;
  readonly before: JoinedConfig | undefined;
  readonly nodeName: string;
}
async function settle(request: JoinRequest, client: Client, { server, ca, client: pair, before, nodeName }: Admitted, signal: AbortSignal): Promise<JoinedConfig> {
  const facts = { server, ...(await readClusterFacts(client, signal)) };
  const config = newJoinedConfig(request, facts, await addressTowards(server, signal), before);
  await refuseTaken(client, config, nodeName, before !== undefined, signal);
  await writeNodeCredentials(config, ca, pair);
  await writeJoinedConfig(config);
  return config;
}
/** What every node must know, as the cluster says it. Source: `cluster/bootstrap/joining.ts`. */
async function readClusterFacts(client: Client, signal: AbortSignal): Promise<Omit<ClusterFacts, 'server'>> {
  const { data = {} } = await client.of(CONFIG_MAPS).get('kube-system', 'podyard-node', signal);
  const { clusterCIDR, clusterDNS: dnsIP, clusterDomain, podNetwork = 'routes' } = data;
  if (!clusterCIDR || !dnsIP || !clusterDomain) throw new Error('the ConfigMap kube-system/podyard-node of the cluster lacks clusterCIDR, clusterDNS or clusterDomain');
  return { clusterCIDR, dnsIP, clusterDomain, podNetwork: podNetworkOf(podNetwork, 'the key podNetwork of the ConfigMap kube-system/podyard-node') };
}
/** Two machines of one name would take each other's Pods. */
async function refuseTaken(client: Client, { nodeIP }: JoinedConfig, nodeName: string, isOurs: boolean, signal: AbortSignal): Promise<void> {
  const node = await client.of(NODES).get('', nodeName, signal).catch((err: unknown) => {
    if (isReason(err, 'NotFound')) return undefined;
    throw err;
  });
  if (isOurs || !node || !isReady(node)) return;
  const address = node.status?.addresses?.find((a) => a.type === 'InternalIP')?.address;
  if (address !== nodeIP) throw new Error(`a node "${nodeName}" is in the cluster already, at ${address ?? 'an unknown address'}: choose another --node-name`);
}
async function withTransport<T>(transport: HttpTransport, task: (transport: HttpTransport) => Promise<T>): Promise<T> {
  try {
    return await task(transport);
  } finally {
    transport.close();
  }
}
