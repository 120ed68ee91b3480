import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { openMemoryStore } from '#store/memory.ts';
import { WatchCache } from '#store/watch-cache.ts';
import { ciphersFor, EncryptionConfigurationError, parseEncryptionConfiguration } from './configuration.ts';
import { EncryptionAtRest, UNENCRYPTED } from './encryption.ts';
import { aesCbc, aesGcm, IDENTITY, secretBox } from './providers.ts';

const SECRET = Buffer.alloc(32, 7).toString('base64');
const OTHER = Buffer.alloc(16, 9).toString('base64');
const file = (...rules: object[]): string => JSON.stringify({ apiVersion: 'apiserver.config.k8s.io/v1', kind: 'EncryptionConfiguration', resources: rules });
const gcm = (...keys: [string, string][]) => ({ aesgcm: { keys: keys.map(([name, secret]) => ({ name, secret })) } });
const secrets = (...providers: object[]) => file({ resources: ['secrets'], providers });
const KEY = '/registry/secrets/default/a';
const NACL_PLAIN = 'be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f41db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f937763848645e0705';
const NACL_BOX = 'f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74e355a5';

let dir: string;
before(async () => void (dir = await mkdtemp(join(tmpdir(), 'podyard-encryption-'))));
after(() => rm(dir, { recursive: true, force: true }));

test('aesgcm, aescbc and secretbox read what upstream wrote, and write it in the same form', () => {
  // Made with a key of 32 bytes 0x07 by another implementation of the two published forms: prefix, IV or nonce of zeros, ciphertext.
  const cbc = Buffer.concat([Buffer.from('k8s:enc:aescbc:v1:key1:'), Buffer.alloc(16), Buffer.from('c8595f5e51b29136aa8da03fc6955ad1603b2226c1c174353a90d7e18866b87b', 'hex')]);
  assert.equal(aesCbc('key1', Buffer.from(SECRET, 'base64')).decrypt(cbc, KEY).toString(), '{"kind":"Secret"}');
  const sealed = Buffer.concat([Buffer.from('k8s:enc:aesgcm:v1:key1:'), Buffer.alloc(12), Buffer.from('1afacfdb95f629d2c354ea07b61e3f8cc08efedcd0689cd72c2384cf1b499aa7b5', 'hex')]);
  assert.equal(aesGcm('key1', Buffer.from(SECRET, 'base64')).decrypt(sealed, KEY).toString(), '{"kind":"Secret"}');
  // The test of NaCl's own distribution.
  const box = Buffer.concat([Buffer.from('k8s:enc:secretbox:v1:key1:'), Buffer.from('69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37', 'hex'), Buffer.from(NACL_BOX, 'hex')]);
  assert.equal(secretBox('key1', Buffer.from('1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389', 'hex')).decrypt(box, KEY).toString('hex'), NACL_PLAIN);
  for (const [make, head, ...lengths] of [[aesGcm, 'k8s:enc:aesgcm:v1:k:', 16, 24, 32], [aesCbc, 'k8s:enc:aescbc:v1:k:', 16, 24, 32], [secretBox, 'k8s:enc:secretbox:v1:k:', 32]] as const) {
    for (const bytes of lengths) {
      const cipher = make('k', Buffer.alloc(bytes, 1));
      const value = cipher.encrypt(Buffer.from('{"a":1}'), KEY);
      assert.ok(value.toString('latin1').startsWith(head));
      assert.ok(!value.includes('{"a":1}'));
      assert.notDeepEqual(cipher.encrypt(Buffer.from('{"a":1}'), KEY), value);
      assert.equal(cipher.decrypt(value, KEY).toString(), '{"a":1}');
    }
  }
});

test('aesgcm refuses a value that was changed, cut short or moved to another key of the store', () => {
  const cipher = aesGcm('k', Buffer.alloc(32, 1));
  const value = cipher.encrypt(Buffer.from('{"a":1}'), KEY);
  assert.throws(() => cipher.decrypt(value, '/registry/secrets/default/b'));
  assert.throws(() => cipher.decrypt(Buffer.concat([value.subarray(0, -1), Buffer.from([value.at(-1)! ^ 1])]), KEY));
  assert.throws(() => cipher.decrypt(value.subarray(0, 30), KEY), { message: 'the stored data was shorter than the required size' });
});

