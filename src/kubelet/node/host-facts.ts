/** What the machine is: read from /proc, /etc and the kernel. */
import { readFile, statfs } from 'node:fs/promises';
import { arch, availableParallelism, release, totalmem } from 'node:os';

export interface HostFacts {
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly ephemeralStorageBytes: number;
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
    machineId,
    systemUuid: systemUuid || machineId,
    bootId,
    kernelVersion: release(),
    osImage: /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(osRelease)?.[1] ?? 'Linux',
    architecture: GO_ARCH[arch()] ?? arch(),
  };
}
/** Pressure that the node reports in its conditions. */
export interface Pressure {
  readonly memory: boolean;
  readonly disk: boolean;
  readonly pid: boolean;
}
/** The default hard thresholds: memory.available<100Mi, nodefs.available<10%, nodefs.inodesFree<5%. */
export async function readPressure(storageDir: string): Promise<Pressure> {
  const [meminfo, fs, pidMax, loadavg] = await Promise.all([read('/proc/meminfo'), statfs(storageDir), read('/proc/sys/kernel/pid_max'), read('/proc/loadavg')]);
  const availableKiB = Number(/^MemAvailable:\s+(\d+)/m.exec(meminfo)?.[1] ?? Infinity);
  const tasks = Number(/\d+\/(\d+)/.exec(loadavg)?.[1] ?? 0);
  return {
    memory: availableKiB < 100 * 1024,
    disk: fs.bavail < fs.blocks * 0.1 || (fs.files > 0 && fs.ffree < fs.files * 0.05),
    pid: Number(pidMax) > 0 && tasks > Number(pidMax) * 0.9,
  };
}
