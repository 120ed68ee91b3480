/** What Pods use at this moment, measured when somebody must decide by it: evictions. */
import { join } from 'node:path';
import type { Pod } from '#api/gen/core-v1.ts';
import { uidOf } from '#api/object.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import type { ContainerStats } from '#cri/types.ts';
import type { KubeletConfig } from '../config.ts';
import { diskUsage, type LocalUse } from '../eviction/local-storage.ts';
import type { PodUse } from '../eviction/ranking.ts';
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

/** What each of the Pods uses, by uid; `processes` counts those of a Pod. */
export async function podUses(runtime: ContainerRuntime, config: KubeletConfig, pods: readonly Pod[], processes: (pod: Pod) => Promise<number>, signal: AbortSignal): Promise<Map<string, PodUse>> {
  const { stats } = await runtime.listContainerStats({}, { signal });
  const byPod = Map.groupBy(stats, (s) => s.attributes?.labels[LABELS.podUid] ?? '');
  const out = new Map<string, PodUse>();
  for (const pod of pods) {
    const own = byPod.get(uidOf(pod)) ?? [];
    const local = await localUseOf(config, pod, own);
    const containers = new Map(own.map((s) => [nameOfStats(s), { memoryBytes: s.memory?.workingSetBytes?.value ?? 0, diskBytes: local.containers.get(nameOfStats(s)) ?? 0 }]));
    const sum = (list: Iterable<number>): number => [...list].reduce((a, b) => a + b, 0);
    out.set(uidOf(pod), {
      memoryBytes: sum(Array.from(containers.values(), (c) => c.memoryBytes)),
      diskBytes: sum(local.emptyDirs.values()) + sum(local.containers.values()),
      inodes: sum(own.map((s) => s.writableLayer?.inodesUsed?.value ?? 0)) + (local.inodes ?? 0),
      processes: await processes(pod),
      containers,
    });
  }
  return out;
}
