/**
 * Keeps containers' logs within their size: `0.log` → `0.log.20260102-030405`, the runtime opens a new `0.log`, all but the newest
 * rotated file are compressed, the oldest go. Upstream's counterpart: the container log manager.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import type { RuntimeContainer } from './runtime-cache.ts';

const log = logger('kubelet');
const COMPRESSED = '.gz';
const UNFINISHED = '.tmp';

export interface LogRotationOptions {
  readonly runtime: Pick<ContainerRuntime, 'reopenContainerLog'>;
  readonly clock: Clock;
  readonly maxBytes: number;
  /** The log itself included; at least 2. */
  readonly maxFiles: number;
}

/** Rotates the logs of those containers that are over the size. One that fails does not hold up the others. */
export async function rotateLogs(options: LogRotationOptions, running: readonly RuntimeContainer[], signal: AbortSignal): Promise<void> {
  for (const container of running) {
    if (signal.aborted) return;
    const size = container.logPath ? ((await stat(container.logPath).catch(() => undefined))?.size ?? 0) : 0;
    if (size <= options.maxBytes) continue;
    await rotateLog(options, container, signal).catch((err: unknown) => log.warn({ err, container: container.id }, 'log not rotated'));
  }
}
async function rotateLog(options: LogRotationOptions, container: RuntimeContainer, signal: AbortSignal): Promise<void> {
  const path = container.logPath;
  await tidy(path, options.maxFiles - 2);
  const rotated = `${path}.${stamp(options.clock.now())}`;
  await rename(path, rotated);
  try {
    await options.runtime.reopenContainerLog({ containerId: container.id }, { signal });
  } catch (err) {
    // The container goes on writing to the file that it has open: give it its name back.
    await rename(rotated, path);
    throw err;
  }
}
/** Compresses rotated files but the newest to come, and removes all but the newest `keep`. */
async function tidy(path: string, keep: number): Promise<void> {
  const dir = dirname(path);
  const prefix = `${basename(path)}.`;
  const names = (await readdir(dir)).filter((n) => n.startsWith(prefix)).toSorted();
  for (const name of names.filter((n) => n.endsWith(UNFINISHED))) await rm(join(dir, name), { force: true });
  const rotated = names.filter((n) => !n.endsWith(UNFINISHED));
  const kept = keep > 0 ? rotated.slice(-keep) : [];
  for (const name of rotated) if (!kept.includes(name)) await rm(join(dir, name), { force: true });
  for (const name of kept) if (!name.endsWith(COMPRESSED)) await compress(join(dir, name));
}
async function compress(path: string): Promise<void> {
  const unfinished = `${path}${UNFINISHED}`;
  await pipeline(createReadStream(path), createGzip(), createWriteStream(unfinished, { mode: 0o640 }));
  await rename(unfinished, `${path}${COMPRESSED}`);
  await rm(path);
}
/** `20260102-030405`: names in order of time. */
function stamp(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace(/[-:]/g, '').replace('T', '-');
}
