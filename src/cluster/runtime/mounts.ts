/** The mounts of this process's namespace (`proc_pid_mountinfo(5)`), and the few changes that a node makes to them. */
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './command.ts';
import type { HostChanges } from './host-changes.ts';

export interface Mount {
  readonly id: number;
  readonly mountPoint: string;
  readonly fsType: string;
  /** Options of the mount and of its file system. */
  readonly options: readonly string[];
  /** Mounts below it that are made later show up in its peers: other namespaces, containers. */
  readonly shared: boolean;
}

export function parseMountInfo(text: string): Mount[] {
  return text.split('\n').filter((line) => line !== '').map((line) => {
    const fields = line.split(' ');
    const dash = fields.indexOf('-', 6);
    return {
      id: Number(fields[0]),
      mountPoint: unescape(fields[4] ?? ''),
      fsType: fields[dash + 1] ?? '',
      options: [...(fields[5] ?? '').split(','), ...(fields[dash + 3] ?? '').split(',')],
      shared: fields.slice(6, dash).some((f) => f.startsWith('shared:')),
    };
  });
}

/** The kernel writes space, tab, newline and backslash as octal numbers. */
function unescape(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

export async function listMounts(): Promise<Mount[]> {
  return parseMountInfo(await readFile('/proc/self/mountinfo', 'utf8'));
}

export function isBelow(path: string, dir: string): boolean {
  return path === dir || path.startsWith(dir.endsWith('/') ? dir : `${dir}/`);
}

/** The mount that a path is in: the one over the others where several are at the same place. */
export function mountOf(mounts: readonly Mount[], path: string): Mount | undefined {
  let best: Mount | undefined;
  for (const mount of mounts) if (isBelow(path, mount.mountPoint) && (!best || mount.mountPoint.length >= best.mountPoint.length)) best = mount;
  return best;
}

/**
 * Makes a directory part of a shared mount, which volumes with `mountPropagation` need. Where systemd runs it is one already.
 * Elsewhere it is mounted on itself and that mount is shared, so that no other mount of the host changes.
 */
export async function ensureShared(dir: string, changes: HostChanges): Promise<void> {
  await mkdir(dir, { recursive: true });
  const mount = mountOf(await listMounts(), dir);
  if (mount?.shared) return;
  if (mount?.mountPoint !== dir) {
    await changes.record('mount', dir);
    await run('mount', ['--bind', dir, dir]);
  }
  await run('mount', ['--make-shared', dir]);
}

/** Unmounts everything at and below a directory, the latest first. Lazily: what still uses a mount keeps it until its end. */
export async function unmountBelow(dir: string, options: { readonly itself: boolean }): Promise<string[]> {
  const mine = (await listMounts()).filter((m) => isBelow(m.mountPoint, dir) && (options.itself || m.mountPoint !== dir));
  const points = mine.map((m) => m.mountPoint).reverse();
  for (const point of points) {
    // One below a lazily unmounted one is gone with it.
    await run('umount', ['--lazy', '--no-canonicalize', point]).catch((error: unknown) => {
      if (!/not mounted|no mount point/.test(String(error))) throw error;
    });
  }
  return points;
}

const REMOVAL_TRIES = 3;
/**
 * Removes a directory and what is below it. What is mounted in it (volumes of Pods, which may hold somebody's data) is unmounted first and
 * never emptied; the directory itself may be no mount point. A program that was killed a moment ago may have left a `mount` that comes late.
 */
export async function removeDirectory(dir: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    await unmountBelow(dir, { itself: false });
    const mounts = await listMounts();
    const mount = mounts.find((m) => isBelow(m.mountPoint, dir) && m.mountPoint !== dir);
    if (mount && tries < REMOVAL_TRIES) continue;
    if (mount) throw new Error(`removing directory "${dir}": "${mount.mountPoint}" is still mounted in it`);
    try {
      // A disk of its own, mounted there by somebody else, is emptied.
      const what = mounts.some((m) => m.mountPoint === dir) ? (await readdir(dir)).map((name) => join(dir, name)) : [dir];
      for (const path of what) await rm(path, { recursive: true, force: true });
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY' || tries === REMOVAL_TRIES) throw error;
    }
  }
}
