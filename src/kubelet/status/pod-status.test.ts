import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerStatus, Pod } from '#api/gen/core-v1.ts';
import { makePod } from '../testing/make-pod.ts';
import { makeRuntimePod } from '../testing/make-runtime-pod.ts';
import type { RuntimePod } from '../runtime/runtime-cache.ts';
import { podStatus, type StatusInputs } from './pod-status.ts';

const NOW = Date.parse('2026-01-02T03:04:05Z');
function statusOf(pod: Pod, runtime?: RuntimePod, more: Partial<StatusInputs> = {}) {
  return podStatus({ pod, runtime, messages: new Map(), waiting: new Map(), nodeIPs: ['192.0.2.1'], now: NOW, firstSeen: NOW, terminating: false, isReady: () => true, isStarted: () => true, ...more });
}
const conditions = (status: ReturnType<typeof statusOf>) => Object.fromEntries((status.conditions ?? []).map((c) => [c.type, c.reason ? `${c.status} ${c.reason}` : c.status]));

const one = makePod().container('c').build();
const two = makePod().container('a').container('b').build();
const why = (name: string, reason: string) => ({ waiting: new Map([[name, { reason, message: 'm' }]]) });

interface Row {
  readonly name: string;
  readonly pod: Pod;
  readonly runtime?: RuntimePod;
  readonly more?: Partial<StatusInputs>;
  readonly phase: string;
  readonly ready: string;
}
const PHASES: readonly Row[] = [
  { name: 'nothing there yet', pod: one, phase: 'Pending', ready: 'False ContainersNotReady' },
  { name: 'all running', pod: two, runtime: makeRuntimePod(two).sandbox().running('a').running('b').build(), phase: 'Running', ready: 'True' },
  { name: 'one running, one still pulled: Pending', pod: two, runtime: makeRuntimePod(two).sandbox().running('a').build(), more: why('b', 'ImagePullBackOff'), phase: 'Pending', ready: 'False ContainersNotReady' },
  { name: 'one running, one in back-off after a run: Running', pod: two, runtime: makeRuntimePod(two).sandbox().running('a').exited('b', 1).build(), more: why('b', 'CrashLoopBackOff'), phase: 'Running', ready: 'False ContainersNotReady' },
  { name: 'all in back-off', pod: one, runtime: makeRuntimePod(one).sandbox().exited('c', 1).build(), more: why('c', 'CrashLoopBackOff'), phase: 'Running', ready: 'False ContainersNotReady' },
  { name: 'Always: ended, about to run again', pod: one, runtime: makeRuntimePod(one).sandbox().exited('c', 0).build(), phase: 'Running', ready: 'False ContainersNotReady' },
  { name: 'Always, terminating: ended well', pod: one, runtime: makeRuntimePod(one).sandbox({ ready: false }).exited('c', 0).build(), more: { terminating: true }, phase: 'Succeeded', ready: 'False PodCompleted' },
  { name: 'Always, terminating: ended badly', pod: one, runtime: makeRuntimePod(one).sandbox({ ready: false }).exited('c', 143).build(), more: { terminating: true }, phase: 'Failed', ready: 'False PodFailed' },
  { name: 'Never: all ended well', pod: makePod().restartPolicy('Never').container('a').container('b').build(), runtime: makeRuntimePod(two).sandbox().exited('a').exited('b').build(), phase: 'Succeeded', ready: 'False PodCompleted' },
  { name: 'Never: one ended badly', pod: makePod().restartPolicy('Never').container('a').container('b').build(), runtime: makeRuntimePod(two).sandbox().exited('a').exited('b', 2).build(), phase: 'Failed', ready: 'False PodFailed' },
  { name: 'Never: one ended, one runs', pod: makePod().restartPolicy('Never').container('a').container('b').build(), runtime: makeRuntimePod(two).sandbox().exited('a', 1).running('b').build(), phase: 'Running', ready: 'False ContainersNotReady' },
  { name: 'OnFailure: a failure runs again', pod: makePod().restartPolicy('OnFailure').container('c').build(), runtime: makeRuntimePod(one).sandbox().exited('c', 1).build(), phase: 'Running', ready: 'False ContainersNotReady' },
  { name: 'a phase that is final stays', pod: makePod().container('c').status({ phase: 'Failed', reason: 'Evicted', message: 'm' }).build(), runtime: makeRuntimePod(one).sandbox({ ready: false }).exited('c').build(), phase: 'Failed', ready: 'False PodFailed' },
  { name: 'init runs', pod: makePod().init('i').container('c').build(), runtime: makeRuntimePod(makePod().init('i').container('c').build()).sandbox().running('i').build(), phase: 'Pending', ready: 'False ContainersNotReady' },
  { name: 'init failed for good', pod: makePod().restartPolicy('Never').init('i').container('c').build(), runtime: makeRuntimePod(one).sandbox().exited('i', 1).build(), phase: 'Failed', ready: 'False PodFailed' },
  { name: 'init failed and waits', pod: makePod().init('i').container('c').build(), runtime: makeRuntimePod(one).sandbox().exited('i', 1).build(), more: why('i', 'CrashLoopBackOff'), phase: 'Pending', ready: 'False ContainersNotReady' },
  { name: 'a sidecar that runs keeps an ended Pod running until it is stopped', pod: makePod().restartPolicy('Never').sidecar('s').container('c').build(), runtime: makeRuntimePod(one).sandbox().running('s').exited('c').build(), phase: 'Running', ready: 'False ContainersNotReady' },
  { name: 'evicted, still stopping: not final yet', pod: one, runtime: makeRuntimePod(one).sandbox().running('c').build(), more: { terminating: true, ended: { reason: 'Evicted', message: 'low' } }, phase: 'Running', ready: 'True' },
  { name: 'evicted, stopped', pod: one, runtime: makeRuntimePod(one).sandbox({ ready: false }).exited('c', 137).build(), more: { terminating: true, ended: { reason: 'Evicted', message: 'low' } }, phase: 'Failed', ready: 'False PodFailed' },
];
for (const { name, pod, runtime, more, phase, ready } of PHASES) {
  test(`podStatus, phase: ${name}`, () => {
    const status = statusOf(pod, runtime, more);
    assert.equal(status.phase, phase);
    assert.equal(conditions(status)['Ready'], ready);
  });
}

