/** Questions to a kubelet's server that are answered by a short document. */
import type { KubeletTarget, NodeProxy } from '#apiserver/subresources/node-proxy.ts';

/** The answer whole, whatever its status. Rejects when the kubelet cannot be reached. */
export async function askKubelet(proxy: Pick<NodeProxy, 'send'>, method: 'GET' | 'POST' | 'DELETE', target: KubeletTarget, signal: AbortSignal): Promise<{ readonly status: number; readonly text: string }> {
  const { status, body } = await proxy.send(method, target, signal);
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return { status, text: Buffer.concat(chunks).toString() };
}
