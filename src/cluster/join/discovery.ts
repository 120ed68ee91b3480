/**
 * How a machine that knows an address, a token and the hash of an authority's key comes to trust a cluster: it reads `kube-public/cluster-info` from a
 * server that may be anybody, believes what the token has signed and the hash fits, and has the server prove that it is of that authority.
 * Source: the Kubernetes pages "Authenticating with Bootstrap Tokens" (ConfigMap signing) and "kubeadm join" (token-based discovery with CA pinning).
 */
import { createHash, timingSafeEqual, X509Certificate } from 'node:crypto';
import { load } from 'js-yaml';
import { sleep, systemClock, type Clock } from '#base/clock.ts';
import { detachedSignature } from '#controllers/bootstrap-signer/tokens.ts';
import { pemBlocks, pemText } from '#machinery/pem.ts';
import type { Kubeconfig } from '../pki.ts';
import { holding } from '../runtime/hold.ts';
import { fetchClusterInfo, type ClusterInfo } from './cluster-info.ts';

const RETRY_MS = 1000;

export interface BootstrapToken {
  /** Six characters: names the token, no secret. */
  readonly id: string;
  /** Sixteen. */
  readonly secret: string;
}
export interface DiscoveryOptions {
  /** `10.0.0.5:6443` */
  readonly server: string;
  readonly token: BootstrapToken;
  /** `sha256:…`, as {@link caHash} makes them: one of them must be the authority's. */
  readonly caHashes: readonly string[];
  /** Ends the waiting for the token's signature. */
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}
export interface DiscoveredCluster {
  /** URL of the API server, as the cluster tells it. */
  readonly server: string;
  /** PEM of the cluster's authority. */
  readonly ca: string;
}

/** Throws an Error that says the form and keeps the text to itself: it may hold a secret. */
export function parseToken(text: string): BootstrapToken {
  const [, id, secret] = /^([a-z0-9]{6})\.([a-z0-9]{16})$/.exec(text) ?? [];
  if (id === undefined || secret === undefined) throw new Error('the token must be six and sixteen characters of a-z and 0-9 with a dot between, such as abcdef.0123456789abcdef');
  return { id, secret };
}
/** `sha256:` and, in hexadecimal, the SHA-256 of the DER of the certificate's SubjectPublicKeyInfo (RFC 7469, as kubeadm pins it). */
export function caHash(pem: string): string {
  return `sha256:${createHash('sha256').update(new X509Certificate(pem).publicKey.export({ type: 'spki', format: 'der' })).digest('hex')}`;
}

/** Waits until the server tells of a cluster that the token signs. Rejects with what is missing when the signal aborts before. */
async function awaitSigned({ server, token, signal }: DiscoveryOptions, clock: Clock): Promise<ClusterInfo> {
  let missing: string | undefined;
  try {
    for (;;) {
      const info = await fetchClusterInfo(server, { signal, clock });
      if (info?.signatures.has(token.id)) return info;
      missing = info ? `token id "${token.id}" is not (or no longer) known to the cluster: make one with "podyard token create"` : `https://${server} has no ConfigMap kube-public/cluster-info: it is no cluster that can be joined, or it is not up yet`;
      await sleep(clock, RETRY_MS, signal);
    }
  } catch (err) {
    if (!signal.aborted || missing === undefined) throw err;
    throw new Error(missing, { cause: err });
  }
}
function isSignedBy(token: BootstrapToken, { kubeconfig, signatures }: ClusterInfo): boolean {
  const [given, right] = [signatures.get(token.id) ?? '', detachedSignature(kubeconfig, token)].map((text) => Buffer.from(text)) as [Buffer, Buffer];
  return given.length === right.length && timingSafeEqual(given, right);
}
function clusterOf(kubeconfig: string): DiscoveredCluster {
  const { server, 'certificate-authority-data': ca } = (load(kubeconfig) as Partial<Kubeconfig> | undefined)?.clusters?.[0]?.cluster ?? {};
  if (!server?.startsWith('https://') || !ca) throw new Error('the kubeconfig in kube-public/cluster-info must name a server by https and its authority');
  return { server, ca: Buffer.from(ca, 'base64').toString() };
}
/** Each authority must be one that was named: a second one in the file would be trusted as the first. */
function checkAuthorities(server: string, ca: string, caHashes: readonly string[]): void {
  const found = pemBlocks(ca).filter((b) => b.type === 'CERTIFICATE').map((b) => caHash(pemText(b.type, b.bytes)));
  const foreign = found.length === 0 ? 'none' : found.find((hash) => !caHashes.some((wanted) => wanted.toLowerCase() === hash));
  if (foreign !== undefined) throw new Error(`the hash of the authority of https://${server} is ${foreign}, and must be ${caHashes.join(' or ')}: look at the address, and at the command that "podyard token create" prints on that cluster`);
}

/**
 * Where the cluster is and whom to trust. Nothing is sent but the request, and nothing is believed that is not both signed by the token and pinned by a hash.
 * Waits for the token's signature until the signal aborts; rejects at once for a server that cannot be reached, a wrong secret and a wrong hash.
 */
export async function discoverCluster(options: DiscoveryOptions): Promise<DiscoveredCluster> {
  const { server, token, caHashes, signal, clock = systemClock } = options;
  if (caHashes.length === 0) throw new Error('the hash of the cluster\'s authority must be given: "podyard token create" prints it');
  for (const hash of caHashes) if (!/^sha256:[0-9a-f]{64}$/i.test(hash)) throw new Error(`the hash "${hash}" of an authority must be sha256: and 64 hexadecimal digits`);
  const info = await holding(awaitSigned(options, clock));
  if (!isSignedBy(token, info)) throw new Error(`the secret of token id "${token.id}" is not the one that https://${server} has: look at the token, and at the address`);
  const cluster = clusterOf(info.kubeconfig);
  checkAuthorities(server, cluster.ca, caHashes);
  const proven = await fetchClusterInfo(server, { ca: cluster.ca, signal, clock });
  if (proven?.kubeconfig !== info.kubeconfig) throw new Error(`https://${server} told of two clusters, one after the other: try again`);
  return cluster;
}
