/**
 * `/stats/summary`: what the node, its Pods and their containers use at this moment. Source: API reference of stats/v1alpha1 Summary; the
 * instrumentation page "Node metrics data". Amounts are bytes, nanoseconds and nanocores; times RFC 3339.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { rfc3339, type Clock } from '#base/clock.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import type { ContainerStats } from '#cri/types.ts';
import type { CgroupHierarchy } from '../cgroups/hierarchy.ts';
import { diskUsage } from '../eviction/local-storage.ts';
import { LABELS } from '../interfaces.ts';
import type { RuntimeContainer, RuntimePod } from '../runtime/runtime-cache.ts';
import { fileSystemUse, type VolumeUse } from '../volumes/volume-use.ts';
import { cgroupPressures, cgroupUse, networkUse, type CgroupUse, type InterfaceUse } from './cgroup-use.ts';
import type { ContainerUseMeter } from './container-use.ts';
import type { NodeUse, NodeUseMeter } from './node-use.ts';
import type { Pressure, Pressures } from './pressure.ts';
import type { VolumeStat, VolumeStats } from './volume-stats.ts';

/** A Pod that the runtime has, and where it is on the node. */
export interface PlacedPod {
  readonly pod: RuntimePod;
  /** Absent on simulated nodes, which have none. */
  readonly cgroup: string | undefined;
  readonly hostNetwork: boolean;
  /** The directory of its containers' logs. */
  readonly logDir: string;
  /** Names of its emptyDir volumes on disk. */
  readonly diskVolumes: readonly string[];
}
export interface SummaryOptions {
  readonly runtime: ContainerRuntime;
  readonly clock: Clock;
  readonly nodeName: string;
  readonly bootTimeMs: number;
  readonly meter: NodeUseMeter;
  readonly containers: ContainerUseMeter;
  readonly hierarchy: CgroupHierarchy;
  readonly volumes: Pick<VolumeStats, 'all'>;
  /** On the file system that volumes and logs lie on. */
  readonly rootDir: string;
  /** The cgroup of all Pods together. */
  readonly allPods: string | undefined;
  pods(): readonly PlacedPod[];
  /** The cgroup of a container or sandbox in that of its Pod. */
  containerCgroup(podCgroup: string, id: string): string;
}

type Json = Record<string, unknown>;
/** The runtime's answer, by container ID. */
type StatsById = ReadonlyMap<string, ContainerStats>;
const fromNanos = (nanos: number): string => rfc3339(Math.floor(nanos / 1e6));
const sum = <T>(items: readonly T[], of: (item: T) => number | undefined): number => items.reduce((n, item) => n + (of(item) ?? 0), 0);

function fsStats(time: string, { availableBytes, capacityBytes, usedBytes, inodesFree, inodes, inodesUsed }: VolumeUse): Json {
  return { time, availableBytes, capacityBytes, usedBytes, inodesFree, inodes, inodesUsed };
}
function interfaceStats({ name, received, transmitted }: InterfaceUse): Json {
  return { name, rxBytes: received.bytes, rxErrors: received.errors, txBytes: transmitted.bytes, txErrors: transmitted.errors };
}
/** The one that `preferred` names, or the first, and all. */
function networkStats(time: string, interfaces: readonly InterfaceUse[], preferred: string): Json | undefined {
  const main = interfaces.find((i) => i.name === preferred) ?? interfaces[0];
  return main && { time, ...interfaceStats(main), interfaces: interfaces.map(interfaceStats) };
}
const psiOf = (psi: Pressure | undefined): Json => (psi ? { psi } : {});
const ioStats = (time: string, { io }: Pressures): Json => (io ? { io: { time, psi: io } } : {});
function nodeCpu(time: string, use: NodeUse): Json {
  return { time, ...(use.nanoCores === undefined ? {} : { usageNanoCores: use.nanoCores }), usageCoreNanoSeconds: use.cpuNanoSeconds, ...psiOf(use.pressures.cpu) };
}

