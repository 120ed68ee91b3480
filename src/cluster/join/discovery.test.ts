import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, describe, test } from 'node:test';
import { systemClock, type Clock } from '#base/clock.ts';
import { detachedSignature } from '#controllers/bootstrap-signer/tokens.ts';
import { publicKubeconfigText } from '../pki/kubeconfig.ts';
import { createAuthority, issueLeaf, type KeyPair } from '../pki.ts';
import { caHash, discoverCluster, parseToken, type DiscoveryOptions } from './discovery.ts';

const token = parseToken('abcdef.0123456789abcdef');

test('parseToken takes the form of a token and tells no secret', () => {
  assert.deepEqual(token, { id: 'abcdef', secret: '0123456789abcdef' });
  for (const text of ['', 'abcdef', 'abcdef.0123456789abcde', 'ABCDEF.0123456789abcdef', 'abcdef.0123456789abcdef\n', ' abcdef.0123456789abcdef']) {
    assert.throws(() => parseToken(text), { message: 'the token must be six and sixteen characters of a-z and 0-9 with a dot between, such as abcdef.0123456789abcdef' });
  }
});
test('caHash is what openssl makes of the public key', () => {
  // openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | sha256sum
  assert.equal(caHash(`-----BEGIN CERTIFICATE-----
MIIBfzCCASWgAwIBAgIUCa8OF3iB4SRs3ocuJQIRyMwaQIUwCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKa3ViZXJuZXRlczAeFw0yNjExMzAwODUwMTdaFw0zNjExMjcw
ODUwMTdaMBUxEzARBgNVBAMMCmt1YmVybmV0ZXMwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARvl3CuJcOVp1gMl/73hGr3kwwHh3D6P7RZ4D5bONjrmhXvZ5gRESOJ
bwE2hC/FearCB4BSpv7KI8MI+divA2eOo1MwUTAdBgNVHQ4EFgQUlQHCK91JV7vs
2d4kX+e3e4XHsfcwHwYDVR0jBBgwFoAUlQHCK91JV7vs2d4kX+e3e4XHsfcwDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEA6N+2Xt/iHTazv3RINfWP
90b6q7bpPPU0YrzfoGfOhfUCIEr5xxN16lDp2LKDbB7wm73W/LU9G6D0Z71tj3oJ
coxL
-----END CERTIFICATE-----`), 'sha256:7558b6adfb73a6a5ed44ed4e22d5ff1ee976f8766eda8fb904e66dcc1f82f86c');
});

