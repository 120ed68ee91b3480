import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerState, ContainerStatus, Pod } from '#api/gen/core-v1.ts';
import { loggedContainerId } from './container-logs.ts';

function pod(state: ContainerState, lastState?: ContainerState, more: Partial<ContainerStatus> = {}): Pod {
  const status = { name: 'c', ready: false, restartCount: 0, image: 'x', imageID: '', state, lastState, ...more };
  return { metadata: { name: 'p' }, spec: { containers: [] }, status: { containerStatuses: [status] } };
}
const ended = (containerID?: string): ContainerState => ({ terminated: { exitCode: 0, containerID } });

test('loggedContainerId finds the run that is meant', () => {
  assert.equal(loggedContainerId(pod({ running: {} }, undefined, { containerID: 'containerd://abc' }), 'c', false), 'abc');
  assert.equal(loggedContainerId(pod(ended('containerd://t')), 'c', false), 't');
  assert.equal(loggedContainerId(pod(ended(), ended('containerd://l')), 'c', false), 'l');
  assert.equal(loggedContainerId(pod({ waiting: { reason: 'CrashLoopBackOff' } }, ended('containerd://l')), 'c', false), 'l');
  assert.equal(loggedContainerId(pod({ running: {} }, ended('containerd://l'), { containerID: 'containerd://abc' }), 'c', true), 'l');
});

test('loggedContainerId says why there is no log in upstream\'s words', () => {
  const table: readonly [Pod, string, boolean, string][] = [
    [pod({}), 'x', false, 'container "x" in pod "p" is not available'],
    [pod({ running: {} }), 'c', true, 'previous terminated container "c" in pod "p" not found'],
    [pod(ended()), 'c', false, 'container "c" in pod "p" is terminated'],
    [pod({ waiting: { reason: 'ErrImagePull' } }), 'c', false, 'container "c" in pod "p" is waiting to start: image can\'t be pulled'],
    [pod({ waiting: { reason: 'ImagePullBackOff' } }), 'c', false, 'container "c" in pod "p" is waiting to start: trying and failing to pull image'],
    [pod({ waiting: { reason: 'ContainerCreating' } }), 'c', false, 'container "c" in pod "p" is waiting to start: ContainerCreating'],
    [pod({}), 'c', false, 'container "c" in pod "p" is waiting to start - no logs yet'],
  ];
  for (const [object, container, previous, message] of table) assert.throws(() => loggedContainerId(object, container, previous), { message });
});
