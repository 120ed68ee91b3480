import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod, Secret } from '#api/gen/core-v1.ts';
import { FakeClock, flushMicrotasks } from '#base/fake-clock.ts';
import type { EventRecorder } from '#client/events.ts';
import { CriError } from '#cri/error.ts';
import { fakeRuntime, type FakeRuntimeOptions } from '#cri/fake-runtime.ts';
import { StartError, type PulledImage } from '../interfaces.ts';
import { makePod } from '../testing/make-pod.ts';
import { parseImageReference } from '../runtime/image-name.ts';
import { lookUp, parseDockerConfig } from './keyring.ts';
import { newImageManager, type Credentials, type ImageManagerOptions } from './image-manager.ts';

function setUp(options: { pull?: FakeRuntimeOptions['pull']; credentials?: Credentials; maxParallelPulls?: number; progress?: ImageManagerOptions['progress'] } = {}) {
  const clock = new FakeClock();
  const runtime = fakeRuntime({ clock, ...(options.pull ? { pull: options.pull } : {}) });
  const events: string[] = [];
  const recorder = { eventFor: (_r: unknown, type: string, reason: string, message: string) => void events.push(`${type} ${reason} ${message}`) } as unknown as EventRecorder;
  const manager = newImageManager({ runtime, recorder, clock, credentials: options.credentials ?? { lookup: () => Promise.resolve([]) }, maxParallelPulls: options.maxParallelPulls ?? 5, progress: options.progress });
  const ensure = (pod: Pod, signal = new AbortController().signal): Promise<PulledImage> => manager.ensureImageExists(pod, pod.spec.containers[0]!, signal);
  /** The reason and message of a refusal, or the image. */
  const outcome = (pod: Pod) => ensure(pod).then((i) => i.imageRef.slice(0, 7), (err: unknown) => (err instanceof StartError ? `${err.reason}: ${err.message}` : Promise.reject(err)));
  return { clock, runtime, events, manager, ensure, outcome };
}
const podWith = (image: string, imagePullPolicy?: 'Always' | 'IfNotPresent' | 'Never', name = 'web') => makePod(name).container('c', { image, ...(imagePullPolicy ? { imagePullPolicy } : {}) }).build();
const MISSING = new CriError('NotFound', 'failed to pull and unpack image "docker.io/library/no:1": not found');

