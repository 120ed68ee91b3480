/** Who asks, and may they: the kubelet's authentication and authorisation (the reference page "Kubelet authentication/authorization", KEP-2862). */
import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import { logger } from '#base/logger.ts';
import type { KubeletAuth, NodeAttributes, UserInfo } from './interfaces.ts';

const log = logger('kubelet-server');

/** An answer that ends a request. */
export interface Refusal {
  readonly status: number;
  readonly text: string;
}
const UNAUTHORIZED: Refusal = { status: 401, text: 'Unauthorized' };
const AUTHENTICATED_GROUP = 'system:authenticated';

/** Undefined when the request may go on. */
export async function refusalFor(req: IncomingMessage, path: string, auth: KubeletAuth, signal: AbortSignal): Promise<Refusal | undefined> {
  const user = await userOf(req, auth, signal).catch(() => undefined);
  if (!user) return UNAUTHORIZED;
  const verb = verbOf(req.method ?? '');
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

async function userOf(req: IncomingMessage, auth: KubeletAuth, signal: AbortSignal): Promise<UserInfo | undefined> {
  const certified = certificateUser(req);
  if (certified) return certified;
  const [, token] = /^bearer +(\S+) *$/i.exec(req.headers.authorization ?? '') ?? [];
  return token === undefined ? undefined : auth.authenticateToken(token, signal);
}

/** The user of a client certificate that the cluster's CA has signed: common name and organisations. */
function certificateUser(req: IncomingMessage): UserInfo | undefined {
  const { socket } = req;
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  const subject = socket.getPeerCertificate().subject as { CN?: string; O?: string | string[] } | undefined;
  if (!subject?.CN) return undefined;
  const organizations = subject.O === undefined ? [] : Array.isArray(subject.O) ? subject.O : [subject.O];
  return { name: subject.CN, groups: [...organizations, AUTHENTICATED_GROUP] };
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
