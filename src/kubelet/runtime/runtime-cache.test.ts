import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '#base/fake-clock.ts';
import { CriError } from '#cri/error.ts';
import { fakeRuntime, type FakeRuntime } from '#cri/fake-runtime.ts';
import { LABELS } from '../interfaces.ts';
import { RuntimeCache } from './runtime-cache.ts';

const UID = 'pod-uid';
/** One sandbox with one created container, whose start ends as `startError` says. */
async function setUp(startError?: string): Promise<{ runtime: FakeRuntime; cache: RuntimeCache; told: string[]; sandboxId: string; containerId: string }> {
  const runtime = fakeRuntime({ clock: new FakeClock(), anyImage: true, container: () => (startError === undefined ? undefined : { startError: new CriError('Unknown', startError) }) });
  const labels = { [LABELS.podUid]: UID, [LABELS.podName]: 'web', [LABELS.podNamespace]: 'default' };
  const { podSandboxId: sandboxId } = await runtime.runPodSandbox({ config: { metadata: { name: 'web', namespace: 'default', uid: UID, attempt: 0 }, labels } });
  const config = { metadata: { name: 'c', attempt: 0 }, image: { image: 'x' }, labels: { ...labels, [LABELS.containerName]: 'c' } };
  const { containerId } = await runtime.createContainer({ podSandboxId: sandboxId, config, sandboxConfig: {} });
  const cache = new RuntimeCache(runtime);
  const told: string[] = [];
  cache.onChange((uid) => told.push(uid));
  return { runtime, cache, told, sandboxId, containerId };
}
const left = async (runtime: FakeRuntime): Promise<number> => (await runtime.listContainers({})).containers.length;

test('a container whose start was broken off by its caller is no run of the Pod: it is removed, and the Pod synced again', async () => {
  const { runtime, cache, told, containerId } = await setUp('failed to start containerd task "x": context canceled: unknown');
  await assert.rejects(runtime.startContainer({ containerId }));
  await cache.relist();
  assert.deepEqual(cache.get(UID)?.containers, []);
  assert.equal(await left(runtime), 0);
  assert.deepEqual(told, [UID]);
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
