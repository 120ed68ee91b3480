/** Is this machine able to run a cluster? Each check says what is wrong and what to do about it. */
import { constants } from 'node:fs';
import { access, readFile, stat } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

export interface Problem {
  /** What is missing, in one line. */
  readonly what: string;
  /** What to do, in one line. */
  readonly remedy: string;
  /** The Debian package that brings it, where one does. */
  readonly debianPackage?: string | undefined;
}

const TOOLS: readonly (readonly [command: string, pkg: string])[] = [
  ['containerd', 'containerd'], ['runc', 'runc'], ['nft', 'nftables'], ['conntrack', 'conntrack'], ['ip', 'iproute2'], ['nsenter', 'util-linux'], ['mount', 'mount'], ['modprobe', 'kmod'],
];
const CNI_DIRS = ['/usr/lib/cni', '/opt/cni/bin', '/usr/libexec/cni'];
/** Where Debian keeps tools that are not in every user's PATH. */
const EXTRA_PATH = ['/usr/sbin', '/sbin', '/usr/local/sbin'];

async function executable(path: string): Promise<boolean> {
  return await access(path, constants.X_OK).then(() => true, () => false);
}
/** Full path of a command; undefined when it is nowhere. */
export async function findCommand(name: string): Promise<string | undefined> {
  for (const dir of [...(process.env['PATH'] ?? '').split(delimiter), ...EXTRA_PATH]) {
    const path = join(dir, name);
    if (dir !== '' && (await executable(path))) return path;
  }
  return undefined;
}

/** What no package can mend: checked first. */
export async function machineProblems(): Promise<Problem[]> {
  const problems: Problem[] = [];
  if (process.platform !== 'linux') return [{ what: `Podyard runs on Linux, this is ${process.platform}`, remedy: 'use a Linux machine, or a virtual machine with Linux' }];
  if (process.getuid?.() !== 0) problems.push({ what: 'a cluster needs root: it makes namespaces, mounts and firewall rules', remedy: 'run the command again with sudo' });
  if (!['x64', 'arm64'].includes(process.arch)) problems.push({ what: `the built-in pause image has no program for ${process.arch}`, remedy: 'use an x86-64 or arm64 machine' });
  if (!(await stat('/sys/fs/cgroup').catch(() => undefined))) problems.push({ what: 'no cgroup file system is mounted at /sys/fs/cgroup', remedy: 'mount it: mount -t cgroup2 none /sys/fs/cgroup' });
  if (!/\boverlay$/m.test(await readFile('/proc/filesystems', 'utf8').catch(() => ''))) problems.push({ what: 'the kernel has no overlay file system', remedy: 'load it: modprobe overlay' });
  return problems;
}
/** What packages bring. With another runtime's socket no containerd is needed. */
export async function missingTools(ownRuntime = true): Promise<Problem[]> {
  const problems: Problem[] = [];
  for (const [command, pkg] of TOOLS) {
    if (!ownRuntime && (command === 'containerd' || command === 'runc')) continue;
    if (!(await findCommand(command))) problems.push({ what: `the program "${command}" is not installed`, remedy: `apt-get install ${pkg}`, debianPackage: pkg });
  }
  const cni = await Promise.all(CNI_DIRS.map((d) => executable(join(d, 'bridge'))));
  if (ownRuntime && !cni.includes(true)) problems.push({ what: 'the CNI plugins are not installed', remedy: 'apt-get install containernetworking-plugins', debianPackage: 'containernetworking-plugins' });
  return problems;
}
