import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { FakeClock } from '#base/fake-clock.ts';
import { CriError } from '#cri/error.ts';
import { fakeRuntime, type FakeRuntime } from '#cri/fake-runtime.ts';
import { LABELS } from '../interfaces.ts';
import { RuntimeCache, withEnds } from './runtime-cache.ts';

const UID = 'pod-uid';
/** One sandbox with one created container, whose start ends as `startError` says. */
async function setUp(startError?: string, logDirectory?: string): Promise<{ runtime: FakeRuntime; cache: RuntimeCache; told: string[]; sandboxId: string; containerId: string }> {
  const runtime = fakeRuntime({ clock: new FakeClock(), anyImage: true, container: () => (startError === undefined ? undefined : { startError: new CriError('Unknown', startError) }) });
  const labels = { [LABELS.podUid]: UID, [LABELS.podName]: 'web', [LABELS.podNamespace]: 'default' };
  const { podSandboxId: sandboxId } = await runtime.runPodSandbox({ config: { metadata: { name: 'web', namespace: 'default', uid: UID, attempt: 0 }, labels, logDirectory } });
  const config = { metadata: { name: 'c', attempt: 0 }, image: { image: 'x' }, logPath: '0.log', labels: { ...labels, [LABELS.containerName]: 'c' } };
  const { containerId } = await runtime.createContainer({ podSandboxId: sandboxId, config, sandboxConfig: {} });
  const cache = new RuntimeCache(runtime);
  const told: string[] = [];
  cache.onChange((uid) => told.push(uid));
  return { runtime, cache, told, sandboxId, containerId };
}
const left = async (runtime: FakeRuntime): Promise<number> => (await runtime.listContainers({})).containers.length;

for (const message of ['failed to start containerd task "x": context canceled: unknown', 'failed to create containerd task: failed to start shim: start failed: : signal: killed: unknown']) {
  test(`a container whose start was broken off by its caller is no run of the Pod: it is removed, and the Pod synced again (${message})`, async () => {
    const { runtime, cache, told, containerId } = await setUp(message);
    await assert.rejects(runtime.startContainer({ containerId }));
    await cache.relist();
    assert.deepEqual(cache.get(UID)?.containers, []);
    assert.equal(await left(runtime), 0);
    assert.deepEqual(told, [UID]);
  });
}

test('the empty log of a start that was broken off goes with it: logs are counted as runs', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'podyard-logs-'));
  t.after(() => rm(dir, { recursive: true }));
  for (const [printed, logs] of [['', []], ['it ran', ['0.log']]] as const) {
    const { runtime, cache, containerId } = await setUp('context canceled', dir);
    await assert.rejects(runtime.startContainer({ containerId }));
    await writeFile(join(dir, '0.log'), printed);
    await cache.relist();
    assert.deepEqual(await readdir(dir), logs);
  }
});

test('a container that was seen before, and whose start is broken off afterwards, goes too', async () => {
  const { runtime, cache, containerId } = await setUp('context canceled');
  await cache.relist();
  assert.equal(cache.get(UID)?.containers.length, 1);
  await assert.rejects(runtime.startContainer({ containerId }));
  await cache.refreshContainer(containerId);
  assert.deepEqual([cache.get(UID)?.containers, await left(runtime), cache.owns(containerId)], [[], 0, false]);
});

test('a container that could not be started for a reason of its own stays', async () => {
  const { runtime, cache, containerId } = await setUp('exec: "/nope": no such file or directory');
  await assert.rejects(runtime.startContainer({ containerId }));
  await cache.relist();
  assert.equal(cache.get(UID)?.containers[0]?.reason, 'StartError');
});

/** A container that runs, and whose process has ended with 3. */
async function setUpEnded(): Promise<Awaited<ReturnType<typeof setUp>>> {
  const made = await setUp();
  await made.runtime.startContainer({ containerId: made.containerId });
  await made.cache.relist();
  made.told.length = 0;
  made.cache.processEnded(made.containerId, { exitCode: 3, finishedAt: 7e9 });
  return made;
}
const seen = ({ cache }: { cache: RuntimeCache }) => withEnds(cache.get(UID))!.containers.map((c) => [c.state, c.exitCode, c.finishedAt]);

