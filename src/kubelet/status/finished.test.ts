import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerState, ContainerStatus, Pod, PodStatus } from '#api/gen/core-v1.ts';
import { makePod } from '../testing/make-pod.ts';
import { finishedStatus } from './finished.ts';

const waiting: ContainerState = { waiting: { reason: 'ContainerCreating' } };
const end = (exitCode: number): ContainerState => ({ terminated: { exitCode } });
const of = (name: string, state: ContainerState, lastState: ContainerState = {}): ContainerStatus => ({ name, state, lastState, image: 'busybox', imageID: '', ready: false, restartCount: 0 });
const shown = ({ phase, initContainerStatuses = [], containerStatuses = [] }: PodStatus) =>
  [phase, ...[...initContainerStatuses, ...containerStatuses].map(({ name, state }) => `${name} ${state!.terminated ? `${state!.terminated.exitCode} ${state!.terminated.reason ?? ''}`.trim() : 'waits'}`)].join(', ');

const one = makePod().container('c').build();
const withInit = makePod().init('i').init('j').container('c').build();
const ROWS: readonly { name: string; pod: Pod; phase?: PodStatus['phase']; init?: ContainerStatus[]; main?: ContainerStatus[]; want: string }[] = [
  { name: 'never started', pod: one, main: [of('c', waiting)], want: 'Failed, c 137 ContainerStatusUnknown' },
  { name: 'one ended well, one was never started', pod: makePod().container('a').container('b').build(), main: [of('a', end(0)), of('b', waiting)], want: 'Failed, a 0, b 137 ContainerStatusUnknown' },
  { name: 'an end of its own stays', pod: one, phase: 'Succeeded', main: [of('c', end(0))], want: 'Succeeded, c 0' },
  { name: 'rejected: it has no containers', pod: one, phase: 'Failed', want: 'Failed' },
  { name: 'before the first init container', pod: withInit, init: [of('i', waiting), of('j', waiting)], main: [of('c', waiting)], want: 'Failed, i 137 ContainerStatusUnknown, j waits, c waits' },
  { name: 'between two init containers', pod: withInit, init: [of('i', end(0)), of('j', waiting)], main: [of('c', waiting)], want: 'Failed, i 0, j waits, c waits' },
  { name: 'an init container that was to be started again', pod: withInit, init: [of('i', end(0)), of('j', waiting, end(1))], main: [of('c', waiting)], want: 'Failed, i 0, j 137 ContainerStatusUnknown, c waits' },
  { name: 'after the init containers', pod: withInit, init: [of('i', end(0)), of('j', end(0))], main: [of('c', waiting)], want: 'Failed, i 0, j 0, c 137 ContainerStatusUnknown' },
  { name: 'static: its phase is not told so', pod: makePod().meta({ annotations: { 'kubernetes.io/config.source': 'file' } }).container('c').build(), main: [of('c', waiting)], want: 'Pending, c 137 ContainerStatusUnknown' },
];
for (const { name, pod, phase = 'Pending', init, main, want } of ROWS) {
  test(`finishedStatus: ${name}`, () => {
    const status: PodStatus = { phase, ...(init ? { initContainerStatuses: init } : {}), ...(main ? { containerStatuses: main } : {}) };
    assert.equal(shown(finishedStatus(pod, status)), want);
  });
}
test('finishedStatus tells of what is lost in upstream\'s words', () => {
  assert.deepEqual(finishedStatus(one, { phase: 'Pending', containerStatuses: [of('c', waiting)] }).containerStatuses![0]!.state, {
    terminated: { exitCode: 137, reason: 'ContainerStatusUnknown', message: 'The container could not be located when the pod was terminated' },
  });
});
