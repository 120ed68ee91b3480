/**
 * subPath: a place inside a volume. A symlink that a container planted there must not lead out of the volume, so each step is
 * opened without following links and the place is handed to the runtime as a bind mount of what was opened.
 */
import { constants } from 'node:fs';
import { mkdir, open, realpath, stat, writeFile } from 'node:fs/promises';
import { join, normalize, relative } from 'node:path';
import { StartError } from '../interfaces.ts';
import type { Mounter } from './mounter.ts';

const refuse = (message: string, cause?: unknown): StartError => new StartError('CreateContainerConfigError', message, { cause });

/** `bindDir` is where the bind mount goes: `<podDir>/volume-subpaths/<volume>/<container>/<n>`. Returns it. */
export async function prepareSubPath(volumePath: string, subPath: string, bindDir: string, volumeName: string, mounter: Mounter): Promise<string> {
  if (subPath.startsWith('/') || normalize(subPath).split('/').includes('..')) throw refuse(`failed to prepare subPath for volumeMount "${volumeName}" of container: subPath must be relative and must not contain '..'`);
  const resolved = await resolveInside(await realpath(volumePath), subPath, volumeName);
  await using handle = await open(resolved, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  if (await mounter.isMountPoint(bindDir)) return bindDir;
  const isDirectory = (await handle.stat()).isDirectory();
  await mkdir(isDirectory ? bindDir : join(bindDir, '..'), { recursive: true, mode: 0o750 });
  if (!isDirectory) await writeFile(bindDir, '', { flag: 'a' });
  // By descriptor: whatever happens to the path meanwhile, what was checked is what is mounted.
  await mounter.bind(`/proc/${process.pid}/fd/${handle.fd}`, bindDir);
  await stat(bindDir);
  return bindDir;
}

/** Goes down step by step, making directories that are missing; each step must stay inside of the volume. */
async function resolveInside(root: string, subPath: string, volumeName: string): Promise<string> {
  let at = root;
  for (const part of normalize(subPath).split('/').filter((p) => p !== '' && p !== '.')) {
    const next = join(at, part);
    try {
      at = await realpath(next);
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code !== 'ENOENT') throw refuse(`failed to prepare subPath for volumeMount "${volumeName}": ${(err as Error).message}`, err);
      await mkdir(next, { mode: 0o755 });
      at = next;
    }
    if (relative(root, at).startsWith('..')) throw refuse(`failed to prepare subPath for volumeMount "${volumeName}": subpath "${at}" not within volume path "${root}"`);
  }
  return at;
}
