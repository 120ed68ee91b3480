/** The host's cgroup file systems, version 1 and 2 under one interface. Source: kernel documentation, admin-guide/cgroup-v1 and cgroup-v2. */
import { existsSync, readdirSync, lstatSync } from 'node:fs';
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Limits of a group of processes; absent: none. */
export interface CgroupLimits {
  readonly cpuShares?: number | undefined;
  /** Microseconds per 100 ms. */
  readonly cpuQuotaUs?: number | undefined;
  readonly memoryBytes?: number | undefined;
  readonly pids?: number | undefined;
  /** Bytes of huge pages by size, as the control files name it: `2MB`. */
  readonly hugePages?: Readonly<Record<string, number>> | undefined;
}

const PERIOD_US = 100_000;
const V2_CONTROLLERS = ['cpu', 'memory', 'pids', 'cpuset', 'io', 'hugetlb'];

export class CgroupHierarchy {
  readonly v2: boolean;
  /** Version 2: the kernel counts swap, and groups can be kept from it. */
  readonly swap: boolean;
  readonly #mount: string;
  /** Where version 2 is mounted, be it without controllers beside version 1. */
  readonly #unified: string | undefined;
  /** Version 1: one directory per hierarchy. */
  readonly #controllers: readonly string[];
  readonly #prepared = new Set<string>();

