import assert from 'node:assert/strict';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { HostPathVolumeSource } from '#api/gen/core-v1.ts';
import { prepareHostPath } from './host-path.ts';

let dir = '';
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'podyard-hostpath-'));
  await writeFile(join(dir, 'file'), '');
});
after(() => rm(dir, { recursive: true, force: true }));

const ROWS: readonly { type: string; path: string; error?: string; makes?: 'directory' | 'file' }[] = [
  { type: '', path: 'missing' }, { type: '', path: 'file' },
  { type: 'Directory', path: '.' }, { type: 'Directory', path: 'file', error: 'is not a directory' }, { type: 'Directory', path: 'missing', error: 'is not a directory' },
  { type: 'DirectoryOrCreate', path: 'new/dir', makes: 'directory' }, { type: 'DirectoryOrCreate', path: 'file', error: 'is not a directory' },
  { type: 'File', path: 'file' }, { type: 'File', path: '.', error: 'is not a file' }, { type: 'File', path: 'missing', error: 'is not a file' },
  { type: 'FileOrCreate', path: 'new-file', makes: 'file' }, { type: 'FileOrCreate', path: '.', error: 'is not a file' },
  { type: 'Socket', path: 'file', error: 'is not a socket file' }, { type: 'BlockDevice', path: 'file', error: 'is not a block device' },
  { type: 'CharDevice', path: 'file', error: 'is not a character device' }, { type: 'CharDevice', path: '/dev/null' },
  { type: 'Nonsense', path: 'file', error: 'Nonsense is an invalid volume type' },
];
for (const { type, path, error, makes } of ROWS) {
  test(`prepareHostPath: type ${JSON.stringify(type)} of ${path}`, async () => {
    const full = path.startsWith('/') ? path : join(dir, path);
    const work = prepareHostPath({ path: full, type: type as NonNullable<HostPathVolumeSource['type']> });
    if (error) return await assert.rejects(work, (err: Error) => err.message.includes(error));
    assert.equal(await work, full);
    if (makes) assert.equal((await stat(full)).isDirectory(), makes === 'directory');
  });
}