const STATES: readonly { name: string; pod: Pod; runtime?: RuntimePod; more?: Partial<StatusInputs>; want: Partial<ContainerStatus> }[] = [
  { name: 'before anything', pod: one, want: { state: { waiting: { reason: 'ContainerCreating' } }, lastState: {}, restartCount: 0, ready: false, started: false, imageID: '' } },
  { name: 'before init containers are done', pod: makePod().init('i').container('c').build(), want: { state: { waiting: { reason: 'PodInitializing' } } } },
  { name: 'pull failed', pod: one, more: why('c', 'ErrImagePull'), want: { state: { waiting: { reason: 'ErrImagePull', message: 'm' } } } },
  { name: 'running', pod: one, runtime: makeRuntimePod(one).sandbox().running('c').build(), want: { state: { running: { startedAt: '2026-01-02T03:00:01Z' } }, ready: true, started: true, containerID: 'containerd://c-0', image: 'docker.io/library/busybox:latest', imageID: 'sha256:abc' } },
  { name: 'not ready', pod: one, runtime: makeRuntimePod(one).sandbox().running('c').build(), more: { isReady: () => false }, want: { ready: false, started: true } },
  {
    name: 'second run, first one ended', pod: one, runtime: makeRuntimePod(one).sandbox().exited('c', 3).running('c').build(),
    want: { restartCount: 1, lastState: { terminated: { exitCode: 3, reason: 'Error', startedAt: '2026-01-02T03:00:01Z', finishedAt: '2026-01-02T03:00:02Z', containerID: 'containerd://c-0' } } },
  },
  {
    name: 'in back-off: the end is the last state', pod: one, runtime: makeRuntimePod(one).sandbox().exited('c', 3).build(), more: why('c', 'CrashLoopBackOff'),
    want: { state: { waiting: { reason: 'CrashLoopBackOff', message: 'm' } }, lastState: { terminated: { exitCode: 3, reason: 'Error', startedAt: '2026-01-02T03:00:01Z', finishedAt: '2026-01-02T03:00:02Z', containerID: 'containerd://c-0' } }, restartCount: 0 },
  },
  { name: 'killed for memory', pod: one, runtime: makeRuntimePod(one).sandbox().exited('c', 137, { reason: 'OOMKilled' }).build(), want: { state: { terminated: { exitCode: 137, reason: 'OOMKilled', startedAt: '2026-01-02T03:00:01Z', finishedAt: '2026-01-02T03:00:02Z', containerID: 'containerd://c-0' } } } },
  {
    name: 'never started', pod: one, runtime: makeRuntimePod(one).sandbox().exited('c', 128, { reason: 'StartError', startedAt: 0 }).build(),
    want: { state: { terminated: { exitCode: 128, reason: 'StartError', startedAt: '1970-01-01T00:00:00Z', finishedAt: '2026-01-02T03:00:02Z', containerID: 'containerd://c-0' } } },
  },
  { name: 'with a termination message', pod: one, runtime: makeRuntimePod(one).sandbox().exited('c', 0).build(), more: { messages: new Map([['c-0', 'bye']]) }, want: { state: { terminated: { exitCode: 0, reason: 'Completed', message: 'bye', startedAt: '2026-01-02T03:00:01Z', finishedAt: '2026-01-02T03:00:02Z', containerID: 'containerd://c-0' } } } },
  {
    name: 'removed behind our back: counted as a restart', pod: makePod().container('c').status({ containerStatuses: [{ name: 'c', image: 'i', imageID: 'id', ready: true, restartCount: 2, containerID: 'containerd://x', state: { running: {} } }] }).build(),
    want: { state: { waiting: { reason: 'ContainerCreating' } }, restartCount: 3, lastState: { terminated: { exitCode: 137, reason: 'ContainerStatusUnknown', message: 'The container could not be located when the pod was deleted.  The container used to be Running', containerID: 'containerd://x' } } },
  },
];
for (const { name, pod, runtime, more, want } of STATES) {
  test(`podStatus, container: ${name}`, () => {
    const status = statusOf(pod, runtime, more).containerStatuses![0]!;
    assert.deepEqual(Object.fromEntries(Object.keys(want).map((k) => [k, status[k as keyof ContainerStatus]])), want);
  });
}

