import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { FakeClock } from '#base/fake-clock.ts';
import { makePod } from '../testing/make-pod.ts';
import { parseCredentialProviders } from './credential-provider-config.ts';
import { CredentialProviders, parseAnswer, type RunProgram } from './credential-providers.ts';

const CONFIG = `apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
- name: keys
  matchImages: ["*.registry.example.com", "other.example.com:5000/team"]
  defaultCacheDuration: 1h
  apiVersion: credentialprovider.kubelet.k8s.io/v1
  args: [get]
  env: [{ name: REGION, value: north }]
`;
const answer = (more: object = {}): string => JSON.stringify({ kind: 'CredentialProviderResponse', apiVersion: 'credentialprovider.kubelet.k8s.io/v1', cacheKeyType: 'Registry', auth: { '*.registry.example.com': { username: 'u', password: 'p' } }, ...more });

function setUp(answers: (input: string, count: number) => string, config = CONFIG, annotations: Readonly<Record<string, string>> = {}) {
  const clock = new FakeClock();
  const inputs: string[] = [];
  const runs: unknown[][] = [];
  const run: RunProgram = (path, args, env, input) => {
    inputs.push(input);
    runs.push([path, args, env]);
    return Promise.resolve().then(() => answers(input, inputs.length));
  };
  const providers = new CredentialProviders({
    providers: parseCredentialProviders(config), binDir: '/bin-dir', clock, run,
    requestToken: (pod, audience) => Promise.resolve(`token-of-${pod.metadata.name}-for-${audience}`),
    serviceAccount: (namespace, name) => Promise.resolve({ metadata: { name, namespace, uid: `uid-${name}`, annotations } }),
  });
  const pod = makePod().build();
  return { clock, inputs, runs, providers, pod, lookup: (image: string, of = pod) => providers.lookup(of, image) };
}
const CREDENTIALS = [{ auth: { username: 'u', password: 'p' } }];

test('CredentialProviders asks the program that serves the image, as upstream asks it', async () => {
  const s = setUp(() => answer());
  assert.deepEqual(await s.lookup('a.registry.example.com/app:1'), CREDENTIALS);
  assert.deepEqual(s.runs, [['/bin-dir/keys', ['get'], { REGION: 'north' }]]);
  assert.deepEqual(JSON.parse(s.inputs[0]!), { kind: 'CredentialProviderRequest', apiVersion: 'credentialprovider.kubelet.k8s.io/v1', image: 'a.registry.example.com/app' });
});
const MATCHES: readonly [string, boolean][] = [
  ['a.registry.example.com/x', true], ['a.b.registry.example.com/x', false], ['registry.example.com/x', false], ['other.example.com:5000/team/x', true], ['other.example.com:5000/team2/x', false], ['other.example.com/team/x', false], ['nginx', false],
];
for (const [image, asked] of MATCHES) {
  test(`CredentialProviders ${asked ? 'asks' : 'does not ask'} for ${image}`, async () => {
    const s = setUp(() => answer());
    await s.lookup(image);
    assert.equal(s.inputs.length, asked ? 1 : 0);
  });
}
const CACHES: readonly [string, object, string, number, number][] = [
  ['an image', { cacheKeyType: 'Image' }, 'a.registry.example.com/other', 0, 2], ['an image\'s other tag', { cacheKeyType: 'Image' }, 'a.registry.example.com/app:2', 0, 1],
  ['a registry', { cacheKeyType: 'Registry' }, 'a.registry.example.com/other', 0, 1], ['another registry', { cacheKeyType: 'Registry' }, 'b.registry.example.com/app', 0, 2],
  ['everything', { cacheKeyType: 'Global' }, 'b.registry.example.com/app', 0, 1], ['the default time', {}, 'a.registry.example.com/app', 3_600_000, 2],
  ['its own time', { cacheDuration: '10s' }, 'a.registry.example.com/app', 11_000, 2], ['no time', { cacheDuration: '0s' }, 'a.registry.example.com/app', 0, 2],
];
for (const [name, more, image, afterMs, runs] of CACHES) {
  test(`CredentialProviders keeps answers: ${name}`, async () => {
    const s = setUp(() => answer(more));
    await s.lookup('a.registry.example.com/app:1');
    await s.clock.advance(afterMs);
    await s.lookup(image);
    assert.equal(s.inputs.length, runs);
  });
}
test('CredentialProviders runs a program once for those who ask at the same time', async () => {
  const s = setUp(() => answer({ cacheDuration: '0s' }));
  await Promise.all([s.lookup('a.registry.example.com/app:1'), s.lookup('a.registry.example.com/app:1')]);
  assert.equal(s.inputs.length, 1);
});
test('CredentialProviders goes on without a program that fails', async () => {
  const s = setUp(() => { throw new Error('exit status 1'); });
  assert.deepEqual(await s.lookup('a.registry.example.com/app:1'), []);
});
const BAD_ANSWERS: readonly [string, string][] = [
  ['no json', 'error decoding credential provider plugin response from stdout'], ['{"kind":"X"}', 'failed to decode CredentialProviderResponse, unexpected kind'],
  [answer({ apiVersion: 'v0' }), 'apiVersion from credential plugin response did not match expected apiVersion:credentialprovider.kubelet.k8s.io/v1, actual apiVersion:v0'],
  [answer({ cacheKeyType: 'Never' }), 'credential provider plugin did not return a valid cacheKeyType: "Never"'],
];
for (const [text, message] of BAD_ANSWERS) test(`parseAnswer: ${message}`, () => assert.throws(() => parseAnswer(text, 0), { message }));

