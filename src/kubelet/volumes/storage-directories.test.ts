import assert from 'node:assert/strict';
import { mkdir, readdir, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { preparedTest, temporaryDirectory } from '#base/testing/prepared-test.ts';
import { fakeMounter } from '../testing/running-kubelet.ts';
import { ForeignPathError, storageDirectories, type StorageDirectories } from './storage-directories.ts';

let dir = '';
let directories: StorageDirectories;
let mounter: ReturnType<typeof fakeMounter>;
const test = preparedTest(async (t) => {
  dir = join(await temporaryDirectory(t, 'storage'), 'storage');
  mounter = fakeMounter();
  directories = storageDirectories(dir, mounter);
});

test('storageDirectories makes a directory that everybody may write to, whatever the umask; again is no error', async (t) => {
  const before = process.umask(0o077);
  t.after(() => void process.umask(before));
  const path = await directories.create('pvc-1_ns_data');
  assert.equal(path, join(dir, 'pvc-1_ns_data'));
  assert.equal((await stat(path)).mode & 0o7777, 0o777);
  await writeFile(join(path, 'kept'), '');
  assert.equal(await directories.create('pvc-1_ns_data'), path);
  assert.deepEqual(await readdir(path), ['kept']);
});
test('storageDirectories removes a directory and all in it; again, or before there was any, is no error', async () => {
  await directories.remove(join(dir, 'none'));
  const [path, other] = [await directories.create('a'), await directories.create('b')];
  await mkdir(join(path, 'deep/deeper'), { recursive: true });
  await symlink(other, join(path, 'link'));
  await writeFile(join(other, 'kept'), '');
  await directories.remove(path);
  await directories.remove(path);
  assert.deepEqual([await readdir(dir), await readdir(other)], [['b'], ['kept']]);
});
for (const name of ['', '.', '..', 'a/b', '../a', '/a', 'a/', 'a/..', 'a\0']) {
  test(`storageDirectories makes no directory of the name ${JSON.stringify(name)}`, async () => {
    await assert.rejects(directories.create(name), (err) => err instanceof ForeignPathError && err.message === `directory "${name}" is not in "${dir}": it is not made`);
    await assert.rejects(stat(dir), { code: 'ENOENT' });
  });
}
for (const path of ['', '.', 'a', '/', '/etc', '{}', '{}/', '{}/.', '{}/..', '{}/a/', '{}/a/b', '{}//a', '{}/a/../a', '{}/../other', '{}-other/a', '{}/a\0']) {
  test(`storageDirectories does not remove ${JSON.stringify(path)}, where "{}" is its own`, async () => {
    const asked = path.replace('{}', dir);
    await mkdir(join(dir, 'a/b'), { recursive: true });
    await mkdir(`${dir}-other/a`, { recursive: true });
    await assert.rejects(directories.remove(asked), (err) => err instanceof ForeignPathError && err.message === `directory "${asked}" is not in "${dir}": it is not removed`);
    assert.deepEqual([await readdir(join(dir, 'a')), await readdir(`${dir}-other`)], [['b'], ['a']]);
  });
}
test('storageDirectories removes nothing while something is mounted in it, also where the way to it is a link', async () => {
  const path = await directories.create('a');
  await writeFile(join(path, 'kept'), '');
  const link = `${dir}-link`;
  await symlink(dir, link);
  for (const at of [path, `${path}/disk`]) {
    mounter.mounts.set(at, '/dev/sdb1');
    for (const [over, of] of [[path, directories], [join(link, 'a'), storageDirectories(link, mounter)]] as const) {
      await assert.rejects(of.remove(over), { message: `removing directory "${over}": "${at}" is still mounted in it` });
    }
    mounter.mounts.clear();
  }
  assert.deepEqual(await readdir(path), ['kept']);
  mounter.mounts.set(`${path}-other`, '/dev/sdb1');
  await directories.remove(path);
  assert.deepEqual(await readdir(dir), []);
});
