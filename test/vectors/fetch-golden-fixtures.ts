/**
 * Fetches upstream's golden fixtures (every kind as JSON and protobuf) out of Debian's packages of the API, for `src/machinery/golden.test.ts`.
 * They go to `.cache/golden-fixtures` and are never committed. Needs `apt-get` and `dpkg-deb`; changes nothing else on the machine.
 *
 *     tools/run-node test/vectors/fetch-golden-fixtures.ts
 */
import { execFile } from 'node:child_process';
import { cp, glob, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const PACKAGES = ['golang-k8s-api-dev', 'golang-k8s-apiextensions-apiserver-dev'];
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const MIRROR = process.env['PODYARD_DEBIAN_MIRROR'] ?? 'http://deb.debian.org/debian';
const target = fileURLToPath(new URL('../../.cache/golden-fixtures', import.meta.url));

const work = await mkdtemp(`${tmpdir()}/podyard-golden-`);
try {
  await mkdir(`${work}/lists/partial`, { recursive: true });
  await mkdir(`${work}/cache/archives/partial`, { recursive: true });
  await writeFile(`${work}/sources.list`, `deb [signed-by=${KEYRING}] ${MIRROR} sid main\n`);
  await writeFile(`${work}/status`, '');
  const options = [
    `Dir::Etc::SourceList=${work}/sources.list`, 'Dir::Etc::SourceParts=/dev/null', `Dir::State::Lists=${work}/lists`, `Dir::State::status=${work}/status`, `Dir::Cache=${work}/cache`, 'Acquire::Languages=none', 'APT::Sandbox::User=root',
  ].flatMap((option) => ['-o', option]);
  await run('apt-get', [...options, 'update'], { cwd: work });
  await run('apt-get', [...options, 'download', ...PACKAGES], { cwd: work });
  for (const deb of (await readdir(work)).filter((name) => name.endsWith('.deb'))) await run('dpkg-deb', ['-x', `${work}/${deb}`, `${work}/root`]);
  await mkdir(target, { recursive: true });
  let count = 0;
  for await (const file of glob(`${work}/root/**/testdata/HEAD/*.{json,pb}`)) {
    await cp(file, `${target}/${basename(file)}`);
    count++;
  }
  if (count === 0) throw new Error('the packages hold no fixtures under testdata/HEAD');
  console.log(`${count} files in ${target}`);
} finally {
  await rm(work, { recursive: true, force: true });
}
