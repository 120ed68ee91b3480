import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '#api/gen/core-v1.ts';
import { FakeClock } from '#base/fake-clock.ts';
import type { EventRecorder } from '#client/events.ts';
import { fakeRuntime, type ContainerScript, type FakeRuntime } from '#cri/fake-runtime.ts';
import type { HookRunner, Prober } from '../interfaces.ts';
import { LABELS } from '../interfaces.ts';
import { makePod } from '../testing/make-pod.ts';
import { Killer } from './killer.ts';
import { RuntimeCache } from './runtime-cache.ts';
import { TerminationOrder } from './termination-order.ts';

interface Setup {
  readonly clock: FakeClock;
  readonly runtime: FakeRuntime;
  readonly cache: RuntimeCache;
  readonly killer: Killer;
  readonly events: string[];
  /** `name timeout` of each StopContainer. */
  readonly stops: string[];
  readonly calls: string[];
}
/** A Pod that runs, with a preStop hook that takes as long as `preStopMs` says. */
async function setUp(pod: Pod, options: { script?: (name: string) => ContainerScript; preStopMs?: number; preStopFails?: boolean } = {}): Promise<Setup> {
  const clock = new FakeClock();
  const runtime = fakeRuntime({ clock, anyImage: true, container: (c) => options.script?.(c.metadata!.name!) });
  const cache = new RuntimeCache(runtime);
  const events: string[] = [];
  const stops: string[] = [];
  const calls: string[] = [];
  const recorder = { eventFor: (_ref: unknown, _type: string, reason: string, message: string) => void events.push(`${reason}: ${message}`) } as unknown as EventRecorder;
  const hooks: HookRunner = { run: (_p, _c, _id, _h, timeoutMs) => new Promise((resolve) => void clock.after(Math.min(options.preStopMs ?? 0, timeoutMs), () => resolve(options.preStopFails ? 'no' : ''))) };
  const labels = { [LABELS.podUid]: pod.metadata.uid!, [LABELS.podName]: 'web', [LABELS.podNamespace]: 'default' };
  const { podSandboxId } = await runtime.runPodSandbox({ config: { metadata: { name: 'web', namespace: 'default', uid: pod.metadata.uid!, attempt: 0 }, labels } });
  for (const { name } of [...(pod.spec.initContainers ?? []), ...pod.spec.containers]) {
    const { containerId } = await runtime.createContainer({ podSandboxId, config: { metadata: { name, attempt: 0 }, image: { image: 'x' }, labels: { ...labels, [LABELS.containerName]: name } }, sandboxConfig: {} });
    await runtime.startContainer({ containerId });
  }
  await cache.relist();
  const { stopContainer, stopPodSandbox, removePodSandbox } = runtime;
  Object.assign(runtime, {
    stopContainer: (...a: Parameters<typeof stopContainer>) => {
      stops.push(`${cache.get(pod.metadata.uid!)?.containers.find((c) => c.id === a[0].containerId)?.name} ${a[0].timeout}`);
      return stopContainer(...a);
    },
    stopPodSandbox: (...a: Parameters<typeof stopPodSandbox>) => (calls.push('stopPodSandbox'), stopPodSandbox(...a)),
    removePodSandbox: (...a: Parameters<typeof removePodSandbox>) => (calls.push('removePodSandbox'), removePodSandbox(...a)),
  });
  return { clock, runtime, cache, events, stops, calls, killer: new Killer({ runtime, cache, recorder, clock, hooks, prober: {} as Prober }) };
}
const never = new AbortController().signal;
async function finish(s: Setup, work: Promise<unknown>): Promise<void> {
  const state = { done: false };
  void work.finally(() => (state.done = true));
  for (let i = 0; i < 600 && !state.done; i++) await s.clock.advance(100);
  await work;
}
const preStop = { lifecycle: { preStop: { exec: { command: ['x'] } } } };

const GRACE: readonly { name: string; pod: Pod; override?: number; preStopMs?: number; fails?: boolean; want: string; events?: readonly string[] }[] = [
  { name: 'the Pod\'s own', pod: makePod().spec({ terminationGracePeriodSeconds: 7 }).container('c').build(), want: 'c 7' },
  { name: 'thirty seconds by default', pod: makePod().container('c').build(), want: 'c 30' },
  { name: 'that of the deletion', pod: makePod().spec({ terminationGracePeriodSeconds: 7 }).container('c').deleting(3).build(), want: 'c 3' },
  { name: 'an override', pod: makePod().container('c').deleting(30).build(), override: 1, want: 'c 1' },
  { name: 'what preStop left', pod: makePod().spec({ terminationGracePeriodSeconds: 10 }).container('c', preStop).build(), preStopMs: 4000, want: 'c 6' },
  { name: 'two seconds when preStop used it up', pod: makePod().spec({ terminationGracePeriodSeconds: 5 }).container('c', preStop).build(), preStopMs: 60_000, want: 'c 2' },
  { name: 'a failed preStop is told', pod: makePod().container('c', preStop).build(), fails: true, want: 'c 30', events: ['Killing: Stopping container c', 'FailedPreStopHook: PreStopHook failed'] },
];
for (const { name, pod, override, preStopMs, fails, want, events } of GRACE) {
  test(`Killer.killPod, grace: ${name}`, async () => {
    const s = await setUp(pod, { ...(preStopMs === undefined ? {} : { preStopMs }), ...(fails ? { preStopFails: true } : {}) });
    await finish(s, s.killer.killPod(pod, override, never));
    assert.deepEqual(s.stops, [want]);
    if (events) assert.deepEqual(s.events, events);
    assert.deepEqual(s.cache.get(pod.metadata.uid!)!.sandboxes.map((x) => x.state), ['SANDBOX_NOTREADY']);
    s.runtime.close();
  });
}

