/** May they: the kubelet's authorisation (the reference page "Kubelet authentication/authorization", KEP-2862). */
import { logger } from '#base/logger.ts';
import type { KubeletAuth, NodeAttributes } from './interfaces.ts';
import type { KubeletRequest } from './request.ts';

const log = logger('kubelet-server');

/** An answer that ends a request. */
export interface Refusal {
  readonly status: number;
  readonly text: string;
}

/** Undefined when the request may go on. */
export async function refusalFor({ user, method, url, signal }: KubeletRequest, auth: Pick<KubeletAuth, 'authorize'>): Promise<Refusal | undefined> {
  const verb = verbOf(method);
  const path = url.pathname;
  const subresources = subresourcesOf(path);
  for (const subresource of subresources) {
    const attributes: NodeAttributes = { user, verb, subresource, path };
    try {
      if (await auth.authorize(attributes, signal)) return undefined;
    } catch (err) {
      log.warn({ err, user: user.name }, 'authorization not decided');
      return { status: 500, text: `Authorization error (user=${user.name}, verb=${verb}, resource=nodes, subresource=${subresource})` };
    }
  }
  return { status: 403, text: `Forbidden (user=${user.name}, verb=${verb}, resource=nodes, subresource(s)=[${subresources.join(' ')}])\n` };
}

function verbOf(method: string): string {
  return ({ POST: 'create', GET: 'get', PUT: 'update', PATCH: 'patch', DELETE: 'delete' } as Record<string, string>)[method] ?? '';
}

/** Subresources of `nodes` any of which allows the path: a fine one where there is one, then what was always asked for. */
export function subresourcesOf(path: string): readonly string[] {
  const under = (root: string): boolean => path === root || path.startsWith(`${root}/`);
  if (under('/stats')) return ['stats'];
  if (under('/metrics')) return ['metrics'];
  if (under('/logs')) return ['log'];
  if (under('/checkpoint')) return ['checkpoint'];
  if (under('/statusz')) return ['statusz'];
  if (under('/pods') || under('/runningpods')) return ['pods', 'proxy'];
  if (under('/healthz')) return ['healthz', 'proxy'];
  if (under('/configz')) return ['configz', 'proxy'];
  return ['proxy'];
}
