import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { EncryptionAtRest } from '#apiserver/encryption/encryption.ts';
import { KmsPlugin } from '#apiserver/encryption/testing/kms-plugin.ts';
import { systemClock } from '#base/clock.ts';
import { openMemoryStore } from '#store/memory.ts';
import { startServer } from './fixture.ts';
import { Requests } from './requests.ts';

const PATH = '/api/v1/namespaces/default/secrets';
const configuration = (...keys: string[]): string => `
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - aesgcm:
      keys:
${keys.map((name) => `      - {name: ${name}, secret: ${Buffer.alloc(32, name).toString('base64')}}`).join('\n')}
  - identity: {}
`;

test('Secrets lie encrypted in the store, and replacing them moves them to a new key', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'podyard-encryption-'));
  const store = openMemoryStore();
  const stored = async (key: string) => (await store.get(key))!.value.toString('latin1');
  const serve = async (keys: readonly string[], run: (http: Requests) => Promise<void>): Promise<void> => {
    await writeFile(join(dir, 'encryption.yaml'), configuration(...keys), { mode: 0o600 });
    const encryption = (await EncryptionAtRest.open(join(dir, 'encryption.yaml'), systemClock))!;
    const fixture = await startServer({ store, transformer: (prefix) => encryption.transformer(prefix) });
    const http = new Requests(fixture);
    try {
      await run(http);
    } finally {
      http.close();
      await fixture.close();
      await encryption.stop();
    }
  };
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, stringData: { password: 'swordfish' } };
  await serve(['one'], async (http) => {
    assert.equal((await http.post(PATH, secret)).code, 201);
    assert.equal((await http.post('/api/v1/namespaces/default/configmaps', { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c' } })).code, 201);
    assert.match(await stored('/registry/secrets/default/s'), /^k8s:enc:aesgcm:v1:one:/);
    assert.match(await stored('/registry/configmaps/default/c'), /^\{/);
  });
  await serve(['two', 'one'], async (http) => {
    const read = (await http.get(`${PATH}/s`)).json<{ data: Record<string, string>; metadata: { resourceVersion: string } }>();
    assert.equal(Buffer.from(read.data['password']!, 'base64').toString(), 'swordfish');
    const replaced = await http.call('PUT', `${PATH}/s`, { body: read });
    assert.equal(replaced.code, 200);
    assert.match(await stored('/registry/secrets/default/s'), /^k8s:enc:aesgcm:v1:two:/);
    const again = await http.call('PUT', `${PATH}/s`, { body: replaced.json() });
    assert.equal(again.json().metadata.resourceVersion, replaced.json().metadata.resourceVersion);
  });
  // The old key is gone; what it wrote is history only.
  await serve(['two'], async (http) => assert.equal((await http.get(`${PATH}/s`)).code, 200));
  await store.close();
  await rm(dir, { recursive: true, force: true });
});

test('Secrets are sealed by a KMS plugin, through restarts and a change of its key, and health says when it is away', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'podyard-kms-'));
  const plugin = new KmsPlugin(join(dir, 'kms.sock'));
  await plugin.listen();
  await writeFile(join(dir, 'encryption.yaml'), `
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - kms: {apiVersion: v2, name: vault, endpoint: '${plugin.endpoint}', timeout: 10s}
  - identity: {}
`, { mode: 0o600 });
  const store = openMemoryStore();
  const stored = async (name: string) => (await store.get(`/registry/secrets/default/${name}`))!.value;
  const serve = async (run: (http: Requests) => Promise<void>): Promise<void> => {
    const encryption = (await EncryptionAtRest.open(join(dir, 'encryption.yaml'), systemClock))!;
    await encryption.start(new AbortController().signal);
    const fixture = await startServer({ store, transformer: (prefix) => encryption.transformer(prefix), healthChecks: [encryption.healthCheck] });
    const http = new Requests(fixture);
    try {
      await run(http);
    } finally {
      http.close();
      await fixture.close();
      await encryption.stop();
    }
  };
  const secret = (name: string) => ({ apiVersion: 'v1', kind: 'Secret', metadata: { name }, stringData: { password: 'swordfish' } });
  const passwordOf = (answer: { json<T>(): T }) => Buffer.from(answer.json<{ data: Record<string, string> }>().data['password']!, 'base64').toString();
  try {
    await serve(async (http) => {
      for (const name of ['a', 'b', 'c']) assert.equal((await http.post(PATH, secret(name))).code, 201);
      assert.match((await stored('a')).toString('latin1'), /^k8s:enc:kms:v2:vault:/);
      assert.ok(!(await stored('a')).includes('swordfish') && !(await stored('a')).includes('c3dvcmRmaXNo'));
      assert.deepEqual(plugin.calls, { status: 1, encrypt: 1, decrypt: 0 });
      assert.equal((await http.get('/healthz/kms-providers')).code, 200);
    });
    plugin.keyId = 'key-2';
    await serve(async (http) => {
      assert.equal(passwordOf(await http.get(`${PATH}/b`)), 'swordfish');
      assert.equal(plugin.calls.decrypt, 1);
      const before = await stored('b');
      const read = (await http.get(`${PATH}/b`)).json();
      assert.equal((await http.call('PUT', `${PATH}/b`, { body: read })).code, 200);
      assert.ok(!before.includes('key-2') && (await stored('b')).includes('key-2'));
    });
    await serve(async (http) => {
      assert.deepEqual([passwordOf(await http.get(`${PATH}/a`)), passwordOf(await http.get(`${PATH}/b`))], ['swordfish', 'swordfish']);
    });
    plugin.healthz = 'no quorum';
    await assert.rejects(async () => {
      const encryption = (await EncryptionAtRest.open(join(dir, 'encryption.yaml'), systemClock))!;
      const deadline = new AbortController();
      const fixture = await startServer({ healthChecks: [encryption.healthCheck] });
      const http = new Requests(fixture);
      try {
        const health = await http.get('/readyz?verbose');
        assert.equal(health.code, 500);
        assert.match(health.text, /\[-\]kms-providers failed: reason withheld/);
        const started = encryption.start(deadline.signal);
        deadline.abort(new Error('the start was given up'));
        await started;
      } finally {
        http.close();
        await fixture.close();
        await encryption.stop();
      }
    }, /the start was given up/);
  } finally {
    plugin.close();
    await store.close();
    await rm(dir, { recursive: true, force: true });
  }
});
