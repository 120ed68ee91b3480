/** Resource use of the node, its Pods and their containers. Source: API reference of stats/v1alpha1 Summary; instrumentation/node-metrics. */
import { readFile } from 'node:fs/promises';
import { rfc3339, type Clock } from '#base/clock.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import type { ContainerStats } from '#cri/types.ts';
import { LABELS } from '../interfaces.ts';
import type { MetricsKind } from '../server/interfaces.ts';
import { Exposition } from './exposition.ts';
import type { VolumeStats } from './volume-stats.ts';

export interface StatsProvider {
  /** The object of `/stats/summary`. */
  summary(onlyCpuAndMemory: boolean, signal: AbortSignal): Promise<unknown>;
  /** Prometheus text. */
  metrics(kind: MetricsKind, signal: AbortSignal): Promise<string>;
}
export interface StatsOptions {
  readonly runtime: ContainerRuntime;
  readonly clock: Clock;
  readonly nodeName: string;
  /** When the kubelet's machine booted, milliseconds since the epoch. */
  readonly bootTimeMs: number;
  /** Numbers of Pods and containers that run. */
  counts(): { readonly pods: number; readonly containers: number };
  /** Metrics that the kubelet counts as things happen, for `/metrics`. */
  counted(): Promise<string>;
  /** The text of `/metrics/cadvisor`; `layers` are containers' writable layers by ID. */
  cadvisor(layers: ReadonlyMap<string, ContainerStats['writableLayer']>): Promise<string>;
  readonly volumes: Pick<VolumeStats, 'all' | 'expose'>;
  /** Probes' results so far, for `/metrics/probes`. */
  readonly probes?: () => string;
}
interface NodeUse {
  readonly cpuNanoSeconds: number;
  readonly memory: { readonly usedBytes: number; readonly availableBytes: number; readonly workingSetBytes: number; readonly rssBytes: number };
}
const TICK_NANOS = 10_000_000;

/** The whole machine, from /proc. */
async function nodeUse(): Promise<NodeUse> {
  const [stat, meminfo] = await Promise.all([readFile('/proc/stat', 'utf8'), readFile('/proc/meminfo', 'utf8')]);
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = (/^cpu\s+(.*)$/m.exec(stat)?.[1] ?? '').split(/\s+/).map(Number);
  const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(meminfo)?.[1] ?? 0) * 1024;
  const total = kib('MemTotal');
  const available = kib('MemAvailable');
  return {
    cpuNanoSeconds: (user + nice + system + irq + softirq) * TICK_NANOS,
    memory: { usedBytes: total - kib('MemFree'), availableBytes: available, workingSetBytes: total - available, rssBytes: kib('AnonPages') },
  };
}
const iso = (nanos: number): string => rfc3339(Math.floor(nanos / 1e6));

function containerSummary(c: ContainerStats, onlyCpuAndMemory: boolean): Record<string, unknown> {
  const { cpu, memory, writableLayer } = c;
  return {
    name: c.attributes?.metadata?.name ?? '',
    startTime: null,
    ...(cpu ? { cpu: { time: iso(cpu.timestamp), usageNanoCores: cpu.usageNanoCores?.value ?? 0, usageCoreNanoSeconds: cpu.usageCoreNanoSeconds?.value ?? 0 } } : {}),
    ...(memory ? { memory: { time: iso(memory.timestamp), usageBytes: memory.usageBytes?.value ?? 0, workingSetBytes: memory.workingSetBytes?.value ?? 0, rssBytes: memory.rssBytes?.value ?? 0, pageFaults: memory.pageFaults?.value ?? 0, majorPageFaults: memory.majorPageFaults?.value ?? 0 } } : {}),
    ...(onlyCpuAndMemory || !writableLayer ? {} : { rootfs: { time: iso(writableLayer.timestamp), usedBytes: writableLayer.usedBytes?.value ?? 0, inodesUsed: writableLayer.inodesUsed?.value ?? 0 } }),
  };
}

export function newStats(options: StatsOptions): StatsProvider {
  const { runtime, clock, nodeName } = options;
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
  async function summary(onlyCpuAndMemory: boolean, signal: AbortSignal): Promise<unknown> {
    const [node, pods, volumes] = await Promise.all([nodeUse(), byPod(signal), onlyCpuAndMemory ? undefined : options.volumes.all()]);
    const time = rfc3339(clock.now());
    return {
      node: { nodeName, startTime: rfc3339(options.bootTimeMs), cpu: { time, usageCoreNanoSeconds: node.cpuNanoSeconds }, memory: { time, availableBytes: node.memory.availableBytes, usageBytes: node.memory.usedBytes, workingSetBytes: node.memory.workingSetBytes, rssBytes: node.memory.rssBytes } },
      pods: Array.from(pods.values(), (p) => ({
        podRef: { name: p.name, namespace: p.namespace, uid: p.uid },
        startTime: null,
        containers: p.containers.map((c) => containerSummary(c, onlyCpuAndMemory)),
        ...(volumes?.get(p.uid)?.length ? { volume: volumes.get(p.uid) } : {}),
        cpu: { time, usageNanoCores: sum(p.containers, (c) => c.cpu?.usageNanoCores?.value), usageCoreNanoSeconds: sum(p.containers, (c) => c.cpu?.usageCoreNanoSeconds?.value) },
        memory: { time, workingSetBytes: sum(p.containers, (c) => c.memory?.workingSetBytes?.value), usageBytes: sum(p.containers, (c) => c.memory?.usageBytes?.value), rssBytes: sum(p.containers, (c) => c.memory?.rssBytes?.value) },
      })),
    };
  }
  async function resourceMetrics(signal: AbortSignal): Promise<string> {
    const [node, pods] = await Promise.all([nodeUse(), byPod(signal)]);
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
    summary,
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
