import assert from 'node:assert/strict';
import { createHmac, hkdfSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { systemClock, type Clock } from '#base/clock.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { AES_GCM_KEY, decodeEncryptedObject, encodeEncryptedObject, HKDF_SEED, openWithSource, sealWithSeed, validateSealedKey } from './encrypted-object.ts';
import { KmsMetrics } from './kms-metrics.ts';
import { KmsProvider } from './kms-provider.ts';
import { connectKms } from './kms-service.ts';
import { sealGcm } from './providers.ts';
import { KmsPlugin } from './testing/kms-plugin.ts';

const KEY = '/registry/secrets/default/a';
const signal = new AbortController().signal;
const HEAD = Buffer.from('k8s:enc:kms:v2:vault:');

test('an encrypted object has upstream\'s wire form, and limits', () => {
  const object = { encryptedData: Buffer.from([1]), keyID: 'k', encryptedDEKSource: Buffer.from([2]), annotations: { 'a.b': Buffer.from([3]) }, encryptedDEKSourceType: HKDF_SEED };
  assert.equal(encodeEncryptedObject(object).toString('hex'), '0a010112016b1a010222080a03612e621201032801');
  assert.deepEqual(decodeEncryptedObject(encodeEncryptedObject(object)), object);
  const refuses = (change: object, message: string | RegExp) => assert.throws(() => validateSealedKey({ ...object, ...change }), { message });
  refuses({ keyID: '' }, 'failed to validate key id: keyID is empty');
  refuses({ keyID: 'x'.repeat(1025) }, 'failed to validate key id: keyID is 1025 bytes, which exceeds the max size of 1024');
  refuses({ encryptedDEKSource: Buffer.alloc(0) }, 'failed to validate encrypted DEK source: encrypted DEK source is empty');
  refuses({ encryptedDEKSource: Buffer.alloc(1025) }, /which exceeds the max size of 1024$/);
  refuses({ encryptedDEKSourceType: 7 }, 'unknown encryptedDEKSourceType: 7');
  refuses({ annotations: { plain: Buffer.alloc(1) } }, /^failed to validate annotations: annotations: Invalid value: "plain": should be a domain with at least two segments separated by dots/);
  refuses({ annotations: { 'a.b': Buffer.alloc(32 * 1024) } }, /total size of annotations is 32771, which exceeds the max size of 32768/);
  assert.throws(() => decodeEncryptedObject(encodeEncryptedObject({ ...object, encryptedData: Buffer.alloc(0) })), { message: 'encrypted data is empty' });
});

test('values are sealed under a key expanded from the seed by HKDF, and plain AES-GCM sources are read too', () => {
  const seed = Buffer.alloc(32, 5);
  const sealed = sealWithSeed(seed, Buffer.from('{}'), KEY);
  assert.equal(openWithSource(HKDF_SEED, seed, sealed, KEY).toString(), '{}');
  assert.throws(() => openWithSource(HKDF_SEED, seed, sealed, `${KEY}b`));
  assert.throws(() => openWithSource(HKDF_SEED, seed, sealed.subarray(0, 20), KEY), { message: 'the stored data was shorter than the required size' });
  assert.throws(() => openWithSource(HKDF_SEED, seed.subarray(0, 16), sealed, KEY), { message: 'invalid seed length 16 used for key generation' });
  // Node's HKDF extracts first: under a seed that is such an extract, both come to the same key.
  const info = Buffer.alloc(32, 9);
  const key = Buffer.from(hkdfSync('sha256', 'ikm', 'salt', info, 32));
  const extract = createHmac('sha256', 'salt').update('ikm').digest();
  assert.equal(openWithSource(HKDF_SEED, extract, sealGcm('aes-256-gcm', key, Buffer.from('{"a":1}'), KEY, info), KEY).toString(), '{"a":1}');
  assert.equal(openWithSource(AES_GCM_KEY, seed, sealGcm('aes-256-gcm', seed, Buffer.from('{}'), KEY, Buffer.alloc(0)), KEY).toString(), '{}');
});

describe('a KMS provider', () => {
  let dir: string;
  let plugin: KmsPlugin;
  let providers: KmsProvider[];
  const metrics = new KmsMetrics(systemClock);
  const provider = (clock: Clock = systemClock, timeoutMs = 3000): KmsProvider => {
    let n = 0;
    const made = new KmsProvider({ name: 'vault', clock, metrics, uid: () => `u${n++}`, connect: () => Promise.resolve(connectKms({ endpoint: plugin.endpoint, timeoutMs, clock, onCall: (m, c, s) => metrics.called('vault', m, c, s) })) });
    providers.push(made);
    return made;
  };
  before(async () => void (dir = await mkdtemp(join(tmpdir(), 'podyard-kms-'))));
  after(() => rm(dir, { recursive: true, force: true }));
  beforeEach(async () => {
    providers = [];
    plugin = new KmsPlugin(join(dir, 'kms.sock'));
    await plugin.listen();
  });
  afterEach(() => {
    for (const p of providers) p.close();
    plugin.close();
  });

  test('asks the plugin once, and writes as often as it likes', async () => {
    const kms = provider();
    assert.throws(() => kms.encrypt(Buffer.from('{}'), KEY), { message: 'got unexpected nil transformer' });
    await kms.start(signal);
    const values = Array.from({ length: 50 }, (_, i) => kms.encrypt(Buffer.from(`{"a":${i}}`), KEY));
    assert.ok(values.every((v) => v.subarray(0, HEAD.length).equals(HEAD) && kms.reads(v) && kms.isCurrent(v)));
    assert.equal(kms.prepare(values, signal), undefined);
    assert.equal(kms.decrypt(values[7]!, KEY).toString(), '{"a":7}');
    assert.throws(() => kms.decrypt(values[7]!, `${KEY}b`));
    assert.deepEqual(plugin.calls, { status: 1, encrypt: 1, decrypt: 0 });
    assert.match(metrics.text(), /key_id_hash_total\{key_id_hash="sha256:[0-9a-f]{64}",provider_name="vault",transformation_type="to_storage"\} 50\n/);
    assert.match(metrics.text(), /kms_operations_latency_seconds_count\{grpc_status_code="OK",method_name="\/v2.KeyManagementService\/Encrypt",provider_name="vault"\} 1\n/);
  });

  test('reads what another start has written with one call for each seed, and says why it cannot', async () => {
    const first = provider();
    await first.start(signal);
    const value = first.encrypt(Buffer.from('{}'), KEY);
    const second = provider();
    await second.start(signal);
    assert.throws(() => second.decrypt(value, KEY), { message: 'failed to decrypt DEK, error: the plugin was not asked for it' });
    await second.prepare([value, value, first.encrypt(Buffer.from('1'), KEY)], signal);
    assert.equal(second.decrypt(value, KEY).toString(), '{}');
    assert.equal(plugin.calls.decrypt, 1);
    assert.equal(second.prepare([value], signal), undefined);
    const third = provider();
    plugin.destroy('key-1');
    await third.prepare([value], signal);
    assert.throws(() => third.decrypt(value, KEY), { message: 'failed to decrypt DEK, error: rpc error: code = Unknown desc = key key-1 is not known' });
  });

  test('takes another key when Status names one, and knows what the old one wrote for stale', async () => {
    const clock = new FakeClock();
    const kms = provider(clock);
    await kms.start(signal);
    const old = kms.encrypt(Buffer.from('{}'), KEY);
    plugin.keyId = 'key-2';
    await clock.advance(60_000);
    assert.equal(await kms.health(), undefined);
    const fresh = kms.encrypt(Buffer.from('{}'), KEY);
    assert.deepEqual([kms.isCurrent(old), kms.isCurrent(fresh)], [false, true]);
    assert.equal(kms.decrypt(old, KEY).toString(), '{}');
    assert.equal(plugin.calls.encrypt, 2);
  });

  test('goes on for three minutes without its plugin, then refuses to write and still reads', async () => {
    const clock = new FakeClock();
    const kms = provider(clock);
    await kms.start(signal);
    const value = kms.encrypt(Buffer.from('{}'), KEY);
    plugin.healthz = 'sealed';
    await clock.advance(20_000);
    assert.equal((await kms.health())?.message, 'kmsv2 Provider vault is not healthy, error: got unexpected healthz status: sealed');
    plugin.close();
    await clock.advance(3_000);
    assert.match((await kms.health())!.message, /^failed to perform status section of the healthz check for KMS Provider vault, error: rpc error: code = Unavailable desc = /);
    kms.encrypt(Buffer.from('{}'), KEY);
    await clock.advance(3 * 60_000);
    await kms.health();
    assert.throws(() => kms.encrypt(Buffer.from('{}'), KEY), /^Error: encryptedDEKSource with keyID hash "sha256:[0-9a-f]{64}" expired at .+ \(current time is .+\)$/);
    assert.equal(kms.decrypt(value, KEY).toString(), '{}');
  });

  test('waits for a plugin that comes late, and names one that does not answer in time', async () => {
    plugin.close();
    const kms = provider();
    const started = kms.start(signal);
    await plugin.listen();
    await started;
    assert.equal(kms.decrypt(kms.encrypt(Buffer.from('{}'), KEY), KEY).toString(), '{}');
    plugin.silent = true;
    const impatient = provider(systemClock, 50);
    assert.match((await impatient.health())!.message, /KMS Provider vault, error: rpc error: code = DeadlineExceeded desc = context deadline exceeded$/);
    plugin.silent = false;
    plugin.version = 'v1';
    assert.match((await provider().health())!.message, /expected KMSv2 API version v2, got v1/);
    plugin.version = 'v2';
    plugin.keyId = '';
    assert.match((await provider().health())!.message, /got invalid KMSv2 KeyID hash "": keyID is empty/);
  });
});
