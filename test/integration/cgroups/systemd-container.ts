/**
 * A real systemd, with its D-Bus, in a container made of Debian's packages: nothing of the machine is in its file system, it has no right
 * to change the machine, and its cgroups are a subtree of their own.
 */
import { execFile, spawn } from 'node:child_process';
import { access, cp, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { hostArchitecture } from '#cluster/runtime/oci-image.ts';
import { AptSuite } from '../../images/apt.ts';
import { eventually } from '../controllers/eventually.ts';
import { CACHE } from '../../e2e/harness/client-binaries.ts';

const run = promisify(execFile);
const ROOTFS = `${CACHE}/systemd-rootfs`;
const CAPABILITIES = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID', 'SETPCAP', 'SYS_CHROOT', 'AUDIT_WRITE'].map((name) => `CAP_${name}`);
const TMPFS = [['/dev/shm', '1777'], ['/run', '755'], ['/run/lock', '755'], ['/tmp', '1777']] as const;

/** Unpacked once, into `.cache`. */
async function rootfs(): Promise<string> {
  if (await access(ROOTFS).then(() => true, () => false)) return ROOTFS;
  await mkdir(CACHE, { recursive: true });
  const work = await mkdtemp(`${ROOTFS}-work-`);
  const packages = await new AptSuite('bookworm', `${work}/apt`, hostArchitecture()).download(['systemd', 'dbus', 'dash', 'coreutils']);
  const dir = `${work}/rootfs`;
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
    await mkdir(`${dir}/usr/${name}`, { recursive: true });
    await symlink(`usr/${name}`, `${dir}/${name}`);
  }
  for (const { path } of packages) await run('sh', ['-c', 'dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2"', 'sh', path, dir]);
  for (const name of ['proc', 'sys', 'dev', 'run', 'tmp', 'root', 'etc/systemd/system']) await mkdir(`${dir}/${name}`, { recursive: true });
  await writeFile(`${dir}/etc/passwd`, 'root:x:0:0::/root:/bin/sh\nmessagebus:x:100:100::/nonexistent:/usr/sbin/nologin\n');
  await writeFile(`${dir}/etc/group`, 'root:x:0:\nmessagebus:x:100:\n');
  await writeFile(`${dir}/etc/machine-id`, `${'0123456789abcdef'.repeat(2)}\n`);
  await writeFile(`${dir}/etc/systemd/system/trial.target`, '[Unit]\nRequires=dbus.socket dbus.service\nAfter=dbus.service\nDefaultDependencies=no\n');
  await rename(dir, ROOTFS).catch(() => {}); // somebody else was faster
  await rm(work, { recursive: true, force: true });
  return ROOTFS;
}
function specOf(name: string): object {
  const own = ['nosuid', 'noexec', 'nodev'];
  return {
    ociVersion: '1.0.2', root: { path: 'rootfs' }, hostname: name,
    process: {
      user: { uid: 0, gid: 0 }, cwd: '/', env: ['PATH=/usr/sbin:/usr/bin', 'container=oci'], args: ['/lib/systemd/systemd', '--system', '--unit=trial.target'],
      capabilities: { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES },
    },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' }, { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] }, { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...own, 'ro'] },
      { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: [...own, 'rw'] }, ...TMPFS.map(([destination, mode]) => ({ destination, type: 'tmpfs', source: 'tmpfs', options: [`mode=${mode}`] })),
    ],
    linux: {
      cgroupsPath: `/${name}`, namespaces: ['pid', 'network', 'ipc', 'uts', 'mount', 'cgroup'].map((type) => ({ type })), resources: { devices: [{ allow: false, access: 'rwm' }] },
      maskedPaths: ['/proc/kcore', '/proc/keys', '/proc/timer_list'], readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
    },
  };
}

export interface SystemdContainer extends AsyncDisposable {
  /** The container's file system as this process can reach it. */
  readonly root: string;
  /** Address of its system bus. */
  readonly bus: string;
  exec(...args: readonly string[]): Promise<string>;
}
/** Resolves when systemd has reached its target. */
export async function startSystemd(): Promise<SystemdContainer> {
  const dir = await mkdtemp(join(tmpdir(), 'podyard-systemd-'));
  const name = dir.split('/').at(-1)!.toLowerCase();
  await cp(await rootfs(), `${dir}/rootfs`, { recursive: true, verbatimSymlinks: true });
  await writeFile(`${dir}/config.json`, JSON.stringify(specOf(name)));
  const runc = async (...args: readonly string[]): Promise<string> => (await run('runc', ['--root', `${dir}/state`, ...args])).stdout;
  const dispose = async (): Promise<void> => {
    await runc('delete', '--force', name).catch(() => {});
    await rm(dir, { recursive: true, force: true });
  };
  try {
    const child = spawn('runc', ['--root', `${dir}/state`, 'run', '--detach', '--bundle', dir, name], { stdio: 'ignore' });
    const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('exit', resolve));
    if (code !== 0) throw new Error(`starting systemd in a container: runc ended with ${code}`);
    const exec = (...args: readonly string[]): Promise<string> => runc('exec', name, ...args);
    const { pid } = JSON.parse(await runc('state', name)) as { pid: number };
    const root = `/proc/${pid}/root`;
    // What is started in the container before systemd is up does not live.
    await eventually('the bus of the container answers', async () => (await run('busctl', [`--address=unix:path=${root}/run/dbus/system_bus_socket`, '--quiet', 'status', 'org.freedesktop.systemd1']).then(() => true, () => undefined)));
    return { root, bus: `unix:path=${root}/run/dbus/system_bus_socket`, exec, [Symbol.asyncDispose]: dispose };
  } catch (err) {
    await dispose();
    throw err;
  }
}
