/**
 * metrics.k8s.io, answered by our own API server where nobody has installed a metrics server: what `kubectl top` and the
 * HorizontalPodAutoscaler ask. Source: the API reference of metrics.k8s.io/v1beta1; upstream's counterpart: metrics-server.
 */
import type { Node, Pod } from '#api/gen/core-v1.ts';
import { nameOf, uidOf, type KubeList, type KubeObject } from '#api/object.ts';
import type { DynamicResourceRegistry, GroupDelegate } from '#apiserver/registry/resource-registry.ts';
import type { ApiRequest, ApiResult } from '#apiserver/request.ts';
import { rfc3339, type Clock } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import type { Client, ResourceClient } from '#client/client.ts';
import { InformerFactory } from '#client/informer.ts';
import { NODES, PODS } from '#client/kinds.ts';
import { formatDurationMs } from '#machinery/duration.ts';
import { methodNotAllowed, notFound } from '#machinery/status-error.ts';
import { MetricsScraper, SHORTEST_WINDOW_MS, type Measured, type ScraperOptions, type Usage } from './scraper.ts';

const GROUP = 'metrics.k8s.io';
const VERSION = 'v1beta1';
const API_VERSION = `${GROUP}/${VERSION}`;
const RESOURCES = [{ plural: 'nodes', kind: 'NodeMetrics', namespaced: false }, { plural: 'pods', kind: 'PodMetrics', namespaced: true }] as const;

export interface MetricsApiOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly resources: DynamicResourceRegistry;
  readonly summary: ScraperOptions['summary'];
}
type Metrics = KubeObject & { readonly timestamp: string; readonly window: string; readonly usage?: unknown; readonly containers?: unknown };

const usageOf = ({ nanoCores, bytes }: Usage) => ({ cpu: `${nanoCores}n`, memory: `${Math.ceil(bytes / 1024)}Ki` });
function metricsOf(obj: KubeObject, kind: string, { at, windowMs }: Measured): Metrics {
  const { name, namespace, labels } = obj.metadata;
  return {
    kind, apiVersion: API_VERSION, metadata: { name, ...(namespace ? { namespace } : {}), creationTimestamp: rfc3339(at), ...(labels ? { labels } : {}) },
    timestamp: rfc3339(at), window: formatDurationMs(Math.round(windowMs)),
  };
}
function nodeMetrics(node: Node, measured: Measured): Metrics | undefined {
  const usage = measured.nodes.get(nameOf(node));
  return usage && { ...metricsOf(node, 'NodeMetrics', measured), usage: usageOf(usage) };
}
/** Undefined until all that runs of the Pod was measured: a part would look like little. */
function podMetrics(pod: Pod, measured: Measured): Metrics | undefined {
  const running = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])].filter((c) => c.state?.running).map((c) => c.name);
  const containers = running.flatMap((name) => {
    const usage = measured.containers.get(`${uidOf(pod)}/${name}`);
    return usage ? [{ name, usage: usageOf(usage) }] : [];
  });
  return containers.length === 0 || containers.length < running.length ? undefined : { ...metricsOf(pod, 'PodMetrics', measured), containers };
}

/** Over HTTP always JSON: `kubectl top` asks for protobuf, and reads what the answer says it is. */
function answer({ fixedUser }: ApiRequest, value: object): ApiResult {
  if (fixedUser) return { kind: 'object', code: 200, object: value as KubeObject };
  return { kind: 'raw', code: 200, headers: { 'content-type': 'application/json' }, body: Buffer.from(`${JSON.stringify(value)}\n`) };
}

