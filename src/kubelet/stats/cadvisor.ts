/**
 * `/metrics/cadvisor`: what each group of processes uses, under the names and labels that dashboards know from cAdvisor.
 * Containers have all labels; a Pod as a whole has no `container`, `image` and `name`; the machine's own groups have an `id` alone.
 */
import type { ContainerStats } from '#cri/types.ts';
import type { CgroupHierarchy } from '../cgroups/hierarchy.ts';
import type { HostFacts } from '../node/host-facts.ts';
import type { RuntimePod } from '../runtime/runtime-cache.ts';
import { cgroupPressures, cgroupUse, networkUse, type CgroupUse } from './cgroup-use.ts';
import { Exposition } from './exposition.ts';
import type { PressureName } from './pressure.ts';

type Labels = Readonly<Record<'container' | 'id' | 'image' | 'name' | 'namespace' | 'pod', string>>;

export interface CadvisorOptions {
  readonly hierarchy: CgroupHierarchy;
  readonly host: HostFacts;
  readonly cores: { readonly physical: number; readonly sockets: number };
  /** When the machine booted, and what time it is, milliseconds since the epoch. */
  readonly bootTimeMs: number;
  readonly nowMs: number;
  /** The Pods that the runtime has, each with its cgroup. */
  readonly pods: readonly { readonly pod: RuntimePod; readonly cgroup: string; readonly hostNetwork: boolean }[];
  /** Groups above the Pods': `/`, `/podyard/kubepods`. */
  readonly groups: readonly string[];
  /** The cgroup of a container or sandbox in that of its Pod. */
  containerCgroup(podCgroup: string, id: string): string;
  /** Writable layers, by container ID; undefined where the runtime did not tell, which is an error of the scrape. */
  readonly layers: ReadonlyMap<string, ContainerStats['writableLayer']> | undefined;
}

export async function cadvisorMetrics(options: CadvisorOptions): Promise<string> {
  const { host, cores, hierarchy } = options;
  const out = new Exposition();
  const machine = { boot_id: host.bootId, machine_id: host.machineId, system_uuid: host.systemUuid };
  out.add('machine_cpu_cores', 'gauge', 'Number of logical CPU cores.', machine, host.cpus);
  out.add('machine_cpu_physical_cores', 'gauge', 'Number of physical CPU cores.', machine, cores.physical);
  out.add('machine_cpu_sockets', 'gauge', 'Number of CPU sockets.', machine, cores.sockets);
  out.add('machine_memory_bytes', 'gauge', 'Amount of memory installed on the machine.', machine, host.memoryBytes);
  let failed = options.layers ? 0 : 1;
  for (const id of options.groups) failed += await addGroup(out, options, id, { ...NO_LABELS, id }, options.bootTimeMs);
  for (const { pod, cgroup, hostNetwork } of options.pods) {
    const where = { ...NO_LABELS, namespace: pod.namespace, pod: pod.name };
    const sandbox = pod.sandboxes.find((s) => s.state === 'SANDBOX_READY');
    if (sandbox) failed += await addGroup(out, options, cgroup, { ...where, id: cgroup }, sandbox.createdAt / 1e6);
    if (sandbox && !hostNetwork) {
      const id = options.containerCgroup(cgroup, sandbox.id);
      const pid = Number((await hierarchy.read('memory', id, 'cgroup.procs')).split('\n')[0]);
      if (pid > 0) await addNetwork(out, pid, { ...where, id, name: sandbox.id });
    }
    for (const c of pod.containers) {
      if (c.state !== 'CONTAINER_RUNNING') continue;
      const id = options.containerCgroup(cgroup, c.id);
      const labels = { container: c.name, id, image: c.image?.image || c.imageRef, name: c.id, namespace: pod.namespace, pod: pod.name };
      failed += await addGroup(out, options, id, labels, c.startedAt / 1e6);
      const layer = options.layers?.get(c.id);
      const used = layer?.usedBytes?.value;
      if (used !== undefined) out.add('container_fs_usage_bytes', 'gauge', 'Number of bytes that are consumed by the container on this filesystem.', { ...labels, device: layer?.fsId?.mountpoint ?? '' }, used);
    }
  }
  out.add('container_scrape_error', 'gauge', '1 if there was an error while getting container metrics, 0 otherwise', {}, failed > 0 ? 1 : 0);
  return out.text();
}
const NO_LABELS: Labels = { container: '', id: '', image: '', name: '', namespace: '', pod: '' };

