/**
 * Fetches upstream's golden fixtures (every kind as JSON, YAML and protobuf) out of Debian's packages of the API, for `src/machinery/golden.test.ts`.
 * They go to `.cache/golden-fixtures` and are never committed. Needs `apt-get` and `dpkg-deb`; changes nothing else on the machine.
 *
 *     tools/run-node test/vectors/fetch-golden-fixtures.ts
 */
import { execFile } from 'node:child_process';
import { cp, glob, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { hostArchitecture } from '#cluster/runtime/oci-image.ts';
import { AptSuite } from '../images/apt.ts';

const run = promisify(execFile);
const PACKAGES = ['golang-k8s-api-dev', 'golang-k8s-apiextensions-apiserver-dev'];
const target = fileURLToPath(new URL('../../.cache/golden-fixtures', import.meta.url));

const work = await mkdtemp(`${tmpdir()}/podyard-golden-`);
try {
  const packages = await new AptSuite('sid', work, hostArchitecture()).downloadAlone(PACKAGES);
  for (const deb of packages) await run('dpkg-deb', ['-x', deb, `${work}/root`]);
  await mkdir(target, { recursive: true });
  let count = 0;
  for await (const file of glob(`${work}/root/**/testdata/HEAD/*.{json,yaml,pb}`)) {
    await cp(file, `${target}/${basename(file)}`);
    count++;
  }
  if (count === 0) throw new Error('the packages hold no fixtures under testdata/HEAD');
  console.log(`${count} files in ${target}`);
} finally {
  await rm(work, { recursive: true, force: true });
}
