/** kubeconfig files (`client.authentication` aside): one cluster, one user, one context, credentials inside. */
import { dump } from 'js-yaml';
import type { KeyPair } from './x509.ts';

export interface KubeconfigOptions {
  /** `https://127.0.0.1:6443` */
  readonly server: string;
  /** PEM of the cluster's authority. */
  readonly ca: string;
  /** Name of the cluster's entry. */
  readonly cluster: string;
  /** Name of the user's entry. */
  readonly user: string;
  /** Name of the context; default `user@cluster`. */
  readonly context?: string;
  readonly credentials: KeyPair | { readonly token: string };
}

export interface Kubeconfig {
  readonly apiVersion: 'v1';
  readonly kind: 'Config';
  readonly clusters: readonly { readonly name: string; readonly cluster: Readonly<Record<string, string>> }[];
  readonly contexts: readonly { readonly name: string; readonly context: Readonly<Record<string, string>> }[];
  readonly 'current-context': string;
  readonly preferences: Readonly<Record<string, never>>;
  readonly users: readonly { readonly name: string; readonly user: Readonly<Record<string, string>> }[];
}
const base64 = (pem: string): string => Buffer.from(pem).toString('base64');

/** The kubeconfig as an object. */
export function kubeconfigOf(options: KubeconfigOptions): Kubeconfig {
  const { credentials } = options;
  const context = options.context ?? `${options.user}@${options.cluster}`;
  const user = 'token' in credentials
    ? { token: credentials.token }
    : { 'client-certificate-data': base64(credentials.cert), 'client-key-data': base64(credentials.key) };
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: options.cluster, cluster: { 'certificate-authority-data': base64(options.ca), server: options.server } }],
    contexts: [{ name: context, context: { cluster: options.cluster, user: options.user } }],
    'current-context': context,
    preferences: {},
    users: [{ name: options.user, user }],
  };
}
/** The kubeconfig as YAML. */
export function kubeconfigText(options: KubeconfigOptions): string {
  return dump(kubeconfigOf(options), { lineWidth: -1 });
}
/** A kubeconfig that says where a cluster is and whom to trust, and nothing else: kubeadm's of `kube-public/cluster-info`, its one cluster without a name. */
export function publicKubeconfigText({ server, ca }: Pick<KubeconfigOptions, 'server' | 'ca'>): string {
  const clusters: Kubeconfig['clusters'] = [{ name: '', cluster: { 'certificate-authority-data': base64(ca), server } }];
  return dump({ apiVersion: 'v1', clusters, contexts: null, 'current-context': '', kind: 'Config', preferences: {}, users: null }, { lineWidth: -1 });
}
