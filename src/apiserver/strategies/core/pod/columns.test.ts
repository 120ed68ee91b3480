import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rowOf } from '../../trial.ts';
import { pods } from '../pods.ts';

const container = { name: 'app' };
const row = (status: object, more: { spec?: object; metadata?: object } = {}) => {
  const cells = rowOf(pods, { metadata: { name: 'p', creationTimestamp: '2026-01-02T03:00:05Z', ...more.metadata }, spec: { containers: [container], ...more.spec }, status });
  return [cells['Ready'], cells['Status'], cells['Restarts']];
};
const runningState = { name: 'app', ready: true, restartCount: 0, state: { running: {} } };

test('podRow shows a running Pod in full', () => {
  const cells = rowOf(pods, {
    metadata: { name: 'p', creationTimestamp: '2026-01-02T03:00:05Z' }, spec: { containers: [container], nodeName: 'n1', readinessGates: [{ conditionType: 'a/b' }] },
    status: { phase: 'Running', containerStatuses: [runningState], podIPs: [{ ip: '10.244.0.5' }], conditions: [{ type: 'a/b', status: 'True' }] },
  });
  assert.deepEqual(cells, { Name: 'p', Ready: '1/1', Status: 'Running', Restarts: '0', Age: '4m', IP: '10.244.0.5', Node: 'n1', 'Nominated Node': '<none>', 'Readiness Gates': '1/1' });
});
test('podRow shows waiting and ended containers by their reason', () => {
  assert.deepEqual(row({ phase: 'Pending' }), ['0/1', 'Pending', '0']);
  assert.deepEqual(row({ phase: 'Pending', containerStatuses: [{ name: 'app', ready: false, restartCount: 0, state: { waiting: { reason: 'ContainerCreating' } } }] }), ['0/1', 'ContainerCreating', '0']);
  assert.deepEqual(row({ phase: 'Succeeded', containerStatuses: [{ name: 'app', restartCount: 0, state: { terminated: { exitCode: 0, reason: 'Completed' } } }] }), ['0/1', 'Completed', '0']);
  assert.deepEqual(row({ phase: 'Failed', containerStatuses: [{ name: 'app', restartCount: 0, state: { terminated: { exitCode: 3 } } }] }), ['0/1', 'ExitCode:3', '0']);
  assert.deepEqual(row({ phase: 'Failed', reason: 'Evicted' }), ['0/1', 'Evicted', '0']);
});
test('podRow tells when the last restart was', () => {
  const crashing = { name: 'app', ready: false, restartCount: 4, state: { waiting: { reason: 'CrashLoopBackOff' } }, lastState: { terminated: { exitCode: 1, finishedAt: '2026-01-02T03:01:05Z' } } };
  assert.deepEqual(row({ phase: 'Running', containerStatuses: [crashing] }), ['0/1', 'CrashLoopBackOff', '4 (3m ago)']);
});
test('podRow counts init containers until they are done', () => {
  const spec = { initContainers: [{ name: 'a' }, { name: 'b' }] };
  const done = { name: 'a', restartCount: 1, state: { terminated: { exitCode: 0, reason: 'Completed' } } };
  const init = (...statuses: object[]) => row({ phase: 'Pending', initContainerStatuses: statuses }, { spec });
  assert.deepEqual(init({ name: 'a', restartCount: 0, state: { running: {} } }, { name: 'b', restartCount: 0, state: { waiting: { reason: 'PodInitializing' } } }), ['0/1', 'Init:0/2', '0']);
  assert.deepEqual(init(done, { name: 'b', restartCount: 2, state: { waiting: { reason: 'CrashLoopBackOff' } } }), ['0/1', 'Init:CrashLoopBackOff', '3']);
  assert.deepEqual(init(done, { name: 'b', restartCount: 0, state: { terminated: { exitCode: 2, reason: 'Error' } } }), ['0/1', 'Init:Error', '1']);
  assert.deepEqual(init(done, { name: 'b', restartCount: 0, state: { terminated: { exitCode: 2, signal: 9 } } }), ['0/1', 'Init:Signal:9', '1']);
});
test('podRow counts sidecars as containers', () => {
  const spec = { initContainers: [{ name: 's', restartPolicy: 'Always' }] };
  const sidecar = { name: 's', started: true, ready: true, restartCount: 2, state: { running: {} } };
  assert.deepEqual(row({ phase: 'Running', initContainerStatuses: [sidecar], containerStatuses: [runningState] }, { spec }), ['2/2', 'Running', '2']);
});
test('podRow shows a mixed Pod as Running or NotReady', () => {
  const spec = { containers: [container, { name: 'b' }] };
  const done = { name: 'b', restartCount: 0, state: { terminated: { exitCode: 0, reason: 'Completed' } } };
  const status = { phase: 'Running', containerStatuses: [done, runningState] };
  assert.deepEqual(row(status, { spec }), ['1/2', 'NotReady', '0']);
  assert.deepEqual(row({ ...status, conditions: [{ type: 'Ready', status: 'True' }] }, { spec }), ['1/2', 'Running', '0']);
});
test('podRow shows what befalls the Pod as a whole', () => {
  const metadata = { deletionTimestamp: '2026-01-02T03:04:05Z' };
  assert.deepEqual(row({ phase: 'Running', containerStatuses: [runningState] }, { metadata }), ['1/1', 'Terminating', '0']);
  assert.deepEqual(row({ phase: 'Running', reason: 'NodeLost', containerStatuses: [runningState] }, { metadata })[1], 'Unknown');
  assert.deepEqual(row({ phase: 'Failed' }, { metadata })[1], 'Failed');
  assert.deepEqual(row({ phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }] })[1], 'SchedulingGated');
});
