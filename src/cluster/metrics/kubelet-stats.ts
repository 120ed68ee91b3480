import type { Node } from '#api/gen/core-v1.ts';
import type { NodeProxy } from '#apiserver/subresources/node-proxy.ts';
import { askKubelet } from '../ask-kubelet.ts';
import type { StatsSummary } from './scraper.ts';

const USER = { name: 'system:serviceaccount:kube-system:metrics-server', groups: ['system:serviceaccounts', 'system:authenticated'] };

/** Asks a kubelet's server for its summary. */
export function kubeletStats(proxy: NodeProxy): (node: Node, signal: AbortSignal) => Promise<StatsSummary> {
  return async (node, signal) => {
    const { status, text } = await askKubelet(proxy, 'GET', { node, path: '/stats/summary?only_cpu_and_memory=true', user: USER }, signal);
    if (status !== 200) throw new Error(`request failed, status: "${status}": ${text.slice(0, 200)}`);
    return JSON.parse(text) as StatsSummary;
  };
}
