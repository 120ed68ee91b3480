/** What the kubelet tells of resources: the metrics of the node and its Pods, beside the summary. Source: instrumentation/node-metrics. */
import type { ContainerRuntime } from '#cri/client.ts';
import type { ContainerStats } from '#cri/types.ts';
import type { MetricsKind } from '../server/interfaces.ts';
import { Exposition } from './exposition.ts';
import { resourceMetrics, type SummaryOfUse } from './resource-metrics.ts';
import type { VolumeStats } from './volume-stats.ts';

/** Half of what whoever scrapes waits. */
const LAYERS_TIMEOUT_MS = 5000;

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
  /** The text of `/metrics/cadvisor`; `layers` are containers' writable layers by ID, undefined where the runtime does not tell. */
  cadvisor(layers: ReadonlyMap<string, ContainerStats['writableLayer']> | undefined): Promise<string>;
  readonly volumes: Pick<VolumeStats, 'expose'>;
  readonly summary: StatsProvider['summary'];
  /** Probes' results so far, for `/metrics/probes`. */
  readonly probes?: () => string;
}

export function newStats(options: StatsOptions): StatsProvider {
  const { runtime, nodeName } = options;
  return {
    summary: options.summary,
    async metrics(kind, signal) {
      if (kind === 'resource') return resourceMetrics((await options.summary(true, signal)) as SummaryOfUse);
      if (kind === 'cadvisor') {
        // All else is the kernel's to tell: a runtime that does not answer is no reason to keep it back.
        const answer = await runtime.listContainerStats({}, { signal, timeoutMs: LAYERS_TIMEOUT_MS }).catch(() => undefined);
        signal.throwIfAborted();
        return await options.cadvisor(answer && new Map(answer.stats.map((s) => [s.attributes?.id ?? '', s.writableLayer])));
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
