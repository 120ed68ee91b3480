import 'reflect-metadata';
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createPlainServer } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { after, before, describe, it } from 'node:test';
import { ExtendedKeyUsage } from '@peculiar/x509';
import { systemClock } from '#base/clock.ts';
import { inSpan, type Span } from '#base/tracing.ts';
import { testAuthority, testLeaf, type TestAuthority } from '../authentication/testing/fakes.ts';
import { WebhookCallError } from './client.ts';
import { openKubeconfigWebhook } from './kubeconfig.ts';

const signal = new AbortController().signal;
const base64 = (text: string): string => Buffer.from(text).toString('base64');

describe('openKubeconfigWebhook', () => {
  let dir: string;
  let ca: TestAuthority;
  let server: Server;
  let url: string;
  const seen: { auth: string | undefined; subject: string | undefined; path: string }[] = [];
  let status = 200;
  let traceparent: string | string[] | undefined;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'podyard-kubeconfig-'));
    const now = Date.now();
    ca = await testAuthority('ca', now);
    const leaf = await testLeaf(ca, { subject: [{ CN: ['hook'] }], from: now - 60_000, to: now + 3_600_000, names: [{ type: 'dns', value: 'hook.example' }] });
    server = createServer({ ...leaf, requestCert: true, ca: ca.cert, rejectUnauthorized: false }, (request, response) => {
      const cert = (request.socket as TLSSocket).getPeerCertificate();
      traceparent = request.headers['traceparent'];
      seen.push({ auth: request.headers.authorization, subject: cert.subject?.CN as string | undefined, path: request.url! });
      request.resume().on('end', () => response.writeHead(status).end('{"ok":true}'));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/exact/path`;
  });
  after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await rm(dir, { recursive: true, force: true });
  });
  const open = async (cluster: object, user: object = {}, more: { mayRetry?: (err: WebhookCallError) => boolean } = {}) => {
    const path = join(dir, 'kubeconfig.yaml');
    await writeFile(path, JSON.stringify({
      apiVersion: 'v1', kind: 'Config', 'current-context': 'c', contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }], clusters: [{ name: 'k', cluster }], users: [{ name: 'u', user }],
    }));
    return openKubeconfigWebhook({ path, clock: systemClock, random: () => 0, initialBackoffMs: 1, ...more });
  };
  const trusted = (): object => ({ server: url, 'certificate-authority-data': base64(ca.cert), 'tls-server-name': 'hook.example' });

  it('posts to the exact URL, as the file\'s user', async () => {
    seen.length = 0;
    await writeFile(join(dir, 'token'), 'abc\n');
    const leaf = await testLeaf(ca, { subject: [{ CN: ['apiserver'] }], from: Date.now() - 60_000, to: Date.now() + 3_600_000, usage: ExtendedKeyUsage.clientAuth });
    await writeFile(join(dir, 'client.crt'), leaf.cert);
    for (const user of [{ tokenFile: 'token' }, { 'client-certificate': 'client.crt', 'client-key-data': base64(leaf.key) }, { username: 'a', password: 'b' }]) {
      const webhook = await open(trusted(), user);
      assert.deepEqual(await webhook.post({}, { timeoutMs: 5000, signal }), { ok: true });
      webhook.close();
    }
    assert.deepEqual(seen, [
      { auth: 'Bearer abc', subject: undefined, path: '/exact/path' }, { auth: undefined, subject: 'apiserver', path: '/exact/path' }, { auth: `Basic ${base64('a:b')}`, subject: undefined, path: '/exact/path' },
    ]);
  });
  it('sends the trace of the request it serves', async () => {
    const span: Span = { traceparent: '00-aa-bb-01', setAttributes: () => {}, end: () => {}, child: (name) => (name === 'HTTP POST' ? { ...span, traceparent: '00-aa-cc-01' } : span) };
    const webhook = await open(trusted());
    await inSpan(span, () => webhook.post({}, { timeoutMs: 5000, signal }));
    webhook.close();
    assert.equal(traceparent, '00-aa-cc-01');
  });
  it('trusts whom the file names, or everybody when it says so, and plain HTTP', async () => {
    const stranger = await open({ ...trusted(), 'tls-server-name': undefined });
    await assert.rejects(stranger.post({}, { timeoutMs: 5000, signal }), /x509: certificate is not valid for/);
    const credulous = await open({ server: url, 'insecure-skip-tls-verify': true });
    assert.deepEqual(await credulous.post({}, { timeoutMs: 5000, signal }), { ok: true });
    const plain = createPlainServer((request, response) => request.resume().on('end', () => response.end('{"plain":1}')));
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
    const http = await open({ server: `http://127.0.0.1:${(plain.address() as AddressInfo).port}` });
    assert.deepEqual(await http.post({}, { timeoutMs: 5000, signal }), { plain: 1 });
    for (const webhook of [stranger, credulous, http]) webhook.close();
    await new Promise((resolve) => plain.close(resolve));
  });
  it('tries five times where that may help, and once where not', async () => {
    const tries = async (code: number, mayRetry?: () => boolean): Promise<number> => {
      status = code;
      seen.length = 0;
      const webhook = await open(trusted(), {}, mayRetry ? { mayRetry } : {});
      await assert.rejects(webhook.post({}, { timeoutMs: 5000, signal }), (err) => err instanceof WebhookCallError && err.status === code);
      webhook.close();
      return seen.length;
    };
    try {
      assert.deepEqual([await tries(500), await tries(429), await tries(403), await tries(403, () => true)], [5, 5, 1, 5]);
    } finally {
      status = 200;
    }
  });
  it('says what is wrong with the file', async () => {
    await assert.rejects(open({ server: 'x' }), /unable to load webhook configuration from file ".*": server "x" must be a URL with https or http/);
    await assert.rejects(open({ ...trusted(), 'insecure-skip-tls-verify': true }), /specifying a root certificates file with the insecure flag is not allowed/);
    await assert.rejects(open(trusted(), { exec: {} }), /users with "exec" or "auth-provider" are not supported here/);
    await assert.rejects(open(trusted(), { 'client-certificate-data': 'eA==' }), /client-certificate and client-key must be given together/);
  });
});
