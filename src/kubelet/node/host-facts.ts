/** What the machine is: read from /proc, /etc and the kernel. */
import { readdir, readFile, statfs } from 'node:fs/promises';
import { arch, availableParallelism, release, totalmem } from 'node:os';
import { readHugePages } from './machine-topology.ts';

export interface HostFacts {
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly ephemeralStorageBytes: number;
  /** Huge pages set aside, bytes by page size as resources name it: `{ '2Mi': 0 }`. */
  readonly hugePages: Readonly<Record<string, number>>;
  readonly machineId: string;
  readonly systemUuid: string;
  readonly bootId: string;
  readonly kernelVersion: string;
  readonly osImage: string;
  /** Go's name: `amd64`. */
  readonly architecture: string;
}
const read = async (path: string): Promise<string> => (await readFile(path, 'utf8').catch(() => '')).trim();
const GO_ARCH: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64', ia32: '386', ppc64: 'ppc64le', s390x: 's390x', riscv64: 'riscv64' };

/** `storageDir`: a directory on the file system that holds Pods' ephemeral storage. */
export async function readHostFacts(storageDir: string): Promise<HostFacts> {
  const [machineId, systemUuid, bootId, osRelease, fs] = await Promise.all([
    read('/etc/machine-id'), read('/sys/class/dmi/id/product_uuid'), read('/proc/sys/kernel/random/boot_id'), read('/etc/os-release'), statfs(storageDir),
  ]);
  return {
    cpus: availableParallelism(),
    memoryBytes: totalmem(),
    ephemeralStorageBytes: fs.blocks * fs.bsize,
    hugePages: await readHugePages('/sys/kernel/mm/hugepages'),
    machineId,
    systemUuid: systemUuid || machineId,
    bootId,
    kernelVersion: release(),
    osImage: /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(osRelease)?.[1] ?? 'Linux',
    architecture: GO_ARCH[arch()] ?? arch(),
  };
}
/** The kernel confines by AppArmor profiles. */
export async function appArmorEnabled(): Promise<boolean> {
  return (await read('/sys/module/apparmor/parameters/enabled')) === 'Y';
}
/** systemd runs the machine, with logind to say when it goes down. */
export async function hasLogind(): Promise<boolean> {
  return (await readdir('/run/systemd/system').catch(() => undefined)) !== undefined;
}
