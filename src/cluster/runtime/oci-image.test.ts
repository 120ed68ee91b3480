import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { digestOf, imageArchive, makeImage, makeLayer } from './oci-image.ts';

const layer = makeLayer([{ name: 'hello', data: Buffer.from('hello\n') }]);
const image = makeImage({ layers: [layer], config: { Cmd: ['/hello'], Labels: { a: 'b' } }, architecture: 'arm64' });

test('makeLayer has the digest of the compressed blob and the diff id of what is in it', () => {
  assert.equal(layer.descriptor.digest, digestOf(layer.blob));
  assert.equal(layer.diffId, digestOf(gunzipSync(layer.blob)));
  assert.equal(makeLayer([{ name: 'hello', data: Buffer.from('hello\n') }]).descriptor.digest, layer.descriptor.digest);
});

test('makeImage joins manifest, configuration and layers by their digests', () => {
  const manifest = JSON.parse(image.blobs.get(image.manifest.digest)!.toString()) as { config: { digest: string }; layers: { digest: string; size: number }[] };
  assert.equal(manifest.config.digest, image.config.digest);
  assert.deepEqual(manifest.layers.map((l) => [l.digest, l.size]), [[layer.descriptor.digest, layer.blob.length]]);
  const config = JSON.parse(image.blobs.get(image.config.digest)!.toString()) as { architecture: string; config: object; rootfs: { diff_ids: string[] } };
  assert.equal(config.architecture, 'arm64');
  assert.deepEqual(config.config, { Cmd: ['/hello'], Labels: { a: 'b' } });
  assert.deepEqual(config.rootfs.diff_ids, [layer.diffId]);
});

test('imageArchive is an OCI layout that names its images and holds a shared blob once', () => {
  const archive = imageArchive(new Map([['docker.io/library/a:1', image], ['docker.io/library/b:2', image]]));
  const names = execFileSync('tar', ['--list', '--file', '-'], { input: archive, encoding: 'utf8' }).trimEnd().split('\n');
  assert.equal(names.filter((name) => name === `blobs/sha256/${layer.descriptor.digest.slice(7)}`).length, 1);
  const index = JSON.parse(execFileSync('tar', ['--extract', '--to-stdout', '--file', '-', 'index.json'], { input: archive, encoding: 'utf8' })) as { manifests: { digest: string; annotations: Record<string, string> }[] };
  assert.deepEqual(index.manifests.map((m) => m.annotations['io.containerd.image.name']), ['docker.io/library/a:1', 'docker.io/library/b:2']);
  assert.equal(index.manifests[0]?.digest, image.manifest.digest);
});