/** Answers with the object of the API. With `onlyCpuAndMemory`, disks and networks are not looked at, and the runtime is asked for what the kernel does not tell alone. */
export async function summaryOf(options: SummaryOptions, onlyCpuAndMemory: boolean, signal: AbortSignal): Promise<Json> {
  const { runtime, clock, meter, containers, rootDir, volumes } = options;
  let asked: Promise<StatsById> | undefined;
  const fromRuntime = (): Promise<StatsById> => (asked ??= runtime.listContainerStats({}, { signal }).then(({ stats }) => new Map(stats.map((s) => [s.attributes?.id ?? '', s]))));
  const [use, byId, nodeFs, mounted] = await Promise.all([
    meter.read(), onlyCpuAndMemory ? undefined : fromRuntime(), onlyCpuAndMemory ? undefined : fileSystemUse(rootDir), onlyCpuAndMemory ? undefined : volumes.all(),
  ]);
  const time = rfc3339(clock.now());
  const disk = nodeFs && { nodeFs, mounted: mounted! };
  const placed = options.pods();
  containers.keep(new Set(placed.flatMap(({ pod }) => pod.containers.map((c) => c.id))));
  const [pods, node] = await Promise.all([
    Promise.all(placed.map((p) => podSummary(options, p, byId, fromRuntime, disk, time))),
    disk ? nodeDisks(options, disk.nodeFs, time, signal) : {},
  ]);
  const { memory, swap, pressures } = use;
  return {
    node: {
      nodeName: options.nodeName, systemContainers: await systemContainers(options, time), startTime: rfc3339(options.bootTimeMs), cpu: nodeCpu(time, use),
      memory: { time, availableBytes: memory.availableBytes, usageBytes: memory.usedBytes, workingSetBytes: memory.workingSetBytes, rssBytes: memory.rssBytes, pageFaults: memory.pageFaults, majorPageFaults: memory.majorPageFaults, ...psiOf(pressures.memory) },
      ...(disk ? ioStats(time, pressures) : {}), ...node, swap: { time, swapAvailableBytes: swap.availableBytes, swapUsageBytes: swap.usedBytes },
    },
    pods: pods.filter((pod) => pod !== undefined),
  };
}

/** Disks, images, the machine's network and its processes. */
async function nodeDisks({ runtime }: SummaryOptions, nodeFs: VolumeUse, time: string, signal: AbortSignal): Promise<Json> {
  const read = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');
  const [{ imageFilesystems }, interfaces, routes, pidMax, loadavg] = await Promise.all([runtime.imageFsInfo({}, { signal }), networkUse(process.pid), read('/proc/net/route'), read('/proc/sys/kernel/pid_max'), read('/proc/loadavg')]);
  const images = imageFilesystems[0];
  const mountpoint = images?.fsId?.mountpoint;
  const imageFs = mountpoint ? await fileSystemUse(mountpoint).catch(() => undefined) : undefined;
  const held = imageFs && { ...fsStats(time, imageFs), usedBytes: images?.usedBytes?.value ?? 0, inodesUsed: images?.inodesUsed?.value ?? 0 };
  // The route to everywhere goes out of the interface that people mean.
  const out = /^(\S+)\t00000000\t/m.exec(routes)?.[1] ?? 'eth0';
  return {
    network: networkStats(time, interfaces, out), fs: fsStats(time, nodeFs), ...(held ? { runtime: { imageFs: held, containerFs: held } } : {}),
    rlimit: { time, maxpid: Number(pidMax), curproc: Number(/\d+\/(\d+)/.exec(loadavg)?.[1] ?? 0) },
  };
}
async function systemContainers({ hierarchy, allPods, bootTimeMs }: SummaryOptions, time: string): Promise<Json[]> {
  const use = allPods === undefined ? undefined : await cgroupUse(hierarchy, allPods).catch(() => undefined);
  return use ? [{ name: 'pods', startTime: rfc3339(bootTimeMs), ...groupUse(time, use, await cgroupPressures(hierarchy, allPods!)) }] : [];
}
function groupUse(time: string, use: CgroupUse, pressures: Pressures): Json {
  return {
    cpu: { time, usageCoreNanoSeconds: Math.round(use.cpuSeconds * 1e9), ...psiOf(pressures.cpu) },
    memory: { time, usageBytes: use.memoryBytes, workingSetBytes: use.workingSetBytes, rssBytes: use.rssBytes, pageFaults: use.pageFaults, majorPageFaults: use.majorPageFaults, ...psiOf(pressures.memory) },
  };
}

