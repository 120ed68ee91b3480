/**
 * Upstream's kubectl in the versions that the tests speak with, out of Debian's packages: 1.36 of sid, 1.20 of bookworm. They are
 * unpacked below `.cache/kubectl` and never installed. 1.32 is taken where the machine's own kubectl is of that version.
 */
import { execFile } from 'node:child_process';
import { access, constants, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { sleep, systemClock } from '#base/clock.ts';
import { hostArchitecture } from '#cluster/runtime/oci-image.ts';
import { AptSuite } from '../../images/apt.ts';

const exec = promisify(execFile);

export type KubectlVersion = '1.36' | '1.32' | '1.20';

const CACHE = fileURLToPath(new URL('../../../.cache/kubectl', import.meta.url));
const SOURCES: Readonly<Record<'1.36' | '1.20', { readonly suite: string; readonly name: string }>> = {
  '1.36': { suite: 'sid', name: 'kubectl' },
  '1.20': { suite: 'bookworm', name: 'kubernetes-client' },
};
const LOCK_WAIT_MS = 200;
const known = new Map<KubectlVersion, Promise<string | undefined>>();

/** Path of a kubectl; undefined only for 1.32, where the machine has none. Rejects when a package cannot be had. */
export function findKubectl(version: KubectlVersion): Promise<string | undefined> {
  const found = known.get(version) ?? (version === '1.32' ? installedKubectl() : fetchedKubectl(version));
  known.set(version, found);
  return found;
}
/** As {@link findKubectl}; rejects where there is none. */
export async function requireKubectl(version: KubectlVersion): Promise<string> {
  const path = await findKubectl(version);
  if (path === undefined) throw new Error(`kubectl ${version} is not on this machine`);
  return path;
}

async function versionOf(path: string): Promise<string> {
  const { stdout } = await exec(path, ['version', '--client', '-o', 'json'], { env: { PATH: process.env['PATH'] } });
  const { clientVersion } = JSON.parse(stdout) as { clientVersion: { major: string; minor: string } };
  return `${clientVersion.major}.${parseInt(clientVersion.minor, 10)}`;
}

async function installedKubectl(): Promise<string | undefined> {
  for (const dir of (process.env['PATH'] ?? '').split(':')) {
    const path = `${dir}/kubectl`;
    if (await access(path, constants.X_OK).then(() => true, () => false)) return (await versionOf(path)) === '1.32' ? path : undefined;
  }
  return undefined;
}

async function fetchedKubectl(version: '1.36' | '1.20'): Promise<string> {
  const path = `${CACHE}/${version}/kubectl`;
  if (await isThere(path)) return path;
  await mkdir(CACHE, { recursive: true });
  await locked(`${CACHE}/lock`, async () => {
    if (!(await isThere(path))) await unpackKubectl(version);
  });
  const is = await versionOf(path);
  if (is !== version) throw new Error(`fetching kubectl ${version}: Debian ${SOURCES[version].suite} has version ${is} now`);
  return path;
}
const isThere = (path: string): Promise<boolean> => access(path).then(() => true, () => false);

async function unpackKubectl(version: '1.36' | '1.20'): Promise<void> {
  const { suite, name } = SOURCES[version];
  const work = await mkdtemp(`${CACHE}/work-`);
  try {
    const packages = await new AptSuite(suite, `${work}/apt`, hostArchitecture()).download([name]);
    const deb = packages.find((p) => p.name === name);
    if (!deb) throw new Error(`fetching kubectl ${version}: package "${name}" is not among what apt downloaded`);
    await exec('dpkg-deb', ['-x', deb.path, `${work}/root`]);
    await mkdir(`${work}/out`);
    await rename(`${work}/root/usr/bin/kubectl`, `${work}/out/kubectl`);
    await rm(`${CACHE}/${version}`, { recursive: true, force: true });
    await rename(`${work}/out`, `${CACHE}/${version}`);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
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

if (process.argv[1] === fileURLToPath(import.meta.url)) for (const version of ['1.36', '1.20'] as const) console.log(await findKubectl(version));
