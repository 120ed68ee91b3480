/** Gives volumes to a Pod's fsGroup. Source: API reference PodSecurityContext.fsGroup and fsGroupChangePolicy. */
import { chmod, chown, lchown, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pod } from '#api/gen/core-v1.ts';

const SETGID = 0o2000;
const DIRECTORY_BITS = 0o2770;
const FILE_BITS = 0o660;
const READ_BITS = 0o440;

/** Owner group, the owner's permissions for the group and setgid on directories, all the way down; with `OnRootMismatch` only where the top lacks them. */
export async function applyFsGroup(pod: Pod, dir: string, readOnly = false): Promise<void> {
  const { fsGroup, fsGroupChangePolicy } = pod.spec.securityContext ?? {};
  if (fsGroup === undefined) return;
  const top = await stat(dir);
  const fileBits = readOnly ? READ_BITS : FILE_BITS;
  const directoryBits = readOnly ? DIRECTORY_BITS & ~0o220 : DIRECTORY_BITS;
  if (fsGroupChangePolicy === 'OnRootMismatch' && top.gid === fsGroup && (top.mode & directoryBits) === directoryBits) return;
  if (top.isDirectory()) {
    for (const e of await readdir(dir, { recursive: true, withFileTypes: true })) {
      const path = join(e.parentPath, e.name);
      // What vanishes meanwhile needs no group.
      await lchown(path, -1, fsGroup).catch(() => {});
      if (e.isSymbolicLink()) continue;
      const info = await stat(path).catch(() => undefined);
      if (info) await chmod(path, info.mode | (e.isDirectory() ? directoryBits : fileBits)).catch(() => {});
    }
  }
  await chown(dir, top.uid, fsGroup);
  await chmod(dir, top.mode | (top.isDirectory() ? directoryBits | SETGID : fileBits));
}
