/** Directories with mounts in a real kernel. */
import assert from 'node:assert/strict';
import { access, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { run } from '#cluster/runtime/command.ts';
import { removeDirectory } from '#cluster/runtime/mounts.ts';

test('removeDirectory unmounts what is mounted inside; a disk that is mounted there itself is emptied and stays', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'podyard-mounts-'));
  const [plain, disk] = [join(dir, 'plain'), join(dir, 'disk')];
  try {
    for (const path of [plain, disk]) await mkdir(path);
    await run('mount', ['-t', 'tmpfs', 'tmpfs', disk]);
    for (const path of [plain, disk]) {
      await mkdir(join(path, 'inner'));
      await run('mount', ['-t', 'tmpfs', 'tmpfs', join(path, 'inner')]);
      await writeFile(join(path, 'inner', 'file'), '');
      await writeFile(join(path, 'file'), '');
      await removeDirectory(path);
    }
    await assert.rejects(access(plain), { code: 'ENOENT' });
    assert.deepEqual(await readdir(disk), []);
  } finally {
    await run('umount', [disk]).catch(() => {});
    await rm(dir, { recursive: true, force: true });
  }
});
