import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Mounts of the kubelet's own mount namespace, by the host's `mount` and `umount`. */
export interface Mounter {
  tmpfs(path: string, options: { sizeBytes?: number; mode?: number }): Promise<void>;
  bind(source: string, target: string): Promise<void>;
  /** `source` is `server:/path`. Rejects with a clear message where the host has no helper for it. */
  nfs(source: string, target: string, options: readonly string[]): Promise<void>;
  /** Unmounts what is mounted at or below a path, innermost first; nothing when nothing is. */
  unmountAll(path: string): Promise<void>;
  isMountPoint(path: string): Promise<boolean>;
}

async function mountPoints(): Promise<string[]> {
  const text = await readFile('/proc/self/mountinfo', 'utf8');
  // Field 5; spaces and the like are octal escapes.
  return text.split('\n').filter(Boolean).map((l) => l.split(' ')[4]!.replace(/\\([0-7]{3})/g, (_, o: string) => String.fromCharCode(parseInt(o, 8))));
}

export const hostMounter: Mounter = {
  async tmpfs(path, { sizeBytes, mode }) {
    const options = [...(sizeBytes ? [`size=${sizeBytes}`] : []), ...(mode === undefined ? [] : [`mode=${mode.toString(8)}`])];
    await run('mount', ['-t', 'tmpfs', ...(options.length ? ['-o', options.join(',')] : []), 'tmpfs', path]);
  },
  async bind(source, target) {
    await run('mount', ['--bind', source, target]);
  },
  async nfs(source, target, options) {
    if (!['/sbin/mount.nfs', '/usr/sbin/mount.nfs'].some((p) => existsSync(p))) throw new Error('mount failed: this node has no mount.nfs; install the package nfs-common');
    await run('mount', ['-t', 'nfs', ...(options.length ? ['-o', options.join(',')] : []), source, target]);
  },
  async unmountAll(path) {
    const below = (await mountPoints()).filter((p) => p === path || p.startsWith(`${path}/`));
    for (const point of below.toReversed()) await run('umount', [point]).catch(() => run('umount', ['-l', point]));
  },
  async isMountPoint(path) {
    return (await mountPoints()).includes(path);
  },
};
