/** Says of a node that the cluster's server runs on it. Source: reference/labels-annotations-taints, `node-role.kubernetes.io/control-plane`. */
import type { Client } from '#client/client.ts';
import { NODES } from '#client/kinds.ts';

const CONTROL_PLANE = 'node-role.kubernetes.io/control-plane';

/** Labels the Node, as kubeadm does. It gets no taint: Pods run there too. */
export async function markControlPlane(client: Client, nodeName: string, signal: AbortSignal): Promise<void> {
  const { metadata } = await client.of(NODES).get('', nodeName, signal);
  if (metadata.labels?.[CONTROL_PLANE] === undefined) await client.of(NODES).patch('', nodeName, 'application/strategic-merge-patch+json', { metadata: { labels: { [CONTROL_PLANE]: '' } } }, { signal });
}
