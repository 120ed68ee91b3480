import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '#base/fake-clock.ts';
import type { EventRecorder } from '#client/events.ts';
import { fakeRuntime } from '#cri/fake-runtime.ts';
import { criMessage } from '#cri/schema.ts';
import { ImageGc, sandboxImageOf } from './image-gc.ts';

const never = new AbortController().signal;
async function setUp(usedPercent: number) {
  const clock = new FakeClock();
  const runtime = fakeRuntime({ clock });
  const { status } = runtime;
  Object.assign(runtime, { status: async (...a: Parameters<typeof status>) => criMessage('StatusResponse', { ...(await status(...a)), info: { config: JSON.stringify({ sandboxImage: 'registry.k8s.io/pause:3.6' }) } }) });
  runtime.images.add('registry.k8s.io/pause:3.6', 10);
  runtime.images.add('used:1', 100);
  const events: string[] = [];
  const gc = new ImageGc({
    runtime, clock, nodeName: 'n', highThresholdPercent: 85, lowThresholdPercent: 80, recorder: { eventFor: (_r: unknown, _t: string, reason: string, message: string) => void events.push(`${reason}: ${message}`) } as unknown as EventRecorder,
    fileSystem: () => Promise.resolve({ capacityBytes: 1000, availableBytes: 1000 - usedPercent * 10 }),
  });
  await gc.start();
  const { podSandboxId } = await runtime.runPodSandbox({ config: { metadata: { name: 'p', namespace: 'd', uid: 'u', attempt: 0 } } });
  await runtime.createContainer({ podSandboxId, config: { metadata: { name: 'c', attempt: 0 }, image: { image: 'used:1' } }, sandboxConfig: {} });
  const names = async () => (await runtime.listImages({})).images.map((i) => i.repoTags[0]!.split('/').at(-1)).toSorted();
  return { clock, runtime, gc, events, names };
}
test('ImageGc leaves images alone below its threshold', async () => {
  const s = await setUp(84);
  s.runtime.images.add('old:1', 100);
  await s.clock.advance(600_000);
  await s.gc.collect(never);
  assert.deepEqual(await s.names(), ['old:1', 'pause:3.6', 'used:1']);
});
test('ImageGc removes what is unused for longest until enough is free; never what is used, young or the sandboxes\'', async () => {
  const s = await setUp(90);
  s.runtime.images.add('old:1', 60);
  await s.gc.collect(never);
  await s.clock.advance(60_000);
  s.runtime.images.add('mid:1', 60);
  await s.gc.collect(never);
  await s.clock.advance(121_000);
  s.runtime.images.add('young:1', 60);
  await s.gc.collect(never);
  // 100 bytes are to be freed: both that are old enough go, the oldest first.
  assert.deepEqual(await s.names(), ['pause:3.6', 'used:1', 'young:1']);
});
test('ImageGc tells when it cannot free enough', async () => {
  const s = await setUp(95);
  await s.clock.advance(600_000);
  await s.gc.collect(never);
  assert.deepEqual(s.events, ['FreeDiskSpaceFailed: Failed to garbage collect required amount of images. Attempted to free 150 bytes, but only found 0 bytes eligible to free.']);
});
test('ImageGc.removeUnused frees everything that nobody needs', async () => {
  const s = await setUp(10);
  s.runtime.images.add('old:1');
  await s.gc.collect(never);
  await s.clock.advance(121_000);
  await s.gc.removeUnused(never);
  assert.deepEqual(await s.names(), ['pause:3.6', 'used:1']);
});
for (const [info, want] of [[{}, ''], [{ config: 'no json' }, ''], [{ config: '{"sandboxImage":"p"}' }, 'p']] as const) {
  test(`sandboxImageOf: ${JSON.stringify(info)}`, () => assert.equal(sandboxImageOf(info as Record<string, string>), want));
}
