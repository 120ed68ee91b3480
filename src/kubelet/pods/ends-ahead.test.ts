/** What a sync does of an end that the runtime's events tell before its status does. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerStatus, Pod } from '#api/gen/core-v1.ts';
import { PODS } from '#client/kinds.ts';
import type { ContainerScript } from '#cri/fake-containers.ts';
import { makePod } from '../testing/make-pod.ts';
import { runKubelet, type RunningKubelet } from '../testing/running-kubelet.ts';

interface Ended extends AsyncDisposable {
  readonly k: RunningKubelet;
  readonly id: string;
  /** The runtime's status follows. */
  settle(reason?: string): void;
  /** Containers of the runtime: name, number of the run, state. */
  runs(): Promise<string[]>;
}
const status = (k: RunningKubelet): ContainerStatus | undefined => k.pod('web')?.status?.containerStatuses?.[0];

/** A Pod whose container `ends` has just ended, as an event tells; its status still says that it runs. */
async function ended(pod: Pod, options: { ends?: string; code?: number; script?: (name: string, attempt: number) => ContainerScript | undefined; delayed?: { container?: string; attempt: number; until: Promise<void> } } = {}): Promise<Ended> {
  const { ends = 'c', code = 137, script, delayed } = options;
  const k = await runKubelet({ container: ({ metadata }) => script?.(metadata!.name!, metadata!.attempt ?? 0) });
  const { createContainer } = k.runtime;
  Object.assign(k.runtime, { createContainer: async (...args: Parameters<typeof createContainer>) => {
    const answer = await createContainer(...args);
    const { name, attempt } = args[0].config!.metadata!;
    if (attempt === delayed?.attempt && name === (delayed?.container ?? ends)) await delayed?.until;
    return answer;
  } });
  k.create(pod);
  const run = () => k.kubelet.cache.get('uid-web')?.containers.find((c) => c.name === ends && c.state === 'CONTAINER_RUNNING');
  await k.until('the container to run', () => run() !== undefined);
  await k.until('this to be told', () => [...(k.pod('web')?.status?.containerStatuses ?? []), ...(k.pod('web')?.status?.initContainerStatuses ?? [])].some((s) => s.name === ends && s.state?.running));
  const { id } = run()!;
  k.kubelet.cache.processEnded(id, { exitCode: code, finishedAt: k.clock.now() * 1e6 });
  return {
    k, id,
    settle: (reason) => k.runtime.kill(id, code, reason),
    runs: async () => (await k.runtime.listContainers({})).containers.map((c) => `${c.metadata!.name} ${c.metadata!.attempt} ${c.state.replace('CONTAINER_', '')}`).toSorted(),
    [Symbol.asyncDispose]: () => k[Symbol.asyncDispose](),
  };
}
const moment = (k: RunningKubelet): Promise<void> => k.until('nothing', () => false, 200).catch(() => {});
const TWO = ['c 0 RUNNING', 'c 1 RUNNING'];

test('the next run starts when the process has ended; the API is told of it together with how the last one ended', async () => {
  await using e = await ended(makePod().container('c').build());
  await e.k.until('two runs', () => e.k.runtime.isRunning('c', 1));
  assert.deepEqual(await e.runs(), TWO);
  await moment(e.k);
  assert.deepEqual([status(e.k)!.restartCount, status(e.k)!.containerID], [0, `containerd://${e.id}`], 'nothing is told that the runtime does not say');
  e.settle('OOMKilled');
  await e.k.until('the restart to be told', () => status(e.k)!.restartCount === 1);
  const { state, lastState, ready } = status(e.k)!;
  assert.deepEqual([Boolean(state!.running), ready, lastState!.terminated!.exitCode, lastState!.terminated!.reason, lastState!.terminated!.containerID], [true, true, 137, 'OOMKilled', `containerd://${e.id}`]);
});

test('an end is told as soon as the runtime tells it, however long the next start takes', async () => {
  await using e = await ended(makePod().container('c').build(), { script: (_, attempt) => (attempt === 1 ? { startDelayMs: 3000 } : undefined) });
  await moment(e.k);
  e.settle();
  await e.k.until('the end to be told', () => status(e.k)?.state?.terminated?.exitCode === 137, 1000);
  assert.equal(e.k.pod('web')!.status!.conditions!.find((c) => c.type === 'Ready')!.status, 'False');
  assert.deepEqual(await e.runs(), ['c 0 EXITED', 'c 1 CREATED']);
  await e.k.until('the next run', () => status(e.k)?.restartCount === 1);
});

const NOT_AHEAD: readonly { what: string; pod: Pod; code: number; after: (k: RunningKubelet) => boolean }[] = [
  { what: 'a Pod that is never restarted', pod: makePod().restartPolicy('Never').container('c').build(), code: 1, after: (k) => k.pod('web')!.status!.phase === 'Failed' },
  { what: 'a success under OnFailure', pod: makePod().restartPolicy('OnFailure').container('c').build(), code: 0, after: (k) => k.pod('web')!.status!.phase === 'Succeeded' },
  { what: 'one of two containers that is not restarted', pod: makePod().restartPolicy('Never').container('c').container('d').build(), code: 1, after: (k) => Boolean(status(k)!.state!.terminated) },
  {
    what: 'an end that restarts all containers', code: 42, after: (k) => status(k)!.restartCount === 1,
    pod: makePod().restartPolicy('Never').container('c', { restartPolicy: 'Never', restartPolicyRules: [{ action: 'RestartAllContainers', exitCodes: { operator: 'In', values: [42] } }] }).build(),
  },
];
for (const { what, pod, code, after } of NOT_AHEAD) {
  test(`nothing is done ahead for ${what}`, async () => {
    await using e = await ended(pod, { code });
    const before = await e.runs();
    await moment(e.k);
    assert.deepEqual(await e.runs(), before);
    assert.deepEqual(e.k.events('web').filter((t) => t.startsWith('Killing')), []);
    e.settle();
    await e.k.until('what follows', () => after(e.k));
  });
}

