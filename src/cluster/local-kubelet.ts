/**
 * The API server's way to a kubelet of its own process: asked without a connection, and given the client's own connection where that
 * changes its protocol, so that nothing is copied or encrypted in between. The kubelet authorises as it does for any other request.
 */
import type { ApiRequest } from '#apiserver/request.ts';
import type { ProxyAnswer } from '#apiserver/subresources/node-proxy.ts';
import type { KubeletAnswer, LocalKubelet } from '#kubelet/server/request.ts';
import { upgradeHeadersFor, type ProxyTarget } from '#machinery/httpstream/upgrade-proxy.ts';
import { componentUser } from './in-process-transport.ts';
import { CONTROL_PLANE_CLIENTS } from './pki.ts';

/** Whom a kubelet sees when the API server asks: over HTTPS our client certificate says it. */
const { commonName, organizations } = CONTROL_PLANE_CLIENTS['apiserver-kubelet-client'];
const API_SERVER = componentUser(commonName, ...organizations);

export async function askLocally(kubelet: LocalKubelet, { url }: ProxyTarget, method: string, signal: AbortSignal): Promise<ProxyAnswer> {
  const { status, headers, body } = await kubelet.handle({ user: API_SERVER, method, url, signal });
  return { status, headers: lowerCase(headers), body: Buffer.isBuffer(body) ? onePiece(method === 'HEAD' ? Buffer.alloc(0) : body) : body };
}
/** Resolves when the session is over, or refused; the client has its answer then. */
export async function upgradeLocally(kubelet: LocalKubelet, target: ProxyTarget, { upgrade, signal }: ApiRequest): Promise<void> {
  const { method, socket, head } = upgrade!;
  const headers = upgradeHeadersFor(target, upgrade!);
  const rawHeaders = Object.entries(headers).flatMap(([name, values]) => [values].flat().flatMap((value) => [name, value]));
  await kubelet.upgrade({ user: API_SERVER, method, url: target.url, headers, rawHeaders, signal }, socket, head);
}

const lowerCase = (headers: KubeletAnswer['headers']): Record<string, string> => Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
async function* onePiece(body: Buffer): AsyncGenerator<Buffer> {
  if (body.length) yield body;
}
