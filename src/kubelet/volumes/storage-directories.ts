/**
 * Directories of this node for volumes of the built-in provisioner, which asks for them through the kubelet's server. All lie in one directory, side
 * by side: nothing else is made or removed, whatever is asked for.
 */
import { chmod, mkdir, realpath, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { hostMounter, type Mounter } from './mounter.ts';

export interface StorageDirectories {
  /** Makes the directory of that name, open to every user, and gives its path. Idempotent. Rejects with a {@link ForeignPathError} where the name is none. */
  create(name: string): Promise<string>;
  /** Removes a directory and all in it. Idempotent. Rejects with a {@link ForeignPathError} for any other path, and while something is mounted in it. */
  remove(path: string): Promise<void>;
}
/** A path that is not this node's to make or to remove. */
export class ForeignPathError extends Error {
  constructor(path: string, dir: string, what: 'made' | 'removed') {
    super(`directory "${path}" is not in "${dir}": it is not ${what}`);
    this.name = 'ForeignPathError';
  }
}

/** `dir` holds all of them; it is made with the first. */
export function storageDirectories(dir: string, mounter: Pick<Mounter, 'mountsBelow'> = hostMounter): StorageDirectories {
  const isOurs = (path: string): boolean => dirname(path) === dir && resolve(path) === path && !path.includes('\0');
  return {
    async create(name) {
      const path = `${dir}/${name}`;
      if (!isOurs(path)) throw new ForeignPathError(name, dir, 'made');
      await mkdir(path, { recursive: true });
      // Pods run as any user, and hostPath volumes know no fsGroup. The umask has no say in this.
      await chmod(path, 0o777);
      return path;
    },
    async remove(path) {
      if (!isOurs(path)) throw new ForeignPathError(path, dir, 'removed');
      // Deleting through a mount would delete what is somebody else's. The kernel knows mounts by where they really are.
      const [mount] = await mounter.mountsBelow(join(await realOf(dir), basename(path)));
      if (mount !== undefined) throw new Error(`removing directory "${path}": "${mount}" is still mounted in it`);
      await rm(path, { recursive: true, force: true });
    },
  };
}
/** The path without symbolic links; as it is where nothing is there. */
async function realOf(path: string): Promise<string> {
  return await realpath(path).catch((err: NodeJS.ErrnoException) => {
    if (err.code === 'ENOENT') return path;
    throw err;
  });
}