const POLICIES: readonly { name: string; image: string; policy?: 'Always' | 'IfNotPresent' | 'Never'; present: boolean; pulls: number; want: string }[] = [
  { name: 'IfNotPresent, present', image: 'a:1', policy: 'IfNotPresent', present: true, pulls: 0, want: 'sha256:' },
  { name: 'IfNotPresent, absent', image: 'a:1', policy: 'IfNotPresent', present: false, pulls: 1, want: 'sha256:' },
  { name: 'Always, present', image: 'a:1', policy: 'Always', present: true, pulls: 1, want: 'sha256:' },
  { name: 'Never, present', image: 'a:1', policy: 'Never', present: true, pulls: 0, want: 'sha256:' },
  { name: 'Never, absent', image: 'a:1', policy: 'Never', present: false, pulls: 0, want: 'ErrImageNeverPull: Container image "a:1" is not present with pull policy of Never' },
  { name: 'no policy, latest', image: 'a', present: true, pulls: 1, want: 'sha256:' },
  { name: 'no policy, a tag', image: 'a:1', present: true, pulls: 0, want: 'sha256:' },
];
for (const { name, image, policy, present, pulls, want } of POLICIES) {
  test(`ensureImageExists: ${name}`, async () => {
    const s = setUp();
    if (present) s.runtime.images.add(image);
    assert.equal(await s.outcome(podWith(image, policy)), want);
    assert.equal(s.runtime.images.pulls, pulls);
  });
}
test('ensureImageExists refuses a name that is none, in the words of the events', async () => {
  const s = setUp();
  const message = 'Failed to apply default image tag "Bad:x:y": couldn\'t parse image name "Bad:x:y": invalid reference format';
  assert.equal(await s.outcome(podWith('Bad:x:y')), `InvalidImageName: ${message}`);
  assert.deepEqual(s.events, [`Warning InspectFailed ${message}`, 'Warning Failed Error: InvalidImageName']);
});
test('ensureImageExists backs off after a failed pull, with the reason kept, and forgets it with the Pod', async () => {
  let broken = true;
  const s = setUp({ pull: () => (broken ? { error: MISSING } : undefined) });
  const pod = podWith('no:1');
  assert.equal(await s.outcome(pod), `ErrImagePull: ${MISSING.message}`);
  assert.equal(await s.outcome(pod), `ImagePullBackOff: Back-off pulling image "no:1": ErrImagePull: ${MISSING.message}`);
  assert.deepEqual(s.events, [
    'Normal Pulling Pulling image "no:1"', `Warning Failed Failed to pull image "no:1": ${MISSING.message}`, 'Warning Failed Error: ErrImagePull', 'Normal BackOff Back-off pulling image "no:1"', 'Warning Failed Error: ImagePullBackOff',
  ]);
  await s.clock.advance(10_001);
  assert.match(await s.outcome(pod), /^ErrImagePull/);
  await s.clock.advance(10_001);
  assert.match(await s.outcome(pod), /^ImagePullBackOff/);
  s.manager.forget('uid-web');
  broken = false;
  assert.equal(await s.outcome(pod), 'sha256:');
});
test('a Pod that backs off is looked at again soon: an image that was loaded meanwhile is used at once', async () => {
  const s = setUp({ pull: () => ({ error: MISSING }) });
  const pod = podWith('no:1');
  for (let failures = 0; failures < 3; failures++) {
    assert.match(await s.outcome(pod), /^ErrImagePull/);
    await s.clock.advance(10_000 * 2 ** failures + 1);
  }
  assert.match(await s.outcome(pod), /^ErrImagePull/);
  await assert.rejects(s.ensure(pod), { reason: 'ImagePullBackOff', retryAfterMs: 10_000 });
  s.runtime.images.add('no:1');
  assert.equal(await s.outcome(pod), 'sha256:');
});
test('ensureImageExists tells how long a pull took and how large the image is', async () => {
  const s = setUp({ pull: () => ({ delayMs: 1500, sizeBytes: 42 }) });
  const done = s.ensure(podWith('a:1'));
  await s.clock.advance(1500);
  await done;
  assert.equal(s.events.at(-1), 'Normal Pulled Successfully pulled image "a:1" in 1.5s (1.5s including waiting). Image size: 42 bytes.');
});
test('one pull serves all who want the image; it goes on when the one who began it leaves', async () => {
  const s = setUp({ pull: () => ({ delayMs: 1000 }) });
  const abort = new AbortController();
  const first = s.ensure(podWith('a:1', undefined, 'first'), abort.signal);
  const second = s.ensure(podWith('a:1', undefined, 'second'));
  await flushMicrotasks();
  abort.abort(new Error('the pod is to end'));
  await assert.rejects(first, /the pod is to end/);
  await s.clock.advance(1000);
  assert.match((await second).imageRef, /^sha256:/);
  assert.equal(s.runtime.images.pulls, 1);
});
test('a pull that nobody waits for any more is ended', async () => {
  const s = setUp({ pull: () => ({ delayMs: 1000 }) });
  const abort = new AbortController();
  const only = s.ensure(podWith('a:1'), abort.signal);
  await flushMicrotasks();
  assert.equal(s.clock.timers, 1);
  abort.abort(new Error('gone'));
  await assert.rejects(only);
  await flushMicrotasks();
  assert.equal(s.clock.timers, 0);
});
test('pulls at the same time are limited', async () => {
  const s = setUp({ maxParallelPulls: 1, pull: () => ({ delayMs: 1000 }) });
  const both = Promise.all([s.ensure(podWith('a:1')), s.ensure(podWith('b:1', undefined, 'other'))]);
  await s.clock.advance(1000);
  assert.equal(s.events.filter((e) => e.startsWith('Normal Pulled')).length, 1);
  await s.clock.advance(1000);
  await both;
  assert.ok(s.events.includes('Normal Pulled Successfully pulled image "b:1" in 1s (2s including waiting). Image size: 1000000 bytes.'));
});
test('credentials are tried in turn', async () => {
  const tried: (string | undefined)[] = [];
  const s = setUp({
    credentials: { lookup: () => Promise.resolve([{ auth: { username: 'bad' } }, { auth: { username: 'good' } }]) },
    pull: (_image, request) => {
      tried.push(request.auth?.username);
      return request.auth?.username === 'good' ? undefined : { error: new CriError('Unknown', '401 Unauthorized') };
    },
  });
  assert.equal(await s.outcome(podWith('a:1')), 'sha256:');
  assert.deepEqual(tried, ['bad', 'good']);
});

