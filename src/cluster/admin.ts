/** The cluster as its administrator sees it from another process: over HTTPS, with the admin kubeconfig. */
import { readFile } from 'node:fs/promises';
import { load } from 'js-yaml';
import type { Node, Pod } from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';
import { Client } from '#client/client.ts';
import { HttpTransport } from '#client/http-transport.ts';
import { NODES, PODS } from '#client/kinds.ts';
import type { ClusterConfig } from './config.ts';
import type { Kubeconfig } from './pki.ts';
import { holding } from './runtime/hold.ts';

export async function readAdminKubeconfig(config: Pick<ClusterConfig, 'kubeconfig'>): Promise<Kubeconfig> {
  return load(await readFile(config.kubeconfig, 'utf8')) as Kubeconfig;
}
/** A client as the administrator. Close its transport. */
export async function adminTransport(config: Pick<ClusterConfig, 'kubeconfig'>): Promise<HttpTransport> {
  const { clusters: [cluster], users: [user] } = await readAdminKubeconfig(config);
  const decode = (text: string | undefined): string => Buffer.from(text ?? '', 'base64').toString('utf8');
  return new HttpTransport({
    server: cluster!.cluster['server']!,
    ca: decode(cluster!.cluster['certificate-authority-data']),
    cert: decode(user!.user['client-certificate-data']),
    key: decode(user!.user['client-key-data']),
    userAgent: 'podyard',
    timeoutMs: 10_000,
  });
}
export function isReady(node: Node): boolean {
  return node.status?.conditions?.find((c) => c.type === 'Ready')?.status === 'True' && !(node.spec.taints ?? []).some((t) => t.key === 'node.kubernetes.io/not-ready');
}
/** Waits until the cluster's own node is Ready. Rejects when the signal aborts before, with what the node says. */
export async function waitForNode(config: ClusterConfig, signal: AbortSignal): Promise<void> {
  const transport = await adminTransport(config);
  let last: Node | undefined;
  const watch = async (): Promise<void> => {
    const nodes = new Client(transport).of(NODES);
    const options = { fieldSelector: `metadata.name=${config.nodeName}` };
    const list = await nodes.list(options);
    last = list.items[0];
    if (last && isReady(last)) return;
    for await (const batch of nodes.watch({ ...options, resourceVersion: list.metadata.resourceVersion ?? '0' }, signal)) {
      for (const event of batch) if (event.type !== 'BOOKMARK') last = event.object;
      if (last && isReady(last)) return;
    }
    const why = last?.status?.conditions?.find((c) => c.type === 'Ready')?.message ?? 'it has not registered';
    throw new Error(`node "${config.nodeName}" is not Ready: ${why}`, { cause: signal.reason });
  };
  try {
    await holding(watch());
  } finally {
    transport.close();
  }
}
export interface ClusterSummary {
  readonly nodes: readonly { readonly name: string; readonly ready: boolean; readonly version: string; readonly runtime: string }[];
  readonly pods: { readonly total: number; readonly running: number };
}
export async function summarise(config: ClusterConfig): Promise<ClusterSummary> {
  const transport = await adminTransport(config);
  try {
    const client = new Client(transport);
    const [nodes, pods] = await holding(Promise.all([client.of(NODES).list(), client.of(PODS).list()]));
    return {
      nodes: nodes.items.map((n) => ({ name: nameOf(n), ready: isReady(n), version: n.status?.nodeInfo?.kubeletVersion ?? '', runtime: n.status?.nodeInfo?.containerRuntimeVersion ?? '' })),
      pods: { total: pods.items.length, running: pods.items.filter((p: Pod) => p.status?.phase === 'Running').length },
    };
  } finally {
    transport.close();
  }
}
