/** Directories for volumes of this machine's nodes. */
import { chmod, mkdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { NodeStorage } from '#controllers/persistentvolume-binder/local-path.ts';

/** `dir` holds all volumes; `isLocal` tells the nodes of this machine. Elsewhere the kubelet makes the directory, and nobody here can remove it. */
export function localStorage(dir: string, isLocal: (nodeName: string) => boolean): NodeStorage {
  return {
    async create(nodeName, directory) {
      const path = join(dir, basename(directory));
      if (!isLocal(nodeName)) return path;
      await mkdir(path, { recursive: true });
      // Pods run as any user, and hostPath volumes know no fsGroup. The umask has no say in this.
      await chmod(path, 0o777);
      return path;
    },
    async remove(nodeName, path) {
      if (!isLocal(nodeName)) throw new Error(`directory "${path}" is on node "${nodeName}", which is not on this machine: remove it there, then delete the volume`);
      if (dirname(path) !== dir) throw new Error(`directory "${path}" is not in "${dir}": it is not removed`);
      await rm(path, { recursive: true, force: true });
    },
  };
}
