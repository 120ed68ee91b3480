import assert from 'node:assert/strict';
import { chmod, mkdir, readlink, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { preparedTest, temporaryDirectory } from '#base/testing/prepared-test.ts';
import type { Mounter } from './mounter.ts';
import { prepareSubPath } from './sub-path.ts';

let dir = '';
let volume = '';
/** What was bound, by target: the real path behind the descriptor at that moment. */
let bound = new Map<string, string>();
let unmounted: string[] = [];
const mounter = {
  isMountPoint: (path: string) => Promise.resolve(bound.has(path)),
  bind: async (source: string, target: string) => void bound.set(target, await readlink(source)),
  unmountAll: (path: string) => Promise.resolve(void (unmounted.push(path), bound.delete(path))),
} as unknown as Mounter;

const test = preparedTest(async (t) => {
  dir = await temporaryDirectory(t, 'subpath');
  volume = join(dir, 'volume');
  await mkdir(join(volume, 'a', 'b'), { recursive: true });
  await writeFile(join(volume, 'file'), 'x');
  await mkdir(join(dir, 'outside'));
  [bound, unmounted] = [new Map(), []];
});
const prepare = (subPath: string) => prepareSubPath(volume, subPath, join(dir, 'bind', '0'), 'v', mounter);

for (const [subPath, place] of [['a/b', 'a/b'], ['file', 'file'], ['new/deep', 'new/deep'], ['a/./b', 'a/b'], ['.', '']] as const) {
  test(`prepareSubPath binds ${subPath}`, async () => {
    const target = await prepare(subPath);
    assert.equal(bound.get(target), join(volume, place).replace(/\/$/, ''));
    assert.equal((await stat(target)).isDirectory(), subPath !== 'file');
  });
}
test('prepareSubPath makes directories with the mode of the volume', async () => {
  await chmod(volume, 0o3777);
  await prepare('made/deep');
  const mode = async (path: string) => (await stat(join(volume, path))).mode & 0o7777;
  assert.deepEqual([await mode('made'), await mode('made/deep')], [0o3777, 0o3777]);
});
test('prepareSubPath follows links that stay in the volume', async () => {
  await symlink('a', join(volume, 'link'));
  assert.equal(bound.get(await prepare('link/b')), join(volume, 'a', 'b'));
});
for (const [name, plant, subPath] of [
  ['an absolute link out of the volume', () => symlink('/etc', join(volume, 'evil')), 'evil'],
  ['a relative link out of the volume', () => symlink('../outside', join(volume, 'evil')), 'evil/x'],
  ['a link to the volume\'s parent', () => symlink('..', join(volume, 'evil')), 'evil/outside'],
  ['a path with ..', () => Promise.resolve(), 'a/../../outside'],
  ['an absolute path', () => Promise.resolve(), '/etc'],
] as const) {
  test(`prepareSubPath refuses ${name}`, async () => {
    await plant();
    await assert.rejects(prepare(subPath), { reason: 'CreateContainerConfigError' });
    assert.equal(bound.size, 0);
    await assert.rejects(stat(join(dir, 'outside', 'x')));
  });
}
test('prepareSubPath: what is swapped for a link after it was checked does not lead out', async () => {
  const racing: Mounter = { ...mounter, bind: async (source, target) => {
    // Between the check and the mount the container swaps the directory.
    await rename(join(volume, 'a'), join(volume, 'moved'));
    await symlink(join(dir, 'outside'), join(volume, 'a'));
    await mounter.bind(source, target);
  } };
  const target = await prepareSubPath(volume, 'a', join(dir, 'bind', '0'), 'v', racing);
  assert.equal(bound.get(target), join(volume, 'moved'));
});
test('prepareSubPath keeps a mount that is still right, replaces one whose source was replaced', async () => {
  const same: Mounter = { ...mounter, bind: async (source, target) => {
    await mounter.bind(source, target);
    // Stand for the mount: the same inode seen at the target.
    await rm(target, { recursive: true });
    await symlink(await readlink(source), target);
  } };
  const again = () => prepareSubPath(volume, 'file', join(dir, 'bind', '0'), 'v', same);
  await again();
  await again();
  assert.deepEqual(unmounted, []);
  await writeFile(join(volume, 'file2'), 'y');
  const link = join(dir, 'bind', '0');
  await rm(link);
  await symlink(join(volume, 'file2'), link);
  await again();
  assert.deepEqual(unmounted, [link]);
});
