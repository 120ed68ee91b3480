/** hostPath volumes: the type is checked, or made, before the Pod starts. Source: API reference HostPathVolumeSource. */
import { chmod, mkdir, open, stat } from 'node:fs/promises';
import type { HostPathVolumeSource } from '#api/gen/core-v1.ts';

/** The path, made with the permission bits `mode` when its type says so. Rejects with upstream's words when it is not what the type says. */
export async function prepareHostPath({ path, type = '' }: HostPathVolumeSource, mode = 0o755): Promise<string> {
  const info = await stat(path).catch((err: NodeJS.ErrnoException) => {
    if (err.code === 'ENOENT' || err.code === 'ENOTDIR') return undefined;
    throw err;
  });
  const mustBe = (ok: boolean | undefined, what: string): void => {
    if (!ok) throw new Error(`hostPath type check failed: ${path} is not ${what}`);
  };
  switch (type) {
    case '': break;
    case 'DirectoryOrCreate':
      if (!info) {
        await mkdir(path, { recursive: true, mode });
        // The umask has no say in what a volume is open to.
        if (mode !== 0o755) await chmod(path, mode);
      } else mustBe(info.isDirectory(), 'a directory');
      break;
    case 'Directory': mustBe(info?.isDirectory(), 'a directory'); break;
    case 'FileOrCreate':
      if (!info) await (await open(path, 'a', 0o644)).close();
      else mustBe(info.isFile(), 'a file');
      break;
    case 'File': mustBe(info?.isFile(), 'a file'); break;
    case 'Socket': mustBe(info?.isSocket(), 'a socket file'); break;
    case 'CharDevice': mustBe(info?.isCharacterDevice(), 'a character device'); break;
    case 'BlockDevice': mustBe(info?.isBlockDevice(), 'a block device'); break;
    default: throw new Error(`${type} is an invalid volume type`);
  }
  return path;
}
