import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { tar, type TarEntry } from './tar.ts';

/** What the system's own tar reads. */
function listing(entries: readonly TarEntry[]): string[] {
  return execFileSync('tar', ['--list', '--verbose', '--numeric-owner', '--utc', '--file', '-'], { input: tar(entries), encoding: 'utf8' }).trimEnd().split('\n').map((line) => line.replace(/\s+/g, ' '));
}

test('tar writes files, directories and links as tar reads them', () => {
  const entries: TarEntry[] = [
    { name: 'dir', type: 'directory', mode: 0o1777 }, { name: 'dir/file', data: Buffer.from('hello'), mode: 0o4755, uid: 101, gid: 102 }, { name: 'soft', type: 'symlink', link: 'dir/file' }, { name: 'hard', type: 'hardlink', link: 'dir/file' },
  ];
  assert.deepEqual(listing(entries), [
    'drwxrwxrwt 0/0 0 1970-01-01 00:00 dir/', '-rwsr-xr-x 101/102 5 1970-01-01 00:00 dir/file', 'lrwxrwxrwx 0/0 0 1970-01-01 00:00 soft -> dir/file', 'hrw-r--r-- 0/0 0 1970-01-01 00:00 hard link to dir/file',
  ]);
});

test('tar keeps names and link targets of any length', () => {
  const deep = Array.from({ length: 12 }, (_, i) => `directory-number-${i}`).join('/');
  const long = `${'n'.repeat(130)}`;
  const names = (entries: readonly TarEntry[]) => listing(entries).map((line) => line.split(' ').slice(5).join(' '));
  assert.deepEqual(names([{ name: `${deep}/f`, data: Buffer.from('1') }]), [`${deep}/f`]);
  assert.deepEqual(names([{ name: long, data: Buffer.from('1') }]), [long]);
  assert.deepEqual(names([{ name: 'l', type: 'symlink', link: long }]), [`l -> ${long}`]);
});

test('tar is the same for the same entries, and a multiple of 512 bytes', () => {
  const entries: TarEntry[] = [{ name: 'a', data: Buffer.alloc(513, 1) }];
  assert.deepEqual(tar(entries), tar(entries));
  assert.equal(tar(entries).length, 512 * (1 + 2 + 2));
});