test('podStatus: while all containers are restarted that is told; what was removed for it waits, and is counted once', () => {
  const rule = { action: 'RestartAllContainers' as const, exitCodes: { operator: 'In' as const, values: [42] } };
  const pod = makePod().restartPolicy('Never').init('i').container('a', { restartPolicy: 'Never', restartPolicyRules: [rule] }).container('b').build();
  const restarting = (status: ReturnType<typeof statusOf>) => conditions(status)['AllContainersRestarting'];
  const running = statusOf(pod, makeRuntimePod(pod).sandbox().exited('i').running('a').running('b').build());
  const ended = statusOf({ ...pod, status: running }, makeRuntimePod(pod).sandbox().exited('i').exited('a', 42).running('b').build());
  assert.deepEqual([restarting(running), restarting(ended), ended.phase], ['False', 'True RestartAllContainersStarted', 'Running']);
  const removed = statusOf({ ...pod, status: ended }, makeRuntimePod(pod).sandbox().build());
  assert.deepEqual([restarting(removed), removed.phase, conditions(removed)['Initialized']], ['False', 'Running', 'True']);
  const reason = 'RestartingAllContainers';
  const message = 'The container is removed because RestartAllContainers in place';
  for (const s of [...removed.initContainerStatuses!, ...removed.containerStatuses!]) {
    assert.deepEqual([s.state, s.lastState, s.restartCount, s.ready], [{ waiting: { reason, message } }, { terminated: { reason, message, exitCode: 137 } }, 1, false]);
  }
  const later = statusOf({ ...pod, status: removed }, makeRuntimePod(pod).sandbox().build());
  assert.deepEqual(later.containerStatuses!.map((s) => [s.restartCount, s.lastState!.terminated!.reason]), [[1, reason], [1, reason]]);
  assert.equal(restarting(statusOf(one)), undefined);
});
test('podStatus: conditions keep their time while their status stays', () => {
  const first = statusOf(one);
  const later = statusOf({ ...one, status: first }, makeRuntimePod(one).sandbox().running('c').build(), { now: NOW + 60_000 });
  const time = (type: string) => later.conditions!.find((c) => c.type === type)!.lastTransitionTime;
  assert.equal(time('PodScheduled'), '2026-01-02T03:04:05Z');
  assert.equal(time('Ready'), '2026-01-02T03:05:05Z');
});
test('podStatus: Initialized names what is not done', () => {
  const pod = makePod().sidecar('s').init('i').container('c').build();
  const status = statusOf(pod, makeRuntimePod(pod).sandbox().running('s').build());
  assert.deepEqual(status.conditions!.find((c) => c.type === 'Initialized'), {
    type: 'Initialized', status: 'False', reason: 'ContainersNotInitialized', message: 'containers with incomplete status: [i]', observedGeneration: 1, lastTransitionTime: '2026-01-02T03:04:05Z',
  });
});
test('podStatus: readiness gates that are not true hold back Ready alone', () => {
  const pod = makePod().spec({ readinessGates: [{ conditionType: 'a' }, { conditionType: 'b' }] }).status({ conditions: [{ type: 'b', status: 'False' }] }).container('c').build();
  const status = statusOf(pod, makeRuntimePod(pod).sandbox().running('c').build());
  assert.deepEqual([conditions(status)['ContainersReady'], conditions(status)['Ready']], ['True', 'False ReadinessGatesNotReady']);
  assert.equal(status.conditions!.find((c) => c.type === 'Ready')!.message, 'corresponding condition of pod readiness gate "a" does not exist., the status of pod readiness gate "b" is not "True", but False');
});
test('podStatus: a rejected Pod has a reason and no containers', () => {
  const status = statusOf(one, undefined, { ended: { reason: 'OutOfcpu', message: 'Pod was rejected: x', rejected: true } });
  assert.deepEqual(status, { phase: 'Failed', reason: 'OutOfcpu', message: 'Pod was rejected: x', observedGeneration: 1, startTime: '2026-01-02T03:04:05Z', qosClass: 'BestEffort' });
});
test('podStatus: an evicted Pod carries its reason and the disruption; both outlive the kubelet', () => {
  const condition = { type: 'DisruptionTarget', status: 'True', reason: 'TerminationByKubelet', message: 'low' };
  const runtime = makeRuntimePod(one).sandbox({ ready: false }).exited('c', 137).build();
  const status = statusOf(one, runtime, { terminating: true, ended: { reason: 'Evicted', message: 'low', condition } });
  const again = statusOf({ ...one, status }, runtime, { terminating: true });
  for (const s of [status, again]) {
    assert.deepEqual([s.reason, s.message], ['Evicted', 'low']);
    assert.equal(s.conditions!.find((c) => c.type === 'DisruptionTarget')!.reason, 'TerminationByKubelet');
  }
  assert.equal(statusOf({ ...one, status }, undefined, { terminating: true }), status);
});
test('podStatus: an ended Pod keeps its address; a Pod in the host network has the node\'s', () => {
  const ended = statusOf(makePod().container('c').status({ podIPs: [{ ip: '10.0.0.9' }] }).build(), makeRuntimePod(one).sandbox({ ready: false, ip: '' }).exited('c').build());
  assert.equal(ended.podIP, '10.0.0.9');
  const host = makePod().spec({ hostNetwork: true }).container('c').build();
  assert.equal(statusOf(host, makeRuntimePod(host).sandbox().running('c').build()).podIP, '192.0.2.1');
});
test('podStatus tells what the Pod as a whole was granted and runs with, when the node knows', () => {
  const amount = (cpu: string) => ({ requests: { cpu }, limits: { cpu } });
  const of = (cpu: string) => makePod().container('a', { resources: amount(cpu) }).container('b', { resources: amount('100m') }).build();
  const resize = { allocatedOf: () => undefined, actuatedOf: () => undefined, conditions: [], allocated: of('300m'), actuated: of('200m') };
  const runtime = makeRuntimePod(of('300m')).sandbox().running('a').running('b').build();
  const running = statusOf(of('300m'), runtime, { resize });
  assert.deepEqual([running.allocatedResources, running.resources], [{ cpu: '400m' }, amount('300m')]);
  const pending = statusOf(of('300m'), undefined, { resize });
  assert.deepEqual([pending.allocatedResources, pending.resources], [{ cpu: '400m' }, amount('400m')]);
  const whole = makePod().spec({ resources: amount('1') }).container('a').build();
  assert.deepEqual(statusOf(whole, runtime, { resize: { ...resize, allocated: whole, actuated: whole } }).resources, amount('1'));
  assert.deepEqual([statusOf(one).resources, statusOf(one).allocatedResources], [undefined, undefined]);
});
test('podStatus tells how the devices of containers are, and nothing of those that have none', () => {
  const health = [{ name: 'example.com/gpu', resources: [{ resourceID: 'a', health: 'Unhealthy' }] }];
  const status = podStatus({
    pod: makePod().container('gpu').container('plain').build(), runtime: undefined, messages: new Map(), waiting: new Map(), nodeIPs: [], now: NOW, firstSeen: NOW, terminating: false, isReady: () => true, isStarted: () => true,
    deviceHealth: ({ name }) => (name === 'gpu' ? health : []),
  });
  assert.deepEqual(status.containerStatuses!.map((c) => c.allocatedResourcesStatus), [health, undefined]);
});