export function newMetricsApi(options: MetricsApiOptions): Component {
  const { client, clock, resources, summary } = options;
  let informers: InformerFactory | undefined;
  let scraper: MetricsScraper | undefined;
  let unsubscribe: () => void = () => {};

  /** With a newer look where something that is there was not measured yet: it may just have begun. */
  async function look<T>(objects: readonly T[], of: (obj: T, measured: Measured) => Metrics | undefined): Promise<Metrics[]> {
    const known = await scraper!.measure();
    const first = objects.map((o) => of(o, known));
    if (!first.includes(undefined)) return first.filter((m) => m !== undefined);
    const newer = await scraper!.measure(SHORTEST_WINDOW_MS);
    return objects.map((o) => of(o, newer)).filter((m) => m !== undefined);
  }
  async function metricsFor(request: ApiRequest, resource: string, list: Parameters<ResourceClient<Pod>['list']>[0]): Promise<Metrics[]> {
    if (resource === 'nodes') return await look((await client.of(NODES).list({ ...list, signal: request.signal })).items, nodeMetrics);
    const { items } = await client.of(PODS).list({ ...list, signal: request.signal });
    return await look(items.filter((p) => p.status?.phase === 'Running'), podMetrics);
  }
  async function one(request: ApiRequest): Promise<ApiResult> {
    const { resource, namespace, name } = request.info;
    const [found] = await metricsFor(request, resource, { namespace, fieldSelector: `metadata.name=${name}` });
    if (!found) throw notFound({ group: GROUP, resource: resource === 'nodes' ? 'nodemetrics' : 'podmetrics' }, namespace ? `${namespace}/${name}` : name);
    return answer(request, found);
  }
  async function list(request: ApiRequest): Promise<ApiResult> {
    const { resource, namespace } = request.info;
    const items = await metricsFor(request, resource, { namespace, labelSelector: request.query.get('labelSelector'), fieldSelector: request.query.get('fieldSelector') });
    const object: KubeList = { kind: resource === 'nodes' ? 'NodeMetricsList' : 'PodMetricsList', apiVersion: API_VERSION, metadata: {}, items };
    return answer(request, object);
  }
  function serve(request: ApiRequest): Promise<ApiResult> | ApiResult {
    const { isResourceRequest, verb, resource, subresource } = request.info;
    if (!isResourceRequest) return discovery(request);
    if (subresource !== '' || !RESOURCES.some((r) => r.plural === resource)) throw notFound({ group: GROUP, resource }, request.info.name);
    if (verb === 'get') return one(request);
    if (verb === 'list') return list(request);
    throw methodNotAllowed({ group: GROUP, resource }, verb);
  }
  function discovery(request: ApiRequest): ApiResult {
    const list = {
      kind: 'APIResourceList', apiVersion: 'v1', groupVersion: API_VERSION,
      resources: RESOURCES.map((r) => ({ name: r.plural, singularName: '', namespaced: r.namespaced, kind: r.kind, verbs: ['get', 'list'] })),
    };
    return answer(request, list);
  }
  const delegate: GroupDelegate = {
    group: GROUP, version: VERSION, priority: { group: 100, version: 100 }, handle: serve,
    discovery: {
      freshness: 'Current',
      resources: RESOURCES.map((r) => ({ resource: r.plural, responseKind: { group: GROUP, version: VERSION, kind: r.kind }, scope: r.namespaced ? 'Namespaced' : 'Cluster', singularResource: '', verbs: ['get', 'list'] })),
    },
  };
  /** A metrics server that somebody installs takes the place of this one, until it goes. */
  const ensure = (): void => {
    if (!resources.delegate(GROUP, VERSION)) resources.setDelegate(delegate);
  };
  return {
    name: 'metrics API',
    async start() {
      informers = new InformerFactory(client, clock);
      const nodes = informers.informer(NODES);
      await nodes.synced;
      scraper = new MetricsScraper({ clock, summary, nodes: () => nodes.list() });
      unsubscribe = resources.onChange(ensure);
      ensure();
    },
    async stop() {
      unsubscribe();
      if (resources.delegate(GROUP, VERSION) === delegate) resources.removeDelegate(GROUP, VERSION);
      scraper?.stop();
      await informers?.stop();
    },
  };
}