  constructor(mount = '/sys/fs/cgroup') {
    this.#mount = mount;
    this.v2 = existsSync(join(mount, 'cgroup.controllers'));
    const beside = join(mount, 'unified');
    this.#unified = this.v2 ? mount : existsSync(join(beside, 'cgroup.controllers')) ? beside : undefined;
    // The root has no such file: all others do, or none.
    this.swap = this.v2 && readdirSync(mount).some((d) => existsSync(join(mount, d, 'memory.swap.max')));
    // Symlinks are other names of a hierarchy (`cpu` → `cpu,cpuacct`): each hierarchy once. A directory in which nothing is mounted is none.
    this.#controllers = this.v2 || !existsSync(mount) ? [] : readdirSync(mount).filter((d) => lstatSync(join(mount, d)).isDirectory() && existsSync(join(mount, d, 'cgroup.procs')));
  }
  /** Creates the group in every hierarchy where it has limits, and its parents. `path` is absolute within the hierarchies. */
  async create(path: string, limits: CgroupLimits): Promise<void> {
    if (this.v2) return await this.#createV2(path, limits);
    const { cpuShares, cpuQuotaUs, memoryBytes, pids, hugePages = {} } = limits;
    const writes: [controller: string, file: string, value: number | undefined][] = [
      ['cpu', 'cpu.shares', cpuShares],
      ['cpu', 'cpu.cfs_quota_us', cpuQuotaUs],
      ['memory', 'memory.limit_in_bytes', memoryBytes],
      ['pids', 'pids.max', pids],
      ...Object.entries(hugePages).map(([size, bytes]): [string, string, number] => ['hugetlb', `hugetlb.${size}.limit_in_bytes`, bytes]),
    ];
    for (const [controller, file, value] of writes) {
      const dir = value === undefined ? undefined : this.#controllerDir(controller, path);
      if (!dir) continue;
      await mkdir(dir, { recursive: true });
      await writeFile(join(dir, file), String(value));
    }
  }
  /** True where the kernel has this controller and the host uses it. */
  async has(controller: string): Promise<boolean> {
    if (!this.v2) return this.#controllerDir(controller, '/') !== undefined;
    return (await readFile(join(this.#mount, 'cgroup.controllers'), 'utf8')).split(/\s+/).includes(controller);
  }
  /** Removes the group and what is below it in every hierarchy. Groups that still hold processes make it reject with EBUSY, after those were killed. */
  async remove(path: string): Promise<void> {
    try {
      await Promise.all(this.#dirs(path).map(removeTree));
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code === 'EBUSY') await Promise.all(this.#dirs(path).map(killTree));
      throw err;
    }
    this.#prepared.delete(path);
  }
  /** Names of the groups below one, over all hierarchies. */
  async children(path: string): Promise<readonly string[]> {
    const lists = await Promise.all(this.#dirs(path).map(async (d) => (await readdir(d, { withFileTypes: true }).catch(() => [])).filter((e) => e.isDirectory()).map((e) => e.name)));
    return [...new Set(lists.flat())];
  }
  /** Content of a control file, '' when there is none. `controller` matters in version 1 only. */
  async read(controller: string, path: string, file: string): Promise<string> {
    const dir = this.v2 ? join(this.#mount, path) : this.#controllerDir(controller, path);
    return dir ? await readFile(join(dir, file), 'utf8').catch(() => '') : '';
  }
  /** Content of a file that only version 2 has, also where it is mounted beside version 1; '' when there is none. */
  async readUnified(path: string, file: string): Promise<string> {
    return this.#unified === undefined ? '' : await readFile(join(this.#unified, path, file), 'utf8').catch(() => '');
  }

  #controllerDir(controller: string, path: string): string | undefined {
    const name = this.#controllers.find((c) => c.split(',').includes(controller));
    return name === undefined ? undefined : join(this.#mount, name, path);
  }
  #dirs(path: string): string[] {
    return this.v2 ? [join(this.#mount, path)] : this.#controllers.map((c) => join(this.#mount, c, path));
  }
  async #createV2(path: string, limits: CgroupLimits): Promise<void> {
    const parts = path.split('/').filter(Boolean);
    for (let i = 0; i < parts.length; i++) await this.#delegate(`/${parts.slice(0, i).join('/')}`);
    const dir = join(this.#mount, path);
    await mkdir(dir, { recursive: true });
    const { cpuShares, cpuQuotaUs, memoryBytes, pids, hugePages = {} } = limits;
    if (cpuShares !== undefined) await writeFile(join(dir, 'cpu.weight'), String(weightOf(cpuShares)));
    if (cpuQuotaUs !== undefined) await writeFile(join(dir, 'cpu.max'), `${cpuQuotaUs} ${PERIOD_US}`);
    if (memoryBytes !== undefined) await writeFile(join(dir, 'memory.max'), String(memoryBytes));
    if (pids !== undefined) await writeFile(join(dir, 'pids.max'), String(pids));
    for (const [size, bytes] of Object.entries(hugePages)) await writeFile(join(dir, `hugetlb.${size}.max`), String(bytes));
  }
  /** Lets the children of a group have controllers of their own. */
  async #delegate(path: string): Promise<void> {
    if (this.#prepared.has(path)) return;
    const dir = join(this.#mount, path);
    await mkdir(dir, { recursive: true });
    const available = (await readFile(join(dir, 'cgroup.controllers'), 'utf8')).split(/\s+/);
    for (const c of V2_CONTROLLERS.filter((x) => available.includes(x))) await writeFile(join(dir, 'cgroup.subtree_control'), `+${c}`);
    this.#prepared.add(path);
  }
}

/** cpu.weight for cpu.shares: 2…262144 → 1…10000 (KEP-2254). */
export function weightOf(shares: number): number {
  return Math.max(1, Math.floor(1 + ((shares - 2) * 9999) / 262_142));
}
/** SIGKILL for every process of a group and the groups below. */
async function killTree(dir: string): Promise<void> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => []);
  for (const e of entries) if (e.isDirectory()) await killTree(join(dir, e.name));
  const procs = await readFile(join(dir, 'cgroup.procs'), 'utf8').catch(() => '');
  for (const pid of procs.split('\n').filter(Boolean).map(Number)) {
    try {
      // 0 stands for a process of another PID namespace: it would mean our own group.
      if (pid > 1) process.kill(pid, 'SIGKILL');
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code !== 'ESRCH') throw err;
    }
  }
}
async function removeTree(dir: string): Promise<void> {
  let entries;
  try {
    entries = await readdir(dir, { withFileTypes: true });
  } catch {
    return; // not there in this hierarchy
  }
  for (const e of entries) if (e.isDirectory()) await removeTree(join(dir, e.name));
  await rmdir(dir).catch((err: NodeJS.ErrnoException) => {
    if (err.code !== 'ENOENT') throw err;
  });
}
