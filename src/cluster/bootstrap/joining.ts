/**
 * What a joining node reads of its cluster: `kube-public/cluster-info`, where it is and by which authority it is known, for everybody; and
 * `kube-system/podyard-node`, what a node must know of its network, for nodes.
 * Source: the Kubernetes page "Authenticating with Bootstrap Tokens", ConfigMap signing.
 */
import type * as coreV1 from '#api/gen/core-v1.ts';
import { resourceOf } from '#api/resources.ts';
import type { Transport } from '#client/transport.ts';
import { isReason } from '#machinery/status-error.ts';
import { publicKubeconfigText } from '../pki/kubeconfig.ts';

const CONFIG_MAPS = resourceOf('', 'v1', 'configmaps');
const SIGNATURE = /^jws-kubeconfig-/;

export interface JoiningOptions {
  /** URL under which other machines reach the API server: `https://10.0.0.5:6443`. */
  readonly server: string;
  /** PEM of the cluster's authority. */
  readonly ca: string;
  /** Range of all Pods. */
  readonly clusterCIDR: string;
  readonly dnsIP: string;
  readonly clusterDomain: string;
  /** How Pods of different nodes reach each other. */
  readonly podNetwork: string;
}
type Data = Readonly<Record<string, string>>;

/** Makes the config map say what `wanted` says, whatever else it says. `isStale` names the keys that are of no use once it has changed. */
async function ensureData(transport: Transport, where: { readonly namespace: string; readonly name: string }, wanted: Data, isStale: (key: string) => boolean, signal: AbortSignal | undefined): Promise<void> {
  const at = { resource: CONFIG_MAPS, ...where };
  try {
    const found = (await transport.call({ verb: 'get', ...at }, signal)) as coreV1.ConfigMap;
    if (Object.entries(wanted).every(([key, value]) => found.data?.[key] === value)) return;
    const kept = Object.fromEntries(Object.entries(found.data ?? {}).filter(([key]) => !isStale(key)));
    await transport.call({ verb: 'update', ...at, body: { ...found, data: { ...kept, ...wanted } } }, signal);
  } catch (err) {
    if (!isReason(err, 'NotFound')) throw err;
    const body: coreV1.ConfigMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { ...where }, data: wanted };
    await transport.call({ verb: 'create', resource: CONFIG_MAPS, namespace: where.namespace, body }, signal);
  }
}
/** Makes both config maps, or makes them right; keys that others added stay. The signer signs `cluster-info` anew where it changed. Idempotent. */
export async function ensureJoining(transport: Transport, options: JoiningOptions, signal?: AbortSignal): Promise<void> {
  // Signatures of another text would have a token look wrong that is only not signed yet.
  await ensureData(transport, { namespace: 'kube-public', name: 'cluster-info' }, { kubeconfig: publicKubeconfigText(options) }, (key) => SIGNATURE.test(key), signal);
  const { clusterCIDR, dnsIP, clusterDomain, podNetwork } = options;
  await ensureData(transport, { namespace: 'kube-system', name: 'podyard-node' }, { clusterCIDR, clusterDNS: dnsIP, clusterDomain, podNetwork }, () => false, signal);
}