describe('discoverCluster', () => {
  /** What is waited for, in ms; a wait is over at once where `rings` says so. */
  const waits: number[] = [];
  let rings: (ms: number) => boolean;
  const clock: Clock = {
    ...systemClock,
    after(ms, fn) {
      waits.push(ms);
      return systemClock.after(rings(ms) ? 0 : ms, fn);
    },
  };
  const RETRY = 1000;
  const LATE = 10_000;
  let ca: KeyPair;
  let other: KeyPair;
  let listening: Server;
  let server: string;
  /** What the server says to the nth request, from 0: an answer's data, or a status with a text. */
  let answer: (n: number) => Readonly<Record<string, string>> | readonly [code: number, text: string];
  let asked = 0;
  const kubeconfig = (authority = ca.cert): string => publicKubeconfigText({ server: 'https://192.0.2.7:6443', ca: authority });
  const signed = (text: string, secret = token.secret) => ({ kubeconfig: text, 'jws-kubeconfig-abcdef': detachedSignature(text, { id: 'abcdef', secret }) });
  const discover = (more: Partial<DiscoveryOptions> = {}) => discoverCluster({ server, token, caHashes: [caHash(ca.cert)], signal: AbortSignal.timeout(20_000), clock, ...more });

  before(async () => {
    [ca, other] = await Promise.all([createAuthority('kubernetes', clock), createAuthority('kubernetes', clock)]);
    listening = createServer(await issueLeaf(ca, { commonName: 'kube-apiserver', ipAddresses: ['127.0.0.1'], usages: ['server auth'] }, clock), (request, response) => {
      assert.deepEqual([request.method, request.url, request.headers.authorization], ['GET', '/api/v1/namespaces/kube-public/configmaps/cluster-info', undefined]);
      const said = answer(asked++);
      const [code, text] = Array.isArray(said) ? (said as [number, string]) : [200, JSON.stringify({ kind: 'ConfigMap', data: said })];
      if (code > 0) response.writeHead(code).end(text);
    });
    await once(listening.listen(0, '127.0.0.1'), 'listening');
    server = `127.0.0.1:${(listening.address() as AddressInfo).port}`;
  });
  beforeEach(() => {
    [asked, rings] = [0, (ms) => ms === RETRY];
    waits.length = 0;
  });
  after(async () => {
    listening.closeAllConnections();
    await new Promise((resolve) => listening.close(resolve));
  });

  test('believes what the token signs and the hash fits, of a server that proves it', async () => {
    answer = () => signed(kubeconfig());
    assert.deepEqual(await discover({ caHashes: [caHash(other.cert), `sha256:${caHash(ca.cert).slice(7).toUpperCase()}`] }), { server: 'https://192.0.2.7:6443', ca: ca.cert });
    assert.equal(asked, 2);
  });
  test('waits for the signature, a second at a time', async () => {
    answer = (n) => (n === 0 ? [404, '{}'] : n === 1 ? {} : n === 2 ? { kubeconfig: kubeconfig() } : signed(kubeconfig()));
    assert.equal((await discover()).ca, ca.cert);
    assert.deepEqual(waits, [LATE, RETRY, LATE, RETRY, LATE, RETRY, LATE, LATE]);
  });

  const wrong: readonly (readonly [name: string, says: () => ReturnType<typeof answer>, message: RegExp, more?: () => Partial<DiscoveryOptions>])[] = [
    ['another secret', () => signed(kubeconfig(), 'fedcba9876543210'), /^the secret of token id "abcdef" is not the one that https:\/\/127\.0\.0\.1:\d+ has/],
    ['a text that was not signed', () => ({ ...signed(kubeconfig()), kubeconfig: kubeconfig(other.cert) }), /^the secret of token id "abcdef"/],
    ['another authority', () => signed(kubeconfig(other.cert)), /^the hash of the authority of https:\S+ is sha256:[0-9a-f]{64}, and must be sha256:[0-9a-f]{64}: /],
    ['a second authority', () => signed(kubeconfig(ca.cert + other.cert)), /^the hash of the authority/],
    ['no authority', () => signed(kubeconfig('none\n')), /is none, and must be/],
    ['a server of another authority', () => signed(kubeconfig(other.cert)), /^https:\S+ does not prove to be of the cluster: /, () => ({ caHashes: [caHash(other.cert)] })],
    ['no kubeconfig', () => signed('[]'), /^the kubeconfig in kube-public\/cluster-info must name a server by https and its authority$/],
    ['a plain server', () => signed(kubeconfig().replace('https:', 'http:')), /must name a server by https/],
    ['a refusal', () => [403, '{}'], /^https:\S+ does not tell of its cluster: it answered with status 403: /],
    ['another page', () => [200, '<html>'], /^https:\S+ does not tell of its cluster: /],
    ['more than a config map holds', () => [200, ' '.repeat(3 << 20)], /larger than 2097152 bytes$/],
    ['nobody', () => signed(kubeconfig()), /^https:\/\/127\.0\.0\.1:1 does not tell of its cluster: connect ECONNREFUSED/, () => ({ server: '127.0.0.1:1' })],
    ['no port', () => signed(kubeconfig()), /^the server "10\.0\.0\.5" must be an address and a port, such as 10\.0\.0\.5:6443$/, () => ({ server: '10.0.0.5' })],
    ['no hash', () => signed(kubeconfig()), /^the hash of the cluster's authority must be given/, () => ({ caHashes: [] })],
    ['a bad hash', () => signed(kubeconfig()), /^the hash "md5:1" of an authority must be/, () => ({ caHashes: ['md5:1'] })],
  ];
  for (const [name, says, message, more] of wrong) {
    test(`rejects ${name}`, async () => {
      answer = says;
      await assert.rejects(discover(more?.()), { message });
    });
  }
  test('says that nobody knows the token when the waiting is over', async () => {
    answer = () => ({ kubeconfig: kubeconfig() });
    const over = new AbortController();
    rings = (ms) => {
      if (ms === RETRY) over.abort(new Error('over'));
      return false;
    };
    await assert.rejects(discover({ signal: over.signal }), { message: 'token id "abcdef" is not (or no longer) known to the cluster: make one with "podyard token create"' });
  });
  test('waits ten seconds for an answer', async () => {
    answer = () => [0, ''];
    rings = (ms) => ms === LATE;
    await assert.rejects(discover(), { message: /does not tell of its cluster: no answer within 10 s$/ });
  });
});
