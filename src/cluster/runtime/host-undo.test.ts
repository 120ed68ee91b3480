import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { FakeClock } from '#base/fake-clock.ts';
import type { HostChange, HostChanges } from './host-changes.ts';
import { otherClusters, undoHostChanges } from './host-undo.ts';

function memoryChanges(initial: readonly HostChange[]): HostChanges {
  let changes = [...initial];
  return {
    record: async (kind, id) => void changes.push({ kind, id }),
    forget: async (kind, id) => void (changes = changes.filter((c) => c.kind !== kind || c.id !== id)),
    list: () => changes.toReversed(),
  };
}

test('undoHostChanges removes files and directories, the latest first, and what has gone already is no failure', async (t) => {
  const dir = await mkdtemp(`${tmpdir()}/host-undo-`);
  t.after(() => rm(dir, { recursive: true, force: true }));
  await mkdir(`${dir}/outer/inner`, { recursive: true });
  await writeFile(`${dir}/outer/inner/file`, '');
  await mkdir(`${dir}/kept`);
  await writeFile(`${dir}/kept/somebody-elses`, '');
  const changes = memoryChanges([
    { kind: 'empty-directory', id: `${dir}/outer` }, { kind: 'empty-directory', id: `${dir}/kept` }, { kind: 'directory', id: `${dir}/outer/inner` }, { kind: 'file', id: `${dir}/gone` }, { kind: 'containerd', id: `${dir}/gone` },
  ]);
  assert.deepEqual(await undoHostChanges(changes, new FakeClock()), []);
  assert.deepEqual(changes.list(), []);
  await assert.rejects(stat(`${dir}/outer`), { code: 'ENOENT' });
  assert.ok(await stat(`${dir}/kept/somebody-elses`));
});

test('undoHostChanges keeps what it could not undo, goes on with the rest, and never deletes through a mount', async (t) => {
  const dir = await mkdtemp(`${tmpdir()}/host-undo-`);
  t.after(() => rm(dir, { recursive: true, force: true }));
  await writeFile(`${dir}/file`, '');
  const changes = memoryChanges([{ kind: 'file', id: `${dir}/file` }, { kind: 'directory', id: '/proc' }]);
  const failures = await undoHostChanges(changes, new FakeClock());
  assert.deepEqual(failures.map((f) => f.change), [{ kind: 'directory', id: '/proc' }]);
  assert.match(failures[0]!.error.message, /removing directory "\/proc": "\/proc" is still mounted in it/);
  assert.deepEqual(changes.list(), [{ kind: 'directory', id: '/proc' }]);
  await assert.rejects(stat(`${dir}/file`), { code: 'ENOENT' });
});

test('otherClusters: forwarding stays on as long as another cluster of the machine has its rules', () => {
  assert.deepEqual(['', 'table ip filter\n', 'table ip mypodyard\n', 'table ip filter\ntable ip podyard\n', 'table ip podyard_1a2b3c4d_proxy\ntable inet x\n'].map(otherClusters), [false, false, false, true, true]);
});
