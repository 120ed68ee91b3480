/** Local disk that Pods use: emptyDir volumes, logs and writable layers; and who is over a limit. */
import { readdir, lstat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pod } from '#api/gen/core-v1.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import { containerStorageMessage, emptyDirMessage, podStorageMessage } from './messages.ts';

const BLOCK = 512;

/** Bytes and inodes below a directory, hard links counted once, other file systems left out, as `du -x` counts. Missing: nothing. */
export async function diskUsage(dir: string): Promise<{ bytes: number; inodes: number }> {
  const top = await lstat(dir).catch(() => undefined);
  if (!top) return { bytes: 0, inodes: 0 };
  const seen = new Set<number>();
  let bytes = 0;
  const add = (info: { ino: number; blocks: number }): void => {
    if (seen.has(info.ino)) return;
    seen.add(info.ino);
    bytes += info.blocks * BLOCK;
  };
  const walk = async (path: string): Promise<void> => {
    const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
    for (const e of entries) {
      const info = await lstat(join(path, e.name)).catch(() => undefined);
      if (!info || info.dev !== top.dev) continue;
      add(info);
      if (e.isDirectory()) await walk(join(path, e.name));
    }
  };
  add(top);
  await walk(dir);
  return { bytes, inodes: seen.size };
}

export interface LocalUse {
  /** Bytes of emptyDir volumes on disk, by volume. */
  readonly emptyDirs: ReadonlyMap<string, number>;
  /** Inodes of both. */
  readonly inodes?: number;
  /** Writable layer and logs, bytes by container. */
  readonly containers: ReadonlyMap<string, number>;
}

const limitOf = (list: Readonly<Record<string, string>> | undefined): number | undefined => (list?.['ephemeral-storage'] === undefined ? undefined : Number(parseQuantity(list['ephemeral-storage']).value()));

/** Whether a Pod sets limits on local disk at all: others need not be measured. */
export function hasLocalLimits(pod: Pod): boolean {
  return (pod.spec.volumes ?? []).some((v) => v.emptyDir?.sizeLimit && !v.emptyDir.medium) || pod.spec.containers.some((c) => limitOf(c.resources?.limits) !== undefined);
}
/** Why the Pod must go, or undefined. Volumes first, then the Pod as a whole, then its containers. */
export function localLimitExceeded(pod: Pod, use: LocalUse): string | undefined {
  for (const v of pod.spec.volumes ?? []) {
    const limit = v.emptyDir?.medium ? undefined : v.emptyDir?.sizeLimit;
    if (limit && limit !== '0' && (use.emptyDirs.get(v.name) ?? 0) > Number(parseQuantity(limit).value())) return emptyDirMessage(v.name, limit);
  }
  const limits = pod.spec.containers.map((c) => limitOf(c.resources?.limits));
  const total = [...use.emptyDirs.values(), ...use.containers.values()].reduce((a, b) => a + b, 0);
  if (limits.length && limits.every((l) => l !== undefined)) {
    const sum = pod.spec.containers.map((c) => parseQuantity(c.resources!.limits!['ephemeral-storage']!)).reduce((a, b) => a.add(b));
    if (total > Number(sum.value())) return podStorageMessage(sum.toString());
  }
  for (const [i, c] of pod.spec.containers.entries()) {
    if (limits[i] !== undefined && (use.containers.get(c.name) ?? 0) > limits[i]) return containerStorageMessage(c.name, c.resources!.limits!['ephemeral-storage']!);
  }
  return undefined;
}