const WITH_TOKEN = `${CONFIG}  tokenAttributes:
    serviceAccountTokenAudience: registry
    cacheType: ServiceAccount
    requireServiceAccount: true
    requiredServiceAccountAnnotationKeys: [team]
    optionalServiceAccountAnnotationKeys: [more]
`;
test('CredentialProviders gives the program the Pod\'s identity, and keeps answers by account', async () => {
  const s = setUp(() => answer({ cacheKeyType: 'Global' }), WITH_TOKEN, { team: 'blue', other: 'x' });
  const of = (name: string, serviceAccountName: string) => makePod(name).spec({ serviceAccountName }).build();
  assert.deepEqual((await s.lookup('a.registry.example.com/app', of('one', 'builder')))[0]?.owner, { kind: 'serviceAccount', namespace: 'default', name: 'builder', uid: 'uid-builder' });
  await s.lookup('a.registry.example.com/app', of('two', 'builder'));
  await s.lookup('a.registry.example.com/app', of('three', 'tester'));
  assert.deepEqual(s.inputs.map((i) => (JSON.parse(i) as { serviceAccountToken: string }).serviceAccountToken), ['token-of-one-for-registry', 'token-of-three-for-registry']);
  assert.deepEqual((JSON.parse(s.inputs[0]!) as { serviceAccountAnnotations: object }).serviceAccountAnnotations, { team: 'blue' });
});
test('CredentialProviders does not ask for Pods that lack what the program needs', async () => {
  const none = setUp(() => answer(), WITH_TOKEN, { team: 'blue' });
  assert.deepEqual(await none.lookup('a.registry.example.com/app'), []);
  const bare = setUp(() => answer(), WITH_TOKEN);
  assert.deepEqual(await bare.lookup('a.registry.example.com/app', makePod().spec({ serviceAccountName: 'x' }).build()), []);
  assert.deepEqual([none.inputs, bare.inputs], [[], []]);
});
test('CredentialProviders runs a real program: request on its standard input, answer on its standard output', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'podyard-provider-'));
  try {
    await writeFile(join(dir, 'keys'), `#!/bin/sh\nread request\necho '${answer({ auth: { 'a.registry.example.com': { username: '%s' } } })}' | sed "s/%s/$1-$REGION/"\n`);
    await chmod(join(dir, 'keys'), 0o755);
    const providers = new CredentialProviders({ providers: parseCredentialProviders(CONFIG), binDir: dir, clock: new FakeClock(), requestToken: () => Promise.reject(new Error('no')), serviceAccount: () => Promise.reject(new Error('no')) });
    assert.deepEqual(await providers.lookup(makePod().build(), 'a.registry.example.com/x'), [{ auth: { username: 'get-north', password: '' } }]);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
const BAD_CONFIGS: readonly [string, (text: string) => string, string][] = [
  ['another kind', (t) => t.replace('kind: Cred', 'kind: X'), 'kind: must be CredentialProviderConfig'], ['no providers', () => 'apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\n', 'providers: at least 1 item in plugins is required'],
  ['a path', (t) => t.replace('name: keys', 'name: ../keys'), 'providers[0].name: provider name cannot be a path and cannot contain spaces or path separators'],
  ['an older protocol', (t) => t.replace('io/v1\n  args', 'io/v1alpha1\n  args'), 'providers[0].apiVersion: must be credentialprovider.kubelet.k8s.io/v1'],
  ['no images', (t) => t.replace(/matchImages: .*/, 'matchImages: []'), 'providers[0].matchImages: at least 1 item in matchImages is required'],
  ['a duration that is none', (t) => t.replace('1h', 'soon'), 'providers[0].defaultCacheDuration: invalid duration "soon"'], ['a field that is none', (t) => `${t}  extra: 1\n`, 'providers[0].extra: unknown field'],
  ['no cache type', () => WITH_TOKEN.replace('    cacheType: ServiceAccount\n', ''), 'providers[0].tokenAttributes.cacheType: must be Token or ServiceAccount'],
];
for (const [name, change, message] of BAD_CONFIGS) test(`parseCredentialProviders refuses ${name}`, () => assert.throws(() => parseCredentialProviders(change(CONFIG)), { message: `reading the credential provider config: ${message}` }));
