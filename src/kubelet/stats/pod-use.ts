/** What Pods use at this moment, measured when somebody must decide by it: evictions. */
import { join } from 'node:path';
import type { Pod } from '#api/gen/core-v1.ts';
import { uidOf } from '#api/object.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import type { ContainerStats } from '#cri/types.ts';
import type { KubeletConfig } from '../config.ts';
import { diskUsage, type LocalUse } from '../eviction/local-storage.ts';
import type { EvictionResource } from '../eviction/pressure.ts';
import { NOTHING, type PodUse } from '../eviction/ranking.ts';
import { LABELS } from '../interfaces.ts';
import { podDir, podLogDir } from '../pods/paths.ts';

const nameOfStats = (s: ContainerStats): string => s.attributes?.labels[LABELS.containerName] ?? s.attributes?.metadata?.name ?? '';
const layerBytes = (s: ContainerStats): number => s.writableLayer?.usedBytes?.value ?? 0;

/** A Pod's local disk: emptyDir volumes that are not in memory, writable layers, logs. */
export async function localUse(runtime: ContainerRuntime, config: KubeletConfig, pod: Pod, signal: AbortSignal): Promise<LocalUse> {
  const { stats } = await runtime.listContainerStats({ filter: { labelSelector: { [LABELS.podUid]: uidOf(pod) } } }, { signal });
  return await localUseOf(config, pod, stats);
}
async function localUseOf(config: KubeletConfig, pod: Pod, stats: readonly ContainerStats[]): Promise<LocalUse> {
  const emptyDirs = new Map<string, number>();
  let inodes = 0;
  for (const v of pod.spec.volumes ?? []) {
    if (!v.emptyDir || v.emptyDir.medium) continue;
    const use = await diskUsage(join(podDir(config, uidOf(pod)), 'volumes', 'kubernetes.io~empty-dir', v.name));
    emptyDirs.set(v.name, use.bytes);
    inodes += use.inodes;
  }
  const containers = new Map<string, number>();
  for (const s of stats) containers.set(nameOfStats(s), (containers.get(nameOfStats(s)) ?? 0) + layerBytes(s));
  for (const c of pod.spec.containers) {
    const logs = await diskUsage(join(podLogDir(config, pod), c.name));
    containers.set(c.name, (containers.get(c.name) ?? 0) + logs.bytes);
    inodes += logs.inodes;
  }
  return { emptyDirs, containers, inodes };
}

export interface PodUseSources {
  readonly runtime: ContainerRuntime;
  readonly config: KubeletConfig;
  /** Number of the Pod's processes. */
  processes(pod: Pod): Promise<number>;
  /** Working sets of its containers by name, in bytes; undefined where the kernel does not tell. */
  memory(pod: Pod): Promise<ReadonlyMap<string, number> | undefined>;
}
const sum = (list: Iterable<number>): number => [...list].reduce((a, b) => a + b, 0);

/** What each of the Pods uses of the resource, by uid; the rest is told as nothing. Memory and processes are the kernel's to tell: a node that runs short of them has a slow runtime. */
export async function podUses(sources: PodUseSources, pods: readonly Pod[], resource: EvictionResource, signal: AbortSignal): Promise<Map<string, PodUse>> {
  let asked: Promise<Map<string, ContainerStats[]>> | undefined;
  const statsOf = async (pod: Pod): Promise<readonly ContainerStats[]> => {
    asked ??= sources.runtime.listContainerStats({}, { signal }).then(({ stats }) => Map.groupBy(stats, (s) => s.attributes?.labels[LABELS.podUid] ?? ''));
    return (await asked).get(uidOf(pod)) ?? [];
  };
  const useOf = async (pod: Pod): Promise<PodUse> => {
    if (resource === 'pids') return { ...NOTHING, processes: await sources.processes(pod) };
    if (resource === 'memory') {
      const memory = (await sources.memory(pod)) ?? new Map((await statsOf(pod)).map((s) => [nameOfStats(s), s.memory?.workingSetBytes?.value ?? 0]));
      return { ...NOTHING, memoryBytes: sum(memory.values()), containers: new Map(Array.from(memory, ([name, memoryBytes]) => [name, { memoryBytes, diskBytes: 0 }])) };
    }
    const own = await statsOf(pod);
    const local = await localUseOf(sources.config, pod, own);
    return {
      ...NOTHING,
      diskBytes: sum(local.emptyDirs.values()) + sum(local.containers.values()), inodes: sum(own.map((s) => s.writableLayer?.inodesUsed?.value ?? 0)) + (local.inodes ?? 0),
      containers: new Map(Array.from(local.containers, ([name, diskBytes]) => [name, { memoryBytes: 0, diskBytes }])),
    };
  };
  const out = new Map<string, PodUse>();
  for (const pod of pods) out.set(uidOf(pod), await useOf(pod));
  return out;
}
