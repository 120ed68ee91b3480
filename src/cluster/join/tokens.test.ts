import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { Secret } from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { Client } from '#client/client.ts';
import { SECRETS } from '#client/kinds.ts';
import type { ApiCall } from '#client/transport.ts';
import { notFound } from '#machinery/status-error.ts';
import { createAuthority, issueLeaf, writeKubeconfig } from '../pki.ts';
import { caHash, parseToken } from './discovery.ts';
import { createToken, deleteToken, joinCommand, listTokens } from './tokens.ts';

/** Secrets of kube-system. */
function bareSecrets() {
  const secrets = new Map<string, Secret>();
  const client = new Client({
    call({ verb, namespace, name = '', body, query }: ApiCall) {
      assert.equal(namespace, 'kube-system');
      if (verb === 'list') {
        assert.equal(query?.['fieldSelector'], 'type=bootstrap.kubernetes.io/token');
        return Promise.resolve({ items: [...secrets.values()] });
      }
      if (verb === 'delete') return secrets.delete(name) ? Promise.resolve({}) : Promise.reject(notFound({ group: '', resource: 'secrets' }, name));
      const { stringData, ...secret } = body as Secret;
      secrets.set(nameOf(secret), { ...secret, data: Object.fromEntries(Object.entries(stringData ?? {}).map(([key, text]) => [key, Buffer.from(text).toString('base64')])) });
      return Promise.resolve(body);
    },
    watch: () => assert.fail(),
  });
  const dataOf = (name: string) => Object.fromEntries(Object.entries(secrets.get(name)?.data ?? {}).map(([key, text]) => [key, Buffer.from(text, 'base64').toString()]));
  return { client, secrets, dataOf };
}
const HOUR = 3_600_000;

describe('createToken', () => {
  test('makes the secret of a bootstrap token', async () => {
    const { client, secrets, dataOf } = bareSecrets();
    const { id, secret, expiration } = await createToken(client, { ttlMs: 24 * HOUR, description: 'rack 7' }, new FakeClock());
    assert.deepEqual(parseToken(`${id}.${secret}`), { id, secret });
    assert.equal(expiration, '2026-01-03T03:04:05Z');
    assert.deepEqual([...secrets.keys()], [`bootstrap-token-${id}`]);
    assert.equal(secrets.get(`bootstrap-token-${id}`)!.type, 'bootstrap.kubernetes.io/token');
    assert.deepEqual(dataOf(`bootstrap-token-${id}`), {
      'token-id': id, 'token-secret': secret, expiration, description: 'rack 7', 'usage-bootstrap-authentication': 'true', 'usage-bootstrap-signing': 'true',
      'auth-extra-groups': 'system:bootstrappers:podyard:default-node-token',
    });
  });
  test('without an end and words, where none are wanted', async () => {
    const { client, dataOf } = bareSecrets();
    const { id, expiration } = await createToken(client, { ttlMs: 0 }, new FakeClock());
    assert.equal(expiration, undefined);
    assert.deepEqual(Object.keys(dataOf(`bootstrap-token-${id}`)).filter((key) => key === 'expiration' || key === 'description'), []);
  });
  test('takes every character as often as any other', async () => {
    const { client } = bareSecrets();
    const counts = new Map<string, number>();
    for (let i = 0; i < 2000; i++) {
      const { id, secret } = await createToken(client, { ttlMs: 0 }, new FakeClock());
      for (const c of id + secret) counts.set(c, (counts.get(c) ?? 0) + 1);
    }
    // 44,000 draws of 36: a mean of 1222 with a deviation of 34; bytes modulo 36 would give the first four 14 % more.
    const [least, most] = [Math.min(...counts.values()), Math.max(...counts.values())];
    assert.ok(counts.size === 36 && least > 1222 - 6 * 34.5 && most < 1222 + 6 * 34.5, `${counts.size} characters, ${least} to ${most} times`);
  });
});

test('listTokens tells how long, what for and why', async () => {
  const { client, secrets } = bareSecrets();
  const clock = new FakeClock();
  const put = (id: string, data: Record<string, string>, name = `bootstrap-token-${id}`): unknown => client.of(SECRETS).create({ metadata: { name, namespace: 'kube-system' }, stringData: { 'token-id': id, 'token-secret': '0123456789abcdef', ...data } });
  await put('aaaaaa', { expiration: '2026-01-03T03:04:05Z', 'usage-bootstrap-signing': 'true', 'usage-bootstrap-authentication': 'true', description: 'rack 7' });
  await put('bbbbbb', { 'usage-bootstrap-signing': 'false' });
  await put('cccccc', { expiration: '2026-01-02T03:04:05Z', 'usage-bootstrap-signing': 'true' });
  await put('dddddd', {}, 'bootstrap-token-eeeeee');
  assert.equal(secrets.size, 4);
  assert.deepEqual(await listTokens(client, clock), [
    ['aaaaaa.0123456789abcdef', '1d', '2026-01-03T03:04:05Z', 'authentication,signing', 'rack 7'],
    ['bbbbbb.0123456789abcdef', '<forever>', '<never>', '<none>', '<none>'],
    ['cccccc.0123456789abcdef', '<invalid>', '2026-01-02T03:04:05Z', 'signing', '<none>'],
  ]);
});
test('deleteToken takes the ID or the whole, and says which is not there', async () => {
  const { client, secrets } = bareSecrets();
  const made = [await createToken(client, { ttlMs: 0 }, new FakeClock()), await createToken(client, { ttlMs: 0 }, new FakeClock())] as const;
  assert.equal(await deleteToken(client, made[0].id), made[0].id);
  assert.equal(await deleteToken(client, `${made[1].id}.${made[1].secret}`), made[1].id);
  assert.equal(secrets.size, 0);
  await assert.rejects(deleteToken(client, 'abcdef'), { message: 'there is no token with the id "abcdef": "podyard token list" shows those that there are' });
  await assert.rejects(deleteToken(client, 'Abcdef'), /^Error: the token must be/);
});
test('joinCommand is the whole of what is typed', async () => {
  const clock = new FakeClock();
  const dir = await mkdtemp(join(tmpdir(), 'podyard-token-'));
  try {
    const ca = await createAuthority('kubernetes', clock);
    const kubeconfig = join(dir, 'kubeconfig.yaml');
    await writeKubeconfig(kubeconfig, { server: 'https://127.0.0.1:6443', ca: ca.cert, cluster: 'podyard', user: 'admin', credentials: await issueLeaf(ca, { commonName: 'admin', usages: ['client auth'] }, clock) });
    const command = await joinCommand({ kubeconfig, nodeIP: '10.0.0.5', apiPort: 6443 }, parseToken('abcdef.0123456789abcdef'));
    assert.equal(command, `./podyard join 10.0.0.5:6443 --token abcdef.0123456789abcdef --discovery-token-ca-cert-hash ${caHash(ca.cert)}`);
  } finally {
    await rm(dir, { recursive: true });
  }
});
