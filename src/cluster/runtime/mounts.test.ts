import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cgroupDirs } from './cgroups.ts';
import { isBelow, mountOf, parseMountInfo } from './mounts.ts';

const MOUNTS = parseMountInfo(`27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
30 27 0:25 / /var/lib/a\\040b rw,nosuid shared:7 master:3 - tmpfs tmpfs rw,size=4k
31 30 0:26 / /var/lib/a\\040b rw - tmpfs tmpfs ro
`);

test('parseMountInfo reads places with spaces, propagation, type and options of both kinds', () => {
  assert.deepEqual(MOUNTS[1], { id: 30, mountPoint: '/var/lib/a b', fsType: 'tmpfs', options: ['rw', 'nosuid', 'rw', 'size=4k'], shared: true });
  assert.equal(MOUNTS[0]?.shared, false);
});

test('mountOf gives the nearest mount, the upper one of two at the same place', () => {
  assert.equal(mountOf(MOUNTS, '/var/lib/a b/c')?.id, 31);
  assert.equal(mountOf(MOUNTS, '/var/lib/a bc')?.id, 27);
});

test('isBelow takes whole names', () => {
  assert.deepEqual([isBelow('/a/b', '/a'), isBelow('/a', '/a'), isBelow('/ab', '/a'), isBelow('/a', '/')], [true, true, false, true]);
});

test('cgroupDirs refuses the root of a hierarchy and everything above it', async () => {
  for (const bad of ['/', '', 'x', '/../x', '/a/../../b', '//']) await assert.rejects(cgroupDirs(bad), /must be an absolute path below "\/"/);
});