test('Killer.killPod stops sidecars in reverse, each with what is left of its grace', async () => {
  const pod = makePod().spec({ terminationGracePeriodSeconds: 20 }).sidecar('s1').sidecar('s2').container('a').container('b').build();
  const s = await setUp(pod, { script: (name) => ({ term: { afterMs: name === 'a' ? 4000 : name === 's2' ? 3000 : 0, code: 0 } }) });
  await finish(s, s.killer.killPod(pod, undefined, never));
  assert.deepEqual(s.stops, ['a 20', 'b 20', 's2 16', 's1 13']);
  assert.deepEqual(s.events.toSorted(), ['a', 'b', 's1', 's2'].map((n) => `Killing: Stopping container ${n}`));
  s.runtime.close();
});
test('Killer.killPod does not wait for ever: a sidecar whose grace is used up stops beside the others', async () => {
  const pod = makePod().spec({ terminationGracePeriodSeconds: 5 }).sidecar('s').container('a').build();
  const s = await setUp(pod, { script: () => ({ term: 'ignore' }) });
  await finish(s, s.killer.killPod(pod, undefined, never));
  assert.deepEqual(s.stops, ['a 5', 's 2']);
  s.runtime.close();
});
test('Killer.killContainer takes the probe\'s grace period for what the probe demands', async () => {
  const pod = makePod().container('c', { livenessProbe: { terminationGracePeriodSeconds: 4 } }).build();
  const s = await setUp(pod);
  await finish(s, s.killer.killContainer(pod, s.cache.get('uid-web')!.containers[0]!, { message: 'Container c failed liveness probe, will be restarted', probe: 'liveness' }, never));
  assert.deepEqual([s.stops, s.events], [['c 4'], ['Killing: Container c failed liveness probe, will be restarted']]);
  s.runtime.close();
});
test('Killer stops a sandbox once, however often it is asked', async () => {
  const pod = makePod().container('c').build();
  const s = await setUp(pod);
  await finish(s, s.killer.killPod(pod, 1, never));
  await finish(s, s.killer.killPod(pod, 1, never));
  await s.killer.removePod('uid-web', never);
  assert.deepEqual(s.calls, ['stopPodSandbox', 'removePodSandbox']);
  assert.deepEqual(s.cache.uids(), []);
  assert.equal((await s.runtime.listContainers({})).containers.length, 0);
  s.runtime.close();
});
test('TerminationOrder lets main containers go at once and gives back the whole seconds a sidecar waited', async () => {
  const clock = new FakeClock();
  const order = new TerminationOrder(clock, makePod().sidecar('s').container('c').build(), ['s', 'c']);
  assert.equal(await order.waitForTurn('c', 30, never), 0);
  const waiting = order.waitForTurn('s', 30, never);
  await clock.advance(2700);
  order.ended('c');
  assert.equal(await waiting, 2);
  assert.equal(clock.timers, 0);
});

test('Killer.killPod: what one container makes impossible is done for the others; an event tells of all that failed', async () => {
  const pod = makePod().container('a').container('b').container('c').build();
  const s = await setUp(pod);
  const { stopContainer, stopPodSandbox } = s.runtime;
  const broken = new Set(['a', 'b']);
  Object.assign(s.runtime, {
    stopContainer: (...call: Parameters<typeof stopContainer>) => (broken.has(s.cache.get(pod.metadata.uid!)?.containers.find((c) => c.id === call[0].containerId)?.name ?? '') ? Promise.reject(new Error('rpc error: "x"')) : stopContainer(...call)),
    stopPodSandbox: (...call: Parameters<typeof stopPodSandbox>) => (broken.size ? Promise.reject(new Error('no')) : stopPodSandbox(...call)),
  });
  const failures = '[failed to "KillContainer" for "a" with KillContainerError: "rpc error: \\"x\\"", failed to "KillContainer" for "b" with KillContainerError: "rpc error: \\"x\\"", failed to "KillPodSandbox" for "uid-web" with KillPodSandboxError: "no"]';
  await assert.rejects(s.killer.killPod(pod, 0, never), { message: `error killing terminating pod: ${failures}` });
  assert.equal(s.events.at(-1), `FailedKillPod: error killing pod: ${failures}`);
  assert.deepEqual(s.cache.get(pod.metadata.uid!)?.containers.map((c) => [c.name, c.state]).toSorted(), [['a', 'CONTAINER_RUNNING'], ['b', 'CONTAINER_RUNNING'], ['c', 'CONTAINER_EXITED']]);
  broken.clear();
  await s.killer.killPod(pod, 0, never);
  assert.deepEqual(s.cache.get(pod.metadata.uid!)?.containers.map((c) => c.state), ['CONTAINER_EXITED', 'CONTAINER_EXITED', 'CONTAINER_EXITED']);
});
