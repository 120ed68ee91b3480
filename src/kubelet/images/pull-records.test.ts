import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FakeClock } from '#base/fake-clock.ts';
import { preparedTest, temporaryDirectory } from '#base/testing/prepared-test.ts';
import type { Credential } from './keyring.ts';
import { PullRecords, type VerificationPolicy } from './pull-records.ts';

const IMAGE = 'r.example.com/team/app:1';
const REF = 'sha256:abc';
let dir = '';
let clock: FakeClock;
const test = preparedTest(async (t) => {
  dir = await temporaryDirectory(t, 'records');
  clock = new FakeClock();
});

const records = (policy: VerificationPolicy = 'NeverVerifyPreloadedImages', allowlist: string[] = []) => new PullRecords({ rootDir: dir, clock, policy, allowlist });
const secret = (name: string, password: string, uid = `uid-${name}`): Credential => ({ auth: { username: 'u', password }, owner: { kind: 'secret', uid, namespace: 'n', name } });
const account = (name: string): Credential => ({ auth: { username: 'token' }, owner: { kind: 'serviceAccount', uid: `uid-${name}`, namespace: 'n', name } });
const must = (r: PullRecords, credentials: Credential[] = [], image = IMAGE) => r.mustPull(image, REF, () => Promise.resolve(credentials));
async function pulledWith(credential: Credential | undefined, r = records()): Promise<PullRecords> {
  await r.begin(IMAGE);
  await r.end(IMAGE, REF, credential);
  return r;
}

const CASES: readonly [string, Credential | undefined, Credential[], boolean][] = [
  ['pulled without credentials: everybody\'s', undefined, [], false],
  ['pulled with the node\'s: everybody\'s', { auth: { username: 'node' } }, [], false],
  ['pulled with a secret: not for Pods without', secret('a', 'p'), [], true],
  ['pulled with a secret: for Pods with it', secret('a', 'p'), [secret('a', 'p')], false],
  ['pulled with a secret that has other content since', secret('a', 'p'), [secret('a', 'new')], false],
  ['pulled with a secret of the same content', secret('a', 'p'), [secret('b', 'p')], false],
  ['pulled with another secret', secret('a', 'p'), [secret('b', 'q')], true],
  ['pulled with a secret that was made anew', secret('a', 'p'), [secret('a', 'q', 'other-uid')], true],
  ['pulled for a service account: its own', account('x'), [account('x')], false],
  ['pulled for a service account: not another\'s', account('x'), [account('y')], true],
  ['pulled with a secret: not for the credentials of the node', secret('a', 'p'), [{ auth: { username: 'node' } }], true],
];
for (const [name, credential, of, want] of CASES) test(`PullRecords, an image ${name}`, async () => assert.equal(await must(await pulledWith(credential), of), want));

test('PullRecords: another name of the same image is asked for by itself', async () => {
  const other = 'r.example.com/other/app:1';
  assert.equal(await must(await pulledWith(undefined, records('AlwaysVerify')), [], other), true);
  assert.equal(await must(await pulledWith(undefined), [], 'r.example.com/team/app:2'), false);
});
test('PullRecords: a name that the owner gave to an image is everybody\'s, also when it was pulled by another name; the content alone is not', async () => {
  const r = await pulledWith(secret('a', 'p'));
  assert.equal(await must(r, [], 'r.example.com/other/app:1'), false);
  assert.equal(await must(r, [], 'a'.repeat(64)), true);
  assert.equal(await must(r, [], `sha256:${'a'.repeat(64)}`), true);
});
test('PullRecords: what a later kubelet reads is the same, in upstream\'s form', async () => {
  await pulledWith(secret('a', 'p'));
  assert.equal(await must(records(), []), true);
  assert.equal(await must(records(), [secret('a', 'p')]), false);
  const [file] = await readdir(join(dir, 'image_manager', 'pulled'));
  assert.match(file!, /^sha256-[0-9a-f]{64}$/);
  const { lastUpdatedTime, credentialMapping, ...rest } = JSON.parse(await readFile(join(dir, 'image_manager', 'pulled', file!), 'utf8')) as { lastUpdatedTime: string; credentialMapping: Record<string, { kubernetesSecrets: object[] }> };
  assert.deepEqual(rest, { kind: 'ImagePulledRecord', apiVersion: 'kubelet.config.k8s.io/v1beta1', imageRef: REF });
  assert.equal(Date.parse(lastUpdatedTime) > 0, true);
  assert.deepEqual(Object.keys(credentialMapping), ['r.example.com/team/app']);
  assert.deepEqual(Object.keys(credentialMapping['r.example.com/team/app']!.kubernetesSecrets[0]!), ['uid', 'namespace', 'name', 'credentialHash']);
  assert.deepEqual(await readdir(join(dir, 'image_manager', 'pulling')), []);
  assert.doesNotMatch(JSON.stringify(credentialMapping), /"p"/);
});
test('PullRecords: an image whose pull was cut short by a crash is nobody\'s', async () => {
  await records().begin(IMAGE);
  assert.equal(await must(records()), true);
});
test('PullRecords: a record that cannot be read is removed', async () => {
  await pulledWith(undefined);
  const pulled = join(dir, 'image_manager', 'pulled');
  await writeFile(join(pulled, (await readdir(pulled))[0]!), '{');
  assert.equal(await must(records()), false);
  assert.deepEqual(await readdir(pulled), []);
});
test('PullRecords.prune forgets images that are gone, not those that came meanwhile', async () => {
  const r = await pulledWith(secret('a', 'p'));
  await r.prune(new Set(), clock.now());
  assert.equal(await must(r), true);
  await clock.advance(5000);
  await r.prune(new Set([REF]), clock.now());
  assert.equal(await must(r), true);
  await r.prune(new Set(), clock.now());
  assert.equal(await must(r), false);
  assert.deepEqual(await readdir(join(dir, 'image_manager', 'pulled')), []);
});
const POLICIES: readonly [VerificationPolicy, string[], boolean, boolean][] = [
  ['NeverVerify', [], false, false], ['NeverVerifyPreloadedImages', [], false, true], ['AlwaysVerify', [], true, true],
  ['NeverVerifyAllowlistedImages', [], true, true], ['NeverVerifyAllowlistedImages', ['r.example.com/team/*'], false, true], ['NeverVerifyAllowlistedImages', ['r.example.com/team/app'], false, true], ['NeverVerifyAllowlistedImages', ['r.example.com/other'], true, true],
];
for (const [policy, allowlist, preloaded, pulled] of POLICIES) {
  test(`PullRecords under ${policy} [${allowlist.join()}]: images that were there, and those that were pulled with a secret`, async () => {
    assert.equal(await must(records(policy, allowlist)), preloaded);
    assert.equal(await must(await pulledWith(secret('a', 'p'), records(policy, allowlist))), pulled);
  });
}
