/** `pods/proxy`, `services/proxy` and `nodes/proxy`: names are `[SCHEME:]NAME[:PORT]`. */
import type * as coreV1 from '#api/gen/core-v1.ts';
import { resourceOf } from '#api/resources.ts';
import { badRequest, serviceUnavailable } from '#machinery/status-error.ts';
import type { RequestContext } from '../context.ts';
import { entryOf } from '../registry/get.ts';
import type { ApiResult } from '../request.ts';
import { admitConnect, nodeProxyOf } from './connect.ts';
import type { AddressTarget } from './node-proxy.ts';

const ENDPOINTS = resourceOf('', 'v1', 'endpoints');

export interface ProxyName {
  readonly scheme: '' | 'http' | 'https';
  readonly name: string;
  readonly port: string;
}
/** Upstream's `SplitSchemeNamePort`; undefined when the name is none. */
export function parseProxyName(text: string): ProxyName | undefined {
  const parts = text.split(':');
  if (parts.length === 1) return parts[0] === '' ? undefined : { scheme: '', name: parts[0]!, port: '' };
  if (parts.length === 2) return parts[0] === '' ? undefined : { scheme: '', name: parts[0]!, port: parts[1]! };
  const [scheme = '', name = '', port = ''] = parts;
  if (parts.length > 3 || name === '' || (scheme !== '' && scheme !== 'http' && scheme !== 'https')) return undefined;
  return { scheme: scheme as ProxyName['scheme'], name, port };
}

function pathOf(ctx: RequestContext): string {
  const query = ctx.request.query.toString();
  return `${ctx.request.rest || '/'}${query === '' ? '' : `?${query}`}`;
}
function splitName(ctx: RequestContext, what: string): ProxyName {
  const parsed = parseProxyName(ctx.name);
  if (!parsed) throw badRequest(`invalid ${what} request ${JSON.stringify(ctx.name)}`);
  return parsed;
}

export async function servePodProxy(ctx: RequestContext): Promise<ApiResult> {
  await admitConnect(ctx, 'PodProxyOptions', { path: ctx.request.rest });
  const { scheme, name, port } = splitName(ctx, 'pod');
  const pod = entryOf(ctx, name).object as coreV1.Pod;
  const host = pod.status?.podIPs?.[0]?.ip ?? pod.status?.podIP ?? '';
  if (host === '') throw badRequest('address not allowed');
  // Without a port: the first that a container declares.
  const declared = (pod.spec?.containers ?? []).flatMap((c) => c.ports ?? []);
  const number = port === '' ? (declared[0]?.containerPort ?? 80) : (declared.find((p) => p.name === port)?.containerPort ?? Number(port));
  return forward(ctx, { scheme: scheme || 'http', host, port: number, path: pathOf(ctx) });
}

export async function serveServiceProxy(ctx: RequestContext): Promise<ApiResult> {
  await admitConnect(ctx, 'ServiceProxyOptions', { path: ctx.request.rest });
  const { scheme, name, port } = splitName(ctx, 'service');
  const service = entryOf(ctx, name).object as coreV1.Service;
  const portName = servicePortName(service, port);
  const subsets = ctx.services.reader.get<coreV1.Endpoints>(ENDPOINTS, ctx.namespace, name)?.subsets ?? [];
  const ready = subsets.flatMap((s) => (s.ports ?? []).filter((p) => (p.name ?? '') === portName).flatMap((p) => (s.addresses ?? []).map((a) => ({ host: a.ip, port: p.port }))));
  if (ready.length === 0) throw serviceUnavailable(`no endpoints available for service ${JSON.stringify(ctx.name)}`);
  const chosen = ready[Math.floor(ctx.services.random() * ready.length)]!;
  return forward(ctx, { scheme: scheme || 'http', ...chosen, path: pathOf(ctx) });
}
/** The name under which endpoints list the port that a request gives by name or number. */
function servicePortName(service: coreV1.Service, asked: string): string {
  const ports = service.spec?.ports ?? [];
  if (asked === '') return ports[0]?.name ?? '';
  const hit = ports.find((p) => p.name === asked) ?? ports.find((p) => String(p.port) === asked);
  if (!hit) throw serviceUnavailable(`no service port ${JSON.stringify(asked)} found for service ${JSON.stringify(service.metadata.name ?? '')}`);
  return hit.name ?? '';
}

export async function serveNodeProxy(ctx: RequestContext): Promise<ApiResult> {
  await admitConnect(ctx, 'NodeProxyOptions', { path: ctx.request.rest });
  const { scheme, name, port } = splitName(ctx, 'node');
  const node = entryOf(ctx, name).object as coreV1.Node;
  const kubeletPort = node.status?.daemonEndpoints?.kubeletEndpoint?.Port ?? 10250;
  if (port === '' || Number(port) === kubeletPort) return toItsDirectory(ctx) ?? nodeProxyOf(ctx).forward({ node, path: pathOf(ctx), user: ctx.user }, ctx.request);
  const host = node.status?.addresses?.find((a) => a.type === 'InternalIP')?.address ?? '';
  if (host === '') throw badRequest('address not allowed');
  return forward(ctx, { scheme: scheme || 'http', host, port: Number(port), path: pathOf(ctx) });
}

/** The target's `/` is a directory: without the slash, a page's relative links would lead elsewhere. */
function toItsDirectory({ request }: RequestContext): ApiResult | undefined {
  if (request.rest !== '' || request.upgrade || (request.method !== 'GET' && request.method !== 'HEAD')) return undefined;
  const query = request.query.toString();
  return { kind: 'raw', code: 301, headers: { location: `${encodeURI(request.info.path)}/${query === '' ? '' : `?${query}`}` }, body: Buffer.alloc(0) };
}

async function forward(ctx: RequestContext, target: AddressTarget): Promise<ApiResult> {
  if (!Number.isInteger(target.port) || target.port < 1 || target.port > 65_535) throw badRequest(`invalid port ${JSON.stringify(String(target.port))}`);
  // Addresses of the host itself are not reachable through the API server.
  if (/^(127\.|169\.254\.|::1$|fe80:)/i.test(target.host)) throw badRequest('address not allowed');
  return toItsDirectory(ctx) ?? nodeProxyOf(ctx).forward(target, ctx.request);
}
