/** Who asks over HTTPS: a client certificate, else a bearer token (the reference page "Kubelet authentication/authorization"). */
import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import type { KubeletAuth, UserInfo } from './interfaces.ts';

const AUTHENTICATED_GROUP = 'system:authenticated';

/** Undefined for whoever has neither, or when nobody can tell whose the token is. */
export async function userOf(req: IncomingMessage, auth: Pick<KubeletAuth, 'authenticateToken'>, signal: AbortSignal): Promise<UserInfo | undefined> {
  const certified = certificateUser(req);
  if (certified) return certified;
  const [, token] = /^bearer +(\S+) *$/i.exec(req.headers.authorization ?? '') ?? [];
  return token === undefined ? undefined : auth.authenticateToken(token, signal).catch(() => undefined);
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
