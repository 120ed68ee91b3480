/**
 * How the API server reaches kubelets, Pods and Services: HTTPS with its own client certificate, upgrades passed through. A kubelet of the
 * same process is reached without (`local-kubelet.ts`).
 */
import { Agent as HttpAgent } from 'node:http';
import { Agent } from 'node:https';
import { posix } from 'node:path';
import type { Node } from '#api/gen/core-v1.ts';
import type { ApiRequest, ApiResult } from '#apiserver/request.ts';
import type { AddressTarget, KubeletTarget, NodeProxy, ProxyAnswer } from '#apiserver/subresources/node-proxy.ts';
import { goError } from '#apiserver/webhook/client.ts';
import type { LocalKubelet } from '#kubelet/server/request.ts';
import type { LinkOrigin } from '#machinery/httpstream/link-rewriter.ts';
import { refuseUpgrade } from '#machinery/httpstream/upgrade.ts';
import { proxyRequest, proxyUpgrade, type ProxiedResponse, type ProxyTarget } from '#machinery/httpstream/upgrade-proxy.ts';
import { serviceUnavailable, StatusError } from '#machinery/status-error.ts';
import { askLocally, upgradeLocally } from './local-kubelet.ts';
import { throughProxy } from './proxied-page.ts';

export interface NodeProxyOptions {
  /** PEM of the authority of kubelets' serving certificates, and of our client certificate and key. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  /** The kubelet of a node that runs in this process; undefined for any other. */
  readonly local?: ((node: Node) => LocalKubelet | undefined) | undefined;
}
/** Headers that would let a Pod act as the one who asks. */
const CREDENTIALS = { authorization: undefined, cookie: undefined };

function kubeletAddress(node: Node): { host: string; port: number } {
  const addresses = node.status?.addresses ?? [];
  const found = ['InternalIP', 'Hostname', 'ExternalIP'].map((type) => addresses.find((a) => a.type === type)).find((a) => a);
  if (!found) throw serviceUnavailable(`no preferred addresses found; known addresses: []`);
  return { host: found.address, port: node.status?.daemonEndpoints?.kubeletEndpoint?.Port ?? 10_250 };
}
/** An error of the transport as upstream's API server passes it on: no reason, its own words. */
const transportError = (message: string, cause: unknown): StatusError => new StatusError({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, code: 500 }, cause);
/** Where the links of a proxied page lead, for who sees it through the API server. */
function originOf(to: ProxyTarget, request: ApiRequest): LinkOrigin {
  const { path } = request.info;
  const asked = request.auth.header('host');
  return { prefix: request.rest !== '' && path.endsWith(request.rest) ? path.slice(0, -request.rest.length) : path, hosts: [to.url.host, ...(asked ? [asked] : [])] };
}
const bracketed = (host: string): string => (host.includes(':') ? `[${host}]` : host);

export interface ClusterNodeProxy extends NodeProxy {
  /** Another client certificate, for connections from now on. What is under way goes on. */
  setCredentials(credentials: { readonly cert: string; readonly key: string }): void;
  close(): void;
}
export function newNodeProxy(options: NodeProxyOptions): ClusterNodeProxy {
  let tls = { ca: options.ca, cert: options.cert, key: options.key };
  let kubelets = new Agent({ keepAlive: true, ...tls });
  const plain = new HttpAgent({ keepAlive: true });

  function targetOf(target: AddressTarget | KubeletTarget): ProxyTarget {
    if ('node' in target) {
      const { host, port } = kubeletAddress(target.node);
      const url = new URL(`https://${bracketed(host)}:${port}${target.path}`);
      return { url, tls, agent: kubelets, headers: CREDENTIALS };
    }
    const url = new URL(`${target.scheme}://${bracketed(target.host)}:${target.port}${target.path}`);
    // As upstream's proxy: what a Pod serves over TLS is not checked, its address is all that is known of it.
    return { url, headers: CREDENTIALS, ...(target.scheme === 'https' ? { tls: { rejectUnauthorized: false } } : { agent: plain }) };
  }
  const localTo = (target: AddressTarget | KubeletTarget): LocalKubelet | undefined => ('node' in target ? options.local?.(target.node) : undefined);
  async function ask(method: string, target: ProxyTarget, request: ApiRequest | undefined, signal: AbortSignal, local: LocalKubelet | undefined): Promise<ProxyAnswer> {
    const body = request?.bodyStream?.();
    if (local) {
      body?.resume();
      return await askLocally(local, target, method, signal);
    }
    const headers = request?.auth.headerNames().flatMap((name) => request.auth.headerValues(name).flatMap((value) => [name, value])) ?? [];
    const response = await proxyRequest(target, { method, rawHeaders: headers, ...(body ? { body: body as never } : {}) }, signal);
    return { status: response.status, headers: headersOf(response), body: response.body as AsyncIterable<Uint8Array> };
  }
  const headersOf = (response: ProxiedResponse): Record<string, string | string[]> => {
    const out: Record<string, string | string[]> = {};
    for (const [name, value] of response.headers) {
      const key = name.toLowerCase();
      const before = out[key];
      out[key] = before === undefined ? value : [before, value].flat();
    }
    return out;
  };
  async function upgradeTo(target: ProxyTarget, request: ApiRequest, local: LocalKubelet | undefined): Promise<ApiResult> {
    const { upgrade, signal } = request;
    if (!upgrade) throw new Error('the request asks for no upgrade');
    if (local) await upgradeLocally(local, target, request);
    else await proxyUpgrade(target, { method: upgrade.method, rawHeaders: upgrade.rawHeaders }, upgrade.socket, upgrade.head, {
      signal,
      onError: (socket, err) => refuseUpgrade(socket, 500, `${JSON.stringify(transportError(`error dialing backend: ${goError(err)}`, err).status)}\n`, [['Content-Type', 'application/json']]),
    });
    return { kind: 'hijacked' };
  }

  return {
    async send(method, target, signal): Promise<ProxyAnswer> {
      const to = targetOf(target);
      return await ask(method, to, undefined, signal, localTo(target)).catch((err: unknown) => {
        throw signal.aborted ? err : transportError(`${method[0]}${method.slice(1).toLowerCase()} ${JSON.stringify(to.url.href)}: ${goError(err)}`, err);
      });
    },
    upgrade: (target, request) => upgradeTo(targetOf(target), request, localTo(target)),
    async forward(target, request): Promise<ApiResult> {
      const direct = targetOf(target);
      if (request.upgrade) return await upgradeTo(direct, request, localTo(target));
      const origin = originOf(direct, request);
      const to = { ...direct, headers: { ...direct.headers, 'x-forwarded-uri': posix.join(encodeURI(origin.prefix), direct.url.pathname) } };
      const { status, headers, body } = await ask(request.method, to, request, request.signal, localTo(target)).catch((err: unknown) => {
        throw request.signal.aborted ? err : serviceUnavailable(`error trying to reach service: ${goError(err)}`);
      });
      return throughProxy({ kind: 'raw', code: status, headers, body }, request.method, origin);
    },
    setCredentials({ cert, key }) {
      tls = { ...tls, cert, key };
      kubelets = new Agent({ keepAlive: true, ...tls });
    },
    close() {
      kubelets.destroy();
      plain.destroy();
    },
  };
}
