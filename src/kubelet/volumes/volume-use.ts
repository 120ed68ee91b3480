/** How full a volume is: of its file system, or of its directory in one that it shares. Upstream's counterpart: the volumes' metrics providers. */
import { statfs } from 'node:fs/promises';
import { diskUsage } from '../eviction/local-storage.ts';

export interface VolumeUse {
  readonly capacityBytes: number;
  readonly availableBytes: number;
  readonly usedBytes: number;
  readonly inodes: number;
  readonly inodesFree: number;
  readonly inodesUsed: number;
}
/** Of a volume that is a file system of its own. */
export async function fileSystemUse(path: string): Promise<VolumeUse> {
  const { bsize, blocks, bfree, bavail, files, ffree } = await statfs(path);
  return { capacityBytes: blocks * bsize, availableBytes: bavail * bsize, usedBytes: (blocks - bfree) * bsize, inodes: files, inodesFree: ffree, inodesUsed: files - ffree };
}
/** Of one that is a directory among others: what is in it, beside what its file system has. */
export async function directoryUse(path: string): Promise<VolumeUse> {
  const [whole, own] = await Promise.all([fileSystemUse(path), diskUsage(path)]);
  return { ...whole, usedBytes: own.bytes, inodesUsed: own.inodes };
}
