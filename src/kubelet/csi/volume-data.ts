/** Where CSI volumes are on the host, and the file beside each that tells a later kubelet what it is. Upstream's paths and names. */
import { mkdir, readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { csiHandleHash } from '#machinery/volume-names.ts';

const FILE = 'vol_data.json';
const PLUGIN = 'kubernetes.io~csi';

/** `vol_data.json`. */
export interface VolumeData {
  readonly driverName: string;
  readonly volumeHandle: string;
  readonly specVolID?: string;
  readonly nodeName?: string;
  /** Name of the VolumeAttachment; absent for volumes that are not attached. */
  readonly attachmentID?: string;
  readonly volumeLifecycleMode?: 'Persistent' | 'Ephemeral';
}
/** What is published for a Pod: `target` is the driver's to make, `dir` holds `vol_data.json`, `link` (of a block volume) is the Pod's own name of the device. */
export interface Published {
  readonly block: boolean;
  readonly dir: string;
  readonly target: string;
  readonly link?: string;
}
export interface Staged {
  readonly dir: string;
  readonly target: string;
}

export class CsiPaths {
  readonly #rootDir: string;
  constructor(rootDir: string) {
    this.#rootDir = rootDir;
  }
  get #plugin(): string {
    return join(this.#rootDir, 'plugins', 'kubernetes.io', 'csi');
  }
  published(uid: string, specName: string, block: boolean): Published {
    const pod = join(this.#rootDir, 'pods', uid);
    if (!block) {
      const dir = join(pod, 'volumes', PLUGIN, specName);
      return { block, dir, target: join(dir, 'mount') };
    }
    const devices = join(this.#plugin, 'volumeDevices');
    return { block, dir: join(devices, specName, 'data'), target: join(devices, 'publish', specName, uid), link: join(pod, 'volumeDevices', PLUGIN, specName) };
  }
  staged(driver: string, handle: string, specName: string, block: boolean): Staged {
    if (block) return { dir: join(this.#plugin, 'volumeDevices', specName, 'data'), target: join(this.#plugin, 'volumeDevices', 'staging', specName) };
    const dir = join(this.#plugin, driver, csiHandleHash(handle));
    return { dir, target: join(dir, 'globalmount') };
  }
  /** Everything that is published for a Pod, by the disk. */
  async publishedOf(uid: string): Promise<{ readonly specName: string; readonly at: Published; readonly data: VolumeData }[]> {
    const pod = join(this.#rootDir, 'pods', uid);
    const out = [];
    for (const block of [false, true]) {
      for (const specName of await namesIn(join(pod, block ? 'volumeDevices' : 'volumes', PLUGIN))) {
        const at = this.published(uid, specName, block);
        const data = await readVolumeData(at.dir);
        if (data) out.push({ specName, at, data });
      }
    }
    return out;
  }
  async podUids(): Promise<string[]> {
    return await namesIn(join(this.#rootDir, 'pods'));
  }
  /** Every volume that a driver may have staged, by the disk. */
  async allStaged(): Promise<{ readonly data: VolumeData; readonly block: boolean }[]> {
    const out = [];
    for (const driver of await namesIn(this.#plugin)) {
      const block = driver === 'volumeDevices';
      for (const name of await namesIn(join(this.#plugin, driver))) {
        const data = await readVolumeData(join(this.#plugin, driver, name, ...(block ? ['data'] : [])));
        if (data) out.push({ data, block });
      }
    }
    return out;
  }
}
async function namesIn(dir: string): Promise<string[]> {
  return await readdir(dir).catch(() => []);
}

export async function writeVolumeData(dir: string, data: VolumeData): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o750 });
  await writeFile(join(dir, FILE), JSON.stringify(data), { mode: 0o644 });
}
async function readVolumeData(dir: string): Promise<VolumeData | undefined> {
  try {
    return JSON.parse(await readFile(join(dir, FILE), 'utf8')) as VolumeData;
  } catch {
    // Never written, or half: nothing was asked of the driver before it was.
    return undefined;
  }
}
/** Removes the file and its directory. */
export async function removeVolumeData(dir: string): Promise<void> {
  await rm(join(dir, FILE), { force: true });
  await removeEmpty(dir);
}
/** Only ever empty directories: below a mount that stayed lies somebody's data. */
export async function removeEmpty(dir: string): Promise<void> {
  await rmdir(dir).catch((err: NodeJS.ErrnoException) => {
    if (err.code !== 'ENOENT') throw err;
  });
}
/** The folder of a block volume, which others may still have something in. */
export async function removeIfEmpty(dir: string): Promise<void> {
  await rmdir(dir).catch(() => {});
}
/** A driver leaves its target or removes it; either is right. A target that is a file (of a block volume) goes too. */
export async function removeTarget(target: string): Promise<void> {
  await rmdir(target).catch(async (err: NodeJS.ErrnoException) => {
    if (err.code === 'ENOTDIR') await rm(target, { force: true });
    else if (err.code !== 'ENOENT') throw err;
  });
}
export async function makeParent(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o750 });
}
