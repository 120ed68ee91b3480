import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { hostsFiles, NO_REGISTRIES, parseRegistries, pullCredentials, registryOf, writeHostsFiles } from './registries.ts';

const registries = parseRegistries({
  mirrors: { 'docker.io': { endpoint: ['https://mirror.example:5000', 'http://second.example/hub/'] }, '*': { endpoint: ['http://127.0.0.1:5001'] } },
  configs: {
    'mirror.example:5000': { auth: { username: 'u', password: 'p' }, tls: { ca_file: '/ca.pem', cert_file: '/c.pem', key_file: '/k.pem' } },
    'docker.io': { auth: { identity_token: 'tok' } },
    'own.example': { tls: { insecure_skip_verify: true } },
  },
});

test('hostsFiles writes one file for each registry: its mirrors in order, then itself', () => {
  const files = hostsFiles(registries);
  assert.deepEqual([...files.keys()].toSorted(), ['_default', 'docker.io', 'own.example']);
  assert.equal(files.get('docker.io'), [
    'server = "https://registry-1.docker.io"', '',
    '[host."https://mirror.example:5000"]', 'capabilities = ["pull","resolve"]', 'ca = "/ca.pem"', 'client = ["/c.pem","/k.pem"]', '',
    '[host."http://second.example/hub/v2"]', 'capabilities = ["pull","resolve"]', 'override_path = true', '',
  ].join('\n'));
  assert.equal(files.get('_default'), '[host."http://127.0.0.1:5001"]\ncapabilities = ["pull","resolve"]\n');
  assert.equal(files.get('own.example'), 'server = "https://own.example"\nskip_verify = true\n');
});

test('hostsFiles without the default endpoint gives the last mirror the last word', () => {
  assert.match(hostsFiles(registries, { defaultEndpoint: false }).get('_default')!, /^server = "http:\/\/127\.0\.0\.1:5001"$/m);
});

test('pullCredentials gives those of the mirrors, then those of the registry, each for its own server only', () => {
  assert.deepEqual(pullCredentials(registries, 'nginx:1.28'), [
    { username: 'u', password: 'p', serverAddress: 'https://mirror.example:5000' }, { identityToken: 'tok', serverAddress: 'https://registry-1.docker.io' },
  ]);
  assert.deepEqual(pullCredentials(registries, 'quay.example/a/b'), []);
  assert.deepEqual(pullCredentials(NO_REGISTRIES, 'nginx'), []);
});

test('registryOf follows the rules of image names', () => {
  assert.deepEqual(['nginx', 'a/b:1', 'r.example/a', 'localhost/a', 'h:5000/a@sha256:0'].map(registryOf), ['docker.io', 'docker.io', 'r.example', 'localhost', 'h:5000']);
});

test('parseRegistries names the field that is wrong', () => {
  for (const [value, message] of [
    [[], /registries\.yaml must be a map/], [{ mirror: {} }, /unknown field "mirror"; known are mirrors, configs, auths/], [{ mirrors: { a: { endpoint: ['ftp://x'] } } }, /mirrors\["a"\]\.endpoint: "ftp:\/\/x" must be a URL/],
    [{ mirrors: { a: { rewrite: {} } } }, /mirrors\["a"\]\.rewrite: containerd cannot rewrite names/], [{ configs: { a: { auth: { username: 5 } } } }, /configs\["a"\]: "username" must be a string/], [{ auths: {} }, /"auths" is the form of long ago/],
  ] as const) assert.throws(() => parseRegistries(value), message);
  assert.equal(parseRegistries(undefined), NO_REGISTRIES);
  assert.deepEqual(parseRegistries({ mirrors: { a: null } }).mirrors.get('a'), { endpoints: [] });
});

test('writeHostsFiles removes the files of registries that are no longer configured', async (t) => {
  const dir = await mkdtemp(`${tmpdir()}/registries-`);
  t.after(() => rm(dir, { recursive: true, force: true }));
  await mkdir(`${dir}/old.example`);
  await writeHostsFiles(dir, registries);
  assert.deepEqual((await readdir(dir)).toSorted(), ['_default', 'docker.io', 'own.example']);
  assert.match(await readFile(`${dir}/docker.io/hosts.toml`, 'utf8'), /^server = /);
  await writeHostsFiles(dir, NO_REGISTRIES);
  assert.deepEqual(await readdir(dir), []);
});