test('a container that backs off is put off once, when the runtime has told of its end', async () => {
  await using e = await ended(makePod().container('c').build(), { script: (_, attempt) => (attempt === 1 ? { exit: { afterMs: 60_000, code: 1 } } : undefined) });
  e.settle();
  await e.k.until('the first restart', () => status(e.k)?.restartCount === 1);
  const second = e.k.kubelet.cache.get('uid-web')!.containers.find((c) => c.restartCount === 1)!;
  e.k.kubelet.cache.processEnded(second.id, { exitCode: 1, finishedAt: e.k.clock.now() * 1e6 });
  await moment(e.k);
  assert.deepEqual(e.k.events('web').filter((t) => t.startsWith('BackOff')), []);
  e.k.runtime.kill(second.id, 1);
  await e.k.until('CrashLoopBackOff', () => status(e.k)?.state?.waiting?.reason === 'CrashLoopBackOff');
  assert.equal(status(e.k)!.lastState!.terminated!.containerID, `containerd://${second.id}`);
  assert.deepEqual(e.k.events('web').filter((t) => t.startsWith('BackOff')).length, 1);
});

test('what waits for an init container starts when that has ended, and its success is told before', async () => {
  const told: string[] = [];
  const created = Promise.withResolvers<void>();
  await using e = await ended(makePod().init('first').container('c').build(), { ends: 'first', code: 0, delayed: { container: 'c', attempt: 0, until: created.promise } });
  e.k.api.intercept = ({ subresource, body }) => {
    const { initContainerStatuses, containerStatuses } = (body as Pod).status ?? {};
    if (subresource === 'status') told.push(`${initContainerStatuses?.[0]?.state?.terminated?.reason} ${containerStatuses?.[0]?.state?.waiting?.reason ?? 'as before'}`);
  };
  await e.k.until('the success to be told', () => e.k.pod('web')!.status!.initContainerStatuses![0]!.state!.terminated?.reason === 'Completed');
  assert.deepEqual(told, ['Completed as before'], 'the main container has been told as PodInitializing all the time');
  assert.deepEqual(e.k.pod('web')!.status!.containerStatuses![0]!.state, { waiting: { reason: 'PodInitializing' } });
  assert.equal(e.k.pod('web')!.status!.conditions!.find((c) => c.type === 'Initialized')!.status, 'True');
  created.resolve();
  await e.k.until('the main container', () => e.k.runtime.isRunning('c', 0));
  assert.deepEqual(await e.runs(), ['c 0 RUNNING', 'first 0 RUNNING']);
  await moment(e.k);
  assert.equal(e.k.pod('web')!.status!.phase, 'Pending', 'what has started is told when the runtime tells of the end');
  e.settle();
  await e.k.until('Running', () => e.k.pod('web')!.status!.phase === 'Running');
  assert.equal(e.k.pod('web')!.status!.initContainerStatuses![0]!.state!.terminated!.reason, 'Completed');
});

test('a sidecar is restarted ahead beside the containers that go on', async () => {
  await using e = await ended(makePod().sidecar('proxy').container('c').build(), { ends: 'proxy' });
  await e.k.until('the next run', () => e.k.runtime.isRunning('proxy', 1) && e.k.runtime.isRunning('c', 0));
  e.settle();
  await e.k.until('this to be told', () => e.k.pod('web')!.status!.initContainerStatuses![0]!.restartCount === 1);
  assert.deepEqual(await e.runs(), ['c 0 RUNNING', 'proxy 0 EXITED', 'proxy 1 RUNNING']);
});

/** Asks for the Pod's end, as a user does. */
function remove(k: RunningKubelet): void {
  const { metadata } = k.pod('web')!;
  k.api.put(PODS, { ...k.pod('web')!, metadata: { ...makePod().deleting(1).build().metadata, resourceVersion: metadata.resourceVersion } });
}
async function leavesNothing({ k, runs }: Ended): Promise<void> {
  await k.until('the Pod to leave the API', () => k.pod('web') === undefined, 10_000);
  await k.until('the runtime to be empty', () => k.kubelet.cache.uids().length === 0);
  assert.deepEqual(await runs(), []);
}
test('a Pod that is deleted while its next run starts leaves nothing', async () => {
  await using e = await ended(makePod().container('c').build(), { script: (_, attempt) => (attempt === 1 ? { startDelayMs: 2000 } : undefined) });
  await moment(e.k);
  assert.deepEqual(await e.runs(), ['c 0 RUNNING', 'c 1 CREATED']);
  remove(e.k);
  e.settle();
  await leavesNothing(e);
});

test('a Pod that is deleted while its next run is created leaves nothing, and that run is none', async () => {
  const created = Promise.withResolvers<void>();
  await using e = await ended(makePod().container('c').build(), { delayed: { attempt: 1, until: created.promise } });
  await moment(e.k);
  assert.deepEqual(await e.runs(), ['c 0 RUNNING', 'c 1 CREATED']);
  const told: string[] = [];
  e.k.api.intercept = ({ subresource, body }) => {
    if (subresource === 'status') for (const s of (body as Pod).status?.containerStatuses ?? []) told.push(`${s.restartCount} ${s.state?.terminated?.exitCode} ${s.lastState?.terminated?.exitCode}`);
  };
  remove(e.k);
  e.settle();
  await moment(e.k);
  created.resolve();
  await leavesNothing(e);
  assert.deepEqual([...new Set(told)], ['0 137 undefined']);
});