const secret = (auths: object): Secret => ({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, data: { '.dockerconfigjson': Buffer.from(JSON.stringify({ auths })).toString('base64') } });
const users = (auths: object, image: string) => lookUp(parseDockerConfig(secret(auths)), image).map((a) => a.auth.username);
for (const [name, auths, image, want] of [
  ['Docker Hub by its old name', { 'https://index.docker.io/v1/': { username: 'u' } }, 'nginx', ['u']],
  ['a registry with a port', { 'localhost:5000': { username: 'u' } }, 'localhost:5000/a/b', ['u']],
  ['another registry', { 'localhost:5000': { username: 'u' } }, 'localhost:5001/a', []],
  ['the longest path first', { 'r.io': { username: 'all' }, 'r.io/team': { username: 'team' } }, 'r.io/team/app:1', ['team', 'all']],
  ['a path of another team', { 'r.io/team': { username: 'team' } }, 'r.io/teams/app', []],
  ['a wildcard of one label', { '*.r.io': { username: 'w' } }, 'eu.r.io/app', ['w']],
  ['a wildcard matches no dots', { '*.r.io': { username: 'w' } }, 'a.b.r.io/app', []],
  ['user and password in one', { 'r.io': { auth: Buffer.from('me:pa:ss').toString('base64') } }, 'r.io/x', ['me']],
] as const) {
  test(`credentials: ${name}`, () => assert.deepEqual(users(auths, image), want));
}
for (const [text, want] of [
  ['nginx', 'docker.io/library/nginx:latest'], ['nginx:1', 'docker.io/library/nginx:1'], ['me/app', 'docker.io/me/app:latest'], ['localhost/app', 'localhost/app:latest'], ['r.io:5000/a/b:t', 'r.io:5000/a/b:t'],
  [`a@sha256:${'0'.repeat(64)}`, `docker.io/library/a@sha256:${'0'.repeat(64)}`], ['', 'invalid reference format'], ['a b', 'invalid reference format'], ['UPPER', 'invalid reference format: repository name must be lowercase'],
] as const) {
  test(`parseImageReference: ${JSON.stringify(text.slice(0, 20))}`, () => {
    const got = parseImageReference(text);
    assert.equal(typeof got === 'string' ? got : got.full, want);
  });
}
test('ImageManager tells every Pod that waits how far a long pull has come, less and less often', async () => {
  const asked: string[] = [];
  const s = setUp({
    pull: () => ({ delayMs: 600_000 }),
    progress: (registry, repository) => {
      asked.push(`${registry}/${repository}`);
      return Promise.resolve({ doneBytes: 10_000_000 * asked.length, totalBytes: 40_000_000 });
    },
  });
  const stop = new AbortController();
  const pulls = [podWith('nginx:1', 'Always', 'a'), podWith('nginx:1', 'Always', 'b')].map((p) => s.ensure(p, stop.signal).catch(() => {}));
  await flushMicrotasks();
  for (let i = 0; i < 4; i++) await s.clock.advance(5000);
  assert.deepEqual(asked, ['docker.io/library/nginx', 'docker.io/library/nginx']);
  assert.deepEqual(s.events.filter((e) => /%/.test(e)), [25, 25, 50, 50].map((percent) => `Normal Pulling Pulling image "nginx:1": ${(percent * 0.4).toFixed(1)} of 40.0 MB (${percent}%)`));
  stop.abort();
  await Promise.all(pulls);
  await flushMicrotasks();
  assert.equal(s.clock.timers, 0);
});
