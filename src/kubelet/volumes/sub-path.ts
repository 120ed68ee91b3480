/**
 * subPath: a place inside a volume. A symlink that a container planted there must not lead out of the volume, so each step is
 * opened without following links, relative to the step before, and the place is handed to the runtime as a bind mount of what
 * was opened. Upstream's counterpart: volume/util/subpath.
 */
import { constants } from 'node:fs';
import { chmod, mkdir, open, readlink, realpath, stat, writeFile, type FileHandle } from 'node:fs/promises';
import { dirname, join, normalize, relative } from 'node:path';
import { StartError } from '../interfaces.ts';
import type { Mounter } from './mounter.ts';

const O_PATH = 0o10000000;
const STEP = O_PATH | constants.O_NOFOLLOW;

const refuse = (message: string, cause?: unknown): StartError => new StartError('CreateContainerConfigError', message, { cause });

/** `bindDir` is where the bind mount goes: `<podDir>/volume-subpaths/<volume>/<container>/<n>`. Returns it. */
export async function prepareSubPath(volumePath: string, subPath: string, bindDir: string, volumeName: string, mounter: Mounter): Promise<string> {
  const failed = `failed to prepare subPath for volumeMount "${volumeName}" of container`;
  if (subPath.startsWith('/') || normalize(subPath).split('/').includes('..')) throw refuse(`${failed}: subPath must be relative and must not contain '..'`);
  const root = await realpath(volumePath);
  try {
    await using handle = await openInside(root, await resolveInside(root, subPath));
    await bindTo(handle, bindDir, mounter);
  } catch (err) {
    throw err instanceof StartError ? err : refuse(`${failed}: ${(err as Error).message}`, err);
  }
  return bindDir;
}

async function bindTo(handle: FileHandle, bindDir: string, mounter: Mounter): Promise<void> {
  const source = await handle.stat();
  if (await mounter.isMountPoint(bindDir)) {
    const mounted = await stat(bindDir).catch(() => undefined);
    if (mounted?.dev === source.dev && mounted.ino === source.ino) return;
    // An earlier run's: the file was replaced since, as configMap volumes replace theirs.
    await mounter.unmountAll(bindDir);
  }
  await mkdir(source.isDirectory() ? bindDir : dirname(bindDir), { recursive: true, mode: 0o750 });
  if (!source.isDirectory()) await writeFile(bindDir, '', { flag: 'a' });
  // By descriptor: whatever happens to the path meanwhile, what was checked is what is mounted.
  await mounter.bind(`/proc/${process.pid}/fd/${handle.fd}`, bindDir);
}

/** The real path of the place; directories that are missing at its end are left to {@link openInside}. Must not leave the volume. */
async function resolveInside(root: string, subPath: string): Promise<string> {
  let at = root;
  const parts = normalize(subPath).split('/').filter((p) => p !== '' && p !== '.');
  for (const [i, part] of parts.entries()) {
    const next = await realpath(join(at, part)).catch((err: NodeJS.ErrnoException) => {
      if (err.code !== 'ENOENT') throw err;
      return undefined;
    });
    if (next === undefined) return join(at, ...parts.slice(i));
    if (relative(root, next).split('/')[0] === '..') throw refuse(`subpath "${next}" not within volume path "${root}"`);
    at = next;
  }
  return at;
}
/** Opens a place step by step from the volume's root, following no link, making directories that are missing: with the mode of the root, for whoever may use that. */
async function openInside(root: string, path: string): Promise<FileHandle> {
  let handle = await open(root, O_PATH | constants.O_DIRECTORY);
  const mode = (await handle.stat()).mode & 0o7777;
  try {
    for (const part of relative(root, path).split('/').filter(Boolean)) {
      const step = `/proc/self/fd/${handle.fd}/${part}`;
      const next = await open(step, STEP).catch(async (err: NodeJS.ErrnoException) => {
        if (err.code !== 'ENOENT') throw err;
        await mkdir(step, { mode: mode & 0o777 });
        const made = await open(step, STEP);
        // By descriptor, and whatever the umask has taken away.
        if ((await made.stat()).isDirectory()) await chmod(`/proc/self/fd/${made.fd}`, mode);
        return made;
      });
      await handle.close();
      handle = next;
      if ((await handle.stat()).isSymbolicLink()) throw refuse(`unexpected symlink found ${await readlink(`/proc/self/fd/${handle.fd}`).catch(() => part)}`);
    }
    return handle;
  } catch (err) {
    await handle.close();
    throw err;
  }
}
