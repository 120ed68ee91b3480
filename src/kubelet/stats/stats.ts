/** What the kubelet tells of resources: the metrics of the node and its Pods, beside the summary. Source: instrumentation/node-metrics. */
import type { ContainerRuntime } from '#cri/client.ts';
import type { ContainerStats } from '#cri/types.ts';
import { LABELS } from '../interfaces.ts';
import type { MetricsKind } from '../server/interfaces.ts';
import { Exposition } from './exposition.ts';
import type { NodeUseMeter } from './node-use.ts';
import type { VolumeStats } from './volume-stats.ts';

export interface StatsProvider {
  /** The object of `/stats/summary`. */
  summary(onlyCpuAndMemory: boolean, signal: AbortSignal): Promise<unknown>;
  /** Prometheus text. */
  metrics(kind: MetricsKind, signal: AbortSignal): Promise<string>;
}
export interface StatsOptions {
  readonly runtime: ContainerRuntime;
  readonly nodeName: string;
  /** Numbers of Pods and containers that run. */
  counts(): { readonly pods: number; readonly containers: number };
  /** Metrics that the kubelet counts as things happen, for `/metrics`. */
  counted(): Promise<string>;
  /** The text of `/metrics/cadvisor`; `layers` are containers' writable layers by ID. */
  cadvisor(layers: ReadonlyMap<string, ContainerStats['writableLayer']>): Promise<string>;
  readonly volumes: Pick<VolumeStats, 'expose'>;
  readonly meter: NodeUseMeter;
  readonly summary: StatsProvider['summary'];
  /** Probes' results so far, for `/metrics/probes`. */
  readonly probes?: () => string;
}

export function newStats(options: StatsOptions): StatsProvider {
  const { runtime, nodeName } = options;
  async function byPod(signal: AbortSignal): Promise<Map<string, { name: string; namespace: string; uid: string; containers: ContainerStats[] }>> {
    const { stats } = await runtime.listContainerStats({}, { signal });
    const out = new Map<string, { name: string; namespace: string; uid: string; containers: ContainerStats[] }>();
    for (const s of stats) {
      const labels = s.attributes?.labels ?? {};
      const uid = labels[LABELS.podUid];
      if (!uid) continue;
      const pod = out.get(uid) ?? { uid, name: labels[LABELS.podName] ?? '', namespace: labels[LABELS.podNamespace] ?? '', containers: [] };
      pod.containers.push(s);
      out.set(uid, pod);
    }
    return out;
  }
  async function resourceMetrics(signal: AbortSignal): Promise<string> {
    const [node, pods] = await Promise.all([options.meter.read(), byPod(signal)]);
    const out = new Exposition();
    out.add('node_cpu_usage_seconds_total', 'counter', 'Cumulative cpu time consumed by the node in core-seconds', {}, node.cpuNanoSeconds / 1e9);
    out.add('node_memory_working_set_bytes', 'gauge', 'Current working set of the node in bytes', {}, node.memory.workingSetBytes);
    for (const p of pods.values()) {
      const where = { namespace: p.namespace, pod: p.name };
      for (const c of p.containers) {
        const labels = { container: c.attributes?.metadata?.name ?? '', ...where };
        out.add('container_cpu_usage_seconds_total', 'counter', 'Cumulative cpu time consumed by the container in core-seconds', labels, (c.cpu?.usageCoreNanoSeconds?.value ?? 0) / 1e9);
        out.add('container_memory_working_set_bytes', 'gauge', 'Current working set of the container in bytes', labels, c.memory?.workingSetBytes?.value ?? 0);
      }
      out.add('pod_cpu_usage_seconds_total', 'counter', 'Cumulative cpu time consumed by the pod in core-seconds', where, sum(p.containers, (c) => c.cpu?.usageCoreNanoSeconds?.value) / 1e9);
      out.add('pod_memory_working_set_bytes', 'gauge', 'Current working set of the pod in bytes', where, sum(p.containers, (c) => c.memory?.workingSetBytes?.value));
    }
    out.add('resource_scrape_error', 'gauge', '1 if there was an error while getting container metrics, 0 otherwise', {}, 0);
    return out.text();
  }
  return {
    summary: options.summary,
    async metrics(kind, signal) {
      if (kind === 'resource') return await resourceMetrics(signal);
      if (kind === 'cadvisor') {
        const { stats } = await runtime.listContainerStats({}, { signal });
        return await options.cadvisor(new Map(stats.map((s) => [s.attributes?.id ?? '', s.writableLayer])));
      }
      if (kind === 'probes') return options.probes?.() ?? '';
      const { pods, containers } = options.counts();
      const out = new Exposition();
      out.add('kubelet_running_pods', 'gauge', 'Number of pods that have a running pod sandbox', {}, pods);
      out.add('kubelet_running_containers', 'gauge', 'Number of containers currently running', { container_state: 'running' }, containers);
      out.add('kubelet_node_name', 'gauge', "The node's name. The count is always 1.", { node: nodeName }, 1);
      await options.volumes.expose(out);
      return out.text() + (await options.counted());
    },
  };
}
function sum<T>(items: readonly T[], of: (item: T) => number | undefined): number {
  return items.reduce((n, item) => n + (of(item) ?? 0), 0);
}