test('parseEncryptionConfiguration says in upstream\'s words what is wrong', () => {
  const fails = (text: string, message: RegExp) => assert.throws(() => parseEncryptionConfiguration(text), (err) => err instanceof EncryptionConfigurationError && message.test(err.message));
  fails('a: [', /^error decoding encryption provider configuration: /);
  fails('{"kind":"EncryptionConfig","apiVersion":"v1"}', /got unexpected config type/);
  fails(file(), /^invalid encryption configuration: resources: Required value: at least one resources is required$/);
  fails(secrets(), /resources\[0\].providers: Required value: at least one resources\[0\].providers is required/);
  fails(secrets({}), /resources\[0\].providers\[0\]: Invalid value: "": provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity/);
  fails(secrets({ identity: {}, aesgcm: {} }), /more than one provider specified in a single element, should split into different list elements/);
  fails(secrets(gcm(['a', 'AAAA'])), /providers\[0\].aesgcm.keys\[0\].secret: Invalid value: "REDACTED": secret is not of the expected length, got 3, expected one of \[16 24 32\]/);
  fails(secrets(gcm(['a', 'no base64!'])), /secrets must be base64 encoded/);
  fails(secrets(gcm(['', SECRET])), /keys\[0\].name: Required value: name is a mandatory field for a key/);
  fails(secrets({ secretbox: { keys: [{ name: 'a', secret: OTHER }] } }), /secretbox.keys\[0\].secret: Invalid value: "REDACTED": secret is not of the expected length, got 16, expected one of \[32\]/);
  const kms = (fields: object) => secrets({ kms: { apiVersion: 'v2', name: 'x', endpoint: 'unix:///x', ...fields } });
  fails(kms({ apiVersion: undefined }), /providers\[0\].kms.apiVersion: Invalid value: "v1": KMSv1 is deprecated and will only receive security updates going forward. Use KMSv2 instead.$/);
  fails(kms({ apiVersion: 'v3' }), /only v1 and v2 are supported/);
  fails(kms({ name: '' }), /kms.name: Required value: name is a mandatory field for a provider/);
  fails(kms({ name: 'a:b' }), /kms.name: Invalid value: "a:b": invalid KMS provider name a:b, must not contain ':'/);
  fails(kms({ endpoint: 'tcp://x' }), /kms.endpoint: Invalid value: "tcp:\/\/x": unsupported scheme "tcp" for KMS provider, only unix is supported/);
  fails(kms({ endpoint: '' }), /endpoint is a mandatory field for a kms/);
  fails(kms({ timeout: '0s' }), /kms.timeout: Invalid value: "0s": timeout should be a positive value/);
  fails(kms({ cachesize: 10 }), /kms.cachesize: Invalid value: 10: cachesize is not supported in v2/);
  const twice = JSON.parse(kms({})) as { resources: object[] };
  fails(JSON.stringify({ ...twice, resources: [...twice.resources, { ...twice.resources[0], resources: ['configmaps'] }] }), /resources\[1\].providers\[0\].kms.name: Invalid value: "x": duplicate KMS provider name x, names must be unique/);
  fails(file({ resources: ['*.'], providers: [{ identity: {} }] }, { resources: ['secrets'], providers: [{ identity: {} }] }), /resource "secrets" is masked by earlier rule "\*\."/);
  fails(file({ resources: ['Secrets'], providers: [{ identity: {} }] }), /resource name should not contain capital letters/);
  fails(file({ resources: ['secrets', '*.'], providers: [{ identity: {} }] }), /overlapping resources/);
  fails(file({ resources: ['*'], providers: [{ identity: {} }] }), /use '\*\.' to encrypt all the resources from core API group/);
  fails(file({ resources: ['secrets'], provider: [] }), /unknown field "provider"/);
});

test('ciphersFor takes the first rule that names the resource, its group or everything', () => {
  const configuration = parseEncryptionConfiguration(file(
    { resources: ['secrets', 'pandas.bears.example'], providers: [gcm(['a', SECRET])] }, { resources: ['*.apps'], providers: [gcm(['b', SECRET])] },
    { resources: ['events'], providers: [{ identity: {} }] }, { resources: ['*.*'], providers: [gcm(['c', SECRET])] },
  ));
  const written = (group: string, plural: string) => ciphersFor(configuration, group, plural)![0]!.encrypt(Buffer.from('x'), '').toString('latin1').split(':')[4];
  assert.deepEqual([written('', 'secrets'), written('bears.example', 'pandas'), written('apps', 'deployments'), written('', 'configmaps')], ['a', 'a', 'b', 'c']);
  assert.equal(ciphersFor(configuration, '', 'events')![0], IDENTITY);
  assert.equal(ciphersFor(parseEncryptionConfiguration(secrets(gcm(['a', SECRET]))), '', 'configmaps'), undefined);
});

