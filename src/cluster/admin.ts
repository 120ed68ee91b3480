/** The cluster as its administrator sees it from another process: over HTTPS, with the admin kubeconfig. */
import { readFile } from 'node:fs/promises';
import { load } from 'js-yaml';
import type { Event, Node, Pod } from '#api/gen/core-v1.ts';
import { keyOf, nameOf } from '#api/object.ts';
import { Client } from '#client/client.ts';
import { HttpTransport } from '#client/http-transport.ts';
import { EVENTS, NODES, PODS } from '#client/kinds.ts';
import type { NodeConfig } from './config.ts';
import type { Kubeconfig } from './pki.ts';
import { holding } from './runtime/hold.ts';

export async function readAdminKubeconfig(config: Pick<NodeConfig, 'kubeconfig'>): Promise<Kubeconfig> {
  return load(await readFile(config.kubeconfig, 'utf8')) as Kubeconfig;
}
/** A client as the administrator. Close its transport. */
export async function adminTransport(config: Pick<NodeConfig, 'kubeconfig'>): Promise<HttpTransport> {
  const { clusters: [cluster], users: [user] } = await readAdminKubeconfig(config);
  const decode = (text: string | undefined): string => Buffer.from(text ?? '', 'base64').toString('utf8');
  return new HttpTransport({
    server: cluster!.cluster['server']!,
    ca: decode(cluster!.cluster['certificate-authority-data']),
    cert: decode(user!.user['client-certificate-data']),
    key: decode(user!.user['client-key-data']),
    userAgent: 'podyard',
    timeoutMs: 10_000,
  });
}
export function isReady(node: Node): boolean {
  return node.status?.conditions?.find((c) => c.type === 'Ready')?.status === 'True' && !(node.spec.taints ?? []).some((t) => t.key === 'node.kubernetes.io/not-ready');
}
/** Waits until the cluster's own node is Ready. Rejects when the signal aborts before, with what the node says. */
export async function waitForNode(config: NodeConfig, signal: AbortSignal): Promise<void> {
  const transport = await adminTransport(config);
  let last: Node | undefined;
  const watch = async (): Promise<void> => {
    const nodes = new Client(transport).of(NODES);
    const options = { fieldSelector: `metadata.name=${config.nodeName}` };
    const list = await nodes.list(options);
    last = list.items[0];
    if (last && isReady(last)) return;
    for await (const batch of nodes.watch({ ...options, resourceVersion: list.metadata.resourceVersion ?? '0' }, signal)) {
      for (const event of batch) if (event.type !== 'BOOKMARK') last = event.object;
      if (last && isReady(last)) return;
    }
    const why = last?.status?.conditions?.find((c) => c.type === 'Ready')?.message ?? 'it has not registered';
    throw new Error(`node "${config.nodeName}" is not Ready: ${why}`, { cause: signal.reason });
  };
  try {
    await holding(watch());
  } finally {
    transport.close();
  }
}
export interface ClusterSummary {
  readonly nodes: readonly { readonly name: string; readonly ready: boolean; readonly version: string; readonly runtime: string }[];
  readonly pods: { readonly total: number; readonly running: number };
  /** Images that Pods wait for, in the words of their events: `Pulling image "nginx": 1.0 of 2.0 MB (50%)`. */
  readonly pulls: readonly { readonly pod: string; readonly message: string }[];
}
/** The newest word on each pull of a Pod that is not up yet. */
export function pullsUnderWay(pods: readonly Pod[], events: readonly Event[]): ClusterSummary['pulls'] {
  const waiting = new Map(pods.filter((p) => p.status?.phase === 'Pending' && p.spec.nodeName).map((p) => [p.metadata.uid, keyOf(p)]));
  const newest = new Map<string, Event>();
  const timeOf = (e: Event): number => Date.parse(e.lastTimestamp ?? e.metadata.creationTimestamp ?? '');
  // A container's field path tells its pulls apart.
  for (const e of events.filter((x) => waiting.has(x.involvedObject.uid) && ['Pulling', 'Pulled', 'Failed'].includes(x.reason ?? '')).toSorted((a, b) => timeOf(a) - timeOf(b))) newest.set(`${e.involvedObject.uid} ${e.involvedObject.fieldPath}`, e);
  return [...newest.values()].filter((e) => e.reason === 'Pulling').map((e) => ({ pod: waiting.get(e.involvedObject.uid)!, message: e.message ?? '' }));
}
/** What `use` makes of a client of the administrator's. */
export async function asAdmin<T>(config: Pick<NodeConfig, 'kubeconfig'>, use: (client: Client) => Promise<T>): Promise<T> {
  const transport = await adminTransport(config);
  try {
    return await holding(use(new Client(transport)));
  } finally {
    transport.close();
  }
}
/** Of the whole cluster, or of one node as that may see it: its own Pods, and no events. */
export async function summarise(config: NodeConfig, onlyNode?: string): Promise<ClusterSummary> {
  const of = onlyNode === undefined ? { nodes: {}, pods: {} } : { nodes: { fieldSelector: `metadata.name=${onlyNode}` }, pods: { fieldSelector: `spec.nodeName=${onlyNode}` } };
  const [nodes, pods, events] = await asAdmin(config, (client) => Promise.all([
    client.of(NODES).list(of.nodes), client.of(PODS).list(of.pods), onlyNode === undefined ? client.of(EVENTS).list({ fieldSelector: 'involvedObject.kind=Pod' }) : { items: [] },
  ]));
  return {
    nodes: nodes.items.map((n) => ({ name: nameOf(n), ready: isReady(n), version: n.status?.nodeInfo?.kubeletVersion ?? '', runtime: n.status?.nodeInfo?.containerRuntimeVersion ?? '' })),
    pods: { total: pods.items.length, running: pods.items.filter((p: Pod) => p.status?.phase === 'Running').length },
    pulls: pullsUnderWay(pods.items, events.items),
  };
}
