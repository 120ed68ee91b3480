/** What log, exec, attach and port-forward share: the Pod, its node, the container meant, and admission of the connection. */
import type * as coreV1 from '#api/gen/core-v1.ts';
import { resourceOf } from '#api/resources.ts';
import { badRequest, notFound, serviceUnavailable } from '#machinery/status-error.ts';
import type { RequestContext } from '../context.ts';
import { admitWhole } from '../registry/admit.ts';
import { entryOf } from '../registry/get.ts';
import type { NodeProxy } from './node-proxy.ts';

const NODES = resourceOf('', 'v1', 'nodes');

export async function podOf(ctx: RequestContext): Promise<coreV1.Pod> {
  await ctx.served.storage!.freshen(undefined, ctx.signal);
  return entryOf(ctx).object as coreV1.Pod;
}
export function nodeProxyOf(ctx: RequestContext): NodeProxy {
  const proxy = ctx.services.nodeProxy;
  if (!proxy) throw serviceUnavailable('this API server has no connection to nodes');
  return proxy;
}
export function nodeNamed(ctx: RequestContext, name: string): coreV1.Node {
  const node = ctx.services.reader.get<coreV1.Node>(NODES, '', name);
  if (!node) throw notFound({ group: '', resource: 'nodes' }, name);
  return node;
}
export function nodeOfPod(ctx: RequestContext, pod: coreV1.Pod): coreV1.Node {
  const name = pod.spec?.nodeName ?? '';
  if (name === '') throw badRequest(`pod ${pod.metadata.name} does not have a host assigned`);
  return nodeNamed(ctx, name);
}

/** The container a request means: the one it names, or the only one. Texts are upstream's, known to kubectl's users. */
export function containerOf(pod: coreV1.Pod, asked: string): string {
  const name = pod.metadata.name ?? '';
  const names = (pod.spec?.containers ?? []).map((c) => c.name);
  const init = (pod.spec?.initContainers ?? []).map((c) => c.name);
  const ephemeral = (pod.spec?.ephemeralContainers ?? []).map((c) => c.name);
  if (asked !== '') {
    if (names.includes(asked) || init.includes(asked) || ephemeral.includes(asked)) return asked;
    throw badRequest(`container ${asked} is not valid for pod ${name}`);
  }
  if (names.length === 1) return names[0]!;
  if (names.length === 0) throw badRequest(`a container name must be specified for pod ${name}`);
  let text = `a container name must be specified for pod ${name}, choose one of: [${names.join(' ')}]`;
  if (init.length) text += ` or one of the init containers: [${init.join(' ')}]`;
  throw badRequest(text);
}

/** Admission of a connection: `kind` is that of its options. */
export async function admitConnect(ctx: RequestContext, kind: string, options: Readonly<Record<string, unknown>>): Promise<void> {
  const object = { kind, apiVersion: 'v1', metadata: {}, ...options };
  await admitWhole(ctx, {
    operation: 'CONNECT',
    subresource: ctx.request.info.subresource,
    name: ctx.name,
    object,
    oldObject: undefined,
    options: {},
    dryRun: false,
    kind: { group: '', version: 'v1', kind },
  });
}
