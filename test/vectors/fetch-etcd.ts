/** Fetches an etcd that reports its progress truly (3.5.13 or later) out of Debian sid into `.cache/etcd`; nothing is installed. */
import { execFile } from 'node:child_process';
import { access, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { hostArchitecture } from '#cluster/runtime/oci-image.ts';
import { AptSuite } from '../images/apt.ts';

const exec = promisify(execFile);
const CACHE = fileURLToPath(new URL('../../.cache/etcd', import.meta.url));

if (!(await access(`${CACHE}/etcd`).then(() => true, () => false))) {
  await mkdir(CACHE, { recursive: true });
  const work = await mkdtemp(`${CACHE}/work-`);
  try {
    const packages = await new AptSuite('sid', `${work}/apt`, hostArchitecture()).download(['etcd-server']);
    const deb = packages.find((p) => p.name === 'etcd-server');
    if (!deb) throw new Error('fetching etcd: "etcd-server" is not among what apt downloaded');
    await exec('dpkg-deb', ['-x', deb.path, `${work}/root`]);
    await rename(`${work}/root/usr/bin/etcd`, `${CACHE}/etcd`);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
const { stdout } = await exec(`${CACHE}/etcd`, ['--version']);
console.log(stdout.split('\n')[0]);
