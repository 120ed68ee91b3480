import assert from 'node:assert/strict';
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { preparedTest, temporaryDirectory } from '#base/testing/prepared-test.ts';
import { writeAtomically, type FileContent } from './atomic-writer.ts';

let dir = '';
const test = preparedTest(async (t) => { dir = await temporaryDirectory(t, 'atomic'); });
const payload = (files: Record<string, string>, mode = 0o644): Map<string, FileContent> => new Map(Object.entries(files).map(([k, v]) => [k, { data: Buffer.from(v), mode }]));

test('writeAtomically shows files through a link that is swapped', async () => {
  assert.equal(await writeAtomically(dir, payload({ a: '1', 'd/b': '2' }), undefined), true);
  assert.equal(await readFile(join(dir, 'a'), 'utf8'), '1');
  assert.equal(await readFile(join(dir, 'd', 'b'), 'utf8'), '2');
  assert.equal(await readlink(join(dir, 'a')), '..data/a');
  const before = await readlink(join(dir, '..data'));
  assert.equal(await writeAtomically(dir, payload({ a: '1', 'd/b': '2' }), undefined), false);
  assert.equal(await readlink(join(dir, '..data')), before);
  assert.equal(await writeAtomically(dir, payload({ a: 'new' }), undefined), true);
  assert.deepEqual((await readdir(dir)).filter((n) => !n.startsWith('..')), ['a']);
  assert.equal(await readFile(join(dir, 'a'), 'utf8'), 'new');
  assert.equal((await readdir(dir)).filter((n) => n.startsWith('..')).length, 2);
});
test('writeAtomically sets modes; with a group it may read', async () => {
  await writeAtomically(dir, payload({ a: '1' }, 0o400), undefined);
  assert.equal((await stat(join(dir, 'a'))).mode & 0o777, 0o400);
  await writeAtomically(dir, payload({ a: '2' }, 0o400), process.getgid?.() ?? 0);
  assert.equal((await stat(join(dir, 'a'))).mode & 0o777, 0o440);
});
test('writeAtomically makes an empty volume of nothing', async () => {
  assert.equal(await writeAtomically(dir, payload({}), undefined), true);
  assert.deepEqual((await readdir(dir)).filter((n) => !n.startsWith('..')), []);
});
for (const path of ['/a', '../a', 'a/../../b', '..a', '']) {
  test(`writeAtomically refuses the path ${JSON.stringify(path)}`, async () => {
    await assert.rejects(writeAtomically(dir, payload({ [path]: 'x' }), undefined), /must be relative and must not contain/);
  });
}
