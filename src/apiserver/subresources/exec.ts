/** `pods/exec`, `pods/attach` and `pods/portforward`: checks, then joins the client's connection to the kubelet's. */
import { badRequest } from '#machinery/status-error.ts';
import type { RequestContext } from '../context.ts';
import type { ApiResult } from '../request.ts';
import { admitConnect, containerOf, nodeOfPod, nodeProxyOf, podOf } from './connect.ts';

function requireUpgrade(ctx: RequestContext): void {
  if (!ctx.request.upgrade) throw badRequest('Upgrade request required');
}

/** Streams under the kubelet's names. */
function streamParameters(ctx: RequestContext): { readonly forKubelet: URLSearchParams; readonly options: Record<string, unknown> } {
  const { query } = ctx.request;
  const forKubelet = new URLSearchParams();
  const options: Record<string, unknown> = {};
  for (const [name, kubeletName] of [['stdin', 'input'], ['stdout', 'output'], ['stderr', 'error'], ['tty', 'tty']] as const) {
    if (!query.bool(name)) continue;
    forKubelet.set(kubeletName, '1');
    options[name] = true;
  }
  if (query.get('container') !== '') options['container'] = query.get('container');
  return { forKubelet, options };
}

async function serveStreams(ctx: RequestContext, kind: string, verb: 'exec' | 'attach'): Promise<ApiResult> {
  const { forKubelet, options } = streamParameters(ctx);
  const command = verb === 'exec' ? ctx.request.query.getAll('command') : [];
  for (const part of command) forKubelet.append('command', part);
  await admitConnect(ctx, kind, command.length ? { ...options, command } : options);
  const pod = await podOf(ctx);
  const container = containerOf(pod, ctx.request.query.get('container'));
  const node = nodeOfPod(ctx, pod);
  requireUpgrade(ctx);
  const path = `/${verb}/${[ctx.namespace, ctx.name, container].map(encodeURIComponent).join('/')}?${forKubelet}`;
  return nodeProxyOf(ctx).upgrade({ node, path, user: ctx.user }, ctx.request);
}
export const serveExec = (ctx: RequestContext): Promise<ApiResult> => serveStreams(ctx, 'PodExecOptions', 'exec');
export const serveAttach = (ctx: RequestContext): Promise<ApiResult> => serveStreams(ctx, 'PodAttachOptions', 'attach');

export async function servePortForward(ctx: RequestContext): Promise<ApiResult> {
  // A comma or repeats: both ways of listing ports are in use (upstream's V4Options).
  const ports = ctx.request.query.getAll('ports').flatMap((p) => p.split(',')).filter((p) => p !== '');
  await admitConnect(ctx, 'PodPortForwardOptions', ports.length ? { ports: ports.map(Number) } : {});
  const pod = await podOf(ctx);
  const node = nodeOfPod(ctx, pod);
  requireUpgrade(ctx);
  const query = new URLSearchParams(ports.map((port): [string, string] => ['port', port])).toString();
  const path = `/portForward/${encodeURIComponent(ctx.namespace)}/${encodeURIComponent(ctx.name)}${query === '' ? '' : `?${query}`}`;
  return nodeProxyOf(ctx).upgrade({ node, path, user: ctx.user }, ctx.request);
}