test('an end that is told ahead is seen by those who ask for it, until the status says so: that is what counts then', async () => {
  const made = await setUpEnded();
  const { cache, runtime, containerId } = made;
  assert.deepEqual(made.told, [UID]);
  assert.equal(cache.get(UID)!.containers[0]!.state, 'CONTAINER_RUNNING');
  assert.deepEqual(seen(made), [['CONTAINER_EXITED', 3, 7e9]]);
  await cache.refreshContainer(containerId);
  assert.deepEqual(seen(made), [['CONTAINER_EXITED', 3, 7e9]], 'a status that lags behind takes nothing back');
  runtime.kill(containerId, 4, 'OOMKilled');
  await cache.refreshContainer(containerId);
  const [ended] = cache.get(UID)!.containers;
  assert.deepEqual([ended!.state, ended!.exitCode, ended!.reason, ended!.end], ['CONTAINER_EXITED', 4, 'OOMKilled', undefined]);
});

test('an end that the status never tells of is taken from the event', async () => {
  const { cache, containerId } = await setUpEnded();
  let stopped = 0;
  cache.onContainerStopped(containerId, () => stopped++);
  assert.equal(stopped, 0);
  cache.settleEnd(containerId);
  const [ended] = cache.get(UID)!.containers;
  assert.deepEqual([stopped, ended!.state, ended!.exitCode], [1, 'CONTAINER_EXITED', 3]);
  await cache.refreshContainer(containerId);
  assert.equal(cache.get(UID)!.containers[0]!.state, 'CONTAINER_EXITED');
});

test('an end of what is not known, or has ended before, is nothing', async () => {
  const { cache, runtime, told, containerId } = await setUpEnded();
  runtime.kill(containerId, 3);
  await cache.refreshContainer(containerId);
  told.length = 0;
  for (const id of [containerId, 'unknown']) {
    cache.processEnded(id, { exitCode: 9, finishedAt: 1 });
    cache.settleEnd(id);
  }
  assert.deepEqual([told, cache.get(UID)!.containers[0]!.exitCode], [[], 3]);
});

test('discardUnstarted removes what an earlier process created and did not start, and nothing else', async () => {
  const { runtime, cache } = await setUp();
  await cache.relist();
  await cache.discardUnstarted(new AbortController().signal);
  assert.deepEqual([cache.get(UID)?.containers, await left(runtime)], [[], 0]);
  const other = await setUp();
  await other.runtime.startContainer({ containerId: other.containerId });
  await other.cache.relist();
  await other.cache.discardUnstarted(new AbortController().signal);
  assert.equal(await left(other.runtime), 1);
});

/** A kubelet starts while the start that an earlier process asked for is under way. */
async function setUpStarting(startError?: string): Promise<Awaited<ReturnType<typeof setUp>> & { over(): void }> {
  const made = await setUp(startError);
  const { removeContainer } = made.runtime;
  made.runtime.removeContainer = () => Promise.reject(new CriError('Unknown', 'container is in starting state, can\'t be removed'));
  await made.cache.relist();
  await made.cache.discardUnstarted(new AbortController().signal);
  const over = (): void => {
    made.runtime.removeContainer = removeContainer;
  };
  return { ...made, over };
}

test('a start that an earlier process asked for is waited for, until it is broken off', async () => {
  const { cache, runtime, containerId, over } = await setUpStarting('context canceled');
  assert.equal(await cache.settleStarts(UID), false);
  assert.equal(cache.get(UID)!.containers[0]!.state, 'CONTAINER_CREATED');
  over();
  await assert.rejects(runtime.startContainer({ containerId }));
  assert.equal(await cache.settleStarts(UID), true);
  assert.deepEqual([cache.get(UID)!.containers, await left(runtime)], [[], 0]);
});

test('a start that an earlier process asked for is waited for, until nothing is left of it', async () => {
  const { cache, runtime, over } = await setUpStarting();
  over();
  assert.equal(await cache.settleStarts(UID), true);
  assert.equal(await left(runtime), 0);
});

test('a start that comes through after all is a run', async () => {
  const { cache, runtime, containerId, over } = await setUpStarting();
  over();
  await runtime.startContainer({ containerId });
  assert.equal(await cache.settleStarts(UID), true);
  assert.equal(cache.get(UID)!.containers[0]!.state, 'CONTAINER_RUNNING');
  assert.equal(await cache.settleStarts('nobody'), true);
});