interface Disk {
  readonly nodeFs: VolumeUse;
  readonly mounted: ReadonlyMap<string, readonly VolumeStat[]>;
}
/** Undefined for a Pod of which nothing runs. */
async function podSummary(options: SummaryOptions, placed: PlacedPod, byId: StatsById | undefined, fromRuntime: () => Promise<StatsById>, disk: Disk | undefined, time: string): Promise<Json | undefined> {
  const { pod } = placed;
  const sandbox = pod.sandboxes.find((s) => s.state === 'SANDBOX_READY');
  if (!sandbox) return undefined;
  const { cgroup } = placed;
  const { hierarchy, containers, containerCgroup } = options;
  const group = cgroup === undefined ? undefined : await cgroupUse(hierarchy, cgroup).catch(() => undefined);
  // A node without cgroups has nobody but its runtime to ask.
  const known = byId ?? (group ? undefined : await fromRuntime());
  const running = (await Promise.all(pod.containers.filter((c) => c.state === 'CONTAINER_RUNNING').map(async (container) => {
    const [told, read] = [known?.get(container.id), group && (await containers.read(container.id, containerCgroup(cgroup!, container.id)))];
    return told || read ? { container, stats: { ...told, ...read } } : undefined;
  }))).filter((c) => c !== undefined);
  const pressures = cgroup === undefined ? {} : await cgroupPressures(hierarchy, cgroup);
  const parts = await Promise.all(running.map(async ({ container, stats }) => ({
    container, stats, logs: disk ? await diskUsage(join(placed.logDir, container.name)) : undefined,
    pressures: cgroup === undefined ? {} : await cgroupPressures(hierarchy, containerCgroup(cgroup, container.id)),
  })));
  return {
    podRef: { name: pod.name, namespace: pod.namespace, uid: pod.uid },
    startTime: fromNanos(sandbox.createdAt),
    containers: parts.map((part) => containerSummary(part, disk, time)),
    cpu: { time, usageNanoCores: sum(running, ({ stats }) => stats.cpu?.usageNanoCores?.value), usageCoreNanoSeconds: group ? Math.round(group.cpuSeconds * 1e9) : sum(running, ({ stats }) => stats.cpu?.usageCoreNanoSeconds?.value), ...psiOf(pressures.cpu) },
    memory: {
      time, workingSetBytes: group?.workingSetBytes ?? sum(running, ({ stats }) => stats.memory?.workingSetBytes?.value), usageBytes: group?.memoryBytes ?? sum(running, ({ stats }) => stats.memory?.usageBytes?.value),
      rssBytes: group?.rssBytes ?? sum(running, ({ stats }) => stats.memory?.rssBytes?.value), pageFaults: group?.pageFaults ?? 0, majorPageFaults: group?.majorPageFaults ?? 0, ...psiOf(pressures.memory),
    },
    ...(disk ? ioStats(time, pressures) : {}),
    ...(disk ? await podDisks(options, placed, sandbox.id, parts, disk, time) : {}),
    ...(group ? { process_stats: { process_count: group.processes }, swap: { time, swapUsageBytes: group.swapBytes } } : {}),
  };
}
interface Part {
  readonly container: RuntimeContainer;
  readonly stats: ContainerStats;
  readonly logs: { readonly bytes: number; readonly inodes: number } | undefined;
  readonly pressures: Pressures;
}
async function podDisks({ hierarchy, containerCgroup }: SummaryOptions, { pod, cgroup, hostNetwork, diskVolumes }: PlacedPod, sandboxId: string, parts: readonly Part[], { nodeFs, mounted }: Disk, time: string): Promise<Json> {
  const pid = hostNetwork || cgroup === undefined ? 0 : Number((await hierarchy.read('memory', containerCgroup(cgroup, sandboxId), 'cgroup.procs')).split('\n')[0]);
  const network = pid > 0 ? networkStats(time, await networkUse(pid), 'eth0') : undefined;
  const volumes = mounted.get(pod.uid) ?? [];
  const local = volumes.filter((v) => diskVolumes.includes(v.name));
  const usedBytes = sum(parts, (p) => (p.stats.writableLayer?.usedBytes?.value ?? 0) + (p.logs?.bytes ?? 0)) + sum(local, (v) => v.usedBytes);
  const inodesUsed = sum(parts, (p) => (p.stats.writableLayer?.inodesUsed?.value ?? 0) + (p.logs?.inodes ?? 0)) + sum(local, (v) => v.inodesUsed);
  return { ...(network ? { network } : {}), ...(volumes.length > 0 ? { volume: volumes } : {}), 'ephemeral-storage': { ...fsStats(time, nodeFs), usedBytes, inodesUsed } };
}
function containerSummary({ container, stats, logs, pressures }: Part, disk: Disk | undefined, time: string): Json {
  const { cpu, memory, swap, writableLayer } = stats;
  return {
    name: container.name || stats.attributes?.labels[LABELS.containerName] || '',
    startTime: fromNanos(container.startedAt),
    ...(cpu ? { cpu: { time: fromNanos(cpu.timestamp), ...(cpu.usageNanoCores ? { usageNanoCores: cpu.usageNanoCores.value } : {}), usageCoreNanoSeconds: cpu.usageCoreNanoSeconds?.value ?? 0, ...psiOf(pressures.cpu) } } : {}),
    ...(memory ? { memory: { time: fromNanos(memory.timestamp), usageBytes: memory.usageBytes?.value ?? 0, workingSetBytes: memory.workingSetBytes?.value ?? 0, rssBytes: memory.rssBytes?.value ?? 0, pageFaults: memory.pageFaults?.value ?? 0, majorPageFaults: memory.majorPageFaults?.value ?? 0, ...psiOf(pressures.memory) } } : {}),
    ...(disk ? ioStats(time, pressures) : {}),
    ...(disk && writableLayer ? { rootfs: { ...fsStats(fromNanos(writableLayer.timestamp), disk.nodeFs), usedBytes: writableLayer.usedBytes?.value ?? 0, inodesUsed: writableLayer.inodesUsed?.value ?? 0 } } : {}),
    ...(disk && logs ? { logs: { ...fsStats(time, disk.nodeFs), usedBytes: logs.bytes, inodesUsed: logs.inodes } } : {}),
    ...(swap ? { swap: { time: fromNanos(swap.timestamp), ...(swap.swapAvailableBytes ? { swapAvailableBytes: swap.swapAvailableBytes.value } : {}), swapUsageBytes: swap.swapUsageBytes?.value ?? 0 } } : {}),
  };
}
