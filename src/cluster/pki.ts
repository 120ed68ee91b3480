/**
 * The public key infrastructure of one cluster, on disk. Names of files and subjects are kubeadm's, so that people and tools find
 * what they know: `ca`, `front-proxy-ca`, `apiserver`, `apiserver-kubelet-client`, `front-proxy-client`, `sa`, and the clients' own.
 * Source: the Kubernetes page "PKI certificates and requirements".
 *
 * Everything is idempotent: what is there and still good is kept; leaves near their end, of another authority or lacking a name are
 * made anew. All files are mode 0600.
 */
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { join } from 'node:path';
import type { Clock } from '#base/clock.ts';
import { ensureAuthority, ensureLeaf, readIfThere, splitSans, writeSecretFile } from './pki/files.ts';
import { kubeconfigText, type KubeconfigOptions } from './pki/kubeconfig.ts';
import { createServiceAccountKey, type KeyPair } from './pki/x509.ts';

export { type Kubeconfig, type KubeconfigOptions } from './pki/kubeconfig.ts';
export { createAuthority, createCsr, issueLeaf, signCsr, verifyCsr, type KeyPair, type KeyUsage } from './pki/x509.ts';
export { readIfThere, renewalDue, writeSecretFile } from './pki/files.ts';

export interface PkiOptions {
  /** Directory of the files: `<data-dir>/pki`. */
  readonly dir: string;
  /** DNS domain of the cluster. Default `cluster.local`. */
  readonly clusterDomain?: string;
  /** Cluster IP of the `kubernetes` Service. Default 10.96.0.1. */
  readonly serviceIp?: string;
  /** Addresses and host names under which clients reach the API server, beyond localhost and the Service. */
  readonly apiServerSans?: readonly string[];
  readonly clock: Clock;
}

/** The clients that a control plane needs, by the name of their file. */
export const CONTROL_PLANE_CLIENTS = {
  admin: { commonName: 'kubernetes-admin', organizations: ['system:masters'] },
  'apiserver-kubelet-client': { commonName: 'kube-apiserver-kubelet-client', organizations: ['system:masters'] },
  'controller-manager': { commonName: 'system:kube-controller-manager', organizations: [] },
  scheduler: { commonName: 'system:kube-scheduler', organizations: [] },
  'kube-proxy': { commonName: 'system:kube-proxy', organizations: [] },
} as const satisfies Record<string, { commonName: string; organizations: readonly string[] }>;
export type ControlPlaneClient = keyof typeof CONTROL_PLANE_CLIENTS;

export interface ClusterPki {
  /** Signs everything but the front proxy's client. */
  readonly ca: KeyPair;
  readonly frontProxyCa: KeyPair;
  readonly frontProxyClient: KeyPair;
  /** The API server's serving certificate. */
  readonly apiServer: KeyPair;
  readonly clients: Readonly<Record<ControlPlaneClient, KeyPair>>;
  /** Signs service-account tokens: PKCS #8 and SPKI, PEM. */
  readonly serviceAccountKey: { readonly privateKey: string; readonly publicKey: string };
}

/** The names every API server answers to. */
export function apiServerSans(clusterDomain = 'cluster.local', serviceIp = '10.96.0.1'): string[] {
  return ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', `kubernetes.default.svc.${clusterDomain}`, 'localhost', serviceIp, '127.0.0.1', '::1'];
}

/** Reads the cluster's keys and certificates, making what is missing or stale. */
export async function ensureClusterPki(options: PkiOptions): Promise<ClusterPki> {
  const { dir, clock } = options;
  const ca = await ensureAuthority(dir, 'ca', 'kubernetes', clock);
  const frontProxyCa = await ensureAuthority(dir, 'front-proxy-ca', 'front-proxy-ca', clock);
  const sans = splitSans([...apiServerSans(options.clusterDomain, options.serviceIp), ...(options.apiServerSans ?? [])]);
  const apiServer = await ensureLeaf(dir, 'apiserver', ca, { commonName: 'kube-apiserver', ...sans, usages: ['server auth'] }, clock);
  const frontProxyClient = await ensureLeaf(dir, 'front-proxy-client', frontProxyCa, { commonName: 'front-proxy-client', usages: ['client auth'] }, clock);
  const clients = {} as Record<ControlPlaneClient, KeyPair>;
  for (const [name, subject] of Object.entries(CONTROL_PLANE_CLIENTS)) {
    clients[name as ControlPlaneClient] = await ensureLeaf(dir, name, ca, { ...subject, usages: ['client auth'] }, clock);
  }
  return { ca, frontProxyCa, frontProxyClient, apiServer, clients, serviceAccountKey: await ensureServiceAccountKey(dir) };
}

async function ensureServiceAccountKey(dir: string): Promise<ClusterPki['serviceAccountKey']> {
  const known = await readIfThere(join(dir, 'sa.key'));
  if (known !== undefined) {
    // The public half is derived, never trusted from disk: the two cannot disagree.
    return { privateKey: known, publicKey: createPublicKey(createPrivateKey(known)).export({ format: 'pem', type: 'spki' }).toString() };
  }
  const made = await createServiceAccountKey();
  await writeSecretFile(join(dir, 'sa.pub'), made.publicKey);
  await writeSecretFile(join(dir, 'sa.key'), made.privateKey);
  return made;
}

export interface NodePki {
  /** `system:node:<name>` in `system:nodes`. */
  readonly client: KeyPair;
  /** For the kubelet's own server on port 10250. */
  readonly serving: KeyPair;
}
/** A kubelet's two key pairs, made by the control plane for a node of its own machine. `addresses`: IPs and host names of the node. */
export async function ensureNodePki(pki: ClusterPki, options: { readonly dir: string; readonly nodeName: string; readonly addresses: readonly string[]; readonly clock: Clock }): Promise<NodePki> {
  const user = `system:node:${options.nodeName}`;
  return {
    client: await ensureLeaf(options.dir, 'kubelet-client', pki.ca, { commonName: user, organizations: ['system:nodes'], usages: ['client auth'] }, options.clock),
    serving: await ensureLeaf(options.dir, 'kubelet', pki.ca, { commonName: user, organizations: ['system:nodes'], ...splitSans([options.nodeName, ...options.addresses]), usages: ['server auth'] }, options.clock),
  };
}

/** Writes a kubeconfig file, mode 0600. */
export async function writeKubeconfig(path: string, options: KubeconfigOptions): Promise<void> {
  await writeSecretFile(path, kubeconfigText(options));
}
