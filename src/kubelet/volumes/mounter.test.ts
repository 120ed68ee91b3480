import assert from 'node:assert/strict';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { preparedTest, temporaryDirectory } from '#base/testing/prepared-test.ts';
import { hostMounter } from './mounter.ts';

let dir = '';
const path = process.env['PATH'];
/** A `mount` that notes its arguments and ends as told. */
async function fakeMount(script: string): Promise<void> {
  await writeFile(join(dir, 'mount'), `#!/bin/sh\nprintf '%s\\n' "$@" > ${dir}/arguments\n${script}\n`);
  await chmod(join(dir, 'mount'), 0o755);
}
const test = preparedTest(async (t) => {
  dir = await temporaryDirectory(t, 'mount', () => void (process.env['PATH'] = path));
  process.env['PATH'] = `${dir}:${path}`;
});

const CALLS: readonly [string, () => Promise<void>, string[]][] = [
  ['an export with its options', () => hostMounter.nfs('server:/export', '/target', ['nfsvers=4.1', 'ro']), ['-t', 'nfs', '-o', 'nfsvers=4.1,ro', 'server:/export', '/target']],
  ['an export without', () => hostMounter.nfs('server:/export', '/target', []), ['-t', 'nfs', 'server:/export', '/target']],
  ['memory', () => hostMounter.tmpfs('/target', { sizeBytes: 4096, mode: 0o777 }), ['-t', 'tmpfs', '-o', 'size=4096,mode=777', 'tmpfs', '/target']],
  ['a directory on another', () => hostMounter.bind('/a', '/b'), ['--bind', '/a', '/b']],
];
for (const [name, call, want] of CALLS) {
  test(`hostMounter mounts ${name}`, async () => {
    await fakeMount('exit 0');
    await call();
    assert.deepEqual((await readFile(join(dir, 'arguments'), 'utf8')).trimEnd().split('\n'), want);
  });
}
test('hostMounter tells what the command said, in upstream\'s words', async () => {
  await fakeMount('echo "mount: /target: bad option; you might need a /sbin/mount.nfs helper program." >&2; exit 32');
  await assert.rejects(hostMounter.nfs('s:/e', '/target', []), { message: 'mount failed: exit status 32\nMounting command: mount\nMounting arguments: -t nfs s:/e /target\nOutput: mount: /target: bad option; you might need a /sbin/mount.nfs helper program.\n' });
});