/** Resolves with 1 where the group could not be read, else 0. A group that has gone meanwhile is no error. */
async function addGroup(out: Exposition, options: CadvisorOptions, path: string, labels: Labels, startMs: number): Promise<0 | 1> {
  let use: CgroupUse | undefined;
  try {
    use = await cgroupUse(options.hierarchy, path);
  } catch {
    return 1;
  }
  // The machine as a whole has pressures also where version 2 of cgroups tells nothing else of it.
  await addPressures(out, options.hierarchy, path, labels);
  if (!use) return 0;
  const counter = (name: string, help: string, value: number, more: Readonly<Record<string, string>> = {}): void => out.add(`container_${name}`, 'counter', help, { ...labels, ...more }, value);
  const gauge = (name: string, help: string, value: number | undefined): void => void (value !== undefined && out.add(`container_${name}`, 'gauge', help, labels, value));
  counter('cpu_usage_seconds_total', 'Cumulative cpu time consumed in seconds.', use.cpuSeconds, { cpu: 'total' });
  counter('cpu_user_seconds_total', 'Cumulative user cpu time consumed in seconds.', use.cpuUserSeconds);
  counter('cpu_system_seconds_total', 'Cumulative system cpu time consumed in seconds.', use.cpuSystemSeconds);
  counter('cpu_cfs_periods_total', 'Number of elapsed enforcement period intervals.', use.periods);
  counter('cpu_cfs_throttled_periods_total', 'Number of throttled period intervals.', use.throttledPeriods);
  counter('cpu_cfs_throttled_seconds_total', 'Total time duration the container has been throttled.', use.throttledSeconds);
  gauge('memory_usage_bytes', 'Current memory usage in bytes, including all memory regardless of when it was accessed', use.memoryBytes);
  gauge('memory_working_set_bytes', 'Current working set in bytes.', use.workingSetBytes);
  gauge('memory_rss', 'Size of RSS in bytes.', use.rssBytes);
  gauge('memory_cache', 'Number of bytes of page cache memory.', use.cacheBytes);
  gauge('memory_swap', 'Container swap usage in bytes.', use.swapBytes);
  gauge('memory_mapped_file', 'Size of memory mapped files in bytes.', use.mappedFileBytes);
  gauge('memory_max_usage_bytes', 'Maximum memory usage recorded in bytes', use.maxMemoryBytes);
  counter('memory_failcnt', 'Number of memory usage hits limits', use.memoryLimitHits);
  counter('oom_events_total', 'Count of out of memory events observed for the container', use.oomKills);
  for (const [type, value] of [['pgfault', use.pageFaults], ['pgmajfault', use.majorPageFaults]] as const) counter('memory_failures_total', 'Cumulative count of memory allocation failures.', value, { failure_type: type, scope: 'hierarchy' });
  gauge('spec_memory_limit_bytes', 'Memory limit for the container.', use.memoryLimitBytes ?? 0);
  gauge('processes', 'Number of processes running inside the container.', use.processes);
  counter('fs_reads_total', 'Cumulative count of reads completed', use.io.reads);
  counter('fs_writes_total', 'Cumulative count of writes completed', use.io.writes);
  counter('fs_reads_bytes_total', 'Cumulative count of bytes read', use.io.readBytes);
  counter('fs_writes_bytes_total', 'Cumulative count of bytes written', use.io.writtenBytes);
  gauge('start_time_seconds', 'Start time of the container since unix epoch in seconds.', Math.floor(startMs / 1000));
  gauge('last_seen', 'Last time a container was seen by the exporter', Math.floor(options.nowMs / 1000));
  return 0;
}
const RESOURCE_NAMES: Readonly<Record<PressureName, string>> = { cpu: 'CPU', memory: 'memory', io: 'IO' };
async function addPressures(out: Exposition, hierarchy: CgroupHierarchy, path: string, labels: Labels): Promise<void> {
  for (const [name, { full, some }] of Object.entries(await cgroupPressures(hierarchy, path))) {
    const resource = RESOURCE_NAMES[name as PressureName];
    out.add(`container_pressure_${name}_stalled_seconds_total`, 'counter', `Total time duration no tasks in the container could make progress due to ${resource} congestion.`, labels, full.total / 1e6);
    out.add(`container_pressure_${name}_waiting_seconds_total`, 'counter', `Total time duration tasks in the container have waited due to ${resource} congestion.`, labels, some.total / 1e6);
  }
}
async function addNetwork(out: Exposition, pid: number, labels: Labels): Promise<void> {
  for (const i of await networkUse(pid)) {
    for (const [way, use] of [['receive', i.received], ['transmit', i.transmitted]] as const) {
      const [past, present] = way === 'receive' ? ['received', 'receiving'] : ['transmitted', 'transmitting'];
      const counter = (name: string, help: string, value: number): void => out.add(`container_network_${way}_${name}_total`, 'counter', help, { ...labels, interface: i.name }, value);
      counter('bytes', `Cumulative count of bytes ${past}`, use.bytes);
      counter('packets', `Cumulative count of packets ${past}`, use.packets);
      counter('errors', `Cumulative count of errors encountered while ${present}`, use.errors);
      counter('packets_dropped', `Cumulative count of packets dropped while ${present}`, use.dropped);
    }
  }
}
