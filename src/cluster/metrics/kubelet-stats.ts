import type { Node } from '#api/gen/core-v1.ts';
import type { NodeProxy } from '#apiserver/subresources/node-proxy.ts';
import type { StatsSummary } from './scraper.ts';

const USER = { name: 'system:serviceaccount:kube-system:metrics-server', groups: ['system:serviceaccounts', 'system:authenticated'] };

/** Asks a kubelet's server for its summary. */
export function kubeletStats(proxy: NodeProxy): (node: Node, signal: AbortSignal) => Promise<StatsSummary> {
  return async (node, signal) => {
    const answer = await proxy.get({ node, path: '/stats/summary?only_cpu_and_memory=true', user: USER }, signal);
    const chunks: Uint8Array[] = [];
    for await (const chunk of answer.body) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    if (answer.status !== 200) throw new Error(`request failed, status: "${answer.status}": ${text.slice(0, 200)}`);
    return JSON.parse(text) as StatsSummary;
  };
}