test('keys rotate: the first writes, all read, and an update that changes nothing writes anew what an old key wrote', async () => {
  const path = join(dir, 'rotation.yaml');
  const configure = async (text: string) => {
    await writeFile(`${path}.new`, text, { mode: 0o600 });
    await rename(`${path}.new`, path);
  };
  const store = openMemoryStore();
  const stored = async () => (await store.get(KEY))!.value.toString('latin1').split(':').slice(0, 5).join(':');
  const withCache = async (run: (cache: WatchCache) => Promise<void>) => {
    const encryption = (await EncryptionAtRest.open(path, systemClock))!;
    const cache = new WatchCache({ store, prefix: '/registry/secrets/', transformer: encryption.transformer('/registry/secrets/') });
    await cache.start(new AbortController().signal);
    await run(cache);
    await cache.stop();
    await encryption.stop();
  };
  const object = { kind: 'Secret', apiVersion: 'v1', metadata: { name: 'a' } };
  await configure(secrets({ identity: {} }));
  await withCache(async (cache) => void (await cache.create(KEY, object)));
  assert.ok((await stored()).startsWith('{"'));
  await configure(secrets(gcm(['new', SECRET], ['old', OTHER]), { identity: {} }));
  await withCache(async (cache) => {
    const entry = cache.get(KEY)!;
    assert.equal(await cache.isStale(KEY), true);
    const again = await cache.update(KEY, entry.object, entry.revision);
    assert.ok(again.revision > entry.revision);
    assert.equal(await stored(), 'k8s:enc:aesgcm:v1:new');
    assert.equal((await cache.update(KEY, again.object, again.revision)).revision, again.revision);
  });
  await configure(secrets({ aescbc: { keys: [{ name: 'next', secret: OTHER }] } }, gcm(['new', SECRET])));
  await withCache(async (cache) => {
    const { object: read, revision } = cache.get(KEY)!;
    assert.equal(read.metadata.name, 'a');
    await cache.update(KEY, read, revision);
    assert.equal(await stored(), 'k8s:enc:aescbc:v1:next');
  });
  await configure(secrets(gcm(['new', SECRET])));
  await assert.rejects(withCache(() => Promise.resolve()), /unable to transform key "\/registry\/secrets\/default\/a": no matching key was found for the provider "aescbc": the value was written with the key "next"/);
  const bare = new WatchCache({ store, prefix: '/registry/secrets/', transformer: UNENCRYPTED });
  await assert.rejects(bare.start(new AbortController().signal), /identity transformer tried to read encrypted data/);
  await bare.stop();
  await store.close();
});

test('a changed file takes effect by itself, one that cannot be used does not', async () => {
  const path = join(dir, 'reload.yaml');
  const configure = async (text: string) => {
    await writeFile(`${path}.new`, text, { mode: 0o600 });
    await rename(`${path}.new`, path);
  };
  await configure(secrets({ identity: {} }));
  const encryption = (await EncryptionAtRest.open(path, systemClock))!;
  await encryption.start(new AbortController().signal);
  const transformer = encryption.transformer('/registry/secrets/');
  const metric = async (wanted: RegExp) => {
    for (let i = 0; i < 400 && !wanted.test(encryption.metricsText()); i++) await new Promise((resolve) => setTimeout(resolve, 25));
    assert.match(encryption.metricsText(), wanted);
  };
  try {
    assert.equal(transformer.toStore(Buffer.from('{}'), KEY).toString(), '{}');
    await configure(secrets(gcm(['k', SECRET]), { identity: {} }));
    await metric(/reloads_total\{status="success"\} [12]\n/);
    const value = transformer.toStore(Buffer.from('{}'), KEY);
    assert.ok(value.toString('latin1').startsWith('k8s:enc:aesgcm:v1:k:'));
    await configure('nonsense');
    await metric(/reloads_total\{status="failure"\} [12]\n/);
    assert.equal(transformer.fromStore(value, KEY).toString(), '{}');
  } finally {
    await encryption.stop();
  }
});

test('without a file nothing is encrypted', async () => assert.equal(await EncryptionAtRest.open(join(dir, 'missing.yaml'), systemClock), undefined));
