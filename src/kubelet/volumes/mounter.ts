import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Mounts of the kubelet's own mount namespace, by the host's `mount` and `umount`. */
export interface Mounter {
  tmpfs(path: string, options: { sizeBytes?: number; mode?: number }): Promise<void>;
  /** `pageSize` as resources name it: `2Mi`. */
  hugetlbfs(path: string, pageSize: string): Promise<void>;
  bind(source: string, target: string): Promise<void>;
  /** `source` is `server:/path`. Needs `mount.nfs` of the package nfs-common. */
  nfs(source: string, target: string, options: readonly string[]): Promise<void>;
  /** `type` as mount(8) takes it: `overlay`. */
  fileSystem(type: string, source: string, target: string, options: readonly string[]): Promise<void>;
  /** Unmounts what is mounted at or below a path, innermost first; nothing when nothing is. */
  unmountAll(path: string): Promise<void>;
  isMountPoint(path: string): Promise<boolean>;
  /** What is mounted at or below a path, outermost first. */
  mountsBelow(path: string): Promise<readonly string[]>;
}

async function mountPoints(): Promise<string[]> {
  const text = await readFile('/proc/self/mountinfo', 'utf8');
  // Field 5; spaces and the like are octal escapes.
  return text.split('\n').filter(Boolean).map((l) => l.split(' ')[4]!.replace(/\\([0-7]{3})/g, (_, o: string) => String.fromCharCode(parseInt(o, 8))));
}

/** Runs `mount`. Rejects in upstream's words, with what the command said. */
async function mount(args: readonly string[]): Promise<void> {
  try {
    await run('mount', args);
  } catch (err) {
    const { code, stdout = '', stderr = '', message } = err as Error & { code?: number | string; stdout?: string; stderr?: string };
    const how = typeof code === 'number' ? `exit status ${code}` : message;
    throw new Error(`mount failed: ${how}\nMounting command: mount\nMounting arguments: ${args.join(' ')}\nOutput: ${stdout}${stderr}`, { cause: err });
  }
}
const withOptions = (options: readonly string[]): readonly string[] => (options.length ? ['-o', options.join(',')] : []);

export const hostMounter: Mounter = {
  async tmpfs(path, { sizeBytes, mode }) {
    await mount(['-t', 'tmpfs', ...withOptions([...(sizeBytes ? [`size=${sizeBytes}`] : []), ...(mode === undefined ? [] : [`mode=${mode.toString(8)}`])]), 'tmpfs', path]);
  },
  async hugetlbfs(path, pageSize) {
    await mount(['-t', 'hugetlbfs', ...withOptions([`pagesize=${pageSize}`]), 'nodev', path]);
  },
  async bind(source, target) {
    await mount(['--bind', source, target]);
  },
  nfs: (source, target, options) => hostMounter.fileSystem('nfs', source, target, options),
  async fileSystem(type, source, target, options) {
    await mount(['-t', type, ...withOptions(options), source, target]);
  },
  async unmountAll(path) {
    for (const point of (await hostMounter.mountsBelow(path)).toReversed()) await run('umount', [point]).catch(() => run('umount', ['-l', point]));
  },
  async isMountPoint(path) {
    return (await mountPoints()).includes(path);
  },
  async mountsBelow(path) {
    return (await mountPoints()).filter((p) => p === path || p.startsWith(`${path}/`));
  },
};
