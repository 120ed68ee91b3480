/**
 * Files of a volume that change all at once: the payload is written into a new directory and a symlink `..data` is swapped to it;
 * each visible name links through `..data`. Readers see the old set or the new one, never a mixture. Upstream's counterpart: AtomicWriter.
 */
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, readlink, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';

export interface FileContent {
  readonly data: Buffer;
  /** Permission bits. */
  readonly mode: number;
  /** Owner of this file where it must be another than the volume's: tokens for a container that runs as one user. */
  readonly uid?: number | undefined;
}
export type Payload = ReadonlyMap<string, FileContent>;

const DATA = '..data';

/** Brings the directory to hold exactly the payload. Returns false when it did already. `gid` is the volume's fsGroup. */
export async function writeAtomically(dir: string, payload: Payload, gid: number | undefined): Promise<boolean> {
  for (const path of payload.keys()) checkPath(path);
  const old = await readlink(join(dir, DATA)).catch(() => undefined);
  if (old !== undefined && (await sameContent(join(dir, old), payload))) return false;
  // `..2026_01_02_…`: hidden from globbing, and never a valid key.
  const stamp = await mkdtemp(join(dir, `..${new Date().toISOString().slice(0, 19).replace(/[-T:]/g, '_')}.`));
  await chmod(stamp, 0o755);
  for (const [path, file] of payload) await writeOne(join(stamp, path), file, gid);
  const link = join(dir, '..data_tmp');
  await unlink(link).catch(ignoreMissing);
  await symlink(stamp.slice(dir.length + 1), link);
  await rename(link, join(dir, DATA));
  await linkVisible(dir, payload);
  if (old !== undefined) await rm(join(dir, old), { recursive: true, force: true });
  return true;
}

function checkPath(path: string): void {
  if (path === '' || path.startsWith('/') || normalize(path) !== path || path.split('/').includes('..') || path.startsWith('..')) throw new Error(`invalid path: ${JSON.stringify(path)} must be relative and must not contain '..'`);
}
async function writeOne(path: string, file: FileContent, gid: number | undefined): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  await writeFile(path, file.data);
  // With an fsGroup the group may read it, whatever the mode says.
  await chmod(path, gid === undefined ? file.mode : file.mode | 0o440);
  if (gid !== undefined || file.uid !== undefined) await chown(path, file.uid ?? 0, gid ?? 0);
}
/** Top-level names link into `..data`; those that the payload no longer has go. */
async function linkVisible(dir: string, payload: Payload): Promise<void> {
  const wanted = new Set(Array.from(payload.keys(), (p) => p.split('/')[0]!));
  for (const name of await readdir(dir)) if (!name.startsWith('..') && !wanted.has(name)) await rm(join(dir, name), { recursive: true, force: true });
  for (const name of wanted) {
    await symlink(join(DATA, name), join(dir, name)).catch((err: NodeJS.ErrnoException) => {
      if (err.code !== 'EEXIST') throw err;
    });
  }
}
async function sameContent(dir: string, payload: Payload): Promise<boolean> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch(() => undefined);
  const files = entries?.filter((e) => e.isFile());
  if (files?.length !== payload.size) return false;
  for (const [path, file] of payload) {
    const data = await readFile(join(dir, path)).catch(() => undefined);
    if (!data?.equals(file.data)) return false;
  }
  return true;
}
function ignoreMissing(err: NodeJS.ErrnoException): void {
  if (err.code !== 'ENOENT') throw err;
}
