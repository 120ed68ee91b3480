/** Removing a node's own cgroups from every hierarchy, version 1 and 2. */
import { readdir, rmdir } from 'node:fs/promises';
import { sleep, type Clock } from '#base/clock.ts';
import { readFileIfThere } from './files.ts';
import { listMounts } from './mounts.ts';

/** Mount points of all cgroup hierarchies. */
export async function cgroupHierarchies(): Promise<string[]> {
  return (await listMounts()).filter((m) => m.fsType === 'cgroup' || m.fsType === 'cgroup2').map((m) => m.mountPoint);
}

/** The directories of a cgroup that exist, in all hierarchies. Only a path below the root is taken. */
export async function cgroupDirs(root: string): Promise<string[]> {
  if (!/^\/[^/]/.test(root) || root.split('/').includes('..')) throw new Error(`looking for cgroups: "${root}" must be an absolute path below "/"`);
  const dirs = (await cgroupHierarchies()).map((mountPoint) => `${mountPoint}${root}`);
  const there = await Promise.all(dirs.map(async (dir) => ((await readFileIfThere(`${dir}/cgroup.procs`)) === undefined ? [] : [dir])));
  return there.flat();
}

/** How long processes have to end that were killed; on a busy machine they need the time. */
const KILL_LIMIT_MS = 10_000;
const KILL_PAUSE_MS = 20;

/** Kills what runs in a cgroup and below, then removes it. A process that is not to be killed must not be in it. */
export async function removeCgroups(root: string, clock: Clock): Promise<string[]> {
  const dirs = await cgroupDirs(root);
  const deadline = clock.monotonic() + KILL_LIMIT_MS;
  for (;;) {
    const left = (await Promise.all(dirs.map(removeTree))).flat();
    if (left.length === 0) return dirs;
    if (clock.monotonic() >= deadline) throw new Error(`removing the cgroup "${root}": processes ${left.join(', ')} do not end`);
    await sleep(clock, KILL_PAUSE_MS);
  }
}

/** Deepest first. Gives the pids that are still in it, each of which was sent SIGKILL. */
async function removeTree(dir: string): Promise<number[]> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => []);
  const pids: number[] = [];
  for (const entry of entries) if (entry.isDirectory()) pids.push(...(await removeTree(`${dir}/${entry.name}`)));
  for (const pid of ((await readFileIfThere(`${dir}/cgroup.procs`)) ?? '').split('\n').filter((line) => line !== '').map(Number)) {
    pids.push(pid);
    // 0 stands for a process of another PID namespace; to kill(2) it would mean our own process group.
    if (pid <= 0) continue;
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
  if (pids.length > 0) return pids;
  await rmdir(dir).catch((error: NodeJS.ErrnoException) => {
    // A process that has ended a moment ago still counts.
    if (error.code === 'EBUSY') pids.push(0);
    else if (error.code !== 'ENOENT') throw error;
  });
  return pids;
}
