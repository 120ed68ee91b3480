/** Directories for volumes of the built-in provisioner: each node makes and removes its own, asked through its kubelet's server. */
import { basename, resolve } from 'node:path';
import type { Node } from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';
import type { NodeProxy } from '#apiserver/subresources/node-proxy.ts';
import type { NodeStorage } from '#controllers/persistentvolume-binder/local-path.ts';
import { askKubelet } from './ask-kubelet.ts';

const USER = { name: 'system:serviceaccount:kube-system:local-path-provisioner', groups: ['system:serviceaccounts', 'system:authenticated'] };
/** A node that went without a word keeps nobody longer. What it had begun, it ends: it is asked again. */
const TIMEOUT_MS = 60_000;

export function nodeStorage(proxy: Pick<NodeProxy, 'send'>): NodeStorage {
  async function ask(method: 'POST' | 'DELETE', node: Node, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<string> {
    const limit = AbortSignal.timeout(TIMEOUT_MS);
    const path = `/storage?${new URLSearchParams(query)}`;
    const { status, text } = await askKubelet(proxy, method, { node, path, user: USER }, AbortSignal.any([signal, limit])).catch((err: unknown) => {
      throw limit.aborted && !signal.aborted ? new Error(`node ${JSON.stringify(nameOf(node))} has not answered for ${TIMEOUT_MS / 1000} s`, { cause: err }) : err;
    });
    if (status !== 200) throw new Error(text.trim() || `request failed, status: "${status}"`);
    return text;
  }
  return {
    async create(node, directory, signal) {
      const { path } = JSON.parse(await ask('POST', node, { directory }, signal)) as { readonly path?: unknown };
      // A node says itself by which name volumes know it: what it answers must be no directory of another node.
      if (typeof path !== 'string' || resolve(path) !== path || basename(path) !== directory) throw new Error(`node ${JSON.stringify(nameOf(node))} was asked for directory ${JSON.stringify(directory)}, and gives ${JSON.stringify(path)}`);
      return path;
    },
    remove: async (node, path, signal) => void (await ask('DELETE', node, { path }, signal)),
  };
}
